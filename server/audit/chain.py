"""What the audit is made of, and how one entry is bound to all before it.

    commitment = SHA-256(salt || body)                      salt and body can be erased, the commitment stays
    hash       = SHA-256(domain || previous hash || number || commitment)
    head       = a signature over {number, hash} of an entry, the head before it, the time, and the signer

A body has few possible values, so an unsalted hash would tell an erased one to whoever guesses it (DESIGN 3.11).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from jpki.clock import iso
from jpki.signature import PrivateKey, sign

SALT_OCTETS = 32
_ENTRY = b"jpki-audit-entry/1\0"
_HEAD = b"jpki-audit-head/1\0"


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a chain ends: the last entry's number and hash."""

    number: int
    hash: bytes


GENESIS = Tip(0, bytes(32))
"""The tip of an empty chain."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a commitment hides: the body of an act, and 32 random octets."""

    salt: bytes
    body: str

    @property
    def commitment(self) -> bytes:
        """SHA-256 over salt and body."""
        return sha256(self.salt + self.body.encode()).digest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One act in the chain; `opening` is None once its body was erased."""

    number: int
    commitment: bytes
    hash: bytes
    opening: Opening | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A signed statement that the chain up to `number` ends with `hash`.

    `after` is the number of the head before it, 0 where there is none, so that no head can be left out. `signer` is
    the SHA-256 fingerprint of the audit signing certificate.
    """

    number: int
    hash: bytes
    after: int
    at: datetime
    signer: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Signer:
    """The certificate of the key that signed the heads which follow."""

    certificate: x509.Certificate

    @property
    def fingerprint(self) -> bytes:
        """How heads name it."""
        return self.certificate.fingerprint(SHA256())


Record = Entry | Head | Signer
"""A log's parts: entries in order, each head behind its entry, a signer before the first of its heads."""


def entry_hash(previous: bytes, number: int, commitment: bytes) -> bytes:
    """Return the hash that binds an entry to all before it."""
    return sha256(b"".join((_ENTRY, previous, number.to_bytes(8), commitment))).digest()


def extend(tip: Tip, openings: Iterable[Opening]) -> Iterator[Entry]:
    """Chain more acts to `tip`, numbered without a gap."""
    for opening in openings:
        number, commitment = tip.number + 1, opening.commitment
        tip = Tip(number, entry_hash(tip.hash, number, commitment))
        yield Entry(number, commitment, tip.hash, opening)


def sign_head(key: PrivateKey, signer: Signer, tip: Tip, *, after: int, at: datetime) -> Head:
    """Sign the chain up to `tip`; `at` is in whole seconds."""
    message = _message(tip.number, tip.hash, after, at, signer.fingerprint)
    return Head(
        number=tip.number,
        hash=tip.hash,
        after=after,
        at=at,
        signer=signer.fingerprint,
        signature=sign(key, message),
    )


def head_message(head: Head) -> bytes:
    """Return the octets that the head's signature is over."""
    return _message(head.number, head.hash, head.after, head.at, head.signer)


def _message(number: int, digest: bytes, after: int, at: datetime, signer: bytes) -> bytes:
    return b"".join((_HEAD, number.to_bytes(8), after.to_bytes(8), digest, signer, iso(at).encode()))
