"""A small authority to ask about: two signing generations under one name, one authentication CA, one stranger."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import new

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jpki import der, oids
from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.ids import GenerationId, KeyUri, PartitionId, Serial
from jpki.revocation import Reason, State, Status
from jpki.signature import PrivateKey
from ocsp.issuers import Issuer

NOW = datetime(2026, 11, 23, 3, 4, 5, 678901, UTC)
BIRTH = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
REVOKED_AT = datetime(2026, 11, 22, 1, 2, 3, 999999, UTC)

GOOD, HELD, REVOKED, NEVER_ISSUED = (Serial((1 << 126) + n) for n in range(1, 5))


@dataclass(frozen=True, slots=True)
class Root:
    generation: Generation
    key: rsa.RSAPrivateKey


def root(generation: str, purpose: Purpose = Purpose.SIGNING, organization: str = "JPKI-LAB") -> Root:
    return _root(generation, purpose, organization)


@cache
def _root(generation: str, purpose: Purpose, organization: str) -> Root:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, purpose),
        ]
    )
    certificate = (
        _builder(name, name, key.public_key(), BIRTH, END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return Root(
        Generation(
            id=GenerationId(generation),
            purpose=purpose,
            certificate=certificate,
            key=KeyUri(f"software:{generation}"),
            profile="card-v1",
            issue_until=END,
        ),
        key,
    )


@cache
def rsa_responder_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def issuer(of: str = "s1", purpose: Purpose = Purpose.SIGNING) -> Issuer:
    return _issuer(of, purpose)


@cache
def _issuer(of: str, purpose: Purpose) -> Issuer:
    return make_issuer(root(of, purpose))


def make_issuer(signer: Root, *, key: PrivateKey | None = None, begin: datetime = BIRTH, end: datetime = END) -> Issuer:
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = responder_certificate(signer, key, begin=begin, end=end)
    return Issuer(generation=signer.generation, certificate=certificate, key=key)


def responder_certificate(
    signer: Root,
    key: PrivateKey,
    *,
    begin: datetime = BIRTH,
    end: datetime = END,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.OCSP_SIGNING,
) -> x509.Certificate:
    return (
        _builder(_common_name("responder"), signer.generation.certificate.subject, key.public_key(), begin, end)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .sign(signer.key, SHA256())
    )


@cache
def holder_certificate(serial: Serial) -> x509.Certificate:
    signer = root("s1")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = signer.generation.certificate.subject
    return _builder(_common_name("leaf"), subject, key.public_key(), BIRTH, END, serial).sign(signer.key, SHA256())


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer_name: x509.Name,
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    begin: datetime,
    end: datetime,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer_name, subject, key)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def status(serial: Serial, state: State, reason: Reason | None = None, generation: str = "s1") -> Status:
    return Status(
        serial=serial,
        generation=GenerationId(generation),
        partition=PartitionId("p0001"),
        not_after=END,
        state=state,
        reason=reason,
        revoked_at=REVOKED_AT if state in {State.HELD, State.REVOKED} else None,
    )


def ledger() -> dict[Serial, Status]:
    rows = (
        status(GOOD, State.ACTIVE),
        status(HELD, State.HELD, Reason.CERTIFICATE_HOLD),
        status(REVOKED, State.REVOKED, Reason.KEY_COMPROMISE),
    )
    return {row.serial: row for row in rows}


# --- questions, octet by octet ---------------------------------------------------------------------------------

HASH_NAMES = {oids.SHA1: "sha1", oids.SHA256: "sha256", oids.SHA384: "sha384", oids.SHA512: "sha512"}
NULL = der.tlv(der.Tag.NULL)


def cert_id(
    serial: int = GOOD, *, of: Generation | None = None, algorithm: str = oids.SHA1, parameters: bytes = NULL
) -> bytes:
    generation = of or root("s1").generation
    hashes = (new(HASH_NAMES[algorithm], data).digest() for data in (generation.name_der, generation.key_bits))
    return cert_id_of(algorithm, *hashes, serial=der.integer(serial), parameters=parameters)


def cert_id_of(algorithm: str, name_hash: bytes, key_hash: bytes, *, serial: bytes, parameters: bytes = NULL) -> bytes:
    return der.sequence(
        der.sequence(der.object_identifier(algorithm), parameters),
        der.octet_string(name_hash),
        der.octet_string(key_hash),
        serial,
    )


def extension(oid: str, value: bytes, critical: bytes = b"") -> bytes:
    return der.sequence(der.object_identifier(oid), critical, der.octet_string(value))


def nonce_extension(nonce: bytes) -> bytes:
    return extension(oids.OCSP_NONCE, der.octet_string(nonce))


def question(*cert_ids: bytes, extensions: tuple[bytes, ...] = (), before: bytes = b"", after: bytes = b"") -> bytes:
    """An OCSPRequest; `before` stands ahead of the requestList, `after` follows the TBSRequest."""
    requests = der.sequence(*(der.sequence(one) for one in cert_ids))
    trailer = der.tlv(der.context(2), der.sequence(*extensions)) if extensions else b""
    return der.sequence(der.sequence(before, requests, trailer), after)
