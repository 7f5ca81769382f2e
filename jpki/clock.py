"""Time: always aware, always passed in. `system_clock` is the only place that asks the machine."""

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
"""Returns the present moment as an aware datetime in UTC."""

JST = ZoneInfo("Asia/Tokyo")
_DATE_ALONE = re.compile(r"\d{4}-\d{2}-\d{2}")


def system_clock() -> datetime:
    """Return the machine's present moment in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the one place


def whole_second(moment: datetime) -> datetime:
    """Cut `moment` to the second: X.509, CRL and OCSP times have no fractions (RFC 5280 4.1.2.5.2)."""
    return moment.replace(microsecond=0)


def start_of_day(day: date) -> datetime:
    """Return the first second of `day` in Japan, in UTC."""
    return datetime.combine(day, time(), JST).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """Return the last second of `day` in Japan, 23:59:59 JST, in UTC: the hour at which JPKI certificates end."""
    return datetime.combine(day, time(23, 59, 59), JST).astimezone(UTC)


def day_in_japan(moment: datetime) -> date:
    """Return the calendar day of `moment` in Japan."""
    return moment.astimezone(JST).date()


def years_later(day: date, years: int) -> date:
    """Return the same day `years` later; 29 February falls on 28 February in a common year (docs/profile.md)."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def months_earlier(day: date, months: int) -> date:
    """Return the day `months` earlier, or the last day of that month where it has no such day (民法 143)."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def read_moment(text: str, of_day: Callable[[date], datetime] = end_of_day) -> datetime:
    """Return a moment that is written as in ISO 8601, in UTC.

    Without a zone it is Japan's time, and a date alone is what `of_day` makes of it.

    Raises:
        ValueError, OverflowError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if _DATE_ALONE.fullmatch(text):
        return of_day(moment.date())
    return (moment if moment.tzinfo else moment.replace(tzinfo=JST)).astimezone(UTC)


def in_japan(moment: datetime) -> str:
    """Return `moment` as a clock on a wall in Japan shows it, for people there: 2026-11-28 09:05."""
    return f"{moment.astimezone(JST):%Y-%m-%d %H:%M}"


def iso(moment: datetime) -> str:
    """Return `moment` as RFC 3339 in UTC with whole seconds: 2026-11-23T01:02:03Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
