"""PINs: their form, how a card keeps one, and how many misses lock it (docs/profile.md, law and practice).

A PIN goes from its holder's screen to the card; nothing here prints, returns or stores one (rule R21).
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness
from jpki.text import Text

TRIES = {Purpose.SIGNING: 5, Purpose.AUTHENTICATION: 3}
"""Misses in a row that lock a PIN. Time does not unlock it; a success resets the count."""
Stretch = Callable[[bytes, bytes], bytes]
"""Turns a PIN's octets and a salt into what is kept in its place."""
_SALT_OCTETS = 16
_FORMS = {Purpose.SIGNING: r"(?=.*[A-Z])(?=.*[0-9])[A-Z0-9]{6,16}", Purpose.AUTHENTICATION: r"[0-9]{4}"}
_RULES = {
    Purpose.SIGNING: Text(
        "英大文字と数字を混ぜて6～16文字で決めてください。", "Take 6 to 16 upper-case letters and digits, some of both."
    ),
    Purpose.AUTHENTICATION: Text("数字4桁で決めてください。", "Take 4 digits."),
}


def scrypt(pin: bytes, salt: bytes) -> bytes:
    """Stretch a PIN in some 50 ms and 16 MiB; four digits are soon guessed by whoever has the file all the same."""
    return hashlib.scrypt(pin, salt=salt, n=2**14, r=8, p=1, dklen=32)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class KeptPin:
    """A PIN as the card keeps it; `left` misses more lock it, and at 0 it is locked."""

    salt: bytes
    digest: bytes
    left: int

    @classmethod
    def of(cls, purpose: Purpose, pin: str, randomness: Randomness, stretch: Stretch) -> "KeptPin":
        """Return what is kept of a PIN that its holder chose.

        Raises:
            JpkiError: UNPROCESSABLE `pin-form`.
        """
        if re.fullmatch(_FORMS[purpose], pin, re.ASCII) is None:
            raise JpkiError(
                Kind.UNPROCESSABLE,
                "pin-form",
                Text(f"{purpose.text.ja}の暗証番号の形が違います。", f"The {purpose.text.en}'s PIN has another form."),
                _RULES[purpose],
            )
        salt = randomness(_SALT_OCTETS)
        return cls(salt=salt, digest=stretch(pin.encode(), salt), left=TRIES[purpose])

    def is_of(self, pin: str, stretch: Stretch) -> bool:
        """Compare, in the same time wherever they differ."""
        return hmac.compare_digest(stretch(pin.encode("utf-8", "replace"), self.salt), self.digest)


def wrong(purpose: Purpose, left: int) -> JpkiError:
    """Return the refusal of a PIN that was not the right one; `left` tries remain."""
    return JpkiError(
        Kind.FORBIDDEN,
        "pin-wrong",
        Text(
            f"{purpose.text.ja}の暗証番号が違います。あと{left}回でロックされます。",
            f"That is not the {purpose.text.en}'s PIN; {left} more misses lock it.",
        ),
        Text("暗証番号を確かめて入力してください。", "Make sure of the PIN before you try again."),
    )


def locked(purpose: Purpose) -> JpkiError:
    """Return the refusal of a PIN that is locked."""
    return JpkiError(
        Kind.FORBIDDEN,
        "pin-locked",
        Text(f"{purpose.text.ja}の暗証番号はロックされています。", f"The {purpose.text.en}'s PIN is locked."),
        Text(
            "窓口で初期化してください。もう一方の暗証番号が使えれば、それでも初期化できます。",
            "Have it reset at a counter, or by the other PIN if that still works.",
        ),
    )
