"""Which reason may revoke which certificate, as a closed list per purpose (rule R10; docs/profile.md)."""

from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.revocation import Reason
from jpki.text import Text

_FOR_BOTH = (
    Reason.KEY_COMPROMISE,
    Reason.CA_COMPROMISE,
    Reason.AFFILIATION_CHANGED,
    Reason.SUPERSEDED,
    Reason.CESSATION_OF_OPERATION,
)
ALLOWED: dict[Purpose, tuple[Reason, ...]] = {Purpose.SIGNING: _FOR_BOTH, Purpose.AUTHENTICATION: _FOR_BOTH}
"""Not in the list: `unspecified`, which the house itself uses for what was never delivered, and `certificateHold`,
which is a state of its own and not a revocation."""


def require_allowed(reason: Reason, purpose: Purpose) -> None:
    """Require that `reason` may revoke a certificate of this purpose.

    Raises:
        JpkiError: UNPROCESSABLE `reason-not-allowed`, naming those that are.
    """
    if reason in ALLOWED.get(purpose, ()):
        return
    allowed = ", ".join(ALLOWED.get(purpose, ()))
    raise JpkiError(
        Kind.UNPROCESSABLE,
        "reason-not-allowed",
        Text(
            f"{purpose.text.ja}の失効理由に {reason} は使えません。",
            f"{reason} is not a reason to revoke a {purpose.text.en}.",
        ),
        Text(f"次から選んでください：{allowed}", f"Choose one of: {allowed}."),
    )
