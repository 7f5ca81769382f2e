"""Days in Japan, birthdays, and the months before them."""

from datetime import UTC, date, datetime

import pytest

from jpki.certificate import Validity
from jpki.clock import day_in_japan, end_of_day, months_earlier, years_later


def test_a_day_in_japan_ends_at_145959_utc() -> None:
    assert end_of_day(date(2030, 2, 17)) == datetime(2030, 2, 17, 14, 59, 59, tzinfo=UTC)
    assert day_in_japan(datetime(2030, 2, 17, 15, 0, 0, tzinfo=UTC)) == date(2030, 2, 18)


def test_29_february_falls_on_28_in_a_common_year() -> None:
    assert years_later(date(2024, 2, 29), 1) == date(2025, 2, 28)
    assert years_later(date(2024, 2, 29), 4) == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        (date(2030, 2, 17), 3, date(2029, 11, 17)),
        (date(2030, 5, 31), 3, date(2030, 2, 28)),
        (date(2028, 5, 31), 3, date(2028, 2, 29)),
        (date(2030, 1, 15), 12, date(2029, 1, 15)),
    ],
)
def test_months_earlier(day: date, months: int, earlier: date) -> None:
    assert months_earlier(day, months) == earlier


def test_r11_a_validity_counts_its_last_second() -> None:
    validity = Validity(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, 14, 59, 59, tzinfo=UTC))
    assert validity.holds(datetime(2026, 1, 31, 14, 59, 59, 999_999, tzinfo=UTC))
    assert not validity.holds(datetime(2026, 1, 31, 15, 0, 0, tzinfo=UTC))
    assert not validity.holds(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))
