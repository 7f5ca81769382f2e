"""A corpus of our own: every format, attacked in every way, in every case of time and revocation, under one clock.

What a document is to be decided follows from its attack and its case alone: the format changes nothing. Refuse beats
undecided, and undecided beats accept (docs/adr/0006).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from lxml import etree

from jpki.ports import RevocationSource
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.verdict import Cause, Decision
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import (
    NOW,
    Outage,
    Town,
    good,
    make_authentication_certificate,
    make_certificate,
    make_root,
    revoked,
    unknown,
)

FORMATS = (Format.PDF, Format.PADES, Format.XML, Format.CMS)
DAY = timedelta(days=1)
_PLAIN = {
    Format.PDF: tax_return_pdf(["Income 3000000"]),
    Format.PADES: tax_return_pdf(["Income 3000000"]),
    Format.XML: tax_return_xtx("見本　花子", 2025),
    Format.CMS: b"Income 3000000",
}


# --- attacks: what is done to a signed document, and what must come of it --------------------------------------------


@dataclass(frozen=True, slots=True)
class Attack:
    """How a document is made, and what it is at best; `unreadable` may stand for a refusal where nothing is left."""

    make: Callable[[Town, Format], bytes]
    at_best: Decision
    causes: frozenset[Cause] = frozenset()


def _signed(town: Town, form: Format) -> bytes:
    return sign(_PLAIN[form], town.holder, form, NOW)


def _content(town: Town, form: Format) -> bytes:
    """Another sum, of the same length."""
    signed = _signed(town, form)
    if form is Format.XML:
        return signed.replace("花子".encode(), "華子".encode(), 1)
    return signed.replace(b"3000000", b"9000000", 1)


def _value(town: Town, form: Format) -> bytes:
    """One octet of the signature value is another."""
    signed = _signed(town, form)
    if form is Format.CMS:
        return signed[:-1] + bytes((signed[-1] ^ 1,))
    if form is Format.XML:
        root = etree.fromstring(signed)
        (value,) = root.iter("{*}SignatureValue")
        assert value.text is not None
        value.text = re.sub(r"[A-Za-z]", lambda found: "B" if found[0] == "A" else "A", value.text, count=1)
        return etree.tostring(root)
    # The value is the CMS message's end, before the zeros that fill its place.
    contents = max(re.finditer(rb"<([0-9A-Fa-f]{1000,})>", signed), key=lambda each: len(each[1]))
    digits = bytearray(contents[1])
    at = len(digits.rstrip(b"0")) - 8
    digits[at] = ord("1") if digits[at] != ord("1") else ord("2")
    return signed[: contents.start(1)] + bytes(digits) + signed[contents.end(1) :]


def _misused(town: Town, form: Format) -> bytes:
    """Signed with an authentication certificate."""
    credential = town.credential(make_authentication_certificate(town.holder.key, town.root))
    return sign(_PLAIN[form], credential, form, NOW, force=True)


def _stranger(town: Town, form: Format) -> bytes:
    """Signed under a CA of the same name that nobody trusts."""
    impostor = make_root(town.holder.key)
    credential = town.credential(make_certificate(town.holder.key, impostor))
    return sign(_PLAIN[form], credential, form, NOW)


def _more(town: Town, form: Format) -> bytes:
    """Something that nobody signed follows."""
    signed = _signed(town, form)
    if form is Format.XML:
        return signed.replace(b"</DATA>", b"<unsigned/></DATA>")
    return signed + b"\nnobody signed this"


ATTACKS: Mapping[str, Attack] = {
    "none": Attack(_signed, Decision.ACCEPT),
    "content": Attack(_content, Decision.REFUSE, frozenset({Cause.ALTERED})),
    "value": Attack(_value, Decision.REFUSE, frozenset({Cause.SIGNATURE_WRONG})),
    "misused": Attack(_misused, Decision.REFUSE, frozenset({Cause.WRONG_KIND, Cause.WRONG_POLICY})),
    "stranger": Attack(_stranger, Decision.UNDECIDED, frozenset({Cause.NO_TRUSTED_CHAIN})),
    "more": Attack(_more, Decision.REFUSE),
}


# --- cases: what is known of revocation, and at which time --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moment:
    """Who tells of revocation, and the time that is given, None for now; and what a good document is then."""

    sources: tuple[RevocationSource, ...]
    at: datetime | None
    decision: Decision


MOMENTS: Mapping[str, Moment] = {
    "good now": Moment((good(),), None, Decision.ACCEPT),
    "revoked before": Moment((revoked(NOW - DAY),), None, Decision.REFUSE),
    "revoked before the given time": Moment((revoked(NOW - DAY),), NOW, Decision.REFUSE),
    "revoked after the given time": Moment((revoked(NOW - DAY),), NOW - 2 * DAY, Decision.ACCEPT),
    "nobody tells": Moment((), None, Decision.UNDECIDED),
    "out of reach": Moment((Outage(),), None, Decision.UNDECIDED),
    "out of reach, then good": Moment((Outage(), good()), None, Decision.ACCEPT),
    "never issued": Moment((unknown(),), None, Decision.UNDECIDED),
    "expired": Moment((good(NOW + 900 * DAY),), NOW + 900 * DAY, Decision.UNDECIDED),
    "not yet valid": Moment((good(NOW - 300 * DAY),), NOW - 300 * DAY, Decision.UNDECIDED),
}
_GRAVITY = (Decision.ACCEPT, Decision.UNDECIDED, Decision.REFUSE)


def expected(attack: Attack, moment: Moment) -> Decision:
    """Return the graver of the two; of a stranger's certificate nobody's word on revocation counts."""
    if Cause.NO_TRUSTED_CHAIN in attack.causes:
        return Decision.UNDECIDED
    return max(attack.at_best, moment.decision, key=_GRAVITY.index)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("attack", "moment"), list(product(ATTACKS, MOMENTS)))
def test_a_document_is_decided_by_what_was_done_to_it_and_by_its_time(
    town: Town, judge: Judge, form: Format, attack: str, moment: str
) -> None:
    made, case = ATTACKS[attack], MOMENTS[moment]
    validation = replace(town.validation(at=case.at), revocation=case.sources)
    verdict = judge(made.make(town, form), validation)
    decision = expected(made, case)
    if attack == "more" and verdict.decision is Decision.UNREADABLE:
        return  # With what follows it is no document of its format any more.
    assert verdict.decision is decision, verdict.sentence.en
    found = {cause for each in causes(verdict) for cause in each}
    assert found >= made.causes
    if attack == "none":
        assert (found == set()) is (decision is Decision.ACCEPT)
