"""Writes CMS SignedData (RFC 5652) with three signed attributes.

JPKI's own software signs contentType, messageDigest and signingTime. PAdES has signing-certificate-v2 (RFC 5035) in
place of signingTime, as the PDF itself tells the time (ETSI EN 319 142-1).
"""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

from collections.abc import Iterable
from datetime import datetime

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.hashes import Hash
from cryptography.hazmat.primitives.serialization import Encoding

from jpki import signature
from jpki.clock import whole_second
from signing.credential import Credential


def digest_name(credential: Credential) -> str:
    """Return the name of the digest that goes with the credential's key: `sha256` or `sha384`."""
    return signature.algorithm_for(credential.key.public_key()).hash.name


def write_attached(content: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData with `content` inside."""
    digest = Hash(signature.algorithm_for(credential.key.public_key()).hash)
    digest.update(content)
    return _write(content, credential, _timed(digest.finalize(), signing_time))


def write_detached(digest: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData over content that is elsewhere and has this digest."""
    return _write(None, credential, _timed(digest, signing_time))


def write_bound(digest: bytes, credential: Credential) -> bytes:
    """Return the DER of SignedData over content with this digest, bound to the credential's certificate for PAdES."""
    return _write(None, credential, _bound(digest, credential))


def _write(content: bytes | None, credential: Credential, attributes: cms.CMSAttributes) -> bytes:
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
            "version": "v1",
            "digest_algorithms": [digest_algorithm],
            "encap_content_info": {"content_type": "data"} | ({} if content is None else {"content": content}),
            "certificates": _certificates([credential.certificate, *credential.chain]),
            "signer_infos": [signer_info],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())


def _timed(digest: bytes, signing_time: datetime) -> cms.CMSAttributes:
    moment = cms.Time({"utc_time": core.UTCTime(whole_second(signing_time))})
    return _signed_attributes(digest, cms.CMSAttribute({"type": "signing_time", "values": [moment]}))


def _bound(digest: bytes, credential: Credential) -> cms.CMSAttributes:
    algorithm = signature.algorithm_for(credential.key.public_key()).hash
    named = tsp.ESSCertIDv2(
        {"hash_algorithm": {"algorithm": algorithm.name}, "cert_hash": credential.certificate.fingerprint(algorithm)}
    )
    binding = tsp.SigningCertificateV2({"certs": [named]})
    return _signed_attributes(digest, cms.CMSAttribute({"type": "signing_certificate_v2", "values": [binding]}))


def _signed_attributes(digest: bytes, third: cms.CMSAttribute) -> cms.CMSAttributes:
    return cms.CMSAttributes(
        [{"type": "content_type", "values": ["data"]}, third, {"type": "message_digest", "values": [digest]}]
    )


def _certificates(certificates: Iterable[x509.Certificate]) -> list[cms.CertificateChoices]:
    return [cms.CertificateChoices({"certificate": _asn1(certificate)}) for certificate in certificates]


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    loaded: asn1_x509.Certificate = asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
    return loaded
