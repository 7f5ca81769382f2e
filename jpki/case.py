"""Cases (申請): what a holder came for, how far it is, and by whose hands; the paths are in enroll/case_paths.py."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType

from jpki.card import CardFacts
from jpki.certificate import Purpose
from jpki.clerk import ClerkId
from jpki.clock import day_in_japan, start_of_day
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.ids import HolderCode, Serial
from jpki.randomness import Randomness
from jpki.resident import Resident
from jpki.text import Text

CaseNumber = NewType("CaseNumber", str)
"""Day, seven random characters and a check character: `261127-7KQ4-M2XC`. It tells nothing of the holder."""

BY_HOLDER = ClerkId("holder")
"""Stands where a clerk would, in a case that the holder opened without one; no clerk bears this id."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRTUVWXY"
"""31 characters, a prime; I, L, O, S and Z are heard or read as others."""
_DRAWN = 7


class CaseKind(StrEnum):
    """What the holder came for."""

    NEW = "new"
    RENEWAL = "renewal"
    REISSUE = "re-issue"
    REVOCATION = "revocation"
    HOLD = "hold"
    RELEASE = "release"
    PIN_RESET = "pin-reset"

    @property
    def issues(self) -> bool:
        """Whether certificates come of it."""
        return self in (CaseKind.NEW, CaseKind.RENEWAL, CaseKind.REISSUE)

    @property
    def text(self) -> Text:
        """The kind in everyday words."""
        return _KINDS[self]


_KINDS = {
    CaseKind.NEW: Text("新規発行", "new certificates"),
    CaseKind.RENEWAL: Text("更新", "renewal"),
    CaseKind.REISSUE: Text("再発行", "re-issue"),
    CaseKind.REVOCATION: Text("失効", "revocation"),
    CaseKind.HOLD: Text("一時停止", "hold"),
    CaseKind.RELEASE: Text("一時停止の解除", "release"),
    CaseKind.PIN_RESET: Text("暗証番号の再設定", "PIN reset"),
}


class CaseState(StrEnum):
    """How far a case is."""

    RECEIVED = "received"
    IDENTITY_CHECKED = "identity-checked"
    APPROVED = "approved"
    ISSUED = "issued"
    DELIVERED = "delivered"
    DONE = "done"
    """The end of a case of which no certificate comes."""
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_closed(self) -> bool:
        """Whether nothing follows."""
        return self in _CLOSED


_CLOSED = {CaseState.DELIVERED, CaseState.DONE, CaseState.REFUSED, CaseState.CANCELLED, CaseState.EXPIRED}
OPEN_STATES = tuple(state for state in CaseState if not state.is_closed)


class Step(StrEnum):
    """What moves a case."""

    OPEN = "open"
    AMEND = "amend"
    """Other kinds of certificates than were asked for first; whoever was identified for those is identified anew."""
    PRESENT_CARD = "present-card"
    CHECK_IDENTITY = "check-identity"
    APPROVE = "approve"
    ISSUE = "issue"
    DELIVER = "deliver"
    COMPLETE = "complete"
    REFUSE = "refuse"
    CANCEL = "cancel"
    RETURN = "return"
    """Back to the beginning: the register's answer changed, or the one who approves wants it checked again."""
    TAKE_OVER = "take-over"
    EXPIRE = "expire"


class Applicant(StrEnum):
    """Who applies."""

    HOLDER = "holder"
    LEGAL_PROXY = "legal-proxy"
    """A parent of someone under 15, or a guardian."""
    VOLUNTARY_PROXY = "voluntary-proxy"
    THIRD_PARTY = "third-party"
    """Whoever reports that a key leaked; no proxy."""


class Document(StrEnum):
    """What was shown beside an identity document."""

    LEGAL_PROOF = "legal-proof"
    """The proof of parenthood or guardianship."""
    REPLY_LETTER = "reply-letter"
    """The enquiry that was mailed to the holder and came back sealed (照会書兼回答書)."""


class ExpressGround(StrEnum):
    """Why a card may be issued within a week (特急発行, since 2024-12-02)."""

    NEWBORN = "newborn"
    RETURNEE = "returnee"
    LOST_CARD = "lost-card"
    NEW_RESIDENT = "new-resident"


class Ground(StrEnum):
    """Why a case was refused: a closed list, for what is written freely may name a person (rule R21)."""

    IDENTITY_NOT_PROVEN = "identity-not-proven"
    NOT_ELIGIBLE = "not-eligible"
    DOCUMENTS_MISSING = "documents-missing"
    SUSPECTED_FRAUD = "suspected-fraud"


@dataclass(frozen=True, slots=True, kw_only=True)
class Express:
    """A wish for express issue, and the day of what gives the right to it."""

    ground: ExpressGround
    happened_on: date


EXPRESS_TAKES = timedelta(days=7)
"""Within a week of the application an express card is with its holder (特急発行, since 2024-12-02)."""


def overdue_if_opened_before(now: datetime) -> datetime:
    """Return the moment: an express case that was opened before it, and is still open now, is overdue."""
    return start_of_day(day_in_japan(now) - EXPRESS_TAKES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case as it stands; it holds no attribute of the holder. `version` grows with every step.

    `event` is why something is revoked, held or issued again. Who did what is None until it was done, and
    `BY_HOLDER` where no clerk did it.
    """

    number: CaseNumber
    kind: CaseKind
    state: CaseState
    version: int
    counter: CounterCode
    holder: HolderCode
    purposes: tuple[Purpose, ...]
    applicant: Applicant
    documents: frozenset[Document]
    event: Event | None
    express: Express | None
    card: CardFacts | None
    opened_at: datetime
    changed_at: datetime
    expires_at: datetime
    opened_by: ClerkId
    checked_by: ClerkId | None = None
    approved_by: ClerkId | None = None
    ground: Ground | None = None

    @property
    def due(self) -> date | None:
        """The last day, in Japan, on which what was asked for as express issue is in time."""
        return None if self.express is None else day_in_japan(self.opened_at) + EXPRESS_TAKES


@dataclass(frozen=True, slots=True)
class CasePlace:
    """A place in a counter's list of open cases: what is overdue comes first, each part by number."""

    is_overdue: bool
    number: CaseNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a case, decided and not yet written: `before` must still be how it stands.

    `resident` is the register's answer that a check of identity takes up, sealed. `fingerprints` are the SHA-256 of
    the certificates that were issued.
    """

    before: Case
    after: Case
    step: Step
    resident: Resident | None = None
    fingerprints: Mapping[Serial, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseMark:
    """A case as it stood when a certificate was ordered in it: the order counts while the case stands so."""

    number: CaseNumber
    version: int


@dataclass(frozen=True, slots=True)
class CaseCertificate:
    """A certificate of a case, and the case's version when it was ordered."""

    serial: Serial
    purpose: Purpose
    version: int


def new_case_number(now: datetime, randomness: Randomness) -> CaseNumber:
    """Draw a number: the day in Japan, then random characters and the check."""
    size = len(_ALPHABET)
    # An octet from 248 on is thrown away, so that no character is likelier than another.
    fair, drawn = 256 - 256 % size, ""
    while len(drawn) < _DRAWN:
        drawn += "".join(_ALPHABET[octet % size] for octet in randomness(_DRAWN) if octet < fair)
    body = f"{day_in_japan(now):%y%m%d}{drawn[:_DRAWN]}"
    return CaseNumber(_written(body + _check(body)))


def parse_case_number(text: str) -> CaseNumber:
    """Read a case number as people write and say it: any case, width, spaces and hyphens.

    Raises:
        JpkiError: MALFORMED `case-number-malformed`: no number, or one with a wrong character.
    """
    plain = re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", text)).upper()
    if re.fullmatch(rf"[0-9]{{6}}[{_ALPHABET}]{{8}}", plain) and _check(plain[:-1]) == plain[-1]:
        return CaseNumber(_written(plain))
    raise JpkiError(
        Kind.MALFORMED,
        "case-number-malformed",
        Text("申請番号の書き方が違うか、書き間違いがあります。", "This is no case number, or has a wrong character."),
        Text("例：261127-7KQ4-M2XC。控えの番号を確認してください。", "For example 261127-7KQ4-M2XC; see the receipt."),
    )


def _written(plain: str) -> str:
    return f"{plain[:6]}-{plain[6:10]}-{plain[10:]}"


def _check(body: str) -> str:
    """Return the character that catches every wrong character and every swap of neighbours (weights, modulus 31)."""
    size = len(_ALPHABET)
    total = sum(place * _ALPHABET.index(character) for place, character in enumerate(body, start=1))
    return _ALPHABET[total % size]
