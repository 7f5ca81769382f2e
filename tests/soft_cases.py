"""The outside cases that are a matter of policy, as docs/soft-cases.md lists them with our answers."""

import csv
import re
from functools import cache
from pathlib import Path

_LIST = Path(__file__).parents[1] / "docs" / "soft-cases.md"
_ROW = re.compile(r"\| `([^`]+)` \| `([^`]+)` \| ([^|]+) \| ([^|]+) \|")


@cache
def our_answers() -> dict[tuple[str, str], tuple[str, str]]:
    """Return what the suite expects and what we answer, for each suite and case of the list."""
    rows = [_ROW.match(line) for line in _LIST.read_text("utf-8").splitlines()]
    return {(row[1], row[2]): (row[3], row[4]) for row in rows if row is not None}


def soft_cases(folder: Path, *suites: str) -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of the outside index on whose outcome tools may differ; of all suites, if none are named."""
    with (folder / "expected.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["hard"] == "no"]
    return {(row["suite"], row["case"]): row for row in rows if not suites or row["suite"] in suites}
