"""The kill table, line by line as docs/profile.md has it."""

import pytest

from ca.reasons import ALLOWED
from enroll.effects import KILLS, effects
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.event import Event
from jpki.revocation import Reason

LINES = """
record-changed   affiliationChanged    lives
died             cessationOfOperation  cessationOfOperation
deleted          cessationOfOperation  cessationOfOperation
left-country     cessationOfOperation  cessationOfOperation
residency-lost   cessationOfOperation  cessationOfOperation
holder-asked     cessationOfOperation  cessationOfOperation
card-lost        certificateHold       certificateHold
key-leaked       keyCompromise         keyCompromise
card-destroyed   keyCompromise         keyCompromise
card-returned    cessationOfOperation  cessationOfOperation
card-expired     cessationOfOperation  cessationOfOperation
number-changed   cessationOfOperation  cessationOfOperation
replaced         superseded            superseded
record-wrong     affiliationChanged    affiliationChanged
ca-key-leaked    cACompromise          cACompromise
"""
TABLE = [line.split() for line in LINES.strip().splitlines()]


@pytest.mark.parametrize(("event", "signing", "authentication"), TABLE)
def test_each_event_kills_exactly_what_the_table_says(event: str, signing: str, authentication: str) -> None:
    done = effects(Event(event))
    told = [done[purpose].value if purpose in done else "lives" for purpose in HOLDER_PURPOSES]
    assert told == [signing, authentication]


def test_every_event_has_its_line() -> None:
    assert [line[0] for line in TABLE] == list(Event) == list(KILLS)


@pytest.mark.parametrize("event", [Event.HOLDER_ASKED, Event.REPLACED, Event.RECORD_WRONG])
def test_an_event_of_one_certificate_leaves_the_other_alone(event: Event) -> None:
    assert list(effects(event, [Purpose.AUTHENTICATION])) == [Purpose.AUTHENTICATION]


def test_a_death_ends_both_whatever_is_named() -> None:
    assert set(effects(Event.DIED, [])) == set(HOLDER_PURPOSES)


def test_r10_every_reason_of_the_table_is_one_that_the_ca_takes() -> None:
    reasons = {(purpose, reason) for line in KILLS.values() for purpose, reason in line.items()}
    assert all(reason in {*ALLOWED[purpose], Reason.CERTIFICATE_HOLD} for purpose, reason in reasons)
