"""The municipalities of Japan: code, names, romaji (JIS X 0402 with check digit).

Every municipality stays in the table for ever, for certificates and lists of its time name it; `merged_into` tells
which one took over from one that is no more (docs/adr/0034).
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jpki.holder import Municipality


@dataclass(frozen=True, slots=True)
class Table:
    """All municipalities by code, in order of code; and by the code of each merged one, that of which took over."""

    known: Mapping[str, Municipality]
    merged_into: Mapping[str, str]

    def successor(self, code: str) -> Municipality | None:
        """See `successor`.

        Raises:
            ValueError: when the mergers lead to nowhere, or in a circle.
        """
        passed = {code}
        while code in self.merged_into:
            code = self.merged_into[code]
            if code in passed or code not in self.known:
                raise ValueError(f"the merger into {code} has no end")
            passed.add(code)
        return self.known[code] if len(passed) > 1 else None


def read_table(lines: Iterable[str]) -> Table:
    """Read a table of municipalities, and require that each merger leads to a municipality that stands.

    Raises:
        ValueError: when one does not.
    """
    rows = list(csv.DictReader(lines))
    table = Table(
        {
            row["code"]: Municipality(
                code=row["code"],
                prefecture=row["prefecture"],
                name=row["municipality"],
                prefecture_romaji=row["prefecture_romaji"],
                name_romaji=row["municipality_romaji"],
            )
            for row in rows
        },
        {row["code"]: row["merged_into"] for row in rows if row["merged_into"]},
    )
    for code in table.merged_into:
        table.successor(code)
    return table


@cache
def _shipped() -> Table:
    return read_table(files("enroll").joinpath("municipalities.csv").read_text("utf-8").splitlines())


def municipalities() -> Mapping[str, Municipality]:
    """Return all municipalities by their six-digit code, in order of code, with those that were merged."""
    return _shipped().known


def successor(code: str) -> Municipality | None:
    """Return the municipality that stands in the place of one that was merged; None where nothing was merged."""
    return _shipped().successor(code)


def check_digit(code: str) -> str:
    """Return the sixth digit that belongs to the first five: weights 6 to 2, modulus 11."""
    total = sum(int(digit) * weight for digit, weight in zip(code[:5], range(6, 1, -1), strict=True))
    return str((11 - total % 11) % 10)
