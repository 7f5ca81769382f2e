"""The receipt: what was done in a case, from when to when its certificates count, and what to do later.

It holds no attribute of the holder, and no holder code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from enroll.card.pins import TRIES
from enroll.paper import sheet
from enroll.paper.sheet import printed
from jpki.case import CaseKind, CaseNumber
from jpki.certificate import Purpose
from jpki.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a receipt tells.

    `counter` is the counter's name. `days` has for each certificate its last day; after a revocation the day on which
    it ended, after a hold that on which it was held. `suspension_telephone` takes calls day and night. The portal lies
    at `base_url`.
    """

    case: CaseNumber
    kind: CaseKind
    counter: str
    opened_on: date
    done_on: date
    days: Mapping[Purpose, date]
    suspension_telephone: str | None
    base_url: str


def make_ready() -> None:
    """Begin to prepare the first receipt of this process, of which one will soon be wanted."""
    sheet.make_ready(_TEMPLATE)


def receipt(facts: Receipt) -> bytes:
    """Return the receipt as PDF, in Japanese with a short English part.

    Raises:
        JpkiError: UNAVAILABLE `paper-unavailable`.
    """
    kind = facts.kind
    return printed(
        _TEMPLATE,
        {
            "facts": facts,
            "done": _DONE[kind],
            "day": _DAYS.get(kind, _LAST_DAY),
            "chooses_pins": kind.issues or kind is CaseKind.PIN_RESET,
            "is_held": kind is CaseKind.HOLD,
            "leaves_live": kind not in (CaseKind.REVOCATION, CaseKind.HOLD),
            "next_day": facts.done_on + timedelta(days=1),
            "tries": TRIES,
        },
    )


_TEMPLATE = "receipt.html"
_DONE: Mapping[CaseKind, Text] = {
    CaseKind.NEW: Text(
        "電子証明書を発行し、カードに記録しました。", "Your certificates were issued and written to your card."
    ),
    CaseKind.RENEWAL: Text(
        "電子証明書を更新し、カードに記録しました。", "Your certificates were renewed and written to your card."
    ),
    CaseKind.REISSUE: Text(
        "電子証明書を再発行し、カードに記録しました。", "Your certificates were issued again and written to your card."
    ),
    CaseKind.REVOCATION: Text("電子証明書を失効させました。", "The certificates have ended."),
    CaseKind.HOLD: Text("電子証明書を一時停止しました。", "The certificates were put on hold."),
    CaseKind.RELEASE: Text("電子証明書の一時停止を解除しました。", "The certificates' hold was lifted."),
    CaseKind.PIN_RESET: Text("暗証番号を再設定しました。", "The PINs were set anew."),
}
_LAST_DAY = Text("有効期間の満了日", "valid to the end of")
_DAYS: Mapping[CaseKind, Text] = {
    CaseKind.REVOCATION: Text("失効した日", "ended on"),
    CaseKind.HOLD: Text("一時停止した日", "on hold since"),
}
