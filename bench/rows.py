"""The form of every benchmark's result: a figure that counts only beside what it was measured against, in one run."""

import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
"""One line of bench/out/<ROW>.json."""


def ratio(name: str, target: float, ours: Sequence[float], against: Mapping[str, Sequence[float]]) -> Row:
    """Return the row of a rate (higher is better): ours of the first of `against`, round by round, and the median.

    The sides are measured in turns within each round; all of them are kept as `raw`.
    """
    other = next(iter(against.values()))
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    return _row(name, target, "higher", ratios, {"ours": ours, **against})


def lower(name: str, target: float, ours: Sequence[float], against: Mapping[str, Sequence[float]]) -> Row:
    """Return the row of a time (lower is better); else as `ratio`."""
    other = next(iter(against.values()))
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    return _row(name, target, "lower", ratios, {"ours": ours, **against})


def absolute(
    name: str, target: float, rounds: Sequence[float], beside: Mapping[str, Sequence[float]] | None = None
) -> Row:
    """Return the row of an absolute figure (lower is better); what was measured beside it is kept as `raw`."""
    return _row(name, target, "lower", rounds, beside or {})


def _row(name: str, target: float, better: str, rounds: Sequence[float], raw: Mapping[str, Sequence[float]]) -> Row:
    return {
        "row": name,
        "ratio": round(statistics.median(rounds), 3),
        "target": target,
        "better": better,
        "rounds": [round(each, 3) for each in rounds],
        "load": round(os.getloadavg()[0], 2),
        "raw": {side: [round(each, 3) for each in values] for side, values in raw.items()},
    }
