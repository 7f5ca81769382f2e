"""Resident events: the right certificates end for the right reason, each event once, whatever stops in the middle."""

import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from ca.profile import profile_for
from enroll.event_file import as_line
from enroll.notices import words_for
from enroll.resident_events import EventWorker
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.acts import Act
from jpki.certificate import CARD, HOLDER_PURPOSES, Carrier, Purpose
from jpki.clock import system_clock, whole_second
from jpki.errors import JpkiError
from jpki.errors import Kind as ErrorKind
from jpki.holder import Holder
from jpki.ids import HolderCode, Serial
from jpki.randomness import system_randomness
from jpki.resident import Registration, Resident
from jpki.resident_event import (
    Doubt,
    EventBatch,
    EventNumber,
    EventState,
    Kind,
    Listed,
    Received,
    ResidentEvent,
    Settlement,
    SourceName,
)
from jpki.revocation import Reason, State
from jpki.signature import KeySpec
from jpki.text import Text
from server.events import receive_file
from server.founding import found
from server.home import Home
from server.jobs import EVENTS
from server.sample.keys import card_request
from server.settings import Settings
from server.store import tables
from server.store.events import LEASE, SqlEvents
from server.wiring import Rooms, open_rooms
from tests import forked
from tests.conftest import SteppingClock
from tests.crl.fakes import Crash, Fuse
from tests.server.many_certificates import with_many
from tests.server.people import AskedOneByOne, someone
from tests.server.postgresql import running

pytestmark = pytest.mark.slow

TOWN, OTHER_TOWN = SourceName("131016"), SourceName("271004")
HANA, TARO = HolderCode("T-0001"), HolderCode("T-0002")
PHONE = Carrier("mobile:phone-1")
SIGNING, AUTHENTICATION = Purpose.SIGNING, Purpose.AUTHENTICATION
SHORT, LONG = 1600, 100_000
"""Events, in `make test` and in `make soak`."""
Key = tuple[HolderCode, Purpose, Carrier]


def furnish(rooms: Rooms) -> None:
    """Two holders with both certificates, and the first with both on a phone, too."""
    number = 0
    for code in (HANA, TARO):
        for carrier in (CARD, PHONE) if code == HANA else (CARD,):
            for purpose in (AUTHENTICATION, SIGNING):
                number += 1
                spec = profile_for(rooms.profile, carrier).key
                rooms.desk.issue(someone(code), purpose, card_request(spec, number), BY, carrier=carrier)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, moment: datetime) -> Path:
    rooms = found(Home(tmp_path_factory.mktemp("events") / "home"), Settings(), lambda: moment, system_randomness)
    furnish(rooms)
    rooms.close()
    return rooms.home.path


@pytest.fixture(scope="module")
def moment() -> datetime:
    return system_clock()


@pytest.fixture
def present(moment: datetime) -> SteppingClock:
    return SteppingClock(moment + timedelta(days=1))


@pytest.fixture
def rooms(furnished: Path, tmp_path: Path, present: SteppingClock) -> Iterator[Rooms]:
    opened = open_rooms(Home(shutil.copytree(furnished, tmp_path / "home")), present)
    yield opened
    opened.close()


class Register(AskedOneByOne):
    """A register of residents that says what it is told to, or nothing."""

    def __init__(self, *residents: Resident) -> None:
        self.residents = {each.code: each for each in residents}
        self.asked: list[HolderCode] = []
        self.failing: dict[HolderCode, ErrorKind] = {}

    def resident(self, code: HolderCode) -> Resident:
        self.asked.append(code)
        kind = self.failing.get(code, None if code in self.residents else ErrorKind.NOT_FOUND)
        if kind is not None:
            raise JpkiError(kind, "registry-fault", Text("-", "-"), Text("-", "-"))
        return self.residents[code]


def resident(holder: Holder, registration: Registration = Registration.RESIDENT) -> Resident:
    return Resident(holder=holder, registration=registration, is_ward=False, stay_until=None)


def told(
    rooms: Rooms,
    kind: Kind,
    holder: HolderCode = HANA,
    *,
    sequence: int = 1,
    source: SourceName = TOWN,
    hours_ago: float = 1,
) -> ResidentEvent:
    return ResidentEvent(
        source=source,
        sequence=sequence,
        kind=kind,
        holder=holder,
        effective_at=whole_second(rooms.clock() - timedelta(hours=hours_ago)),
    )


def receive(rooms: Rooms, *events: ResidentEvent) -> Received:
    return rooms.store.events.receive(events, BY, rooms.clock())


def handle(rooms: Rooms, register: Register | None = None) -> None:
    """Work until nobody is given anything."""
    worker = replace(rooms.events, registry=register)
    for _ in range(20):
        if not worker.work()[0]:
            return
    pytest.fail("it never ends")


def reasons(rooms: Rooms) -> Mapping[Key, Reason | None]:
    """Of every certificate, why it was revoked, None where it lives."""
    certificate = tables.certificate
    with rooms.store.database.reading() as connection:
        serials = list(connection.execute(select(certificate.c.serial)).scalars())
    records = rooms.store.ledger.find(serials).values()
    assert {each.status.state for each in records} <= {State.ACTIVE, State.REVOKED}
    return {(each.holder, each.purpose, each.carrier): each.status.reason for each in records}


def ended(rooms: Rooms) -> Mapping[Key, Reason]:
    return {key: reason for key, reason in reasons(rooms).items() if reason is not None}


def in_state(rooms: Rooms, state: EventState) -> Sequence[Listed]:
    return rooms.store.events.listed(state, 0, 1000)


def doubts(rooms: Rooms) -> list[Doubt | None]:
    return [each.doubt for each in in_state(rooms, EventState.REFUSED)]


def serial_of(rooms: Rooms, holder: HolderCode, purpose: Purpose, carrier: Carrier = CARD) -> Serial:
    return rooms.store.ledger.live([holder], purpose, carrier, rooms.clock())[holder].serial


# --- what ends -------------------------------------------------------------------------------------------------------

_CHANGES = (Kind.MOVED, Kind.RENAMED, Kind.MOVED_ABROAD)
_ENDS = (
    Kind.DIED,
    Kind.DELETED,
    Kind.DEPARTED,
    Kind.RESIDENCY_LOST,
    Kind.CARD_RETURNED,
    Kind.CARD_EXPIRED,
    Kind.NUMBER_CHANGED,
)


@pytest.mark.parametrize("kind", _CHANGES)
def test_a_change_ends_the_signing_certificates_on_card_and_device_and_no_other(rooms: Rooms, kind: Kind) -> None:
    receive(rooms, told(rooms, kind))
    handle(rooms)
    expected = dict.fromkeys([(HANA, SIGNING, CARD), (HANA, SIGNING, PHONE)], Reason.AFFILIATION_CHANGED)
    assert ended(rooms) == expected
    assert len(in_state(rooms, EventState.DONE)) == 1


@pytest.mark.parametrize("kind", _ENDS)
def test_an_end_ends_all_that_the_holder_has_and_nobody_elses(rooms: Rooms, kind: Kind) -> None:
    receive(rooms, told(rooms, kind))
    handle(rooms)
    keys = [(HANA, purpose, carrier) for purpose in HOLDER_PURPOSES for carrier in (CARD, PHONE)]
    assert ended(rooms) == dict.fromkeys(keys, Reason.CESSATION_OF_OPERATION)


def test_every_kind_is_one_of_these() -> None:
    assert set(Kind) == {*_CHANGES, *_ENDS, Kind.CORRECTED}


def test_the_revocation_is_dated_when_it_is_made_and_a_hold_from_the_hold_on(
    rooms: Rooms, present: SteppingClock
) -> None:
    signing, phone = (serial_of(rooms, HANA, SIGNING, each) for each in (CARD, PHONE))
    rooms.desk.hold(signing, BY)
    held_at = rooms.desk.record(signing).status.revoked_at
    present.advance(hours=5)
    receive(rooms, told(rooms, Kind.MOVED, hours_ago=3))
    handle(rooms)
    assert rooms.desk.record(signing).status.revoked_at == held_at
    assert rooms.desk.record(phone).status.revoked_at == present().replace(microsecond=0)


def test_what_is_on_its_way_ends_too(rooms: Rooms, present: SteppingClock) -> None:
    def cut(_: object) -> None:
        raise Crash

    with pytest.raises(Crash):
        rooms.desk.issue(someone("T-0003"), AUTHENTICATION, card_request(KeySpec.RSA_2048, 90), BY, hand_over=cut)
    present.advance(hours=2)
    receive(rooms, told(rooms, Kind.DIED, HolderCode("T-0003")))
    handle(rooms)
    assert ended(rooms) == {(HolderCode("T-0003"), AUTHENTICATION, CARD): Reason.UNSPECIFIED}


def test_an_event_that_has_not_come_true_waits_and_holds_up_none_that_has(rooms: Rooms, present: SteppingClock) -> None:
    unknown = told(rooms, Kind.MOVED, HolderCode("T-0404"), sequence=4, hours_ago=-48)
    receive(rooms, told(rooms, Kind.MOVED, hours_ago=-48), unknown)
    handle(rooms)
    assert ended(rooms) == {}
    receive(rooms, told(rooms, Kind.MOVED, TARO, sequence=2), told(rooms, Kind.DIED, sequence=3))
    handle(rooms)
    assert len(ended(rooms)) == 5
    assert [each.event.sequence for each in in_state(rooms, EventState.WAITING)] == [1, 4]
    assert doubts(rooms) == []
    present.advance(hours=49)
    handle(rooms)
    assert doubts(rooms) == [Doubt.DEAD_BEFORE, Doubt.HOLDER_UNKNOWN]


# --- what was issued since -------------------------------------------------------------------------------------------


@pytest.fixture
def reissued(rooms: Rooms, present: SteppingClock) -> Holder:
    """The holder moved, came to the counter and has a new signing certificate; then the event comes, late."""
    new = replace(someone(HANA), address="東京都千代田区丸の内１丁目１番１号", address_substitutes="0" * 17)
    rooms.desk.revoke(serial_of(rooms, HANA, SIGNING), Reason.AFFILIATION_CHANGED, BY)
    rooms.desk.issue(new, SIGNING, card_request(KeySpec.RSA_2048, 91), BY)
    present.advance(hours=3)
    return new


def test_what_was_issued_for_what_the_register_says_now_lives(rooms: Rooms, reissued: Holder) -> None:
    register = Register(resident(reissued))
    receive(rooms, told(rooms, Kind.MOVED, hours_ago=5))
    handle(rooms, register)
    assert serial_of(rooms, HANA, SIGNING)
    assert register.asked == [HANA]
    assert doubts(rooms) == []


@pytest.mark.parametrize("kind", [Kind.MOVED, Kind.CORRECTED])
def test_what_was_issued_since_for_what_the_register_says_no_more_ends(
    rooms: Rooms, reissued: Holder, kind: Kind
) -> None:
    register = Register(resident(replace(reissued, name="日本　花江")))
    receive(rooms, told(rooms, kind, hours_ago=5))
    handle(rooms, register)
    assert rooms.store.ledger.live([HANA], SIGNING, CARD, rooms.clock()) == {}
    assert rooms.store.ledger.live([HANA], AUTHENTICATION, CARD, rooms.clock()) != {}
    assert doubts(rooms) == []


def test_without_a_register_what_was_issued_since_is_a_clerks_to_judge(rooms: Rooms, reissued: Holder) -> None:
    del reissued
    receive(rooms, told(rooms, Kind.MOVED, hours_ago=5))
    handle(rooms)
    assert doubts(rooms) == [Doubt.ISSUED_SINCE]
    assert serial_of(rooms, HANA, SIGNING)


@pytest.mark.parametrize("registration", [Registration.RESIDENT, Registration.ABROAD, None])
def test_a_death_of_somebody_who_was_issued_a_certificate_since_and_lives_is_a_contradiction(
    rooms: Rooms, reissued: Holder, registration: Registration | None
) -> None:
    register = Register() if registration is None else Register(resident(reissued, registration))
    receive(rooms, told(rooms, Kind.DIED, hours_ago=5))
    handle(rooms, register)
    assert doubts(rooms) == [Doubt.REGISTER_DISAGREES]
    assert serial_of(rooms, HANA, SIGNING)
    assert rooms.store.ledger.live([HANA], AUTHENTICATION, CARD, rooms.clock()) == {}


def test_what_was_issued_to_the_dead_ends(rooms: Rooms, reissued: Holder) -> None:
    receive(rooms, told(rooms, Kind.DIED, hours_ago=5))
    handle(rooms, Register(resident(reissued, Registration.ENDED)))
    assert rooms.store.ledger.live([HANA], SIGNING, CARD, rooms.clock()) == {}
    assert doubts(rooms) == []


def test_an_old_cards_end_touches_no_later_card_nor_what_hangs_on_it(rooms: Rooms, reissued: Holder) -> None:
    del reissued
    register = Register()
    receive(rooms, told(rooms, Kind.CARD_RETURNED, hours_ago=5))
    handle(rooms, register)
    assert register.asked == []
    assert serial_of(rooms, HANA, SIGNING)
    keys = {key for key in ended(rooms) if key[1] is AUTHENTICATION}
    assert keys == {(HANA, AUTHENTICATION, CARD), (HANA, AUTHENTICATION, PHONE)}


# --- corrections -----------------------------------------------------------------------------------------------------


def test_a_correction_ends_only_what_says_something_else(rooms: Rooms) -> None:
    hana, taro = someone(HANA), someone(TARO)
    register = Register(resident(hana), resident(replace(taro, name="日本　太朗")))
    receive(rooms, told(rooms, Kind.CORRECTED), told(rooms, Kind.CORRECTED, TARO, sequence=2))
    handle(rooms, register)
    assert ended(rooms) == {(TARO, SIGNING, CARD): Reason.AFFILIATION_CHANGED}


def test_without_a_register_a_correction_is_a_clerks_to_judge(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.CORRECTED))
    handle(rooms)
    assert (ended(rooms), doubts(rooms)) == ({}, [Doubt.NOT_COMPARED])


def test_while_the_register_is_away_a_correction_waits_and_nothing_else_does(
    rooms: Rooms, present: SteppingClock
) -> None:
    register = Register(resident(replace(someone(HANA), name="日本　花江")))
    register.failing[HANA] = ErrorKind.UNAVAILABLE
    receive(rooms, told(rooms, Kind.CORRECTED), told(rooms, Kind.MOVED, TARO, sequence=2))
    handle(rooms, register)
    assert set(ended(rooms)) == {(TARO, SIGNING, CARD)}
    assert rooms.store.events.counts()[EventState.TAKEN] == 1
    register.failing.clear()
    present.advance(seconds=LEASE.total_seconds() + 1)
    handle(rooms, register)
    assert (HANA, SIGNING, CARD) in ended(rooms)


def test_a_register_that_is_away_is_not_waited_for_once_for_each_holder(rooms: Rooms, present: SteppingClock) -> None:
    holders = [HolderCode(f"M-{serial:032x}") for serial in with_many(rooms, 8)]
    present.advance(hours=2)
    register = Register()
    register.failing = dict.fromkeys(holders, ErrorKind.UNAVAILABLE)
    receive(rooms, *(told(rooms, Kind.CORRECTED, each, sequence=number) for number, each in enumerate(holders, 1)))
    handle(rooms, register)
    assert len(register.asked) == 3
    present.advance(seconds=LEASE.total_seconds() + 1)
    register.failing.clear()
    handle(rooms, register)
    assert set(register.asked) == set(holders)


def test_one_answer_that_cannot_be_read_holds_up_nobody_else(rooms: Rooms) -> None:
    register = Register(resident(replace(someone(TARO), name="日本　太朗")))
    register.failing[HANA] = ErrorKind.INTERNAL
    receive(rooms, told(rooms, Kind.CORRECTED), told(rooms, Kind.CORRECTED, TARO, sequence=2))
    handle(rooms, register)
    assert doubts(rooms) == [Doubt.REGISTER_UNREADABLE]
    assert set(ended(rooms)) == {(TARO, SIGNING, CARD)}


# --- received once, in order, told of --------------------------------------------------------------------------------


def test_what_was_told_before_changes_nothing_however_often(rooms: Rooms) -> None:
    event = told(rooms, Kind.MOVED)
    assert receive(rooms, event, event) == Received(1, 1, 0)
    handle(rooms)
    assert receive(rooms, event) == Received(0, 1, 0)
    assert receive(rooms, replace(event, effective_at=event.effective_at.replace(microsecond=7))) == Received(0, 1, 0)
    assert receive(rooms, replace(event, source=OTHER_TOWN)) == Received(1, 0, 0)


def test_another_event_under_a_used_number_is_a_contradiction_and_ends_nothing(rooms: Rooms) -> None:
    event = told(rooms, Kind.MOVED)
    receive(rooms, event)
    others = [replace(event, kind=Kind.DIED), replace(event, holder=TARO)]
    assert receive(rooms, *others) == Received(0, 0, 2)
    assert receive(rooms, *others, event) == Received(0, 3, 0)
    handle(rooms)
    assert set(ended(rooms)) == {(HANA, SIGNING, CARD), (HANA, SIGNING, PHONE)}
    assert doubts(rooms) == [Doubt.SEQUENCE_REUSED] * 2


def test_a_code_that_no_holder_has_goes_to_the_work_list(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.DIED, HolderCode("T-0404")), told(rooms, Kind.MOVED, sequence=2))
    handle(rooms)
    assert doubts(rooms) == [Doubt.HOLDER_UNKNOWN]
    assert len(ended(rooms)) == 2


@pytest.mark.parametrize("kind", [*_CHANGES, Kind.CORRECTED, Kind.DEPARTED])
def test_whoever_is_dead_neither_moves_nor_leaves(rooms: Rooms, kind: Kind) -> None:
    receive(
        rooms, told(rooms, Kind.DIED, hours_ago=2), told(rooms, kind, sequence=2), told(rooms, Kind.DIED, sequence=3)
    )
    handle(rooms)
    assert doubts(rooms) == [Doubt.DEAD_BEFORE]
    assert len(in_state(rooms, EventState.DONE)) == 2


def test_of_one_holder_the_earlier_comes_first_and_alone(rooms: Rooms) -> None:
    moved, died = told(rooms, Kind.MOVED, sequence=2), told(rooms, Kind.DIED, sequence=1, hours_ago=0.5)
    receive(rooms, died, moved, told(rooms, Kind.MOVED, TARO, sequence=3))
    batch = rooms.store.events.take(10, rooms.clock())
    assert [each.event for each in batch.events] == [moved, told(rooms, Kind.MOVED, TARO, sequence=3)]
    assert rooms.store.events.take(10, rooms.clock()).events == []
    rooms.store.events.finish(batch, {each.number: None for each in batch.events}, (), BY, rooms.clock())
    assert [each.event for each in rooms.store.events.take(10, rooms.clock()).events] == [died]


def test_r21_a_notice_names_certificates_and_says_in_words_what_happened(rooms: Rooms) -> None:
    serials = {serial_of(rooms, HANA, SIGNING, each) for each in (CARD, PHONE)}
    receive(
        rooms, told(rooms, Kind.MOVED), told(rooms, Kind.MOVED, sequence=2), told(rooms, Kind.DIED, TARO, sequence=3)
    )
    handle(rooms)
    first, last = rooms.store.events.notices(0, 10)
    assert (first.number, first.holder, first.kind, set(first.serials)) == (1, HANA, Kind.MOVED, serials)
    assert (last.number, last.holder, len(last.serials)) == (3, TARO, 2)
    assert rooms.store.events.notices(1, 10) == [last]
    assert "日本" not in repr((first, last))


@pytest.mark.parametrize("kind", list(Kind))
def test_there_are_words_for_every_kind(kind: Kind) -> None:
    words = words_for(kind)
    assert words.ja
    assert words.en
    assert ("失効" in words.ja) is True


def test_the_audit_says_what_was_received_and_handled_and_who_ended_it(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.MOVED), told(rooms, Kind.DIED, HolderCode("T-0404"), sequence=2))
    handle(rooms)
    with rooms.store.pictures.taken() as picture:
        events = [act.event for act in picture.acts() if act.event is not None]
    received, handled = (
        [each for each in events if each.act is act] for act in (Act.EVENTS_RECEIVED, Act.EVENTS_HANDLED)
    )
    assert [each.subjects for each in received] == [("events/1-2",)]
    assert [(each.subjects, each.details["to_work_list"]) for each in handled] == [(("event/1", "event/2"), 1)]
    revoked = [each for each in events if each.act is Act.REVOKED]
    assert {each.actor.role for each in revoked} == {"register"}


# --- the work list, and again ----------------------------------------------------------------------------------------


def test_a_clerk_settles_what_is_in_doubt_once(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.DIED, HolderCode("T-0404")), told(rooms, Kind.MOVED, sequence=2))
    handle(rooms)
    book = rooms.store.events
    book.settle(EventNumber(1), EventState.IGNORED, Settlement.REVOKED_BY_HAND, BY, rooms.clock())
    (settled,) = in_state(rooms, EventState.IGNORED)
    assert (settled.because, settled.doubt) == (Settlement.REVOKED_BY_HAND, Doubt.HOLDER_UNKNOWN)
    for number, code in ((1, "event-not-in-doubt"), (2, "event-not-in-doubt"), (3, "event-unknown")):
        with pytest.raises(JpkiError) as refused:
            book.settle(EventNumber(number), EventState.DONE, Settlement.NOTHING_TO_END, BY, rooms.clock())
        assert refused.value.code == code


def test_words_of_an_earlier_version_are_not_shown(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.DIED, HolderCode("T-0404")))
    handle(rooms)
    settled = rooms.store.events.settle(EventNumber(1), EventState.DONE, Settlement.TOLD_ANEW, BY, rooms.clock())
    assert [settled] == in_state(rooms, EventState.DONE)
    with rooms.store.database.writing() as connection:
        connection.execute(tables.resident_event.update().values(because="telephoned Hanako"))
    (listed,) = in_state(rooms, EventState.DONE)
    assert listed.because is None


def test_an_event_that_was_told_ahead_waits_from_the_moment_on_at_which_it_comes_true(
    rooms: Rooms, present: SteppingClock
) -> None:
    ahead = replace(told(rooms, Kind.MOVED), effective_at=whole_second(present() + timedelta(days=20)))
    receive(rooms, ahead)
    assert rooms.store.events.oldest_open(present()) is None
    present.advance(days=20, minutes=3)
    assert rooms.store.events.oldest_open(present()) == ahead.effective_at
    late = replace(
        told(rooms, Kind.MOVED, HolderCode("T-0404"), sequence=2), effective_at=present() - timedelta(days=9)
    )
    receive(rooms, late)
    assert rooms.store.events.oldest_open(present()) == ahead.effective_at


def test_what_a_source_told_is_handled_again_from_a_number_on(rooms: Rooms, present: SteppingClock) -> None:
    unknown = HolderCode("T-0003")
    receive(rooms, told(rooms, Kind.MOVED), told(rooms, Kind.MOVED, unknown, sequence=2))
    receive(rooms, told(rooms, Kind.MOVED, TARO, sequence=2))
    receive(rooms, told(rooms, Kind.MOVED, TARO, sequence=9, source=OTHER_TOWN, hours_ago=3))
    handle(rooms)
    before = ended(rooms)
    notices = rooms.store.events.notices(0, 10)
    rooms.desk.issue(someone(unknown), AUTHENTICATION, card_request(KeySpec.RSA_2048, 92), BY)
    present.advance(hours=1)
    assert rooms.store.events.replay(TOWN, 2, BY, rooms.clock()) == 1
    handle(rooms)
    assert doubts(rooms) == [Doubt.SEQUENCE_REUSED]
    assert rooms.store.events.replay(TOWN, 1, BY, rooms.clock()) == 2
    handle(rooms)
    assert ended(rooms) == before
    assert rooms.store.events.notices(0, 10) == notices


def test_sources_tell_how_far_they_came_and_what_is_missing(rooms: Rooms) -> None:
    for sequence in (1, 2, 5):
        receive(rooms, told(rooms, Kind.MOVED, sequence=sequence))
    receive(rooms, told(rooms, Kind.MOVED, sequence=2, source=OTHER_TOWN))
    receive(rooms, told(rooms, Kind.MOVED, sequence=1, source=SourceName("whole")))
    found_sources = [(each.name, each.highest, each.missing) for each in rooms.store.events.sources()]
    assert found_sources == [(TOWN, 5, 3), (OTHER_TOWN, 2, 1), ("whole", 1, None)]


# --- whatever stops in the middle ------------------------------------------------------------------------------------


def check_crashes(rooms: Rooms, present: SteppingClock) -> None:
    """A worker dies at its n-th step, for each n, and another takes over: all ends once, and one notice tells of it."""
    receive(rooms, told(rooms, Kind.MOVED), told(rooms, Kind.DIED, TARO, sequence=2))
    expected = {serial_of(rooms, HANA, SIGNING, each) for each in (CARD, PHONE)}
    expected |= {serial_of(rooms, TARO, each) for each in HOLDER_PURPOSES}
    for steps in range(30):
        fuse = Fuse(steps)
        worker = EventWorker(
            book=fuse.port(rooms.store.events),
            ledger=fuse.port(rooms.store.ledger),
            authority=replace(rooms.desk.authority, ledger=fuse.port(rooms.store.ledger)),
            registry=None,
            clock=present,
            by=BY,
        )
        try:
            while worker.work()[0]:
                pass
        except Crash:
            present.advance(seconds=LEASE.total_seconds() + 1)
        else:
            break
    else:
        pytest.fail("it never ends")
    assert steps > 5
    check_each_ended_once(rooms, expected)
    told_of = [serial for each in rooms.store.events.notices(0, 10) for serial in each.serials]
    assert sorted(told_of) == sorted(expected)


def check_each_ended_once(rooms: Rooms, expected: set[Serial]) -> None:
    journal = tables.journal
    with rooms.store.database.reading() as connection:
        revoked = connection.execute(select(journal.c.serial).where(journal.c.state == State.REVOKED)).scalars().all()
    assert sorted(revoked) == sorted(expected)
    counts = rooms.store.events.counts()
    assert counts[EventState.WAITING] == counts[EventState.TAKEN] == 0


def test_a_worker_that_dies_at_any_step_loses_and_doubles_nothing(rooms: Rooms, present: SteppingClock) -> None:
    check_crashes(rooms, present)


def test_a_worker_that_was_away_for_too_long_leaves_all_to_the_one_after_it(
    rooms: Rooms, present: SteppingClock
) -> None:
    """It ends nothing that it could not write down before: else nobody would tell the holder."""
    receive(rooms, told(rooms, Kind.MOVED), told(rooms, Kind.DIED, TARO, sequence=2))
    others: list[EventBatch] = []

    class Slow(SqlEvents):
        def plan(self, batch: EventBatch, serials: Mapping[EventNumber, Sequence[Serial]]) -> AbstractSet[EventNumber]:
            present.advance(seconds=LEASE.total_seconds() + 1)
            others.append(rooms.store.events.take(1, present()))
            return super().plan(batch, serials)

    replace(rooms.events, book=Slow(rooms.store.database)).work()
    assert [each.number for each in others[0].events] == [1]
    assert {key[0] for key in ended(rooms)} == {TARO}
    present.advance(seconds=LEASE.total_seconds() + 1)
    handle(rooms)
    assert [len(each.serials) for each in rooms.store.events.notices(0, 10)] == [2, 2]


def test_a_certificate_is_told_of_once_though_an_earlier_event_comes_between_two_workers(
    rooms: Rooms, present: SteppingClock
) -> None:
    receive(rooms, told(rooms, Kind.MOVED, hours_ago=1))

    class Dying(SqlEvents):
        def plan(self, batch: EventBatch, serials: Mapping[EventNumber, Sequence[Serial]]) -> AbstractSet[EventNumber]:
            super().plan(batch, serials)
            raise Crash

    with pytest.raises(Crash):
        replace(rooms.events, book=Dying(rooms.store.database)).work()
    receive(rooms, told(rooms, Kind.RENAMED, sequence=2, hours_ago=2))
    present.advance(seconds=LEASE.total_seconds() + 1)
    handle(rooms)
    (notice,) = rooms.store.events.notices(0, 10)
    assert (notice.kind, len(notice.serials)) == (Kind.RENAMED, 2)


def node(home: Path) -> BaseProcess:
    return forked.node("events", "run", "--home", home, "--workers", "1", said=home.with_name("said"))


def end_event_leases(rooms: Rooms) -> None:
    """Let half a minute pass for what dead workers hold."""
    event = tables.resident_event
    with rooms.store.database.writing() as connection:
        held = update(event).where(event.c.taken_until.is_not(None))
        connection.execute(held.values(taken_until=rooms.clock() - timedelta(seconds=1)))


def killed_at_work(rooms: Rooms, victim: BaseProcess) -> None:
    """Kill a node with SIGKILL as soon as it has done something, or it has ended by itself."""
    before = rooms.store.events.counts()[EventState.DONE]
    while rooms.store.events.counts()[EventState.DONE] == before and victim.exitcode is None:
        time.sleep(0.01)
    victim.kill()
    victim.join()
    end_event_leases(rooms)


def check_many(rooms: Rooms, count: int, nodes: int) -> str:
    """Receive and handle so many moves, with nodes that are killed meanwhile; tell how long it took."""
    serials = with_many(rooms, count)
    moment = rooms.clock() + timedelta(seconds=1)
    file = io.BytesIO(
        b"".join(
            as_line(
                ResidentEvent(
                    source=TOWN,
                    sequence=number,
                    kind=Kind.MOVED,
                    holder=HolderCode(f"M-{serial:032x}"),
                    effective_at=moment,
                )
            )
            for number, serial in enumerate(serials, 1)
        )
    )
    begun = time.monotonic()
    done = receive_file(rooms, file, BY, lambda _: None, lambda *_: pytest.fail("a line is wrong"))
    received = time.monotonic() - begun
    assert done.received == Received(count, 0, 0)
    time.sleep(1.1)
    begun = time.monotonic()
    killed_at_work(rooms, node(rooms.home.path))
    steady = [node(rooms.home.path) for _ in range(nodes)]
    if nodes > 1:
        killed_at_work(rooms, steady.pop())
    for each in steady:
        each.join(900)
    assert [each.exitcode for each in steady] == [0] * len(steady)
    handled = time.monotonic() - begun
    check_each_ended_once(rooms, set(serials))
    assert rooms.store.events.counts()[EventState.DONE] == count
    with rooms.store.database.reading() as connection:
        assert len(set(connection.execute(select(tables.notice.c.serials)).scalars())) == count
    return f"{count}: received in {received:.1f} s, handled in {handled:.1f} s"


def test_many_on_sqlite_by_a_node_that_takes_over_from_a_dead_one(tmp_path: Path, *, at_length: bool) -> None:
    rooms = found(Home(tmp_path / "home"), Settings(), system_clock, system_randomness)
    print("sqlite", check_many(rooms, LONG if at_length else SHORT, nodes=1))  # noqa: T201 - `pytest -s` tells
    rooms.close()


def test_on_postgresql_too_nothing_is_lost_doubled_or_out_of_order(
    tmp_path: Path,
    moment: datetime,
    present: SteppingClock,
    *,
    at_length: bool,
) -> None:
    with running() as server:
        settings = Settings(database=server.new_database("few"))
        rooms = found(Home(tmp_path / "few"), settings, lambda: moment, system_randomness)
        furnish(rooms)
        rooms.close()
        rooms = open_rooms(rooms.home, present)
        check_crashes(rooms, present)
        rooms.close()
        settings = Settings(database=server.new_database("many"))
        rooms = found(Home(tmp_path / "many"), settings, system_clock, system_randomness)
        check_concurrent_sources(rooms)
        print("postgresql", check_many(rooms, LONG if at_length else SHORT, nodes=2))  # noqa: T201
        rooms.close()


def check_concurrent_sources(rooms: Rooms) -> None:
    """Several tell at once, two of them under one name: each number is given once, and no event is written twice."""
    names = (SourceName("a"), SourceName("b"), SourceName("a"), SourceName("c"))
    stories = [
        [told(rooms, Kind.MOVED, HolderCode("X"), source=name, sequence=number) for number in range(1, 40)]
        for name in names
    ]

    def tell(story: Sequence[ResidentEvent]) -> int:
        return sum(receive(rooms, each).new for each in story)

    with ThreadPoolExecutor(len(stories)) as pool:
        new = list(pool.map(tell, stories))
    assert sum(new) == 3 * 39
    event = tables.resident_event
    with rooms.store.database.writing() as connection:
        numbers = connection.execute(select(event.c.number)).scalars().all()
        connection.execute(delete(event))
    assert sorted(numbers) == list(range(1, 3 * 39 + 1))


def test_a_process_with_the_ca_keys_handles_them_by_itself(rooms: Rooms) -> None:
    receive(rooms, told(rooms, Kind.MOVED))
    rooms.maintenance.prompt[EVENTS]()
    assert len(ended(rooms)) == 2
