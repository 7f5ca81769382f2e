"""Who may get which certificate."""

from dataclasses import replace
from datetime import date

import pytest

from enroll.eligibility import require_eligible
from jpki.certificate import Purpose
from jpki.errors import JpkiError
from tests.ca.world import HANAKO

CHILD = replace(HANAKO, birth_date=date(2011, 10, 2))


def test_no_signing_certificate_under_fifteen() -> None:
    with pytest.raises(JpkiError) as refused:
        require_eligible(CHILD, Purpose.SIGNING, date(2026, 10, 1))
    assert refused.value.code == "too-young"


def test_from_the_fifteenth_birthday_on() -> None:
    require_eligible(CHILD, Purpose.SIGNING, date(2026, 10, 2))


def test_an_authentication_certificate_at_any_age() -> None:
    require_eligible(CHILD, Purpose.AUTHENTICATION, date(2026, 10, 1))
