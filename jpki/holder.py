"""A holder as the resident registry describes one. Nothing here prints itself (rule R21)."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from jpki.ids import HolderCode


class Gender(StrEnum):
    """The register's entry."""

    MALE = "male"
    FEMALE = "female"
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Municipality:
    """A municipality by its six-digit code (JIS X 0402 with check digit), with its names."""

    code: str
    prefecture: str
    name: str
    prefecture_romaji: str
    name_romaji: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Holder:
    """The four attributes (氏名・住所・生年月日・性別), the substitute flags, and the registering municipality.

    A substitute flag is `1` where the character at the same code point stands for one outside the allowed
    repertoire, else `0`.
    """

    code: HolderCode
    name: str
    name_substitutes: str
    birth_date: date
    gender: Gender
    address: str
    address_substitutes: str
    municipality: Municipality

    def __repr__(self) -> str:
        return f"Holder({self.code!r}, attributes withheld)"
