"""Who may get which certificate (docs/profile.md, law and practice)."""

from datetime import date

from jpki.certificate import Purpose
from jpki.clock import years_later
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.text import Text

SIGNING_AGE = 15


def is_old_enough(birth_date: date, purpose: Purpose, today: date) -> bool:
    """Tell whether whoever was born on `birth_date` may have a certificate of this purpose."""
    return purpose is not Purpose.SIGNING or years_later(birth_date, SIGNING_AGE) <= today


def require_eligible(holder: Holder, purpose: Purpose, today: date) -> None:
    """Require that the holder may get a certificate of this purpose.

    Raises:
        JpkiError: FORBIDDEN `too-young`: under 15 there is in principle no signing certificate.
    """
    if not is_old_enough(holder.birth_date, purpose, today):
        raise JpkiError(
            Kind.FORBIDDEN,
            "too-young",
            Text(
                f"{SIGNING_AGE}歳未満の方には署名用電子証明書を発行できません。",
                f"No signing certificate is issued to a holder under {SIGNING_AGE}.",
            ),
            Text("利用者証明用電子証明書は発行できます。", "An authentication certificate can be issued."),
        )
