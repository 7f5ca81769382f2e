"""What the workers count, in memory that they share: each adds to a row of its own, and whoever is asked sums them."""

import mmap
import sys
from bisect import bisect_left
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from typing import cast

from ocsp.responder import Outcome

BOUNDS = (0.00001, 0.000025, 0.0001, 0.0005, 0.0025, 0.01, 0.05, 0.25, 1.0, 5.0)
"""The upper bounds, in seconds, of a histogram's buckets; one more has no bound."""
MOST_ROWS = 256
"""Four times the workers that a server may have: while it is reloaded there are old ones beside the new."""

ONE_IN = 100
"""Of the answers that are no failures, one in so many is told of in the log."""
HEALTH, OTHER = "health", "other"
"""What counts as doors, too: /livez, /readyz and /metrics, and all that belongs to no door."""

_STATUSES = (200, 300, 304, 400, 401, 403, 404, 405, 413, 422, 429, 431, 500, 503)
"""Those that we give; another counts as the x00 of its class (RFC 9110 15)."""
_NUMBER_OCTETS = 8
_TAKEN, _POSITION, _HEARD_AT, _CONNECTIONS, _FIRST = range(5)
_CELLS_OF_A_KIND = 1 + len(BOUNDS) + 1
"""The seconds that all of them took, then how many were in each bucket."""

Row = MutableSequence[float]
Kind = tuple[str, int, Outcome | None]
"""A door, an HTTP status, and what became of an OCSP question: answers of one kind are counted together."""


@dataclass(frozen=True, slots=True)
class Total:
    """All answers of one kind: the seconds that they took, and how many took at most each of `BOUNDS`, and any time."""

    seconds: float
    at_most: Sequence[int]

    @property
    def count(self) -> int:
        """How many they are."""
        return self.at_most[-1]


class Board:
    """The rows of all workers of these doors. Make it before the workers are forked: they share it.

    A row outlives its worker, and the next one goes on with it: no count ever goes back.
    """

    def __init__(self, doors: Sequence[str], rows: int = MOST_ROWS) -> None:
        # Plain and interned, so that `kinds` finds them without comparing letters.
        self.doors = tuple(sys.intern(str(door)) for door in (*doors, HEALTH, OTHER))
        kinds = [kind for door in self.doors for kind in _kinds(door)]
        self.kinds = {kind: _FIRST + _CELLS_OF_A_KIND * number for number, kind in enumerate(kinds)}
        """Where in a row each kind has its cells."""
        cells = _FIRST + _CELLS_OF_A_KIND * len(kinds)
        whole = cast("Row", memoryview(mmap.mmap(-1, rows * cells * _NUMBER_OCTETS)).cast("d"))
        self._rows = [whole[cells * number : cells * (number + 1)] for number in range(rows)]

    def row(self, number: int) -> Row:
        """Return the cells of one row."""
        return self._rows[number]

    def totals(self) -> Iterator[tuple[Kind, Total]]:
        """Return what all workers that there ever were have counted."""
        sums = [sum(cells) for cells in zip(*self._taken(), strict=True)]
        for kind, begin in self.kinds.items():
            seconds, *counts = sums[begin : begin + _CELLS_OF_A_KIND]
            yield kind, Total(seconds, list(accumulate(map(int, counts))))

    def connections(self) -> int:
        """Return how many connections are open, as far as their workers tell."""
        return int(sum(row[_CONNECTIONS] for row in self._taken()))

    def heard(self) -> tuple[int, float] | None:
        """Return the journal's position that every worker has heard of, and since when, by the monotonic clock.

        None where nobody listens.
        """
        listening = [row for row in self._taken() if row[_HEARD_AT]]
        if not listening:
            return None
        return int(min(row[_POSITION] for row in listening)), min(row[_HEARD_AT] for row in listening)

    def _taken(self) -> Iterator[Row]:
        return (row for row in self._rows if row[_TAKEN])

    def close(self, number: int) -> None:
        """Take back what is true of a living worker only."""
        row = self._rows[number]
        row[_POSITION] = row[_HEARD_AT] = row[_CONNECTIONS] = 0.0


def _kinds(door: str) -> Iterator[Kind]:
    for status in _STATUSES:
        yield door, status, None
    if door == "ocsp":
        for status, outcome in product((200, 304), Outcome):
            yield door, status, outcome


class Tally:
    """One worker's row. One thread at a time counts; another one may listen to the journal."""

    def __init__(self, board: Board, number: int = 0) -> None:
        self.board = board
        self._kinds = board.kinds
        self._row = board.row(number)
        self._row[_TAKEN] = 1.0
        self._untold = 0

    def count(self, door: str, status: int, outcome: Outcome | None, seconds: float) -> bool:
        """Count an answer, and tell whether it is one to tell of: each failure is, and one in `ONE_IN` of all others.

        Each request comes through here, so it is one call, and few lines.
        """
        begin = self._kinds.get((door, status, outcome))
        if begin is None:
            begin = self._kinds[door, status // 100 * 100, None]
        row = self._row
        row[begin] += seconds
        row[begin + 1 + bisect_left(BOUNDS, seconds)] += 1.0
        if status >= 500:
            return True
        self._untold += 1
        if self._untold < ONE_IN:
            return False
        self._untold = 0
        return True

    def heard(self, position: int, at: float) -> None:
        """Write down up to which position the journal was heard of, and when, by the monotonic clock."""
        self._row[_POSITION] = position
        self._row[_HEARD_AT] = at

    def connections(self, count: int) -> None:
        """Write down how many connections are open."""
        self._row[_CONNECTIONS] = count
