"""Signs an e-Tax `.xtx`: the Signature stands beside the procedure element, within DATA (docs/profile.md).

Plainly, as JPKI's own software does, or as XAdES with a time-stamp.
"""

import base64
from collections import Counter
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import xades, xml_form
from signing.credential import Credential
from signing.time_stamper import StampDigest
from signing.xml_form import C14N_1_0, DSIG, NAMESPACES

_DIGEST = "http://www.w3.org/2001/04/xmlenc#sha256"
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"


def write(document: bytes, credential: Credential, signing_time: datetime, stamp: StampDigest | None = None) -> bytes:
    """Return the e-Tax document with one more signature, parallel to those that it bears.

    Plain XMLDSig has no place for a signing time, so none is written; with `stamp` it is XAdES B-T, which has one.

    Raises:
        JpkiError: UNPROCESSABLE `xml-unreadable` or `not-an-etax-document`, MALFORMED `xml-dtd`.
    """
    root = _parse(document)
    procedure = _procedure(root)
    frame = _frame(root, f"#{xml_form.own_identifier(procedure)}", credential)
    signed = {frame[0][2]: procedure}
    if stamp is not None:
        properties = xades.qualify(frame, credential.certificate, signing_time)
        signed[_refer(frame[0], f"#{properties.get('Id')}", Type=xades.SIGNED_PROPERTIES)] = properties
    for reference, element in signed.items():
        _fill(reference, "ds:DigestValue", _digest(SHA256(), xml_form.canonical(element, C14N_1_0)))
    _fill(frame, "ds:SignatureValue", _signature_value(credential, xml_form.canonical(frame[0], C14N_1_0)))
    if stamp is not None:
        xades.add_stamp(frame, stamp)
    return etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8", standalone=False)


def _parse(document: bytes) -> etree._Element:
    try:
        return xml_form.parse(document)
    except etree.XMLSyntaxError as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "xml-unreadable",
            Text("XMLとして読み取れないため、署名できません。", "The file is not well-formed XML and was not signed."),
            Text("正しい .xtx ファイルを指定してください。", "Give a sound .xtx file."),
        ) from error


def _procedure(root: etree._Element) -> etree._Element:
    """Return the element to sign, which must be the only one and known by an id that nothing else bears."""
    procedure = xml_form.procedure(root) if xml_form.is_etax(root) else None
    content = [child for child in xml_form.elements(root) if child.tag != xml_form.SIGNATURE]
    repeated = any(count > 1 for count in Counter(xml_form.identifiers(root)).values())
    if procedure is None or content != [procedure] or repeated:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "not-an-etax-document",
            Text(
                "e-Taxの文書（DATA要素の中に、重複しないidを持つ手続要素が一つ）ではないため、署名できません。",
                "This is not an e-Tax document (DATA holding one procedure element with an id of its own).",
            ),
            Text("e-Taxの .xtx ファイルを指定してください。", "Give an e-Tax .xtx file."),
        )
    return procedure


def _frame(root: etree._Element, uri: str, credential: Credential) -> etree._Element:
    """Append the Signature with its two values still empty: SignedInfo is canonicalized where it will stand."""
    frame = etree.SubElement(root, f"{{{DSIG}}}Signature", nsmap={"dsig": DSIG})
    signed_info = _add(frame, "SignedInfo")
    _add(signed_info, "CanonicalizationMethod", Algorithm=C14N_1_0)
    _add(signed_info, "SignatureMethod", Algorithm=_method(credential))
    _refer(signed_info, uri)
    _add(frame, "SignatureValue")
    certificate = _add(_add(_add(frame, "KeyInfo"), "X509Data"), "X509Certificate")
    certificate.text = base64.b64encode(credential.certificate.public_bytes(Encoding.DER)).decode()
    return frame


def _refer(signed_info: etree._Element, uri: str, **attributes: str) -> etree._Element:
    reference = _add(signed_info, "Reference", **attributes, URI=uri)
    _add(_add(reference, "Transforms"), "Transform", Algorithm=C14N_1_0)
    _add(reference, "DigestMethod", Algorithm=_DIGEST)
    _add(reference, "DigestValue")
    return reference


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{DSIG}}}{name}", attributes)


def _fill(frame: etree._Element, path: str, value: bytes) -> None:
    element = frame.find(path, NAMESPACES)
    assert element is not None  # noqa: S101 - the frame was made above, with this element in it
    element.text = base64.b64encode(value).decode()


def _digest(algorithm: HashAlgorithm, octets: bytes) -> bytes:
    digest = Hash(algorithm)
    digest.update(octets)
    return digest.finalize()


def _method(credential: Credential) -> str:
    public = credential.key.public_key()
    mechanism = "ecdsa" if isinstance(public, ec.EllipticCurvePublicKey) else "rsa"
    return f"{_MORE}{mechanism}-{signature.algorithm_for(public).hash.name}"


def _signature_value(credential: Credential, signed_info: bytes) -> bytes:
    """Sign; ECDSA's value is r and s side by side here, not DER (XMLDSig Core 1.1, 6.4.3)."""
    value = signature.sign(credential.key, signed_info)
    public = credential.key.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return value
    size = (public.curve.key_size + 7) // 8
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(value))
