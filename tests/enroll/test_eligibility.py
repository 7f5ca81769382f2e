"""Who may get which certificate: what the law asks of the person, in a case or not."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from enroll.eligibility import OF_PERSONS, latest_end, require_entitled
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import end_of_day
from jpki.errors import JpkiError
from jpki.resident import Registration, Resident, taken_at_word
from tests.ca.world import HANAKO

TODAY = date(2026, 10, 1)
ADULT = taken_at_word(HANAKO)
CHILD = taken_at_word(replace(HANAKO, birth_date=date(2011, 10, 2)))
SIGNING, AUTHENTICATION = (Purpose.SIGNING,), (Purpose.AUTHENTICATION,)


@pytest.mark.parametrize(
    ("resident", "purposes", "code"),
    [
        (CHILD, SIGNING, "too-young"),
        (replace(ADULT, is_ward=True), SIGNING, "ward-no-signing"),
        (replace(ADULT, registration=Registration.ENDED), HOLDER_PURPOSES, "register-ended"),
        (replace(ADULT, stay_until=date(2026, 9, 30)), HOLDER_PURPOSES, "stay-ended"),
    ],
    ids=[rule.code for rule in OF_PERSONS],
)
def test_each_rule_about_a_person_forbids_its_kinds_and_no_other(
    resident: Resident, purposes: tuple[Purpose, ...], code: str
) -> None:
    for purpose in purposes:
        with pytest.raises(JpkiError) as refused:
            require_entitled(resident, purpose, TODAY)
        assert refused.value.code == code
    for purpose in set(HOLDER_PURPOSES) - set(purposes):
        require_entitled(resident, purpose, TODAY)


@pytest.mark.parametrize("purpose", HOLDER_PURPOSES)
def test_nothing_speaks_against_whoever_keeps_them_to_the_day(purpose: Purpose) -> None:
    require_entitled(CHILD, purpose, date(2026, 10, 2))
    require_entitled(replace(ADULT, stay_until=TODAY), purpose, TODAY)
    require_entitled(replace(ADULT, registration=Registration.ABROAD), purpose, TODAY)


def test_what_ends_first_caps() -> None:
    card, beside = datetime(2030, 1, 1, 0, 0, 0, 5, UTC), datetime(2029, 1, 1, tzinfo=UTC)
    guest = replace(ADULT, stay_until=date(2027, 3, 31))
    assert latest_end(card, guest, beside) == end_of_day(date(2027, 3, 31))
    assert latest_end(card, ADULT, beside) == beside
    assert latest_end(card, ADULT, None) == datetime(2030, 1, 1, tzinfo=UTC)
    assert latest_end(None, None, None) is None
