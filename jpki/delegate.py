"""Certificates that a CA key signs for the house itself: its own root, OCSP responders, clerks, verifiers and so on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from jpki.ids import GenerationId, KeyUri, Serial


class DelegateKind(StrEnum):
    """What the certificate is for."""

    ROOT = "root"
    RESPONDER = "responder"
    CLERK = "clerk"
    AUDIT = "audit"
    VERIFIER = "verifier"
    SERVER = "server"
    TSA = "tsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """One such certificate as it will be signed.

    `name` is a key's label or an account's opaque name, never a person's; `key` is where the certified key lives, None
    where it is a client's own. `to_be_signed` is the DER of the TBSCertificate.
    """

    serial: Serial
    generation: GenerationId
    kind: DelegateKind
    name: str
    key: KeyUri | None
    not_after: datetime
    to_be_signed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeStampingUnit:
    """A key that time-stamps, and its certificate (ETSI EN 319 421)."""

    certificate: x509.Certificate
    key: KeyUri
