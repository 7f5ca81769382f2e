"""XAdES as this room reads and writes it: signed properties, and time-stamps over the signature value.

ETSI EN 319 132-1: levels B-B and B-T, and of B-LT the certificates and revocation data that others may have put in.
"""

import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from lxml import etree

from jpki.clock import iso
from signing import xml_form
from signing.caps import MOST_STORED
from signing.presented import Stamp, refuse_crowds
from signing.report import Check, Step, TimeProof
from signing.time_stamper import StampDigest
from signing.validation import Stored, StoredKind
from signing.verdict import Cause
from signing.xml_form import C14N_1_0, DSIG

XADES = "http://uri.etsi.org/01903/v1.3.2#"
SIGNED_PROPERTIES = "http://uri.etsi.org/01903#SignedProperties"
"""The Type of the reference to the signed properties."""

_NAMES = {"ds": DSIG, "xades": XADES}
_PROPERTIES = "ds:Object/xades:QualifyingProperties"
_SIGNED = f"{_PROPERTIES}/xades:SignedProperties"
_CERTIFICATE = f"{_SIGNED}/xades:SignedSignatureProperties/xades:SigningCertificate"
_UNSIGNED = f"{_PROPERTIES}/xades:UnsignedProperties/xades:UnsignedSignatureProperties"
_STAMP = f"{{{XADES}}}SignatureTimeStamp"
_KNOWN = {_STAMP, f"{{{XADES}}}CertificateValues", f"{{{XADES}}}RevocationValues"}
"""The unsigned properties that are read; a signature that bears others, such as counter-signatures, is not judged."""
_IN_STAMP = {f"{{{DSIG}}}CanonicalizationMethod", f"{{{XADES}}}EncapsulatedTimeStamp"}

_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_HASHES = {
    f"{DSIG}sha1": SHA1(),  # noqa: S303 - read, and told to be weak
    _SHA256: SHA256(),
    "http://www.w3.org/2001/04/xmldsig-more#sha384": SHA384(),
    "http://www.w3.org/2001/04/xmlenc#sha512": SHA512(),
}


# --- reading ---------------------------------------------------------------------------------------------------------


def is_supported(signature: etree._Element, references: Sequence[etree._Element]) -> bool:
    """Tell whether the Signature is XAdES of the form that is read here; `references` are its SignedProperties'."""
    objects = signature.findall("ds:Object", _NAMES)
    properties = signature.findall(_PROPERTIES, _NAMES)
    signed = signature.findall(_SIGNED, _NAMES)
    if [len(each) for each in (objects, properties, signed, references)] != [1, 1, 1, 1]:
        return False
    (whole,), (own,), (reference,) = properties, signed, references
    transforms = [each.get("Algorithm") for each in reference.findall("ds:Transforms/ds:Transform", _NAMES)]
    unsigned = [child for part in signature.findall(_UNSIGNED, _NAMES) for child in xml_form.elements(part)]
    return (
        len(list(xml_form.elements(objects[0]))) == 1
        and whole.get("Target") == f"#{signature.get('Id')}"
        and reference.get("URI") == f"#{own.get('Id')}"
        and xml_form.ENVELOPED not in transforms
        and _is_plain(whole)
        and all(child.tag in _KNOWN for child in unsigned)
        and all(_is_plain_stamp(child) for child in unsigned if child.tag == _STAMP)
    )


def _is_plain(properties: etree._Element) -> bool:
    """Tell whether there are no more than signed properties, and unsigned ones of the signature itself."""
    names = Counter(etree.QName(child).localname for child in xml_form.elements(properties))
    unsigned = [child.tag for child in properties.iterfind("xades:UnsignedProperties/*", _NAMES)]
    return names in ({"SignedProperties": 1}, {"SignedProperties": 1, "UnsignedProperties": 1}) and (
        unsigned in ([], [f"{{{XADES}}}UnsignedSignatureProperties"])
    )


def _is_plain_stamp(stamp: etree._Element) -> bool:
    """Tell whether it is over the signature value alone, in a canonical form that is known."""
    return _IN_STAMP.issuperset(child.tag for child in xml_form.elements(stamp)) and _canonical_form(stamp) in (
        xml_form.CANONICAL
    )


def check_form(signature: etree._Element, certificate: x509.Certificate | None, form: str) -> Check:
    """Check that the signed properties name the signer's certificate (ETSI EN 319 132-1, 5.2.2)."""
    named = [found for suffix in ("V2", "") for found in signature.findall(f"{_CERTIFICATE}{suffix}/*", _NAMES)]
    if not named:
        return Check.stopped(Step.FORMAT, Cause.MALFORMED, missing="SigningCertificateV2")
    method = named[0].find("xades:CertDigest/ds:DigestMethod", _NAMES)
    hashing = _HASHES.get("" if method is None else method.get("Algorithm", ""))
    if hashing is None:
        return Check.stopped(Step.FORMAT, Cause.UNSUPPORTED)
    value = named[0].findtext("xades:CertDigest/ds:DigestValue", "", _NAMES)
    if certificate is not None and base64.b64decode(value) != certificate.fingerprint(hashing):
        return Check.stopped(Step.FORMAT, Cause.WRONG_BINDING)
    if isinstance(hashing, SHA1):
        return Check.stopped(Step.FORMAT, Cause.WEAK_ALGORITHM, binding=hashing.name)
    return Check.passed(
        Step.FORMAT, "署名付きXML（XAdES）です。", "A signed XML document (XAdES).", format=form, binding=hashing.name
    )


def claimed_at(signature: etree._Element) -> datetime | None:
    """Return the time that the signer claims, None where there is none to read; without a zone it is taken as UTC."""
    written = signature.findtext(f"{_SIGNED}/xades:SignedSignatureProperties/xades:SigningTime", "", _NAMES)
    try:
        moment = datetime.fromisoformat(written.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def stamps(signature: etree._Element) -> Iterator[Stamp]:
    """Yield the time-stamps over the signature value, in its canonical form (ETSI EN 319 132-1, 5.3)."""
    value = signature.find("ds:SignatureValue", _NAMES)
    found = signature.findall(f"{_UNSIGNED}/xades:SignatureTimeStamp/xades:EncapsulatedTimeStamp", _NAMES)
    refuse_crowds(found)
    for encapsulated in found:
        stamp = encapsulated.getparent()
        if value is not None and stamp is not None:
            yield _stamp(_decoded(encapsulated), xml_form.canonical(value, _canonical_form(stamp)))


def _stamp(token: bytes, octets: bytes) -> Stamp:
    return Stamp(proof=TimeProof.TIME_STAMP, token=token, imprint=lambda name: hashlib.new(name, octets).digest())


def _canonical_form(stamp: etree._Element) -> str:
    method = stamp.find("ds:CanonicalizationMethod", _NAMES)
    return C14N_1_0 if method is None else method.get("Algorithm", "")


def certificates(signature: etree._Element) -> Iterator[x509.Certificate]:
    """Yield the certificates that were added for later; one that cannot be read is passed over."""
    path = f"{_UNSIGNED}/xades:CertificateValues/xades:EncapsulatedX509Certificate"
    for element in signature.findall(path, _NAMES)[:MOST_STORED]:
        try:
            yield x509.load_der_x509_certificate(_decoded(element))
        except (ValueError, x509.InvalidVersion):
            continue


def stored(signature: etree._Element) -> Iterator[Stored]:
    """Yield the revocation data that was added for later."""
    values = f"{_UNSIGNED}/xades:RevocationValues"
    for element in signature.findall(f"{values}/xades:CRLValues/*", _NAMES)[:MOST_STORED]:
        yield Stored(kind=StoredKind.CRL, octets=_decoded(element))
    for element in signature.findall(f"{values}/xades:OCSPValues/*", _NAMES)[:MOST_STORED]:
        yield Stored(kind=StoredKind.OCSP, octets=_decoded(element))


def _decoded(element: etree._Element) -> bytes:
    """Return the octets that an element holds in base64, none where it holds something else."""
    try:
        return base64.b64decode(element.text or "")
    except (binascii.Error, ValueError):
        return b""


# --- writing ---------------------------------------------------------------------------------------------------------


def qualify(signature: etree._Element, certificate: x509.Certificate, signing_time: datetime) -> etree._Element:
    """Make a Signature, before it is signed, XAdES: return its signed properties, to which it must refer.

    The signature and its one reference get ids that nothing else in the document bears.
    """
    taken = set(xml_form.identifiers(signature.getroottree().getroot()))
    name = next(name for name in (f"xades-{number}" for number in range(1, len(taken) + 2)) if name not in taken)
    signature.set("Id", name)
    reference = signature.find("ds:SignedInfo/ds:Reference", _NAMES)
    assert reference is not None  # noqa: S101 - the frame has one
    reference.set("Id", f"{name}-content")
    whole = etree.SubElement(
        etree.SubElement(signature, f"{{{DSIG}}}Object"),
        f"{{{XADES}}}QualifyingProperties",
        {"Target": f"#{name}"},
        nsmap={"xades": XADES},
    )
    signed = _add(whole, "SignedProperties", Id=f"{name}-properties")
    own = _add(signed, "SignedSignatureProperties")
    _add(own, "SigningTime").text = iso(signing_time)
    digest = _add(_add(_add(own, "SigningCertificateV2"), "Cert"), "CertDigest")
    etree.SubElement(digest, f"{{{DSIG}}}DigestMethod", {"Algorithm": _SHA256})
    etree.SubElement(digest, f"{{{DSIG}}}DigestValue").text = _encoded(certificate.fingerprint(SHA256()))
    about = _add(signed, "SignedDataObjectProperties")
    _add(_add(about, "DataObjectFormat", ObjectReference=f"#{name}-content"), "MimeType").text = "text/xml"
    return signed


def add_stamp(signature: etree._Element, stamp: StampDigest) -> None:
    """Add a time-stamp over the value of a Signature that is signed: XAdES B-T."""
    whole, value = signature.find(_PROPERTIES, _NAMES), signature.find("ds:SignatureValue", _NAMES)
    assert whole is not None and value is not None  # noqa: S101, PT018 - it was qualified, and signed
    token = stamp(hashlib.sha256(xml_form.canonical(value, C14N_1_0)).digest())
    element = _add(_add(_add(whole, "UnsignedProperties"), "UnsignedSignatureProperties"), "SignatureTimeStamp")
    etree.SubElement(element, f"{{{DSIG}}}CanonicalizationMethod", {"Algorithm": C14N_1_0})
    _add(element, "EncapsulatedTimeStamp").text = _encoded(token)


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{XADES}}}{name}", attributes)


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
