"""Resident events: what a register's word ends, and what one worker does with those that it took.

A worker that dies at any point loses and doubles nothing: what it was about to end is written down before it is ended,
and what it took is given to another when its lease ends, which finds ended what the dead one had ended.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509

from ca.authority import Authority
from enroll.effects import effects
from enroll.mobile import end_on_device
from enroll.renewal import holder_of
from jpki.acts import Actor
from jpki.certificate import CARD, Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.errors import Kind as ErrorKind
from jpki.event import Event
from jpki.holder import Holder
from jpki.ids import HolderCode, Serial
from jpki.ports import CertificateLedger, CertificateRecord, EventBook, ResidentRegistry
from jpki.resident import Registration, Resident
from jpki.resident_event import CARD_KINDS, Doubt, EventNumber, Kind, Received, ResidentEvent, TakenEvent
from jpki.revocation import Reason, State

BATCH = 500
"""A counter that revokes one waits for a batch, or for two."""
_PENDING = (State.RESERVED, State.INTENDED, State.ISSUED)
_OF_THE_LIVING = frozenset({Event.RECORD_CHANGED, Event.LEFT_COUNTRY})
_FAILURES = 3
"""So often the register may fail before a worker takes it for away: it may be about one person."""
_FOR_ASKING = timedelta(seconds=10)
"""Before so much of its lease is over, a worker asks the register no more; what it did not ask is tried again."""


def receive(
    book: EventBook, told: Iterable[tuple[int, ResidentEvent | JpkiError]], by: Actor, at: datetime
) -> tuple[Received, Sequence[tuple[int, JpkiError]]]:
    """Write down what was read of events, all that are right; return what became of them, and the wrong ones.

    One way for files and requests: `enroll.event_file` reads either, and numbers what it reads.
    """
    events: list[ResidentEvent] = []
    wrong: list[tuple[int, JpkiError]] = []
    for number, read in told:
        if isinstance(read, JpkiError):
            wrong.append((number, read))
        else:
            events.append(read)
    return book.receive(events, by, at) if events else Received(0, 0, 0), wrong


@dataclass(frozen=True, slots=True)
class Judged:
    """What an event does: which certificates end and why, and the doubt that puts it on the work list, if any."""

    ends: Mapping[Serial, Reason] = field(default_factory=dict)
    doubt: Doubt | None = None


class NotNow(Exception):  # noqa: N818 - no error: the event waits for another try
    """It cannot be judged before the register answers, or before a certificate that is on its way is signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Decides what an event does to its holder's certificates.

    `ask` returns the register's present answer, None for a person whom it does not know; without a register there is
    no `ask`. `disclosed` reads back the holder of a signing certificate, for the municipality that the register names.
    """

    ask: Callable[[HolderCode], Resident | None] | None
    disclosed: Callable[[CertificateRecord, Resident], Holder]

    def judge(self, event: ResidentEvent, records: Sequence[CertificateRecord], *, dead: bool) -> Judged:
        """Return what the event does to what its holder has, which lives or is on its way.

        What was issued before the event came true ends by it. What was issued since was issued for what the register
        said by then, unless the register learned of the event later: so it is asked.

        Raises:
            NotNow: when the register has to be asked first and is away.
        """
        if dead and event.kind.event in _OF_THE_LIVING:
            return Judged(doubt=Doubt.DEAD_BEFORE)
        reasons = effects(event.kind.event)
        touched = [each for each in records if each.purpose in reasons]
        before = [each for each in touched if each.validity.not_before < event.effective_at]
        since = [each for each in touched if each.validity.not_before >= event.effective_at]
        if event.kind in CARD_KINDS:
            return Judged(dict(_of_the_old_card(before, since, reasons)))
        if event.kind is Kind.CORRECTED:
            before, since = [], touched
        ended, doubt = self._of_those_issued_since(event, since) if since else ((), None)
        return Judged({each.serial: reasons[each.purpose] for each in (*before, *ended)}, doubt)

    def _of_those_issued_since(
        self, event: ResidentEvent, since: Sequence[CertificateRecord]
    ) -> tuple[Sequence[CertificateRecord], Doubt | None]:
        """Return which of them end, by the register's present answer, or why that cannot be told."""
        if self.ask is None:
            return (), Doubt.NOT_COMPARED if event.kind is Kind.CORRECTED else Doubt.ISSUED_SINCE
        try:
            resident = self.ask(event.holder)
        except JpkiError:
            return (), Doubt.REGISTER_UNREADABLE
        if resident is not None and event.kind.event is Event.RECORD_CHANGED:
            return list(self._different(since, resident)), None
        if resident is None or resident.registration is not Registration.ENDED:
            return (), Doubt.REGISTER_DISAGREES
        return since, None

    def _different(self, records: Sequence[CertificateRecord], resident: Resident) -> Iterator[CertificateRecord]:
        """Yield those that say something else than the register does now."""
        for each in records:
            if each.status.state in (State.RESERVED, State.INTENDED):
                raise NotNow
            if self.disclosed(each, resident) != resident.holder:
                yield each


def _of_the_old_card(
    before: Sequence[CertificateRecord], since: Sequence[CertificateRecord], reasons: Mapping[Purpose, Reason]
) -> Iterator[tuple[Serial, Reason]]:
    """Yield what ends with a card: its own, and those on devices that hang on it and on no later card."""
    replaced = {each.purpose for each in since if each.carrier == CARD}
    for each in before:
        if each.carrier == CARD or each.purpose not in replaced:
            yield each.serial, reasons[each.purpose]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWorker:
    """One of any number of workers, in any number of processes and nodes; without a `registry` nothing is asked."""

    book: EventBook
    ledger: CertificateLedger
    authority: Authority
    registry: ResidentRegistry | None
    clock: Clock
    by: Actor

    def work(self) -> tuple[int, bool]:
        """Handle one batch; return how many events it was given, and whether any was not done before it began.

        Raises:
            JpkiError: UNAVAILABLE: what was taken is given out again when the lease ends.
        """
        batch = self.book.take(BATCH, self.clock())
        if not batch.events:
            return 0, batch.left
        standing = self.book.standing([each.event.holder for each in batch.events], self.clock())
        records = self.ledger.find([serial for each in standing.values() for serial in each.serials])
        judge, judged = self._judge(batch.until), dict[EventNumber, Judged]()
        for taken in batch.events:
            own = standing.get(taken.event.holder)
            if own is None:
                judged[taken.number] = Judged(doubt=Doubt.HOLDER_UNKNOWN)
                continue
            try:
                found = [records[serial] for serial in own.serials if serial in records]
                judged[taken.number] = judge.judge(taken.event, found, dead=own.dead)
            except NotNow:
                continue
        planned = self.book.plan(batch, dict(_planned(batch.events, judged)))
        self._end([judged[number] for number in planned if number in judged], records)
        outcomes = {number: each.doubt for number, each in judged.items()}
        self.book.finish(batch, outcomes, planned, self.by, self.clock())
        return len(batch.events), batch.left

    def _judge(self, until: datetime) -> Judge:
        """Return a judge that asks the register as long as it answers, and there is time."""
        registry = self.registry
        if registry is None:
            return Judge(ask=None, disclosed=self._disclosed)
        failures = 0

        def ask(holder: HolderCode) -> Resident | None:
            nonlocal failures
            if failures >= _FAILURES or self.clock() > until - _FOR_ASKING:
                raise NotNow
            try:
                return registry.resident(holder)
            except JpkiError as error:
                if error.kind is ErrorKind.NOT_FOUND:
                    return None
                if error.kind is not ErrorKind.UNAVAILABLE:
                    raise
                failures += 1
                raise NotNow from error

        return Judge(ask=ask, disclosed=self._disclosed)

    def _disclosed(self, record: CertificateRecord, resident: Resident) -> Holder:
        octets = self.ledger.certificates([record.serial]).get(record.serial)
        if octets is None:
            raise NotNow
        certificate = x509.load_der_x509_certificate(octets)
        return holder_of(record.holder, certificate, resident.holder.municipality.code)

    def _end(self, judged: Collection[Judged], records: Mapping[Serial, CertificateRecord]) -> None:
        """Revoke what lives, in as few transactions as can be, and close what is on its way."""
        for reason in sorted({reason for each in judged for reason in each.ends.values()}):
            ending = [records[serial] for each in judged for serial, why in each.ends.items() if why is reason]
            self.authority.revoke_each([each for each in ending if each.status.state not in _PENDING], reason, self.by)
            for each in ending:
                if each.status.state in _PENDING:
                    end_on_device(self.authority, each.serial, reason, self.by)


def _planned(
    events: Sequence[TakenEvent], judged: Mapping[EventNumber, Judged]
) -> Iterator[tuple[EventNumber, Sequence[Serial]]]:
    """Yield what ends by each event, or was about to when a worker died."""
    for taken in events:
        serials = sorted({*taken.planned, *(judged[taken.number].ends if taken.number in judged else ())})
        if serials:
            yield taken.number, serials
