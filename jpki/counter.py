"""Counters (窓口): where holders are served, each of a kind that says what it may do (enroll/counters.py)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

CounterCode = NewType("CounterCode", str)
"""A municipality's six-digit code, or the code that a counter was added under; never reused."""

LONGEST_COUNTER_CODE, LONGEST_COUNTER_NAME = 16, 64


class CounterKind(StrEnum):
    """Whose counter it is."""

    MUNICIPALITY = "municipality"
    POST_OFFICE = "post-office"
    """Delegated by a municipality (郵便局事務取扱法)."""
    CONSULATE = "consulate"
    ONLINE = "online"
    """The holder's own page, at which no clerk stands; there is one, and none can be added."""


class CounterState(StrEnum):
    """Whether it takes cases."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A counter; `municipality` delegated it, and is None for a consulate and for the holder's own page."""

    code: CounterCode
    kind: CounterKind
    name: str
    municipality: str | None
    state: CounterState = CounterState.OPEN
