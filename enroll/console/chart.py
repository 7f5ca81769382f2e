"""A bar chart of a forecast, as numbers that a template draws: one bar for each week, in two parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from enroll.overseen import WeekTold

WIDTH, HEIGHT = 320, 150
"""Units of the drawing; a letter is about 6 wide."""
_TOP, _BOTTOM, _RIGHT = 10, 128, 318
_LETTER = 6.2
_WEEK = timedelta(days=7)
_MOST_LABELS = 5


@dataclass(frozen=True, slots=True)
class Bar:
    """A week: its left edge, and from where to where down each part reaches; `label` where there is room for one."""

    left: float
    authentication: tuple[float, float]
    signing: tuple[float, float]
    label: str | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the chart, and the count that it stands for."""

    height: float
    count: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole drawing; bars begin right of `left`."""

    left: float
    bottom: float
    right: float
    bar_width: float
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    most: WeekTold

    @classmethod
    def of(cls, weeks: Sequence[WeekTold]) -> "Chart":
        """Draw these weeks, of which there is at least one, and those between them in which nothing ends."""
        told = {each.week: each for each in weeks}
        first, last = min(told), max(told)
        count = (last - first) // _WEEK + 1
        top = _round_up(max(map(total, weeks)))
        left = 8 + _LETTER * len(f"{top:,}")
        step = (_RIGHT - left) / count
        every = -(-count // _MOST_LABELS)
        bars = [
            _bar(told, first + _WEEK * number, left + step * number, top, labelled=number % every == 0)
            for number in range(count)
        ]
        ticks = [Tick(_height(each, top), each) for each in sorted({0, top // 2, top})]
        most = max(weeks, key=total)
        return cls(left, _BOTTOM, _RIGHT, step * 0.8, bars, ticks, most)


def total(week: WeekTold) -> int:
    """Return how many certificates end in a week."""
    return week.authentication + week.signing


def _bar(told: Mapping[date, WeekTold], week: date, left: float, top: int, *, labelled: bool) -> Bar:
    found = told.get(week) or WeekTold(week=week, authentication=0, signing=0)
    between = _height(found.authentication, top)
    label = f"{week.month}/{week.day}" if labelled else None
    return Bar(left, (between, _BOTTOM), (_height(total(found), top), between), label)


def _height(count: int, top: int) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * count / top, 2)


def _round_up(count: int) -> int:
    """Return the next even number of the kind 2, 4, 10, 20, 40, 100 and so on."""
    power = 1
    while True:
        for digit in (2, 4, 10):
            if digit * power >= count:
                return digit * power
        power *= 10
