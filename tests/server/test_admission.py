"""Who may ask in `registered` mode: the register as this process knows it, quotas, and what waits to be written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pytest

from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.revocation import Finding
from jpki.text import Text
from jpki.verifier import Admitted, LookUp, VerifierId
from server.admission import MOST_WAITING, RegisteredOnly
from tests.conftest import SteppingClock

BANK, SHOP = VerifierId(1), VerifierId(2)
BANKS, SHOPS, CARD = Serial(11), Serial(12), Serial(99)


@dataclass(slots=True)
class Book:
    """A ledger in memory that can be away."""

    quota: int | None = None
    away: bool = False
    rows: list[LookUp] = field(default_factory=list)
    used: dict[tuple[VerifierId, date], int] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    def admitted(self, day: date) -> Mapping[Serial, Admitted]:
        self._require_here()
        return {
            BANKS: Admitted(BANK, self.quota, self.used.get((BANK, day), 0)),
            SHOPS: Admitted(SHOP, None, self.used.get((SHOP, day), 0)),
        }

    def record(self, look_ups: Sequence[LookUp], used: Mapping[VerifierId, int], day: date) -> None:
        self._require_here()
        self.rows += look_ups
        self.batches.append(len(look_ups))
        for verifier, count in used.items():
            self.used[verifier, day] = self.used.get((verifier, day), 0) + count

    def _require_here(self) -> None:
        if self.away:
            raise JpkiError(Kind.UNAVAILABLE, "database-unavailable", Text("", ""), Text("", ""))


def desk(book: Book, clock: SteppingClock) -> RegisteredOnly:
    admission = RegisteredOnly(book.admitted, book.record, clock)
    admission.keep_up()
    return admission


def refusal(admission: RegisteredOnly, client: Serial | None) -> str:
    with pytest.raises(JpkiError) as refused:
        admission.admit(client)
    return refused.value.code


def test_a_client_is_known_by_its_certificate(clock: SteppingClock) -> None:
    admission = desk(Book(), clock)
    assert (admission.admit(BANKS), admission.admit(SHOPS)) == (BANK, SHOP)
    assert refusal(admission, Serial(13)) == "verifier-unregistered"
    assert refusal(admission, None) == "verifier-unregistered"


def test_what_is_told_is_written_once(clock: SteppingClock) -> None:
    book = Book()
    admission = desk(book, clock)
    admission.note(BANK, [(CARD, Finding.GOOD), (Serial(98), Finding.UNKNOWN)])
    assert book.rows == []
    for _ in range(2):
        admission.keep_up()
    assert book.rows == [LookUp(clock(), BANK, CARD, Finding.GOOD)], "what is not ours has no holder"
    assert list(book.used.values()) == [2], "but it was asked about"


def test_a_quota_counts_what_is_written_and_what_waits(clock: SteppingClock) -> None:
    book = Book(quota=3)
    admission, other = desk(book, clock), desk(book, clock)
    admission.note(BANK, [(CARD, Finding.GOOD)] * 2)
    admission.admit(BANKS)
    admission.note(BANK, [(CARD, Finding.GOOD)])
    assert refusal(admission, BANKS) == "quota-used-up"
    other.admit(BANKS)
    admission.keep_up()
    other.keep_up()
    assert [refusal(each, BANKS) for each in (admission, other)] == ["quota-used-up"] * 2
    assert admission.admit(SHOPS) == SHOP


def test_a_quota_begins_anew_at_midnight_in_japan(clock: SteppingClock) -> None:
    clock.now = datetime(2026, 10, 1, 14, 59, 59, tzinfo=UTC)
    book = Book(quota=2)
    admission = desk(book, clock)
    admission.note(BANK, [(CARD, Finding.GOOD)] * 2)
    assert refusal(admission, BANKS) == "quota-used-up"
    clock.advance(seconds=1)
    admission.keep_up()
    admission.note(BANK, [(CARD, Finding.HELD)])
    admission.keep_up()
    assert admission.admit(BANKS) == BANK
    assert book.used == {(BANK, date(2026, 10, 1)): 2, (BANK, date(2026, 10, 2)): 1}
    assert [each.finding for each in book.rows] == [Finding.GOOD, Finding.GOOD, Finding.HELD]


def test_what_was_told_on_two_days_counts_for_each(clock: SteppingClock) -> None:
    clock.now = datetime(2026, 10, 1, 14, 59, 59, tzinfo=UTC)
    book = Book()
    admission = desk(book, clock)
    admission.note(BANK, [(CARD, Finding.GOOD)] * 2)
    clock.advance(seconds=1)
    admission.note(BANK, [(CARD, Finding.HELD)])
    admission.keep_up()
    assert book.used == {(BANK, date(2026, 10, 1)): 2, (BANK, date(2026, 10, 2)): 1}
    assert len(book.rows) == 3


def test_while_the_ledger_is_away_what_is_told_waits_and_who_was_known_still_is(clock: SteppingClock) -> None:
    book = Book(quota=5)
    admission = desk(book, clock)
    book.away = True
    admission.note(BANK, [(CARD, Finding.GOOD)] * 3)
    with pytest.raises(JpkiError):
        admission.keep_up()
    assert admission.admit(BANKS) == BANK
    admission.note(BANK, [(CARD, Finding.GOOD)] * 2)
    assert refusal(admission, BANKS) == "quota-used-up"
    book.away = False
    admission.keep_up()
    assert len(book.rows) == 5
    assert list(book.used.values()) == [5]


def test_nobody_is_told_what_could_not_be_recorded(clock: SteppingClock) -> None:
    book = Book()
    admission = desk(book, clock)
    admission.note(BANK, [(CARD, Finding.GOOD)] * (MOST_WAITING - 1))
    admission.admit(BANKS)
    admission.note(BANK, [(CARD, Finding.GOOD)])
    assert refusal(admission, BANKS) == "look-ups-unwritten"
    admission.keep_up()
    assert admission.admit(BANKS) == BANK
    assert len(book.rows) == MOST_WAITING
    assert max(book.batches) <= 5_000, "no transaction is long"


def test_a_thread_writes_and_reads_by_itself_and_the_last_is_written_at_the_end(clock: SteppingClock) -> None:
    book = Book()
    admission = RegisteredOnly(book.admitted, book.record, clock)
    admission.start()
    assert admission.admit(BANKS) == BANK
    admission.note(BANK, [(CARD, Finding.GOOD)])
    admission.close()
    assert len(book.rows) == 1
