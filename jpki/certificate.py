"""What a certificate is for, where its key lives, and from when to when it counts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

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


@dataclass(frozen=True, slots=True)
class Validity:
    """From `not_before` to `not_after`, both inclusive to the second, both in UTC (RFC 5280 4.1.2.5)."""

    not_before: datetime
    not_after: datetime

    def holds(self, moment: datetime) -> bool:
        """Tell whether `moment` lies within; a validity counts its last second (rule R11)."""
        return self.not_before <= moment.replace(microsecond=0) <= self.not_after
