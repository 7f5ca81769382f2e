"""What a register tells of its residents: that something changed, never what it is now (docs/adr/0026)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from jpki.event import Event
from jpki.ids import HolderCode, Serial
from jpki.text import Text

SourceName = NewType("SourceName", str)
"""The register that tells, such as a municipality's code; it numbers its events."""
LONGEST_SOURCE = 32
EventNumber = NewType("EventNumber", int)
"""Events are numbered from 1 in the order in which they were received, whoever told them."""


class Kind(StrEnum):
    """What a register says happened."""

    MOVED = "moved"
    RENAMED = "renamed"
    CORRECTED = "corrected"
    """The entry was put right. Whether it changes what a certificate says only the register knows: it is asked."""
    MOVED_ABROAD = "moved-abroad"
    """Left the country and stays in the register of domiciles (附票), so that the card is kept."""
    DIED = "died"
    DELETED = "deleted"
    DEPARTED = "departed"
    """Left the country, and both registers."""
    RESIDENCY_LOST = "residency-lost"
    CARD_RETURNED = "card-returned"
    CARD_EXPIRED = "card-expired"
    NUMBER_CHANGED = "number-changed"

    @property
    def event(self) -> Event:
        """What it is to the table that says what ends which certificate (enroll/effects.py)."""
        return _EVENTS[self]


_EVENTS = {
    Kind.MOVED: Event.RECORD_CHANGED,
    Kind.RENAMED: Event.RECORD_CHANGED,
    Kind.CORRECTED: Event.RECORD_CHANGED,
    Kind.MOVED_ABROAD: Event.RECORD_CHANGED,
    Kind.DIED: Event.DIED,
    Kind.DELETED: Event.DELETED,
    Kind.DEPARTED: Event.LEFT_COUNTRY,
    Kind.RESIDENCY_LOST: Event.RESIDENCY_LOST,
    Kind.CARD_RETURNED: Event.CARD_RETURNED,
    Kind.CARD_EXPIRED: Event.CARD_EXPIRED,
    Kind.NUMBER_CHANGED: Event.NUMBER_CHANGED,
}
CARD_KINDS = frozenset({Kind.CARD_RETURNED, Kind.CARD_EXPIRED, Kind.NUMBER_CHANGED})
"""These end a card: a later card's certificates are none of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentEvent:
    """One event as its source told it; `effective_at` is when it came true, by the register."""

    source: SourceName
    sequence: int
    kind: Kind
    holder: HolderCode
    effective_at: datetime


class EventState(StrEnum):
    """Where an event stands."""

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    REFUSED = "refused"
    """On the work list: a clerk decides."""
    IGNORED = "ignored"
    """Taken off the work list without an effect."""


class Settlement(StrEnum):
    """Why an event left the work list: a closed list, for what is written freely may name a person (rule R21)."""

    REVOKED_BY_HAND = "revoked-by-hand"
    DONE_IN_A_CASE = "done-in-a-case"
    NOTHING_TO_END = "nothing-to-end"
    TOLD_ANEW = "told-anew"
    TOLD_IN_ERROR = "told-in-error"
    NO_SUCH_HOLDER = "no-such-holder"

    @property
    def text(self) -> Text:
        """The reason in everyday words."""
        return _SETTLEMENTS[self]


_SETTLEMENTS = {
    Settlement.REVOKED_BY_HAND: Text("職員が失効させました", "the certificates were revoked by hand"),
    Settlement.DONE_IN_A_CASE: Text("窓口の申請で処理しました", "a case at a counter has done it"),
    Settlement.NOTHING_TO_END: Text("失効させる証明書はありません", "there is no certificate to end"),
    Settlement.TOLD_ANEW: Text("正しい内容が改めて届きました", "its source has told it anew, and right"),
    Settlement.TOLD_IN_ERROR: Text("通知元の誤りです", "its source told it in error"),
    Settlement.NO_SUCH_HOLDER: Text("該当する利用者はいません", "no holder is meant"),
}


class Doubt(StrEnum):
    """Why an event is on the work list."""

    SEQUENCE_REUSED = "sequence-reused"
    HOLDER_UNKNOWN = "holder-unknown"
    DEAD_BEFORE = "dead-before"
    ISSUED_SINCE = "issued-since"
    REGISTER_DISAGREES = "register-disagrees"
    REGISTER_UNREADABLE = "register-unreadable"
    NOT_COMPARED = "not-compared"

    @property
    def text(self) -> Text:
        """The doubt in everyday words."""
        return _DOUBTS[self]


_DOUBTS = {
    Doubt.SEQUENCE_REUSED: Text(
        "同じ通番で別の内容が届きました", "its source told something else under the same sequence number"
    ),
    Doubt.HOLDER_UNKNOWN: Text("この符号の利用者はいません", "no holder has this code"),
    Doubt.DEAD_BEFORE: Text("死亡の後の異動です", "the holder died before it"),
    Doubt.ISSUED_SINCE: Text(
        "異動の後に発行された証明書があり、照会先の台帳がありません",
        "a certificate was issued since, and there is no register to ask",
    ),
    Doubt.REGISTER_DISAGREES: Text("住民基本台帳の記載と食い違います", "the register says something else"),
    Doubt.REGISTER_UNREADABLE: Text("住民基本台帳の回答を読めません", "what the register answers cannot be read"),
    Doubt.NOT_COMPARED: Text(
        "記載の訂正を証明書と比べられません（照会先の台帳がありません）",
        "the correction cannot be compared with the certificate, for there is no register to ask",
    ),
}


@dataclass(frozen=True, slots=True)
class TakenEvent:
    """An event in a worker's hands; `planned` are the certificates that a worker before it was about to end."""

    number: EventNumber
    event: ResidentEvent
    planned: Sequence[Serial]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """What a worker holds until `until`, each of another holder; `left` tells whether there may be more to do now."""

    events: Sequence[TakenEvent]
    until: datetime
    left: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of a holder: whether the register told of a death, and what lives or is on its way."""

    dead: bool
    serials: Sequence[Serial]


@dataclass(frozen=True, slots=True)
class Received:
    """What became of events that were handed in: new ones, repeated ones, and those that contradict earlier ones."""

    new: int
    repeated: int
    contradicting: int

    def __add__(self, other: "Received") -> "Received":
        """Return the sum."""
        return Received(self.new + other.new, self.repeated + other.repeated, self.contradicting + other.contradicting)


@dataclass(frozen=True, slots=True)
class Source:
    """What was received of a source: the highest sequence number, and the first that is missing before it, if any."""

    name: SourceName
    highest: int
    missing: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """An event as its record stands; `doubt` says why it is, or was, on the work list, `because` why it left.

    Words that an operator of an earlier version wrote down are left out.
    """

    number: EventNumber
    event: ResidentEvent
    received_at: datetime
    state: EventState
    doubt: Doubt | None
    because: Settlement | None


@dataclass(frozen=True, slots=True)
class Notice:
    """That certificates of a holder ended by an event, for a letter or a page; it holds no attribute."""

    number: EventNumber
    holder: HolderCode
    kind: Kind
    serials: Sequence[Serial]
    made_at: datetime


Outcomes = Mapping[EventNumber, Doubt | None]
"""How events ended: on the work list for a doubt, or done."""
