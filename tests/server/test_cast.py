"""The demo works on any day of any year: its renewal window is open and its CA still issues."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from ca.profile import CARD_V1
from ca.validity import renewal_opens, validity
from jpki.clock import day_in_japan, end_of_day, years_later
from server.demo.cast import MovableClock, taro


@given(st.datetimes(datetime(2026, 1, 1), datetime(2049, 1, 1)))  # noqa: DTZ001 - given a zone below
@example(datetime(2028, 1, 15, 12))  # noqa: DTZ001 - the birthday is 29 February
@example(datetime(2027, 1, 14, 20))  # noqa: DTZ001 - another day in Japan
def test_the_earlier_holder_can_always_renew_today(present: datetime) -> None:
    today = present.replace(tzinfo=UTC)
    ceremony = MovableClock(lambda: today)()
    old = validity(CARD_V1, taro(today).birth_date, ceremony, renewal=False)
    assert renewal_opens(CARD_V1, old.not_after) <= day_in_japan(today)
    assert today < old.not_after
    root_end = end_of_day(years_later(day_in_japan(ceremony), CARD_V1.root_years) - timedelta(days=1))
    assert today < root_end - timedelta(days=CARD_V1.longest_days + CARD_V1.margin_days)
    assert validity(CARD_V1, taro(today).birth_date, today, renewal=True).not_after <= root_end
