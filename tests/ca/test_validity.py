"""The birthday rules."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.profile import CARD_V1
from ca.validity import renewal_opens, validity
from jpki.clock import JST, end_of_day
from jpki.errors import JpkiError


def at(day: str) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00+09:00")


@pytest.mark.parametrize(
    ("born", "issued", "ends"),
    [
        ("1980-02-17", "2025-10-27", "2030-02-17"),  # as seen on a real card
        ("1980-02-17", "2025-02-16", "2029-02-17"),
        ("1980-02-17", "2025-02-17", "2030-02-17"),  # the day of issue is no birthday after issue
        ("1980-02-29", "2026-01-01", "2030-02-28"),
        ("1980-02-29", "2024-02-28", "2028-02-29"),
        ("1980-02-29", "2024-02-29", "2029-02-28"),
    ],
)
def test_a_new_certificate_ends_on_the_fifth_birthday(born: str, issued: str, ends: str) -> None:
    lifetime = validity(CARD_V1, date.fromisoformat(born), at(issued), renewal=False)
    assert lifetime.not_after == end_of_day(date.fromisoformat(ends))
    assert lifetime.not_before == at(issued)


def test_a_renewed_certificate_ends_on_the_sixth_birthday_so_nothing_is_lost() -> None:
    lifetime = validity(CARD_V1, date(1980, 2, 17), at("2029-11-18"), renewal=True)
    assert lifetime.not_after == end_of_day(date(2035, 2, 17))


def test_a_certificate_renewed_on_its_last_day_lives_five_years() -> None:
    lifetime = validity(CARD_V1, date(1980, 2, 17), at("2030-02-17"), renewal=True)
    assert lifetime.not_after == end_of_day(date(2035, 2, 17))


def test_renewal_opens_the_day_after_the_date_three_months_before() -> None:
    assert renewal_opens(CARD_V1, end_of_day(date(2030, 2, 17))) == date(2029, 11, 18)


def test_a_cap_shortens_and_an_earlier_cap_than_now_is_refused() -> None:
    cap = end_of_day(date(2027, 3, 3))
    assert validity(CARD_V1, date(1980, 2, 17), at("2026-10-01"), renewal=False, not_later_than=cap).not_after == cap
    with pytest.raises(JpkiError) as refused:
        validity(CARD_V1, date(1980, 2, 17), at("2027-03-04"), renewal=False, not_later_than=cap)
    assert refused.value.code == "validity-empty"


@given(
    st.dates(date(1900, 1, 1), date(2026, 1, 1)),
    st.datetimes(datetime(2026, 1, 2), datetime(2035, 1, 1)),  # noqa: DTZ001 - given a zone below
)
def test_every_certificate_ends_on_a_birthday_within_its_bounds(born: date, moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    new = validity(CARD_V1, born, now, renewal=False)
    end = new.not_after.astimezone(JST)
    assert end.strftime("%H:%M:%S") == "23:59:59"
    assert (end.month, end.day) == (born.month, born.day) or (born.month, born.day, end.month, end.day) == (
        2,
        29,
        2,
        28,
    )
    assert timedelta(days=4 * 365) < new.not_after - now <= timedelta(days=5 * 365 + 3)


@given(st.dates(date(1900, 1, 1), date(2020, 1, 1)), st.integers(0, 95))
def test_no_renewal_is_longer_than_the_profile_says(born: date, days: int) -> None:
    old_end = validity(CARD_V1, born, at("2026-10-01"), renewal=False).not_after
    opens = renewal_opens(CARD_V1, old_end)
    now = datetime.combine(opens, datetime.min.time(), JST) + timedelta(days=days)
    if now > old_end:
        return
    renewed = validity(CARD_V1, born, now, renewal=True)
    assert renewed.not_after - now <= timedelta(days=CARD_V1.longest_days)
    assert renewed.not_after > old_end
