"""Reconciling one home: first what a crash left open is closed, then everything is compared (docs/adr/0012)."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from jpki.acts import Actor
from jpki.certificate import HOLDER_PURPOSES
from jpki.ids import GenerationId, Serial
from jpki.ports import ShelfMark
from jpki.revocation import State
from server.reconcile.answers import Answers
from server.reconcile.difference import Difference, Fault
from server.reconcile.facts import Facts
from server.reconcile.judge import Judge, is_pending
from server.reconcile.known import Known, everything
from server.reconcile.lists import Lists
from server.store.picture import Delegated, Picture
from server.wiring import Rooms

_BATCH = 500
_CLOSED = (State.VOID, State.REVOKED)
_ASKED_OF_EACH_STATE = 8
MOST_TOLD = 1000
"""So many differences are told one by one; the others are counted."""
_EVERY = 10_000


@dataclass(slots=True)
class Report:
    """What was repaired, compared and found."""

    closed: dict[Serial, State] = field(default_factory=dict)
    """Certificates that a crash had left pending, and where they stood."""
    published: Sequence[ShelfMark] = ()
    doubtful: list[Delegated] = field(default_factory=list)
    """Certificates of the house itself of which nobody knows whether they were signed."""
    pending: int = 0
    """Certificates on their way, not long enough to count as left behind."""
    acts: int = 0
    certificates: int = 0
    signatures: int = 0
    answers: int = 0
    entries: int = 0
    differences: list[Difference] = field(default_factory=list)
    found: int = 0

    def add(self, differences: Iterable[Difference]) -> int:
        """Count differences, keep the first of them, and return how many they were."""
        before = self.found
        for each in differences:
            self.found += 1
            if len(self.differences) < MOST_TOLD:
                self.differences.append(each)
        return self.found - before

    def count_entries(self, entries: int) -> None:
        """Count the entries of one list."""
        self.entries += entries


def reconcile(rooms: Rooms, by: Actor, tell: Callable[[int], None]) -> Report:
    """Repair what can be repaired safely, and compare all; `tell` is told now and then how many serials were seen.

    Raises:
        JpkiError: UNAVAILABLE of the ledger, the keys or the disk; CONFLICT `audit-damaged` or `database-outdated`.
    """
    report = Report()
    _close_abandoned(rooms, by, report)
    lists = _lists(rooms)
    in_use = lists.in_use()
    report.published = rooms.publisher.publish_due()
    while rooms.notary.chain():
        pass
    with Facts() as facts, rooms.store.pictures.taken() as picture:
        facts.gather(picture.acts())
        # Read after the picture was taken: none is missing that a certificate in it names.
        generations = {each.id: each for each in rooms.every_generation()}
        report.acts = facts.acts
        report.add(_journal_differs(picture))
        judge = Judge(generations=generations, known_from=facts.known_from, now=rooms.clock())
        sample = _compared(everything(picture, facts), judge, report, tell)
    _compare_answers(rooms, sample, report)
    report.add(lists.differences(in_use, facts.published, report.count_entries))
    report.add(lists.unknown(list(generations.values())))
    return report


def _close_abandoned(rooms: Rooms, by: Actor, report: Report) -> None:
    """Close what a crash left pending: void before "will sign", revoked after it, never signed again."""
    ledger = rooms.store.ledger
    left = ledger.abandoned(rooms.clock())
    for start in range(0, len(left), _BATCH):
        some = left[start : start + _BATCH]
        found = ledger.find(some)
        ledger.discard(some, by, rooms.clock())
        closed = {each.serial for each in ledger.find(some).values() if each.status.state in _CLOSED}
        report.closed.update({serial: found[serial].status.state for serial in some if serial in closed})


def _compared(serials: Iterable[Known], judge: Judge, report: Report, tell: Callable[[int], None]) -> list[Serial]:
    """Judge each serial; return those that OCSP is asked about: some of each state, and all that differ."""
    asked: list[Serial] = []
    seen: Counter[tuple[GenerationId, State]] = Counter()
    for number, known in enumerate(serials, start=1):
        differs = report.add(judge.differences(known))
        report.certificates += known.registered is not None
        report.signatures += known.record is not None and known.record.signature is not None
        report.pending += is_pending(known)
        if known.delegated is not None and not known.delegated.signed:
            report.doubtful.append(known.delegated)
        if known.status is not None:
            kind = (known.status.generation, known.status.state)
            seen[kind] += 1
            differs = differs or seen[kind] <= _ASKED_OF_EACH_STATE
        if differs and len(asked) < MOST_TOLD:
            asked.append(known.serial)
        if number % _EVERY == 0:
            tell(number)
    return asked


def _journal_differs(picture: Picture) -> Iterator[Difference]:
    """Yield gaps: positions follow each other in every epoch, and the ledger's counter stands at the last."""
    epoch, position = picture.position()
    for stretch in picture.stretches():
        name = f"journal/{stretch.epoch}"
        if stretch.count != stretch.last - stretch.first + 1:
            expected = f"{stretch.last - stretch.first + 1} entries"
            yield Difference(name, Fault.JOURNAL_DIFFERS, expected, f"{stretch.count} entries")
        if stretch.epoch > epoch or (stretch.epoch == epoch and stretch.last != position):
            expected = f"epoch {epoch} to position {position}"
            yield Difference(name, Fault.JOURNAL_DIFFERS, expected, f"position {stretch.last}")


def _compare_answers(rooms: Rooms, serials: Sequence[Serial], report: Report) -> None:
    served = [each for purpose in HOLDER_PURPOSES for each in rooms.served(purpose)]
    answers = Answers(
        responder=rooms.responder, status=rooms.store.ledger.status, generations={each.id: each for each in served}
    )
    report.add(answers.silent())
    report.add(answers.differences(serials))
    report.answers = len(serials)


def _lists(rooms: Rooms) -> Lists:
    store = rooms.store
    return Lists(
        register=store.partitions,
        shelf=store.shelf,
        pictures=store.pictures,
        generations=rooms.served,
        home=rooms.home.path,
        now=rooms.clock(),
    )
