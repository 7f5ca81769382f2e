"""The seams of the house: what each room asks of the outside, shaped by the room that asks.

Every method states its durability: "committed" means that it survives a power cut when the call returns.
All of them raise `JpkiError` and nothing else; UNAVAILABLE means that a later try may succeed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from cryptography import x509

from jpki.acts import Actor, AuditEvent
from jpki.campaign import Campaign, CampaignId, CampaignState, Ending, Expected, Issued, Survey, Taken, Target
from jpki.case import Case, CaseCertificate, CaseMark, CaseNumber, CasePlace, CaseState, Change
from jpki.certificate import Carrier, Purpose, Validity
from jpki.clock import iso
from jpki.counter import Counter, CounterCode
from jpki.delegate import Delegate, TimeStampingUnit
from jpki.errors import JpkiError
from jpki.generation import Generation, Responder
from jpki.ids import SERIAL_OCTETS, GenerationId, HolderCode, KeyUri, PartitionId, Serial
from jpki.partition import DELTA, Partition
from jpki.resident import Resident
from jpki.resident_event import (
    EventBatch,
    EventNumber,
    EventState,
    Listed,
    Outcomes,
    Received,
    ResidentEvent,
    Settlement,
    SourceName,
    Standing,
)
from jpki.revocation import Finding, Reason, RevocationEvidence, State, Status
from jpki.signature import KeySpec, PrivateKey
from jpki.verifier import VerifierId

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

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Sign each message as `jpki.signature.sign` does, checked against the public key; the order is kept.

        A provider that can signs several at once.

        Raises:
            JpkiError: as `signer`, and what the key's device says. Then some may have been signed, and none is
                returned: their certificates are in doubt (docs/adr/0003).
        """
        ...

    def create_wrapping_key(self, label: str) -> KeyUri:
        """Make a 256-bit AES key that wraps data keys and does nothing else, committed, and return its URI.

        Raises:
            JpkiError: CONFLICT `key-exists` when the label is taken, by a key of any kind.
        """
        ...

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        """Return `octets` under the wrapping key at `uri`: a random 96-bit nonce, then AES-GCM's output with its tag.

        Raises:
            JpkiError: UNAVAILABLE `key-not-found` when there is no such wrapping key.
        """
        ...

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        """Return what `wrap` was given.

        Raises:
            JpkiError: as `wrap`; FORBIDDEN `wrapped-key-unreadable` when the octets were altered, or wrapped elsewhere.
        """
        ...

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        """Return what a ceremony's record says of a key, read from where it lies and not from memory.

        `kind` is a `KeySpec` or "aes-256", `storage` is "software" or "token". The rest are PKCS#11's attributes, true
        or false: `sensitive`, `always_sensitive`, `extractable`, `never_extractable`, `local`, `sign`, `decrypt`,
        `unwrap`. A software key can be extracted by whoever has file and passphrase, and says so.

        Raises:
            JpkiError: as `signer`.
        """
        ...

    def destroy(self, uri: KeyUri) -> None:
        """Destroy a key of either kind for good, committed; a later `signer` or `unwrap` is `key-not-found`.

        Other processes may hold a software key in memory until they end.

        Raises:
            JpkiError: UNAVAILABLE `key-not-found`, or when the key cannot be reached: then it may still be there.
        """
        ...

    def close(self) -> None:
        """End whatever holds the keys open; a later use opens it again."""
        ...


# --- the ledger ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is known of a certificate before anything is drafted; `renews` is the serial it will supersede.

    `card_end` is the end of the card that it is for, where it is known; it does not outlive that. `case` is the case in
    which it was approved, where there is one.
    """

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
    card_end: datetime | None = None
    renews: Serial | None = None
    case: CaseMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """What the ledger knows of one certificate, and of its holder no more than the opaque code.

    `card_end` is the end of the card that it was written to, None where no card was read.
    """

    serial: Serial
    purpose: Purpose
    carrier: Carrier
    holder: HolderCode
    validity: Validity
    profile_hash: str
    status: Status
    card_end: datetime | None = None


class CertificateLedger(Protocol):
    """The record of every certificate, written before its signature exists (rule R2).

    Each write is one committed transaction over the certificates, their status, the journal and the audit. A batch is
    done as a whole or not at all; one certificate is a batch of one. The octets of certificates are sealed at rest.
    """

    def reserve(self, wanted: Sequence[Reservation], by: Actor, at: datetime) -> None:
        """Take each serial and its holder's one pending place for this purpose and carrier, all of one generation.

        Raises:
            JpkiError: CONFLICT `certificate-pending`, `certificate-live` (a live one that is not the one it
                `renews`; rule R20), `key-reused`, or `case-changed` where a case does not stand as its mark says;
                NOT_FOUND or CONFLICT when `renews` cannot be renewed.
        """
        ...

    def intend(self, to_be_signed: Mapping[Serial, bytes], by: Actor, at: datetime) -> None:
        """Store the exact octets that will be signed, and the audit's "will sign".

        Raises:
            JpkiError: CONFLICT `already-revoked` where the generation was compromised meanwhile: what it signed now
                would be on no list before the next day's.
        """
        ...

    def complete(self, signatures: Mapping[Serial, bytes], by: Actor, at: datetime) -> None:
        """Store the signatures over the stored octets, and the audit's "signed"."""
        ...

    def activate(self, serials: Sequence[Serial], by: Actor, at: datetime, change: Change | None = None) -> None:
        """Make issued certificates live, and revoke as superseded what they renew, in the same transaction.

        What was approved in a case comes to life with that case's `change`, in the same transaction, or not at all.

        Raises:
            JpkiError: CONFLICT `case-changed`, `state-changed`, `signing-outlives` where the holder's signing
                certificate would end after the authentication certificate beside it, or `already-revoked` where a
                generation was compromised meanwhile.
        """
        ...

    def discard(self, serials: Sequence[Serial], by: Actor, at: datetime) -> int:
        """Close pending certificates: reserved becomes void; from "will sign" on, revoked (docs/adr/0003).

        Return how many were pending still: those that are live by now stay live.
        """
        ...

    def revoke(self, serials: Sequence[Serial], reason: Reason, by: Actor, at: datetime) -> None:
        """Revoke certificates that are live, on hold, or signed and not yet delivered.

        What was on hold counts as revoked from the hold on (X.509 8.5.2.2).

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

    def release(self, serial: Serial, by: Actor, at: datetime, change: Change | None = None) -> None:
        """Make a held certificate live again, together with a case's `change` where it is released in one.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`; CONFLICT `already-revoked`, or `not-live` when it is not on hold;
                CONFLICT `case-changed`.
        """
        ...

    def find(self, serials: Sequence[Serial]) -> Mapping[Serial, CertificateRecord]:
        """Return the records of those serials that there are, committed state only."""
        ...

    def certificates(self, serials: Sequence[Serial]) -> Mapping[Serial, bytes]:
        """Open the sealed records and return the DER of those certificates that were signed.

        Raises:
            JpkiError: UNAVAILABLE while the wrapping key cannot be reached; FORBIDDEN `record-unreadable`.
        """
        ...

    def live(
        self, holders: Sequence[HolderCode], purpose: Purpose, carrier: Carrier, at: datetime
    ) -> Mapping[HolderCode, CertificateRecord]:
        """Return the live (active or held, not expired) certificate of each holder that has one of this kind.

        None of a compromised generation lives.
        """
        ...

    def on_card(self, holder: HolderCode, at: datetime) -> Mapping[Purpose, CertificateRecord]:
        """Return the live certificates, as `live` has it, of one holder's card, by kind."""
        ...

    def partitions(self, serials: Sequence[Serial]) -> AbstractSet[PartitionId]:
        """Return the partitions that these certificates name."""
        ...

    def successors(self, serials: Sequence[Serial]) -> Mapping[Serial, Status]:
        """Return, by the serial of what it renews, the certificate that renews it: one that is pending or live."""
        ...


StatusSource = Callable[[Serial], Status | None]
"""What OCSP asks of the ledger: the committed status of a serial, None where it was never reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One change that a verifier can see; `listed` tells whether it changes a list.

    Without a `partition` it is the compromise of the generation whose root bears the serial: of all that it signed.
    """

    position: int
    serial: Serial
    partition: PartitionId | None
    state: State
    reason: Reason | None
    listed: bool
    effective_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class JournalChanges:
    """What followed a position, in order and without a gap, the epoch in which it is so, and the newest position.

    A reader that meets another epoch than it knows throws away what it knows, and begins at position 0: the ledger
    was restored, and what it had told before may never have happened. Positions go on across epochs (docs/adr/0013).
    """

    epoch: int
    head: int
    entries: Sequence[JournalEntry]


Journal = Callable[[int, int], JournalChanges]
"""Returns what follows a position, at most so many entries. Who goes on from the last one misses none (rule R26)."""


# --- verifiers -------------------------------------------------------------------------------------------------


class Admission(Protocol):
    """Who may ask, and the record of what each was told (`registered` mode)."""

    def admit(self, client: Serial | None) -> VerifierId:
        """Return the verifier that bears the client certificate of this serial, which TLS has verified.

        Raises:
            JpkiError: FORBIDDEN `verifier-unregistered`; LIMITED `quota-used-up`; UNAVAILABLE `look-ups-unwritten`
                where too much waits to be written, for no answer is given that is not recorded.
        """
        ...

    def note(self, verifier: VerifierId, told: Sequence[tuple[Serial, Finding]]) -> None:
        """Record what the verifier is told of each certificate that it asked about; it is not waited for."""
        ...


# --- the resident registry ---------------------------------------------------------------------------------------


class ResidentRegistry(Protocol):
    """The town's register of residents; what it answers is kept nowhere but in the sealed case."""

    def resident(self, code: HolderCode) -> Resident:
        """Return what the register says now.

        Raises:
            JpkiError: NOT_FOUND `resident-unknown`; UNAVAILABLE `registry-away`; INTERNAL `registry-unreadable` when
                the answer is no answer, or tells of another person; CONFLICT `registry-outdated` when it tells of a
                municipality of before a merger.
        """
        ...

    def each_resident(self, codes: Collection[HolderCode]) -> Mapping[HolderCode, Resident | JpkiError]:
        """Return what the register says now of each of many, or why there is no answer about that one.

        Raises:
            JpkiError: UNAVAILABLE `registry-away`; INTERNAL `registry-unreadable` when nothing of it is an answer.
        """
        ...


class EventBook(Protocol):
    """The record of what registers told, which is also the queue that workers take from."""

    def receive(self, events: Sequence[ResidentEvent], by: Actor, at: datetime) -> Received:
        """Write down events, committed; what was told before changes nothing, however often it is told.

        Another event under a sequence number that its source has used goes to the work list.
        """
        ...

    def listed(self, state: EventState, after: int, count: int, source: SourceName | None = None) -> Sequence[Listed]:
        """Return up to `count` events in a state with numbers after `after`, in order; of all sources or of one."""
        ...

    def settle(
        self,
        number: EventNumber,
        state: EventState,
        because: Settlement,
        by: Actor,
        at: datetime,
        source: SourceName | None = None,
    ) -> Listed:
        """Take an event off the work list, committed, as done by other means or to be ignored.

        Raises:
            JpkiError: NOT_FOUND `event-unknown`, or told by another than `source`; CONFLICT `event-not-in-doubt`.
        """
        ...

    def take(self, count: int, at: datetime) -> EventBatch:
        """Take up to `count` events that have come true, for a while, each of another holder.

        Of one holder the earlier comes first, and the next only when that is done or on the work list. What a worker
        took and did not finish in time is given out again.
        """
        ...

    def standing(self, holders: Sequence[HolderCode], at: datetime) -> Mapping[HolderCode, Standing]:
        """Return what the ledger knows of these holders; one who never had a certificate is left out."""
        ...

    def plan(self, batch: EventBatch, serials: Mapping[EventNumber, Sequence[Serial]]) -> AbstractSet[EventNumber]:
        """Write down, committed, which certificates are about to end by which event.

        Return the events of which that was written: what was given to another meanwhile is that one's to end.
        """
        ...

    def finish(
        self, batch: EventBatch, outcomes: Outcomes, ended: Collection[EventNumber], by: Actor, at: datetime
    ) -> None:
        """Record what came of events, and a notice for each of those by which planned certificates `ended`.

        What was given to another meanwhile is left to that one; so is what has no outcome, when its time is over.
        """
        ...


# --- cases -------------------------------------------------------------------------------------------------------


class CaseBook(Protocol):
    """The record of cases. What the register answered lies in it sealed, from the check of identity to the case's end.

    Each write is one committed transaction over the case and the audit.
    """

    def open(self, case: Case, by: Actor, at: datetime) -> None:
        """Write a new case.

        Raises:
            JpkiError: CONFLICT `case-number-taken`.
        """
        ...

    def swap(self, change: Change, by: Actor, at: datetime) -> None:
        """Take a step, if the case still stands as it did; a case that ends or begins again loses its attributes.

        Raises:
            JpkiError: CONFLICT `case-changed`.
        """
        ...

    def case(self, number: CaseNumber) -> Case:
        """Return a case.

        Raises:
            JpkiError: NOT_FOUND `case-unknown`.
        """
        ...

    def with_counter(self, number: CaseNumber) -> tuple[Case, Counter]:
        """Return a case and the counter that it lies at.

        Raises:
            JpkiError: NOT_FOUND `case-unknown` or `counter-unknown`.
        """
        ...

    def resident(self, number: CaseNumber) -> Resident | None:
        """Open what the register answered when the identity was checked; None before that and after the end.

        Raises:
            JpkiError: UNAVAILABLE while the wrapping key cannot be reached; FORBIDDEN `record-unreadable`.
        """
        ...

    def certificates(self, number: CaseNumber) -> Sequence[CaseCertificate]:
        """Return what was ever ordered in a case, the latest last."""
        ...

    def at_counter(
        self, counter: CounterCode, states: Collection[CaseState], after: CasePlace | None, count: int, at: datetime
    ) -> Sequence[tuple[CasePlace, Case]]:
        """Return a counter's cases in these states with their places, those after one, at most so many."""
        ...

    def of_holder(self, holder: HolderCode) -> Sequence[Case]:
        """Return all cases of a holder, the latest first."""
        ...

    def overdue(self, at: datetime) -> Sequence[Case]:
        """Return open cases whose time is over, some hundred at most."""
        ...


# --- campaigns -------------------------------------------------------------------------------------------------


class CampaignBook(Protocol):
    """The record of campaigns, which is also the queue that their workers take from."""

    def forecast(self, ending_by: date, at: datetime) -> Sequence[Expected]:
        """Return how many live card certificates end from `at` to that day's end in Japan, by week and partition."""
        ...

    def ending(self, ending_by: date, at: datetime) -> Iterator[Ending]:
        """Yield what `forecast` counts, but for certificates of compromised generations, in order of holder.

        It reads on as it is asked for more, and keeps nothing open meanwhile: who asks may take hours.
        """
        ...

    def open(self, ending_by: date, by: Actor, at: datetime) -> Campaign:
        """Open a campaign over the live card certificates that end until then and are in no other open campaign."""
        ...

    def survey(self, wanted: Sequence[Serial] | Issued, at: datetime) -> Survey:
        """Return how these certificates stand; a serial that is named twice counts once."""
        ...

    def open_revocation(self, reason: Reason, targets: Sequence[Target], by: Actor, at: datetime) -> Campaign:
        """Open a campaign that revokes these certificates, whatever other campaigns do with them."""
        ...

    def among(self, campaign: CampaignId, serials: Sequence[Serial]) -> AbstractSet[Serial]:
        """Return those of these certificates that the campaign is about."""
        ...

    def campaigns(self) -> Sequence[Campaign]:
        """Return all campaigns, the newest first."""
        ...

    def campaign(self, campaign: CampaignId) -> Campaign:
        """Return one campaign as it stands now.

        Raises:
            JpkiError: NOT_FOUND `campaign-unknown`.
        """
        ...

    def change(self, campaign: CampaignId, state: CampaignState, by: Actor, at: datetime) -> Campaign:
        """Pause, resume or cancel; what is taken already is finished, what waits in a cancelled one is cancelled.

        Raises:
            JpkiError: NOT_FOUND `campaign-unknown`; CONFLICT `campaign-cancelled`.
        """
        ...

    def retry(self, campaign: CampaignId, by: Actor, at: datetime) -> int:
        """Let what failed wait again; return how many there were."""
        ...

    def take(self, campaign: CampaignId, count: int, at: datetime) -> Taken:
        """Take up to `count` certificates of one kind for a while; nothing unless the campaign is running.

        Signing certificates are renewed when no authentication certificate is left, for they end with those. What a
        worker took and did not finish in time is given out again.
        """
        ...

    def finish(
        self, campaign: CampaignId, taken: Taken, done: Mapping[Serial, Serial | None], failed: Mapping[Serial, str]
    ) -> None:
        """Record what is done, with the successors of what was renewed, and the error codes of what could not be.

        What was given to another meanwhile is left to that one.
        """
        ...

    def failures(self, campaign: CampaignId, after: Serial | None, count: int) -> Sequence[tuple[Serial, str]]:
        """Return up to `count` certificates that could not be done and the error codes, those after one, by serial.

        Raises:
            JpkiError: NOT_FOUND `campaign-unknown`.
        """
        ...


# --- lists -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One line of a CRL."""

    serial: Serial
    revoked_at: datetime
    reason: Reason


@dataclass(frozen=True, slots=True)
class RevokedLines:
    """Some lines of a CRL in order of serial, by column: millions of them pass as octets and never as objects.

    Each line has 16 octets of `serials`, 14 of `moments`, which are digits, YYYYMMDDhhmmss in UTC, and one of
    `reasons`, the CRLReason value.
    """

    serials: bytes
    moments: bytes
    reasons: bytes

    @classmethod
    def of(cls, entries: Sequence[RevokedEntry]) -> "RevokedLines":
        """Return the lines of these entries."""
        return cls.told([(each.serial, each.revoked_at, each.reason.number) for each in entries])

    @classmethod
    def told(cls, lines: Sequence[tuple[Serial, datetime, int]]) -> "RevokedLines":
        """Return lines of serial, moment and CRLReason value."""
        return cls(
            b"".join(serial.to_bytes(SERIAL_OCTETS) for serial, _, _ in lines),
            "".join(moment.astimezone(UTC).strftime("%Y%m%d%H%M%S") for _, moment, _ in lines).encode(),
            bytes(reason for _, _, reason in lines),
        )

    def __len__(self) -> int:
        return len(self.reasons)

    def __iter__(self) -> Iterator[tuple[Serial, datetime, int]]:
        """Yield serial, moment and CRLReason value of each line."""
        for number, reason in enumerate(self.reasons):
            serial = self.serials[SERIAL_OCTETS * number : SERIAL_OCTETS * (number + 1)]
            moment = self.moments[_DIGITS * number : _DIGITS * (number + 1)].decode("ascii")
            told = datetime.strptime(moment, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            yield Serial(int.from_bytes(serial)), told, reason


_DIGITS = len("YYYYMMDDhhmmss")


@dataclass(frozen=True, slots=True)
class Revocations:
    """The lines of one list, and the journal's epoch and position of which they are the exact picture."""

    epoch: int
    position: int
    lines: Iterator[RevokedLines]


@dataclass(frozen=True, slots=True)
class RevocationChanges:
    """What became of a list since a publication of it: of each certificate concerned its entry, None for none.

    `position` is the journal's, in the epoch of that publication.
    """

    position: int
    entries: Mapping[Serial, RevokedEntry | None]


class RevocationRegister(Protocol):
    """What the CRL publisher asks of the ledger."""

    def partitions_in_use(self, purpose: Purpose) -> Sequence[Partition]:
        """Return every partition that a certificate ever named (rule R12)."""
        ...

    def partition_in_use(self, purpose: Purpose, partition: PartitionId) -> Partition | None:
        """Return this partition, None where no certificate named it yet."""
        ...

    def last_change(self, purpose: Purpose, partition: PartitionId) -> int:
        """Return the journal position of the last change of what this list holds, 0 where there was none.

        `COMPLETE` stands for all partitions of the purpose, `ARL` for the roots of its compromised generations.
        """
        ...

    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> AbstractContextManager[Revocations]:
        """Show what the list must hold, over all generations, as one consistent picture while the block runs.

        Left out are certificates whose notAfter lies before `ending_after`.
        """
        ...

    def changes(self, since: "ShelfMark", ending_after: datetime, at_most: int) -> RevocationChanges | None:
        """Return what differs from the list `since` in the one that `revocations` would show now.

        None where that cannot be told from the journal alone, for it is of another epoch than the list or a
        generation is compromised; and where it is about more than `at_most` certificates.
        """
        ...

    def delta(self, base: "ShelfMark", now: "ShelfMark") -> AbstractContextManager[Iterator[RevokedLines] | None]:
        """Show, in order of serial, what makes the complete list `base` the complete list `now`.

        Of what is not on `now` the reason is `REMOVED_FROM_LIST` and the moment that of its release, or its end. What
        became of certificates after `now` makes no difference. None where it cannot be told as for `changes`, and where
        `now` has again all that had left before.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeltaMark:
    """The delta that was published with a complete list, and of the same number.

    `base` is the number of the complete list that it is of: its own where there is none, for then it has no entries.
    """

    base: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfMark:
    """The newest publication of one list: one number for all generations' signatures of it.

    It pictures a `position` in an `epoch` of the journal, without the certificates that ended before `ending_after`.
    `delta` is given for the complete list.
    """

    purpose: Purpose
    partition: PartitionId
    number: int
    this_update: datetime
    next_update: datetime
    epoch: int
    position: int
    ending_after: datetime | None
    entries: int
    delta: DeltaMark | None = None

    @property
    def lists(self) -> Sequence[PartitionId]:
        """The names under which the publication is to be read, a delta's after that of its list."""
        return (self.partition,) if self.delta is None else (self.partition, DELTA)

    def told(self) -> dict[str, str | int]:
        """Return what the audit is told of it."""
        told: dict[str, str | int] = {
            "number": self.number,
            "entries": self.entries,
            "next_update": iso(self.next_update),
        }
        return told if self.delta is None else told | {"base": self.delta.base, "changes": self.delta.entries}


class CrlShelf(Protocol):
    """The record of which list is current. The row decides; the files are its projection."""

    def newest(self, purpose: Purpose, partitions: Collection[PartitionId]) -> Mapping[PartitionId, ShelfMark]:
        """Return the newest publication of each list that was ever published."""
        ...

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        """Put `new` in the place of `old`, committed, if `old` is still there; tell whether it was.

        With a delta it is kept among the `bases`, and those before its own base are dropped.
        """
        ...

    def bases(self, purpose: Purpose) -> Sequence[ShelfMark]:
        """Return the complete lists that a delta may be of, the oldest first."""
        ...

    def marks(self) -> Sequence[ShelfMark]:
        """Return the newest publication of every list."""
        ...


class AuditSink(Protocol):
    """The record of acts that touch no certificate row."""

    def record(self, event: AuditEvent) -> None:
        """Write `event`, committed.

        Raises:
            JpkiError: UNAVAILABLE, whatever kept it from being written: then nothing may be signed (rule R18).
        """
        ...


# --- generations -----------------------------------------------------------------------------------------------

Generations = Callable[[Purpose], Sequence[Generation]]
"""Returns the live generations of a purpose, the one that issues first."""


class ResponderBook(Protocol):
    """The record of each generation's delegated OCSP responders."""

    def responders(self, generation: GenerationId) -> Sequence[Responder]:
        """Return the generation's responders whose certificates were signed, the one that lives longest first."""
        ...


class TimeStampingBook(Protocol):
    """The record of the keys that time-stamp."""

    def time_stamping_units(self, generation: GenerationId) -> Sequence[TimeStampingUnit]:
        """Return the units certified under a generation of the infrastructure root, the longest-lived first."""
        ...


class DelegateLedger(ResponderBook, Protocol):
    """The record of every certificate that a CA key signs for the house itself, written before it is (rule R2).

    What a crash leaves intended stays so: a signature may exist, and the octets are never signed again.
    """

    def intend(self, delegate: Delegate, by: Actor, at: datetime) -> None:
        """Store the exact octets that will be signed, and the audit's "will sign", in one committed transaction.

        Raises:
            JpkiError: CONFLICT `serial-taken`: a certificate of whatever kind bears the serial.
        """
        ...

    def complete(self, serial: Serial, certificate: bytes, by: Actor, at: datetime) -> None:
        """Store the signed certificate, and the audit's "signed"; committed.

        Raises:
            JpkiError: CONFLICT `not-intended`: these are not the octets that were to be signed, or all is done already.
        """
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
