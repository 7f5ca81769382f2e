"""What a backup says of itself, and the audit key's signature over it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.clock import iso
from jpki.signature import PrivateKey, check, sign
from server.audit.trust import Trust

SCHEMA = "jpki.backup/1"
_DOMAIN = b"jpki-backup/1\0"


@dataclass(frozen=True, slots=True)
class Part:
    """One file in a backup."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Where the ledger stood, which keys belong to it, and every part with its hash.

    `audit_number` and `audit_hash` are the audit's tip; `keys` are the hashes of public keys (SubjectPublicKeyInfo) by
    the private keys' URIs; `has_keys` tells whether encrypted software keys are among the parts.
    """

    made_at: datetime
    ledger_schema: str
    epoch: int
    position: int
    audit_number: int
    audit_hash: bytes
    has_keys: bool
    keys: Mapping[str, str]
    parts: Mapping[str, Part]

    def fields(self) -> dict[str, Any]:
        """Return the manifest as JSON values."""
        return {
            "schema": SCHEMA,
            "made_at": iso(self.made_at),
            "ledger_schema": self.ledger_schema,
            "epoch": self.epoch,
            "position": self.position,
            "audit_number": self.audit_number,
            "audit_hash": self.audit_hash.hex(),
            "has_keys": self.has_keys,
            "keys": dict(self.keys),
            "parts": {name: {"size": part.size, "sha256": part.sha256} for name, part in self.parts.items()},
        }

    def encoded(self) -> bytes:
        """Return the one canonical form, which is what is signed."""
        return json.dumps(self.fields(), sort_keys=True, separators=(",", ":")).encode()


def decoded(octets: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: when it is none, or not in its canonical form.
    """
    fields = json.loads(octets)
    manifest = Manifest(
        made_at=datetime.fromisoformat(fields["made_at"]),
        ledger_schema=fields["ledger_schema"],
        epoch=fields["epoch"],
        position=fields["position"],
        audit_number=fields["audit_number"],
        audit_hash=bytes.fromhex(fields["audit_hash"]),
        has_keys=fields["has_keys"],
        keys=fields["keys"],
        parts={name: Part(part["size"], part["sha256"]) for name, part in fields["parts"].items()},
    )
    if manifest.encoded() != octets:
        raise ValueError("not canonical")
    return manifest


@dataclass(frozen=True, slots=True)
class Signature:
    """The audit key's signature over a manifest, with its certificate."""

    certificate: x509.Certificate
    octets: bytes

    def encoded(self) -> bytes:
        """Return the signature as the file holds it."""
        certificate = b64encode(self.certificate.public_bytes(Encoding.DER)).decode()
        return json.dumps({"certificate": certificate, "signature": self.octets.hex()}).encode()

    def is_good(self, manifest: Manifest, trust: Trust | None) -> bool:
        """Tell whether the manifest is what was signed, and, with `trust`, by a believed audit key."""
        certificate = self.certificate
        believed = trust or Trust.of_certificates([certificate])
        key = believed.key_of(certificate)
        in_time = certificate.not_valid_before_utc <= manifest.made_at <= certificate.not_valid_after_utc
        if key is None or not in_time:
            return False
        try:
            check(key, _DOMAIN + manifest.encoded(), self.octets)
        except InvalidSignature:
            return False
        return True


def signed(manifest: Manifest, certificate: x509.Certificate, key: PrivateKey) -> Signature:
    """Sign a manifest."""
    return Signature(certificate, sign(key, _DOMAIN + manifest.encoded()))


def signature_in(octets: bytes) -> Signature:
    """Read a signature.

    Raises:
        ValueError, KeyError, TypeError: when it is none.
    """
    fields = json.loads(octets)
    certificate = x509.load_der_x509_certificate(b64decode(fields["certificate"]))
    return Signature(certificate, bytes.fromhex(fields["signature"]))
