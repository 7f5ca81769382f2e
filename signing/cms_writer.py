"""Writes CMS SignedData (RFC 5652) with its signed attributes, and perhaps a time-stamp beside them.

JPKI's own software signs contentType, messageDigest and signingTime. PAdES has signing-certificate-v2 (RFC 5035) in
place of signingTime, as the PDF itself tells the time (ETSI EN 319 142-1), and so has a time-stamp (RFC 5816). CAdES
(ETSI EN 319 122-1) has both.
"""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
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
from signing.time_stamper import StampDigest

_DATA, _TST_INFO = "data", "tst_info"
"""What is signed, by asn1crypto's names of the content types."""


def digest_name(credential: Credential) -> str:
    """Return the name of the digest that goes with the credential's key: `sha256` or `sha384`."""
    return signature.algorithm_for(credential.key.public_key()).hash.name


def write_attached(content: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData with `content` inside."""
    attributes = _signed_attributes(digest(content, credential), _time(signing_time))
    return _write(_data(content), credential, attributes, _whole_chain(credential))


def write_stamped(
    content: bytes, credential: Credential, signing_time: datetime, stamp: StampDigest, *, detached: bool
) -> bytes:
    """Return the DER of SignedData as CAdES with a time-stamp over the signature (B-T), `content` inside or not."""
    attributes = _signed_attributes(digest(content, credential), _time(signing_time), _binding(credential))
    return _write(_data(None if detached else content), credential, attributes, _whole_chain(credential), stamp)


def write_detached(hashed: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData over content that is elsewhere and has this digest."""
    attributes = _signed_attributes(hashed, _time(signing_time))
    return _write(_data(None), credential, attributes, _whole_chain(credential))


def write_bound(hashed: bytes, credential: Credential, stamp: StampDigest | None = None) -> bytes:
    """Return the DER of SignedData over content with this digest, bound to the credential's certificate for PAdES."""
    attributes = _signed_attributes(hashed, _binding(credential))
    return _write(_data(None), credential, attributes, _whole_chain(credential), stamp)


def write_time_stamp(info: bytes, credential: Credential, *, with_certificate: bool) -> bytes:
    """Return the DER of a TimeStampToken around a TSTInfo's DER, bound to its signer's certificate (RFC 3161 2.4.2).

    The certificate stands inside if it is wanted, and otherwise nothing does (RFC 3161 2.4.1).
    """
    content = {"content_type": _TST_INFO, "content": core.ParsableOctetString(info)}
    attributes = _signed_attributes(digest(info, credential), _binding(credential), content_type=_TST_INFO)
    return _write(content, credential, attributes, [credential.certificate] if with_certificate else [])


def _write(
    content: Mapping[str, object],
    credential: Credential,
    attributes: cms.CMSAttributes,
    certificates: Sequence[x509.Certificate],
    stamp: StampDigest | None = None,
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
    if stamp is not None:
        signer_info["unsigned_attrs"] = [_stamped(signer_info["signature"].native, stamp)]
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


def digest(content: bytes, credential: Credential) -> bytes:
    """Return the digest of content by the hash that goes with the credential's key."""
    hashed = Hash(signature.algorithm_for(credential.key.public_key()).hash)
    hashed.update(content)
    return hashed.finalize()


def _stamped(value: bytes, stamp: StampDigest) -> cms.CMSAttribute:
    """Return the attribute with a time-stamp over the signature value (ETSI EN 319 122-1, 5.3)."""
    token = cms.ContentInfo.load(stamp(hashlib.sha256(value).digest()))
    return cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [token]})


def _time(signing_time: datetime) -> cms.CMSAttribute:
    moment = cms.Time({"utc_time": core.UTCTime(whole_second(signing_time))})
    return cms.CMSAttribute({"type": "signing_time", "values": [moment]})


def _binding(credential: Credential) -> cms.CMSAttribute:
    algorithm = signature.algorithm_for(credential.key.public_key()).hash
    named = tsp.ESSCertIDv2(
        {"hash_algorithm": {"algorithm": algorithm.name}, "cert_hash": credential.certificate.fingerprint(algorithm)}
    )
    binding = tsp.SigningCertificateV2({"certs": [named]})
    return cms.CMSAttribute({"type": "signing_certificate_v2", "values": [binding]})


def _signed_attributes(hashed: bytes, *more: cms.CMSAttribute, content_type: str = _DATA) -> cms.CMSAttributes:
    return cms.CMSAttributes(
        [{"type": "content_type", "values": [content_type]}, *more, {"type": "message_digest", "values": [hashed]}]
    )


def _certificates(certificates: Iterable[x509.Certificate]) -> list[cms.CertificateChoices]:
    return [cms.CertificateChoices({"certificate": _asn1(certificate)}) for certificate in certificates]


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    loaded: asn1_x509.Certificate = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    return loaded
