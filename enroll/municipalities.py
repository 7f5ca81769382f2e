"""The municipalities of Japan: code, names, romaji (JIS X 0402 with check digit)."""

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from jpki.holder import Municipality


@cache
def municipalities() -> Mapping[str, Municipality]:
    """Return all municipalities by their six-digit code, in order of code."""
    text = files("enroll").joinpath("municipalities.csv").read_text("utf-8")
    return {
        row["code"]: Municipality(
            code=row["code"],
            prefecture=row["prefecture"],
            name=row["municipality"],
            prefecture_romaji=row["prefecture_romaji"],
            name_romaji=row["municipality_romaji"],
        )
        for row in csv.DictReader(text.splitlines())
    }


def check_digit(code: str) -> str:
    """Return the sixth digit that belongs to the first five: weights 6 to 2, modulus 11."""
    total = sum(int(digit) * weight for digit, weight in zip(code[:5], range(6, 1, -1), strict=True))
    return str((11 - total % 11) % 10)
