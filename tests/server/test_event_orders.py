"""Resident events in any order, told again and again, by workers that die: the same certificates end, each once."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from enroll.effects import effects
from enroll.resident_events import EventWorker
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import CARD, HOLDER_PURPOSES, Carrier, Purpose
from jpki.clock import whole_second
from jpki.ids import HolderCode, Serial, new_serial
from jpki.randomness import system_randomness
from jpki.resident_event import Doubt, EventState, Kind, ResidentEvent, SourceName
from jpki.revocation import State
from server.home import Home
from server.store import tables
from server.store.changes import LIVE
from server.store.events import LEASE
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.crl.fakes import Crash, Fuse

pytestmark = pytest.mark.slow

HOLDERS = 3
PLACES = [(purpose, carrier) for purpose in HOLDER_PURPOSES for carrier in (CARD, Carrier("mobile:phone-1"))]
_examples = count()
_kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.CORRECTED])
_happenings = st.lists(st.tuples(st.integers(0, HOLDERS - 1), _kinds, st.integers(1, 50)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def rooms(new_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    home = shutil.copytree(new_home, tmp_path_factory.mktemp("orders") / "home")
    opened = open_rooms(Home(home))
    clock = SteppingClock(opened.clock())
    opened.close()
    opened = open_rooms(Home(home), clock)
    yield opened
    opened.close()


@dataclass(frozen=True, slots=True)
class World:
    """Holders of their own, each with all that one may have, issued now."""

    rooms: Rooms
    clock: SteppingClock
    serials: Mapping[tuple[HolderCode, Purpose, Carrier], Serial]
    events: Sequence[ResidentEvent]

    @classmethod
    def of(cls, rooms: Rooms, happenings: Sequence[tuple[int, Kind, int]]) -> "World":
        assert isinstance(rooms.clock, SteppingClock)
        example = next(_examples)
        codes = [HolderCode(f"E{example}-{number}") for number in range(HOLDERS)]
        now = whole_second(rooms.clock())
        serials = {(code, *place): new_serial(system_randomness) for code in codes for place in PLACES}
        add(rooms, serials, now)
        events = [
            ResidentEvent(
                source=SourceName(f"S{example}-{sequence % 2}"),
                sequence=sequence,
                kind=kind,
                holder=codes[holder],
                effective_at=now + timedelta(hours=hours),
            )
            for sequence, (holder, kind, hours) in enumerate(happenings, 1)
        ]
        return cls(rooms, rooms.clock, serials, events)

    def expected(self) -> set[Serial]:
        return {
            serial
            for (holder, purpose, _), serial in self.serials.items()
            if any(each.holder == holder and purpose in effects(each.kind.event) for each in self.events)
        }

    def work(self, steps: int | None) -> None:
        """Work until nothing is given out, or the worker dies after so many steps."""
        fuse = Fuse(10_000 if steps is None else steps)
        ledger = fuse.port(self.rooms.store.ledger)
        worker = EventWorker(
            book=fuse.port(self.rooms.store.events),
            ledger=ledger,
            authority=replace(self.rooms.desk.authority, ledger=ledger),
            registry=None,
            clock=self.clock,
            by=BY,
        )
        try:
            while worker.work()[0]:
                pass
        except Crash:
            self.clock.advance(seconds=LEASE.total_seconds() + 1)

    def revoked(self) -> list[Serial]:
        journal = tables.journal
        own = list(self.serials.values())
        query = select(journal.c.serial).where(journal.c.serial.in_(own), journal.c.state == State.REVOKED)
        with self.rooms.store.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def told_of(self) -> list[Serial]:
        own = set(self.serials.values())
        return [
            serial for each in self.rooms.store.events.notices(0, 100_000) for serial in each.serials if serial in own
        ]


def add(rooms: Rooms, serials: Mapping[tuple[HolderCode, Purpose, Carrier], Serial], now: datetime) -> None:
    generations = {purpose: rooms.living(purpose)[0].id for purpose in HOLDER_PURPOSES}
    partition, ends = tables.partition, now + timedelta(days=1000)
    with rooms.store.database.writing() as connection:
        partitions = {
            purpose: connection.execute(select(partition.c.id).where(partition.c.purpose == purpose)).scalars().first()
            for purpose in HOLDER_PURPOSES
        }
        owned = [
            {"serial": serial, "holder": holder, "purpose": purpose, "carrier": carrier, "not_after": ends}
            for (holder, purpose, carrier), serial in serials.items()
        ]
        connection.execute(
            insert(tables.certificate), [{**each, "profile_hash": "0" * 64, "not_before": now} for each in owned]
        )
        connection.execute(
            insert(tables.status),
            [
                {
                    "serial": serial,
                    "generation": generations[purpose],
                    "partition": partitions[purpose],
                    "not_after": ends,
                    "state": State.ACTIVE,
                    "position": 0,
                }
                for (_, purpose, _), serial in serials.items()
            ],
        )
        connection.execute(insert(tables.place), [{**each, "stage": LIVE, "since": now} for each in owned])


@given(happenings=_happenings, data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_the_order_the_repetitions_and_the_crashes_the_same_certificates_end(
    rooms: Rooms, happenings: Sequence[tuple[int, Kind, int]], data: st.DataObject
) -> None:
    world = World.of(rooms, happenings)
    deliveries = data.draw(st.lists(st.lists(st.sampled_from(world.events), max_size=5), max_size=6))
    for delivery in [*deliveries, data.draw(st.permutations(world.events))]:
        rooms.store.events.receive(delivery, BY, world.clock())
        world.clock.advance(hours=data.draw(st.integers(0, 20)))
        world.work(data.draw(st.integers(0, 12)))
    world.clock.advance(hours=51)
    world.work(None)
    expected = world.expected()
    assert sorted(world.revoked()) == sorted(expected)
    assert sorted(world.told_of()) == sorted(expected)
    check_each_event_is_settled(world)
    for source in {each.source for each in world.events}:
        rooms.store.events.replay(source, 1, BY, world.clock())
    world.work(None)
    assert sorted(world.revoked()) == sorted(expected)
    assert sorted(world.told_of()) == sorted(expected)
    check_each_event_is_settled(world)


def check_each_event_is_settled(world: World) -> None:
    """Done, or, of somebody whose death was told, on the work list; and there once."""
    book = world.rooms.store.events
    own = {(each.source, each.sequence) for each in world.events}
    dead = {each.holder for each in world.events if each.kind is Kind.DIED}
    found = [
        each
        for state in EventState
        for each in book.listed(state, 0, 100_000)
        if (each.event.source, each.event.sequence) in own
    ]
    assert Counter(each.event for each in found) == Counter(world.events)
    assert {each.state for each in found} <= {EventState.DONE, EventState.REFUSED}
    doubtful = [each for each in found if each.state is EventState.REFUSED]
    assert all(each.doubt is Doubt.DEAD_BEFORE and each.event.holder in dead for each in doubtful)
