"""What a holder reads of the own certificates: how each stands in one sentence, and what happened, page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ca.profile import Profile, profile_for
from ca.validity import renewal_opens
from enroll.history import Line
from jpki.certificate import CARD, HOLDER_PURPOSES, Carrier, Purpose, carrier_text
from jpki.clock import day_in_japan, in_japan
from jpki.ids import Serial, format_serial
from jpki.ports import CertificateRecord
from jpki.revocation import State
from jpki.text import Text

LINES_ON_A_PAGE = 20
_DELIVERED = (State.ACTIVE, State.HELD, State.REVOKED)
Records = Mapping[Serial, CertificateRecord]
"""All of one holder's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one certificate stands; `tone` is how it looks: accept, refuse or undecided."""

    title: Text
    tone: str
    sentence: Text
    more: Sequence[Text] = ()
    serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the history; `at` is Japan's time, `about` the certificate or the case."""

    at: str
    words: Text
    about: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPage:
    """Some entries, the latest first; `earlier` is where those before them end, None where there are none."""

    entries: Sequence[Entry]
    earlier: int | None
    is_latest: bool


def standings(records: Records, card: Profile, now: datetime) -> Sequence[Standing]:
    """Return how a holder's certificates stand: of each kind the card's, and then those of mobile devices.

    Of several it is the one that lives, else the latest.
    """
    counting: dict[tuple[Purpose, Carrier], CertificateRecord] = {}
    for record in sorted((each for each in records.values() if each.status.state in _DELIVERED), key=_weight):
        counting[record.purpose, record.carrier] = record
    devices = sorted({carrier for _, carrier in counting} - {CARD})
    return [
        _standing(purpose, carrier, counting.get((purpose, carrier)), card, now)
        for carrier in (CARD, *devices)
        for purpose in HOLDER_PURPOSES
        if carrier == CARD or (purpose, carrier) in counting
    ]


def can_be_suspended(records: Records, now: datetime) -> bool:
    """Tell whether there is anything on the card to put on hold."""
    return any(each.carrier == CARD and _is_active(each, now) for each in records.values())


def live_on_devices(records: Records, now: datetime) -> bool:
    """Tell whether certificates live on mobile devices, which the card's hold does not touch (docs/adr/0010)."""
    return any(each.carrier != CARD and _is_active(each, now) for each in records.values())


def history_page(lines: Sequence[Line], records: Records, before: int | None) -> HistoryPage:
    """Return the lines before a place, or the latest. The place counts from the early end, where none is ever added."""
    end = len(lines) if before is None else min(max(before, 0), len(lines))
    begin = max(0, end - LINES_ON_A_PAGE)
    entries = [Entry(at=in_japan(each.at), words=each.words, about=_about(each, records)) for each in lines[begin:end]]
    return HistoryPage(entries=entries[::-1], earlier=begin or None, is_latest=end == len(lines))


def _is_active(record: CertificateRecord, now: datetime) -> bool:
    return record.status.state is State.ACTIVE and record.validity.holds(now)


def _weight(record: CertificateRecord) -> tuple[bool, datetime]:
    return record.status.state is not State.REVOKED, record.validity.not_before


def _standing(
    purpose: Purpose, carrier: Carrier, record: CertificateRecord | None, card: Profile, now: datetime
) -> Standing:
    title = _named(purpose, carrier)
    if record is None:
        return Standing(title=title, tone="undecided", sentence=_NONE)
    tone, sentence, more = _told(record, profile_for(card, carrier), now)
    return Standing(title=title, tone=tone, sentence=sentence, more=more, serial=format_serial(record.serial))


def _told(record: CertificateRecord, profile: Profile, now: datetime) -> tuple[str, Text, Sequence[Text]]:
    status, end = record.status, day_in_japan(record.validity.not_after)
    if status.state is State.REVOKED:
        return "refuse", _REVOKED, [_since(status.revoked_at), *([] if status.reason is None else [status.reason.text])]
    if not record.validity.holds(now):
        return "refuse", Text(f"{_ja(end)}に有効期限が過ぎました。", f"It expired on {_en(end)}."), [_NEW_ONE]
    if status.state is State.HELD:
        is_final = record.purpose is Purpose.SIGNING
        return "refuse", _HELD, [_since(status.revoked_at), _HOLD_IS_FINAL if is_final else _RELEASE]
    sentence = Text(f"有効です。{_ja(end)}まで使えます。", f"It is valid, until {_en(end)}.")
    return "accept", sentence, [_renewal(renewal_opens(profile, record.validity.not_after), now)]


def _renewal(opens: date, now: datetime) -> Text:
    if day_in_japan(now) >= opens:
        return Text("今、更新できます。", "It can be renewed now.")
    return Text(f"更新は{_ja(opens)}からできます。", f"It can be renewed from {_en(opens)} on.")


def _since(moment: datetime | None) -> Text:
    assert moment is not None  # noqa: S101 - given exactly where a certificate is on hold or revoked
    return Text(f"{in_japan(moment)}から", f"Since {in_japan(moment)}")


def _about(line: Line, records: Records) -> Text:
    if line.serial is None:
        return Text(f"申請番号 {line.case}", f"Case {line.case}")
    record = records[line.serial]
    return _named(record.purpose, record.carrier)


def _named(purpose: Purpose, carrier: Carrier) -> Text:
    place = carrier_text(carrier)
    return Text(f"{purpose.text.ja}（{place.ja}）", f"{purpose.text.en.capitalize()}, {place.en}")


def _ja(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _en(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NONE = Text("ありません。", "There is none.")
_REVOKED = Text("失効しています。", "It is revoked.")
_HELD = Text("一時停止中です。", "It is on hold.")
_HOLD_IS_FINAL = Text(
    "署名用電子証明書の一時停止は解除できません。窓口で新しい証明書の発行を受けてください。",
    "The hold of a signing certificate cannot be lifted: have a new one issued at the counter.",
)
_RELEASE = Text("解除は窓口だけでできます。", "Only the counter lifts the hold.")
_NEW_ONE = Text("新しい証明書は窓口で発行します。", "A new one is issued at the counter.")
