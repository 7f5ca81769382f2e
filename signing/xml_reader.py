"""Reads the signatures of an e-Tax `.xtx`, or of XML that an issuer signed enveloped (XMLDSig Core 1.1)."""

import base64
import copy
from collections import Counter
from dataclasses import dataclass, replace
from typing import IO

from cryptography import x509
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest, InvalidSignature, SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from signing import xades, xml_form
from signing.algorithms import are_known
from signing.presented import NO_REVISIONS, Algorithms, Presented, refuse_crowds
from signing.report import Check, Step
from signing.verdict import Cause
from signing.xml_form import NAMESPACES, SIGNATURE

_C14N = frozenset(
    {
        xml_form.C14N_1_0,
        f"{xml_form.C14N_1_0}#WithComments",
        "http://www.w3.org/2006/12/xml-c14n11",
        "http://www.w3.org/2006/12/xml-c14n11#WithComments",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    }
)
_TRANSFORMS = _C14N | {xml_form.ENVELOPED}
"""signxml passes over a transform that it does not know: what is not listed here never reaches it."""

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_HASHES = ("sha224", "sha256", "sha384", "sha512")
_METHODS = {
    f"{xml_form.DSIG}rsa-sha1": ("rsa", "sha1"),
    f"{_MORE}rsa-md5": ("rsa", "md5"),
    f"{_MORE}ecdsa-sha1": ("ecdsa", "sha1"),
    **{f"{_MORE}{mechanism}-{name}": (mechanism, name) for mechanism in ("rsa", "ecdsa") for name in _HASHES},
    **{f"http://www.w3.org/2007/05/xmldsig-more#{name}-rsa-MGF1": ("rsa-pss", name) for name in _HASHES},
}
_DIGESTS = {
    f"{xml_form.DSIG}sha1": "sha1",
    f"{_MORE}md5": "md5",
    f"{_MORE}sha224": "sha224",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    f"{_MORE}sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}


@dataclass(frozen=True, slots=True)
class _Signature:
    """A Signature element in its document; `position` counts the signatures that lie in no other signature."""

    root: etree._Element
    element: etree._Element
    position: int

    def attributes(self, path: str, name: str) -> list[str]:
        """Return the attribute `name` of every element at `path` below the signature, empty where it is missing."""
        return [found.get(name, "") for found in self.element.findall(path, NAMESPACES)]

    @property
    def references(self) -> list[etree._Element]:
        """The references to content: all but those to XAdES' signed properties."""
        return [each for each in self._references if each.get("Type") != xades.SIGNED_PROPERTIES]

    @property
    def property_references(self) -> list[etree._Element]:
        """The references to XAdES' signed properties."""
        return [each for each in self._references if each.get("Type") == xades.SIGNED_PROPERTIES]

    @property
    def _references(self) -> list[etree._Element]:
        return self.element.findall("ds:SignedInfo/ds:Reference", NAMESPACES)

    @property
    def uri(self) -> str | None:
        """What the first reference to content points to."""
        return next((each.get("URI", "") for each in self.references), None)

    @property
    def is_qualified(self) -> bool:
        """Whether it is XAdES, or has anything else that plain XMLDSig has not."""
        return bool(self.property_references) or self.element.find("ds:Object", NAMESPACES) is not None

    @property
    def transforms(self) -> list[str]:
        """The algorithms of all transforms of all references."""
        return self.attributes("ds:SignedInfo/ds:Reference/ds:Transforms/ds:Transform", "Algorithm")


def read(document: IO[bytes]) -> tuple[Presented, ...]:
    """Return the signatures of an XML file; whatever is wrong with its structure raises.

    Raises:
        JpkiError: MALFORMED `xml-dtd`, TOO_LARGE `too-many-signatures` or `too-many-certificates`.
    """
    root = xml_form.parse(document.read())
    found = _outermost(root)
    refuse_crowds(found)
    return tuple(_present(_Signature(root, element, position)) for position, element in enumerate(found))


def _outermost(root: etree._Element) -> list[etree._Element]:
    return [element for element in root.iter(SIGNATURE) if next(element.iterancestors(SIGNATURE), None) is None]


def _present(signature: _Signature) -> Presented:
    certificates = _certificates(signature)
    algorithms = _algorithms(signature)
    signer = _signer(certificates)
    presented = Presented(
        checks=(*_check_form(signature, signer), _check_integrity(signature, algorithms, signer)),
        algorithms=algorithms,
        certificate=signer,
        others=tuple(certificate for certificate in certificates if certificate is not signer),
    )
    if not signature.is_qualified or not _is_supported(signature):
        return presented
    return replace(
        presented,
        others=(*presented.others, *xades.certificates(signature.element)),
        claimed_at=xades.claimed_at(signature.element),
        stamps=tuple(xades.stamps(signature.element)),
        stored=tuple(xades.stored(signature.element)),
    )


def _certificates(signature: _Signature) -> tuple[x509.Certificate, ...]:
    texts = [
        element.text or ""
        for element in signature.element.findall("ds:KeyInfo/ds:X509Data/ds:X509Certificate", NAMESPACES)
    ]
    refuse_crowds((), len(texts))
    return tuple(x509.load_der_x509_certificate(base64.b64decode(text)) for text in texts)


def _signer(certificates: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
    """Return the certificate that issued none of the others: X509Data may hold a chain in any order."""
    if len(certificates) <= 1:
        return next(iter(certificates), None)
    issuers = {one.issuer.public_bytes() for one in certificates if one.issuer != one.subject}
    return next((one for one in certificates if one.subject.public_bytes() not in issuers), None)


def _algorithms(signature: _Signature) -> Algorithms:
    (method,) = signature.attributes("ds:SignedInfo/ds:SignatureMethod", "Algorithm")
    mechanism, digest = _METHODS.get(method, (method, method))
    references = signature.attributes("ds:SignedInfo/ds:Reference/ds:DigestMethod", "Algorithm")
    return Algorithms(mechanism=mechanism, digests=frozenset({digest, *(_DIGESTS.get(uri, uri) for uri in references)}))


# --- form and coverage: which part of the document the signature speaks for -----------------------------------------


def _check_form(signature: _Signature, signer: x509.Certificate | None) -> tuple[Check, ...]:
    if not _is_supported(signature):
        return (Check.stopped(Step.FORMAT, Cause.UNSUPPORTED),)
    repeated = [value for value, count in Counter(xml_form.identifiers(signature.root)).items() if count > 1]
    form = "xtx" if xml_form.is_etax(signature.root) else "xml"
    if signature.is_qualified:
        found = xades.check_form(signature.element, signer, form)
    else:
        found = Check.passed(Step.FORMAT, "署名付きXMLです。", "A signed XML document.", format=form)
    if repeated or not _covers_document(signature):
        return (found, Check.stopped(Step.COVERAGE, Cause.NOT_COVERED, repeated_ids=len(repeated)))
    return (
        found,
        Check.passed(
            Step.COVERAGE,
            "文書の内容全体が署名されています。",
            "The whole content of the document is signed.",
            reference=signature.uri,
        ),
        NO_REVISIONS,
    )


def _is_supported(signature: _Signature) -> bool:
    """Tell whether there is one reference into the document, with transforms that are known; plain or XAdES."""
    canonical = signature.attributes("ds:SignedInfo/ds:CanonicalizationMethod", "Algorithm")
    return (
        len(signature.references) == 1
        and _TRANSFORMS.issuperset(signature.transforms)
        and _C14N.issuperset(canonical)
        and (not signature.is_qualified or xades.is_supported(signature.element, signature.property_references))
        and signature.element.getparent() is signature.root
    )


def _covers_document(signature: _Signature) -> bool:
    root, uri = signature.root, signature.uri
    if not xml_form.is_etax(root):
        return uri == "" or _points_to(uri, root)
    procedure = xml_form.procedure(root)
    content = [child for child in xml_form.elements(root) if child.tag != SIGNATURE]
    return (
        procedure is not None
        and content == [procedure]
        and not _has_text_of_its_own(root)
        and _points_to(uri, procedure)
    )


def _points_to(uri: str | None, element: etree._Element) -> bool:
    identifier = xml_form.own_identifier(element)
    return identifier is not None and uri == f"#{identifier}"


def _has_text_of_its_own(root: etree._Element) -> bool:
    texts = (root.text, *(child.tail for child in root))
    return any(text and text.strip() for text in texts)


# --- integrity: digests and signature value, by signxml ------------------------------------------------------------


def _check_integrity(signature: _Signature, algorithms: Algorithms, certificate: x509.Certificate | None) -> Check:
    if certificate is None:
        return Check.not_applicable(Step.INTEGRITY, "署名者の証明書がありません。", "No signer's certificate.")
    alone = _alone(signature)
    if alone is None or not _is_computable(signature, algorithms):
        return Check.not_applicable(Step.INTEGRITY, "計算できない方式です。", "This form cannot be computed.")
    try:
        XMLVerifier().verify(alone, x509_cert=certificate, expect_config=_pinned(certificate))
    except InvalidDigest:
        return Check.stopped(Step.INTEGRITY, Cause.ALTERED)
    except InvalidSignature:
        return Check.stopped(Step.INTEGRITY, Cause.SIGNATURE_WRONG)
    except (SignXMLException, etree.LxmlError, ValueError):
        return Check.stopped(Step.INTEGRITY, Cause.MALFORMED)
    return Check.passed(Step.INTEGRITY, "内容と署名値は一致しています。", "Content and signature value agree.")


def _is_computable(signature: _Signature, algorithms: Algorithms) -> bool:
    """Tell whether signxml can be relied on: it knows no MD5, and other software differs on enveloping signatures."""
    enveloping = signature.element is signature.root
    known = are_known(algorithms) and "md5" not in algorithms.digests
    return known and not enveloping and _TRANSFORMS.issuperset(signature.transforms)


def _alone(signature: _Signature) -> etree._Element | None:
    """Return the document with this signature only, as signxml looks at the first one; None where it would change.

    Parallel signatures can go, as none of them covers another; one that covers the root covers its siblings too.
    """
    others = len(_outermost(signature.root)) > 1
    if others and not (xml_form.is_etax(signature.root) and _covers_document(signature)):
        return None
    root = copy.deepcopy(signature.root)
    for position, element in enumerate(_outermost(root)):
        if position != signature.position:
            root.remove(element)
    return root


def _pinned(certificate: x509.Certificate) -> SignatureConfiguration:
    """Return the terms for signxml: the mathematics with this certificate's key; path and time are judged elsewhere."""
    return SignatureConfiguration(
        location=".//",
        expect_references=True,
        signature_methods=frozenset(method for method in SignatureMethod if method.value in _METHODS),
        digest_algorithms=frozenset(digest for digest in DigestAlgorithm if digest.value in _DIGESTS),
        verification_time=certificate.not_valid_before_utc,
    )
