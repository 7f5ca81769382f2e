"""Writes CMS SignedData (RFC 5652) with three signed attributes.

JPKI's own software signs contentType, messageDigest and signingTime. PAdES has signing-certificate-v2 (RFC 5035) in
place of signingTime, as the PDF itself tells the time (ETSI EN 319 142-1), and so has a time-stamp (RFC 5816).
"""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.hashes import Hash
from cryptography.hazmat.primitives.serialization import Encoding

from jpki import signature
from jpki.clock import whole_second
from signing.credential import Credential

_DATA, _TST_INFO = "data", "tst_info"
"""What is signed, by asn1crypto's names of the content types."""


def digest_name(credential: Credential) -> str:
    """Return the name of the digest that goes with the credential's key: `sha256` or `sha384`."""
    return signature.algorithm_for(credential.key.public_key()).hash.name


def write_attached(content: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData with `content` inside."""
    attributes = _timed(_digest(content, credential), signing_time)
    return _write(_data(content), credential, attributes, _whole_chain(credential))


def write_detached(digest: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData over content that is elsewhere and has this digest."""
    return _write(_data(None), credential, _timed(digest, signing_time), _whole_chain(credential))


def write_bound(digest: bytes, credential: Credential) -> bytes:
    """Return the DER of SignedData over content with this digest, bound to the credential's certificate for PAdES."""
    return _write(_data(None), credential, _bound(digest, credential), _whole_chain(credential))


def write_time_stamp(info: bytes, credential: Credential, *, with_certificate: bool) -> bytes:
    """Return the DER of a TimeStampToken around a TSTInfo's DER, bound to its signer's certificate (RFC 3161 2.4.2).

    The certificate stands inside if it is wanted, and otherwise nothing does (RFC 3161 2.4.1).
    """
    content = {"content_type": _TST_INFO, "content": core.ParsableOctetString(info)}
    attributes = _bound(_digest(info, credential), credential, _TST_INFO)
    return _write(content, credential, attributes, [credential.certificate] if with_certificate else [])


def _write(
    content: Mapping[str, object],
    credential: Credential,
    attributes: cms.CMSAttributes,
    certificates: Sequence[x509.Certificate],
) -> bytes:
    algorithm = signature.algorithm_for(credential.key.public_key())
    digest_algorithm = algos.DigestAlgorithm({"algorithm": algorithm.hash.name})
    signer = _asn1(credential.certificate)
    signer_info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": signer.issuer, "serial_number": signer.serial_number}},
            "digest_algorithm": digest_algorithm,
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm.load(algorithm.identifier),
            "signature": signature.sign(credential.key, attributes.dump()),
        }
    )
    signed_data = cms.SignedData(
        {
            "version": "v1" if content["content_type"] == _DATA else "v3",
            "digest_algorithms": [digest_algorithm],
            "encap_content_info": content,
            "signer_infos": [signer_info],
        }
        | ({"certificates": _certificates(certificates)} if certificates else {})
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())


def _data(content: bytes | None) -> Mapping[str, object]:
    return {"content_type": _DATA} if content is None else {"content_type": _DATA, "content": content}


def _whole_chain(credential: Credential) -> Sequence[x509.Certificate]:
    return [credential.certificate, *credential.chain]


def _digest(content: bytes, credential: Credential) -> bytes:
    digest = Hash(signature.algorithm_for(credential.key.public_key()).hash)
    digest.update(content)
    return digest.finalize()


def _timed(digest: bytes, signing_time: datetime) -> cms.CMSAttributes:
    moment = cms.Time({"utc_time": core.UTCTime(whole_second(signing_time))})
    return _signed_attributes(digest, cms.CMSAttribute({"type": "signing_time", "values": [moment]}))


def _bound(digest: bytes, credential: Credential, content_type: str = _DATA) -> cms.CMSAttributes:
    algorithm = signature.algorithm_for(credential.key.public_key()).hash
    named = tsp.ESSCertIDv2(
        {"hash_algorithm": {"algorithm": algorithm.name}, "cert_hash": credential.certificate.fingerprint(algorithm)}
    )
    binding = tsp.SigningCertificateV2({"certs": [named]})
    attribute = cms.CMSAttribute({"type": "signing_certificate_v2", "values": [binding]})
    return _signed_attributes(digest, attribute, content_type)


def _signed_attributes(digest: bytes, third: cms.CMSAttribute, content_type: str = _DATA) -> cms.CMSAttributes:
    return cms.CMSAttributes(
        [{"type": "content_type", "values": [content_type]}, third, {"type": "message_digest", "values": [digest]}]
    )


def _certificates(certificates: Iterable[x509.Certificate]) -> list[cms.CertificateChoices]:
    return [cms.CertificateChoices({"certificate": _asn1(certificate)}) for certificate in certificates]


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    loaded: asn1_x509.Certificate = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    return loaded
