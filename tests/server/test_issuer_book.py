"""The issuers that OCSP answers for: kept for a second, so that a compromise and a new generation show then."""

from pathlib import Path

from ca.plan import default_plan
from ca.profile import CARD_V1
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.ids import GenerationId
from server.home import Home
from server.wiring import open_rooms
from tests.conftest import SteppingClock

ATTENDANCE = default_plan(CARD_V1, {}, "a test")


def test_r16_a_compromise_shows_within_a_second(home: Path) -> None:
    clock = SteppingClock(system_clock())
    rooms = open_rooms(Home(home), clock)
    assert {each.generation.compromised_at for each in rooms.issuers()} == {None}
    rooms.ceremonies.compromise(GenerationId("s1"), ATTENDANCE, "jpki ceremony compromise")
    clock.advance(seconds=1)
    compromised = {each.generation.id for each in rooms.issuers() if each.generation.compromised_at is not None}
    assert compromised == {"s1"}
    rooms.close()


def test_a_new_generation_is_answered_for_within_a_second(home: Path) -> None:
    clock = SteppingClock(system_clock())
    rooms = open_rooms(Home(home), clock)
    assert [each.generation.id for each in rooms.issuers()] == ["s1", "a1"]
    plan = default_plan(CARD_V1, {Purpose.SIGNING: 2}, "a test")
    rooms.ceremonies.new_generation(plan, "jpki ceremony new-generation")
    clock.advance(seconds=1)
    assert [each.generation.id for each in rooms.issuers()] == ["s2", "s1", "a1"]
    rooms.close()


def test_between_two_looks_the_issuers_are_made_once(home: Path) -> None:
    rooms = open_rooms(Home(home), SteppingClock(system_clock()))
    assert rooms.issuers() is rooms.issuers()
    rooms.close()
