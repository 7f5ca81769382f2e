"""Is it the signature of the holder who is expected? The certificate's four attributes against the registry's.

A character that stands for another one, in the certificate or in what the registry tells, cannot be compared, and
agrees with any: the flags tell where (docs/profile.md). No attribute leaves this module (rule R21).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from cryptography import x509

from jpki import oids
from jpki.holder import Gender
from signing.report import Check, Outcome, Step
from signing.signer import other_names
from signing.validation import ExpectedHolder
from signing.verdict import Cause

_STANDS_FOR_ANOTHER = "1"
_GENDERS = {"1": Gender.MALE, "2": Gender.FEMALE, "3": Gender.UNSPECIFIED, "9": Gender.UNSPECIFIED}
"""Sources differ about the third one's code; both are read (docs/profile.md)."""
_DATE_DIGITS = 8
"""An era's digit stands before them."""


def check_holder(certificate: x509.Certificate, expected: ExpectedHolder | None) -> Check:
    """Check that the certificate is of the holder who is expected, if one is."""
    if expected is None:
        return Check.not_applicable(
            Step.HOLDER, "照合する利用者が指定されていません。", "No holder was given to compare with."
        )
    found = dict(other_names(certificate))
    if not found.keys() & _ATTRIBUTES:
        untold = Check.stopped(Step.HOLDER, Cause.HOLDER_UNTOLD)
        return replace(untold, outcome=Outcome.NOT_APPLICABLE)
    differing = [name for name, agrees in _compared(found, expected) if not agrees]
    if differing:
        return Check.stopped(Step.HOLDER, Cause.OTHER_HOLDER, differs=" ".join(differing))
    return Check.passed(
        Step.HOLDER,
        "氏名、住所、生年月日、性別が、指定された利用者と一致します。",
        "Name, address, date of birth and gender are those of the holder who was given.",
    )


_ATTRIBUTES = {oids.NAME, oids.ADDRESS, oids.BIRTH_DATE, oids.GENDER}


def _compared(found: Mapping[str, str], expected: ExpectedHolder) -> Iterator[tuple[str, bool]]:
    """Yield each attribute's name, and whether it agrees."""
    yield (
        "name",
        _agrees((found.get(oids.NAME), found.get(oids.NAME_SUBSTITUTES)), (expected.name, expected.name_substitutes)),
    )
    yield (
        "address",
        _agrees(
            (found.get(oids.ADDRESS), found.get(oids.ADDRESS_SUBSTITUTES)),
            (expected.address, expected.address_substitutes),
        ),
    )
    yield "birth_date", _day(found.get(oids.BIRTH_DATE, "")) == expected.birth_date
    yield "gender", _GENDERS.get(found.get(oids.GENDER, "")) is expected.gender


def _agrees(found: tuple[str | None, str | None], expected: tuple[str, str]) -> bool:
    """Compare a text and its flags, code point by code point."""
    (text, flags), (expected_text, expected_flags) = found, expected
    if text is None or len(text) != len(expected_text):
        return False
    if flags is None or len(flags) != len(text):
        flags = "0" * len(text)
    return all(
        one == other or _STANDS_FOR_ANOTHER in marks
        for one, other, *marks in zip(text, expected_text, flags, expected_flags, strict=True)
    )


def _day(written: str) -> date | None:
    try:
        return date.fromisoformat(written[-_DATE_DIGITS:])
    except ValueError:
        return None
