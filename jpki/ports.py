"""The seams of the house: what each room asks of the outside, shaped by the room that asks.

Every method states its durability: "committed" means that it survives a power cut when the call returns.
All of them raise `JpkiError` and nothing else; UNAVAILABLE means that a later try may succeed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from jpki.acts import Actor, AuditEvent
from jpki.certificate import Carrier, Purpose, Validity
from jpki.generation import Generation, Responder
from jpki.ids import GenerationId, HolderCode, KeyUri, PartitionId, Serial
from jpki.partition import Partition
from jpki.revocation import Reason, RevocationEvidence, State, Status
from jpki.signature import KeySpec, PrivateKey

# --- keys ------------------------------------------------------------------------------------------------------


class KeyProvider(Protocol):
    """Makes and holds private keys. Implemented by hsm_adapter."""

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key, committed, and return its URI.

        Raises:
            JpkiError: CONFLICT `key-exists` when the label is taken: no key is ever overwritten.
        """
        ...

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key at `uri` as a pyca private key that signs and cannot be exported; loaded once.

        Raises:
            JpkiError: UNAVAILABLE `key-not-found` (an outage, never an invitation to make a new one; rule R19),
                or FORBIDDEN `passphrase-wrong`.
        """
        ...

    def close(self) -> None:
        """End whatever holds the keys open; a later use opens it again."""
        ...


# --- the ledger ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is known of a certificate before anything is drafted; `renews` is the serial it will supersede."""

    serial: Serial
    purpose: Purpose
    carrier: Carrier
    holder: HolderCode
    generation: GenerationId
    partition: PartitionId
    base_url: str
    profile_hash: str
    key_hash: bytes
    validity: Validity
    renews: Serial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """What the ledger knows of one certificate. `der` is None until it was signed."""

    serial: Serial
    purpose: Purpose
    carrier: Carrier
    holder: HolderCode
    validity: Validity
    profile_hash: str
    der: bytes | None
    status: Status


class CertificateLedger(Protocol):
    """The record of every certificate, written before its signature exists (rule R2).

    Each write is one committed transaction over the certificate, its status, the journal and the audit.
    """

    def reserve(self, reservation: Reservation, by: Actor, at: datetime) -> None:
        """Take the serial and the holder's one pending place for this purpose and carrier.

        Raises:
            JpkiError: CONFLICT `certificate-pending`, `certificate-live` (a live one that is not the one it
                `renews`; rule R20), `key-reused`; NOT_FOUND or CONFLICT when `renews` cannot be renewed.
        """
        ...

    def intend(self, serial: Serial, to_be_signed: bytes, by: Actor, at: datetime) -> None:
        """Store the exact octets that will be signed, and the audit's "will sign"."""
        ...

    def complete(self, serial: Serial, certificate: bytes, by: Actor, at: datetime) -> None:
        """Store the signed certificate, and the audit's "signed"."""
        ...

    def activate(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Make an issued certificate live, and revoke as superseded the one it renews, in the same transaction."""
        ...

    def discard(self, serial: Serial, by: Actor, at: datetime) -> bool:
        """Close a pending certificate: reserved becomes void; from "will sign" on, revoked (docs/adr/0003).

        Tell whether it was pending: one that is live by now stays live.
        """
        ...

    def revoke(self, serial: Serial, reason: Reason, by: Actor, at: datetime) -> None:
        """Revoke a certificate that is live, on hold, or signed and not yet delivered.

        One on hold counts as revoked from the hold on (X.509 8.5.2.2).

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked` or `not-live`.
        """
        ...

    def hold(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Put a live certificate on hold; it keeps its holder's place.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked` or `not-live`.
        """
        ...

    def release(self, serial: Serial, by: Actor, at: datetime) -> None:
        """Make a held certificate live again.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked`, or `not-live` when it is not on hold.
        """
        ...

    def find(self, serial: Serial) -> CertificateRecord | None:
        """Return the record of `serial`, committed state only."""
        ...

    def live(self, holder: HolderCode, purpose: Purpose, carrier: Carrier, at: datetime) -> CertificateRecord | None:
        """Return the holder's live (active or held, not expired) certificate of this purpose and carrier."""
        ...


StatusSource = Callable[[Serial], Status | None]
"""What OCSP asks of the ledger: the committed status of a serial, None where it was never reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One change that a verifier can see; `listed` tells whether it changes a list."""

    position: int
    serial: Serial
    partition: PartitionId
    state: State
    reason: Reason | None
    listed: bool
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class JournalChanges:
    """What followed a position, in order and without a gap, and the epoch in which it is so.

    A reader that meets another epoch than it knows throws away what it knows, and begins at position 0: the ledger
    was restored, and what it had told before may never have happened.
    """

    epoch: int
    entries: Sequence[JournalEntry]


Journal = Callable[[int, int], JournalChanges]
"""Returns what follows a position, at most so many entries. Who goes on from the last one misses none (rule R26)."""


# --- lists -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One line of a CRL."""

    serial: Serial
    revoked_at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class Revocations:
    """The entries of one list and the journal position of which they are the exact picture."""

    position: int
    entries: Sequence[RevokedEntry]


class RevocationRegister(Protocol):
    """What the CRL publisher asks of the ledger."""

    def partitions_in_use(self, purpose: Purpose) -> Sequence[Partition]:
        """Return every partition that a certificate ever named (rule R12)."""
        ...

    def last_change(self, purpose: Purpose, partition: PartitionId) -> int:
        """Return the journal position of the last change of what this list holds, 0 where there was none.

        `COMPLETE` stands for all partitions of the purpose.
        """
        ...

    def revocations(self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None) -> Revocations:
        """Return what the list must hold, over all generations, in order of serial, as one consistent picture.

        Left out are certificates whose notAfter lies before `ending_after`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfMark:
    """The newest publication of one list: one number for all generations' signatures of it."""

    purpose: Purpose
    partition: PartitionId
    number: int
    this_update: datetime
    next_update: datetime
    position: int
    entries: int


class CrlShelf(Protocol):
    """The record of which list is current. The row decides; the files are its projection."""

    def newest(self, purpose: Purpose, partition: PartitionId) -> ShelfMark | None:
        """Return the newest publication of the list, None before its first."""
        ...

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        """Put `new` in the place of `old`, committed, if `old` is still there; tell whether it was."""
        ...

    def marks(self) -> Sequence[ShelfMark]:
        """Return the newest publication of every list."""
        ...


class AuditSink(Protocol):
    """The record of acts that touch no certificate row."""

    def record(self, event: AuditEvent) -> None:
        """Write `event`, committed.

        Raises:
            JpkiError: UNAVAILABLE `audit-unavailable`: then nothing may be signed (rule R18).
        """
        ...


# --- generations -----------------------------------------------------------------------------------------------

Generations = Callable[[Purpose], Sequence[Generation]]
"""Returns the live generations of a purpose, the one that issues first."""


class ResponderBook(Protocol):
    """The record of each generation's delegated OCSP responders."""

    def responders(self, generation: GenerationId) -> Sequence[Responder]:
        """Return the generation's responders, the newest first."""
        ...

    def add_responder(self, responder: Responder) -> None:
        """Record a responder, committed."""
        ...


# --- documents -------------------------------------------------------------------------------------------------


class RevocationSource(Protocol):
    """What document validation asks about a certificate: the ledger, a CRL file, or an OCSP responder."""

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return this source's word on `certificate` issued by `issuer`, or None where it has no say.

        The source has verified signature, scope and issuer of what it read; freshness at `at` is in the
        evidence for the caller to judge.

        Raises:
            JpkiError: UNAVAILABLE when the source cannot be reached, UNPROCESSABLE when it cannot be read.
        """
        ...
