"""Plans: what a ceremony may make, and what it may not."""

from dataclasses import replace

import pytest

from ca.plan import (
    Plan,
    default_plan,
    generation_id,
    mistakes_in,
    require_attendance_only,
    require_founding,
    require_next,
    require_profile,
)
from ca.profile import CARD_V1, CARD_V2
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec

FIRST = default_plan(CARD_V1, dict.fromkeys(Purpose, 1), "the first")
NEXT = default_plan(CARD_V1, {Purpose.SIGNING: 2}, "the next")
MADE = {Purpose.SIGNING: 1, Purpose.AUTHENTICATION: 1, Purpose.INFRASTRUCTURE: 1}


def test_the_default_is_the_profiles_keys_under_plain_labels() -> None:
    assert {each.id: (each.key, each.label) for each in FIRST.generations} == {
        "s1": (KeySpec.RSA_2048, "ca-signing-s1"),
        "a1": (KeySpec.RSA_2048, "ca-authentication-a1"),
        "i1": (KeySpec.P256, "ca-infrastructure-i1"),
    }
    assert {each.key for each in default_plan(CARD_V2, {Purpose.SIGNING: 7}, "-").generations} == {KeySpec.P384}
    assert generation_id(Purpose.AUTHENTICATION, 12) == "a12"


def test_a_fit_plan_is_taken() -> None:
    require_founding(FIRST)
    require_next(NEXT, CARD_V1, MADE)
    require_profile(FIRST, "card-v1")
    require_attendance_only(replace(FIRST, generations=()))


@pytest.mark.parametrize(
    "plan",
    [
        replace(FIRST, generations=FIRST.generations[:2]),
        replace(FIRST, generations=(*FIRST.generations, *FIRST.generations[:1])),
        replace(FIRST, generations=(*FIRST.generations[:2], replace(FIRST.generations[2], number=2))),
        replace(FIRST, generations=()),
    ],
    ids=["one is missing", "one is too many", "not the first", "none"],
)
def test_a_home_begins_with_the_first_generation_of_each_ca(plan: Plan) -> None:
    with pytest.raises(JpkiError) as refused:
        require_founding(plan)
    assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "plan-unfit")


@pytest.mark.parametrize(
    "plan",
    [
        replace(NEXT, generations=()),
        replace(NEXT, generations=(replace(NEXT.generations[0], number=1),)),
        replace(NEXT, generations=(replace(NEXT.generations[0], number=3),)),
        replace(NEXT, profile="card-v2"),
    ],
    ids=["none", "made already", "leaves one out", "of another profile"],
)
def test_a_new_generation_is_the_next_of_the_homes_profile(plan: Plan) -> None:
    with pytest.raises(JpkiError) as refused:
        require_next(plan, CARD_V1, MADE)
    assert refused.value.code == "plan-unfit"


def test_a_ceremony_that_makes_no_key_takes_no_plan_for_one() -> None:
    with pytest.raises(JpkiError) as refused:
        require_attendance_only(NEXT)
    assert refused.value.code == "plan-unfit"


def test_a_ca_that_stands_twice_is_a_mistake_and_a_label_of_anothers_keys() -> None:
    first, second, _ = FIRST.generations
    assert mistakes_in(FIRST.generations) == []
    assert mistakes_in([replace(first, label="ca-signing-of-2031")]) == []
    assert [each.en for each in mistakes_in([first, replace(second, label=first.label)])] == [
        "label ca-signing-s1 must begin with ca-authentication-"
    ]
    assert [each.en for each in mistakes_in([first, replace(first, number=2)])] == ["ca signing stands twice"]
