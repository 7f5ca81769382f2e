"""What a certificate is for, where its key lives, and from when to when it counts."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from jpki.errors import JpkiError, Kind
from jpki.text import Text


class Purpose(StrEnum):
    """The two certificates of a holder, and so the two CAs; the infrastructure root stands apart."""

    SIGNING = "signing"
    AUTHENTICATION = "authentication"
    INFRASTRUCTURE = "infrastructure"

    @property
    def text(self) -> Text:
        """The certificate's name in the law's words (公的個人認証法 3, 22)."""
        return _NAMES[self]


_NAMES = {
    Purpose.SIGNING: Text("署名用電子証明書", "signing certificate"),
    Purpose.AUTHENTICATION: Text("利用者証明用電子証明書", "authentication certificate"),
    Purpose.INFRASTRUCTURE: Text("運用基盤の証明書", "infrastructure certificate"),
}

HOLDER_PURPOSES = (Purpose.SIGNING, Purpose.AUTHENTICATION)

Carrier = NewType("Carrier", str)
"""Where the holder's key lives: `card`, or one mobile device."""

CARD = Carrier("card")
_MOBILE = "mobile:"
_LONGEST_DEVICE = 57
"""With the word before it, the 64 characters that the ledger keeps of a carrier."""


def parse_carrier(text: str) -> Carrier:
    """Read `card`, or `mobile:` and the device's id, an opaque word of letters, digits, hyphens and underscores.

    Raises:
        JpkiError: MALFORMED `carrier-malformed`.
    """
    device = text.removeprefix(_MOBILE)
    is_word = re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST_DEVICE}}}", device) is not None
    # Twelve digits could be somebody's My Number, which has no place here.
    if text == CARD or (device != text and is_word and re.fullmatch(r"[0-9]{12}", device) is None):
        return Carrier(text)
    raise JpkiError(
        Kind.MALFORMED,
        "carrier-malformed",
        Text(
            "格納先は card か「mobile:端末ID」で、端末IDは英数字・ハイフン・下線"
            f"{_LONGEST_DEVICE}字以内（12桁の数字は不可）です。",
            "A carrier is `card`, or `mobile:` and a device's id of at most"
            f" {_LONGEST_DEVICE} letters, digits, hyphens and underscores (not 12 digits).",
        ),
        Text("例：--carrier mobile:phone-1", "For example: --carrier mobile:phone-1"),
    )


def carrier_text(carrier: Carrier) -> Text:
    """Return the carrier in everyday words."""
    if carrier == CARD:
        return Text("カード", "card")
    device = carrier.removeprefix(_MOBILE)
    return Text(f"移動端末 {device}", f"mobile device {device}")


@dataclass(frozen=True, slots=True)
class Validity:
    """From `not_before` to `not_after`, both inclusive to the second, both in UTC (RFC 5280 4.1.2.5)."""

    not_before: datetime
    not_after: datetime

    def holds(self, moment: datetime) -> bool:
        """Tell whether `moment` lies within; a validity counts its last second (rule R11)."""
        return self.not_before <= moment.replace(microsecond=0) <= self.not_after
