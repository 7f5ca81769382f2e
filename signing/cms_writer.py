"""Writes CMS SignedData (RFC 5652) with its signed attributes, and perhaps a time-stamp beside them.

JPKI's own software signs contentType, messageDigest and signingTime. PAdES has signing-certificate-v2 (RFC 5035) in
place of signingTime, as the PDF itself tells the time (ETSI EN 319 142-1), and so has a time-stamp (RFC 5816). CAdES
(ETSI EN 319 122-1) has both.

The DER is put together here: asn1crypto encodes what it holds again at every level, and where a length ends in 80 it
takes it for indefinite, so that one stamped signature in seventeen took ten seconds.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding

from jpki import der, oids, signature
from jpki.der import Reader, Tag, context
from signing.credential import Credential
from signing.time_stamper import StampDigest

_DATA = der.object_identifier(oids.CMS_DATA)
_DIGESTS = {"sha256": oids.SHA256, "sha384": oids.SHA384}


def digest_name(credential: Credential) -> str:
    """Return the name of the digest that goes with the credential's key: `sha256` or `sha384`."""
    return signature.algorithm_for(credential.key.public_key()).hash.name


def write_attached(content: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData with `content` inside."""
    attributes = [_content_type(_DATA), _time(signing_time), _message_digest(digest(content, credential))]
    return _write(_data(content), credential, attributes, _whole_chain(credential))


def write_stamped(
    content: bytes, credential: Credential, signing_time: datetime, stamp: StampDigest, *, detached: bool
) -> bytes:
    """Return the DER of SignedData as CAdES with a time-stamp over the signature (B-T), `content` inside or not."""
    hashed = _message_digest(digest(content, credential))
    attributes = [_content_type(_DATA), _time(signing_time), _binding(credential), hashed]
    return _write(_data(None if detached else content), credential, attributes, _whole_chain(credential), stamp)


def write_detached(hashed: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the DER of SignedData over content that is elsewhere and has this digest."""
    attributes = [_content_type(_DATA), _time(signing_time), _message_digest(hashed)]
    return _write(_data(None), credential, attributes, _whole_chain(credential))


def write_bound(hashed: bytes, credential: Credential, stamp: StampDigest | None = None) -> bytes:
    """Return the DER of SignedData over content with this digest, bound to the credential's certificate for PAdES."""
    attributes = [_content_type(_DATA), _binding(credential), _message_digest(hashed)]
    return _write(_data(None), credential, attributes, _whole_chain(credential), stamp)


def write_time_stamp(info: bytes, credential: Credential, *, with_certificate: bool) -> bytes:
    """Return the DER of a TimeStampToken around a TSTInfo's DER, bound to its signer's certificate (RFC 3161 2.4.2).

    The certificate stands inside if it is wanted, and otherwise nothing does (RFC 3161 2.4.1).
    """
    kind = der.object_identifier(oids.TST_INFO)
    attributes = [_content_type(kind), _binding(credential), _message_digest(digest(info, credential))]
    certificates = [credential.certificate] if with_certificate else []
    return _write(_encapsulated(kind, info), credential, attributes, certificates, version=3)


def digest(content: bytes, credential: Credential) -> bytes:
    """Return the digest of content by the hash that goes with the credential's key."""
    hashed = Hash(signature.algorithm_for(credential.key.public_key()).hash)
    hashed.update(content)
    return hashed.finalize()


# --- the message (RFC 5652 5) ----------------------------------------------------------------------------------------


def _write(
    content: bytes,
    credential: Credential,
    attributes: Sequence[bytes],
    certificates: Sequence[x509.Certificate],
    stamp: StampDigest | None = None,
    version: int = 1,
) -> bytes:
    """Return a ContentInfo; its version is 3 where something else than data is inside (RFC 5652 5.1)."""
    algorithm = signature.algorithm_for(credential.key.public_key())
    # What is signed is the SET OF itself; inside of SignerInfo another tag is on it (RFC 5652 5.4).
    value = signature.sign(credential.key, _set_of(Tag.SET, *attributes))
    signer_info = der.sequence(
        der.integer(1),
        _issuer_and_serial(credential.certificate),
        _digest_algorithm(algorithm.hash.name),
        _set_of(context(0), *attributes),
        algorithm.identifier,
        der.octet_string(value),
        b"" if stamp is None else _set_of(context(1), _stamped(value, stamp)),
    )
    signed_data = der.sequence(
        der.integer(version),
        _set_of(Tag.SET, _digest_algorithm(algorithm.hash.name)),
        content,
        _set_of(context(0), *(each.public_bytes(Encoding.DER) for each in certificates)) if certificates else b"",
        _set_of(Tag.SET, signer_info),
    )
    return der.sequence(der.object_identifier(oids.CMS_SIGNED_DATA), der.tlv(context(0), signed_data))


def _set_of(tag: int, *elements: bytes) -> bytes:
    """Return a SET OF, whose elements DER sorts (X.690 11.6)."""
    return der.tlv(tag, *sorted(elements))


def _data(content: bytes | None) -> bytes:
    return der.sequence(_DATA) if content is None else _encapsulated(_DATA, content)


def _encapsulated(kind: bytes, content: bytes) -> bytes:
    return der.sequence(kind, der.tlv(context(0), der.octet_string(content)))


def _whole_chain(credential: Credential) -> Sequence[x509.Certificate]:
    return [credential.certificate, *credential.chain]


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Return the issuer's name and the serial as they stand in the certificate (RFC 5280 4.1)."""
    fields = Reader(Reader(certificate.tbs_certificate_bytes).read(Tag.SEQUENCE))
    fields.read_optional(context(0))
    serial = fields.read_element(Tag.INTEGER)
    fields.read(Tag.SEQUENCE)
    return der.sequence(fields.read_element(Tag.SEQUENCE), serial)


def _digest_algorithm(name: str) -> bytes:
    return der.sequence(der.object_identifier(_DIGESTS[name]), der.tlv(Tag.NULL))


# --- its attributes --------------------------------------------------------------------------------------------------


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.object_identifier(kind), _set_of(Tag.SET, value))


def _content_type(kind: bytes) -> bytes:
    return _attribute(oids.CMS_CONTENT_TYPE, kind)


def _message_digest(hashed: bytes) -> bytes:
    return _attribute(oids.CMS_MESSAGE_DIGEST, der.octet_string(hashed))


def _time(signing_time: datetime) -> bytes:
    return _attribute(oids.CMS_SIGNING_TIME, der.time(signing_time))


def _binding(credential: Credential) -> bytes:
    """Return signing-certificate-v2, which leaves out the hash where it is SHA-256 (RFC 5035 4)."""
    algorithm = signature.algorithm_for(credential.key.public_key()).hash
    hashed = der.octet_string(credential.certificate.fingerprint(algorithm))
    named = der.sequence(b"" if isinstance(algorithm, SHA256) else _digest_algorithm(algorithm.name), hashed)
    return _attribute(oids.SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(named)))


def _stamped(value: bytes, stamp: StampDigest) -> bytes:
    """Return the attribute with a time-stamp over the signature value (ETSI EN 319 122-1, 5.3)."""
    return _attribute(oids.SIGNATURE_TIME_STAMP, stamp(hashlib.sha256(value).digest()))
