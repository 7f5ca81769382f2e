"""Named validation policies: what is asked of a document beyond a good signature (docs/adr/0024).

Reviewed data, as the table of verdicts is. None makes a verdict milder: what would be accepted may be undecided.
"""

from dataclasses import dataclass
from enum import StrEnum

from jpki.text import Text
from signing.intake import Format


class Basis(StrEnum):
    """What the time that counts rests on."""

    TIME_STAMP = "timestamp"
    DOCUMENT_TIME_STAMP = "document-timestamp"
    GIVEN = "given"
    NOW = "now"


_PROVEN = frozenset({Basis.TIME_STAMP, Basis.DOCUMENT_TIME_STAMP})
_EVERY_FORMAT = frozenset({Format.PDF, Format.XML, Format.CMS})


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPolicy:
    """Which formats are taken, as their content tells them, and on what the time that counts may rest."""

    name: str
    words: Text
    formats: frozenset[Format] = _EVERY_FORMAT
    times: frozenset[Basis] = frozenset(Basis)


GENERAL = ValidationPolicy(name="general", words=Text("一般", "general"))
E_TAX = ValidationPolicy(
    name="e-tax",
    words=Text("e-Taxの受付", "receipt by e-Tax"),
    formats=frozenset({Format.PDF, Format.XML}),
)
E_TAX_STRICT = ValidationPolicy(
    name="e-tax-strict",
    words=Text(
        "e-Taxの審査（受付時刻又はタイムスタンプが必要）", "review by e-Tax: needs the time of receipt, or a time-stamp"
    ),
    formats=E_TAX.formats,
    times=_PROVEN | {Basis.GIVEN},
)
ARCHIVE = ValidationPolicy(
    name="archive",
    words=Text("長期保存（タイムスタンプが必要）", "long-term archive: needs a time-stamp"),
    times=_PROVEN,
)
POLICIES = {each.name: each for each in (GENERAL, E_TAX, E_TAX_STRICT, ARCHIVE)}
