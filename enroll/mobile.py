"""Certificates on mobile devices: each hangs on the holder's card certificate of its kind (docs/profile.md)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from ca.authority import Authority
from jpki.acts import Actor
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode, Serial
from jpki.ports import CertificateRecord
from jpki.revocation import Reason, State
from jpki.text import Text

OnDevices = Callable[[Sequence[HolderCode], Purpose, datetime], Mapping[HolderCode, Sequence[Serial]]]
"""Returns the certificates of this kind on holders' mobile devices that are live or on their way at that moment.

Holders without one are left out.
"""

_SHARED_REASONS = (Reason.AFFILIATION_CHANGED, Reason.CA_COMPROMISE)


def require_card(card: CertificateRecord | None, purpose: Purpose) -> CertificateRecord:
    """Require that the card certificate, with which one on a device is applied for, is there and not on hold.

    Raises:
        JpkiError: CONFLICT `card-certificate-missing`.
    """
    if card is not None and card.status.state is State.ACTIVE:
        return card
    raise JpkiError(
        Kind.CONFLICT,
        "card-certificate-missing",
        Text(
            f"この利用者のカードに有効な{purpose.text.ja}がないため、移動端末には発行できません。",
            f"The holder's card has no live {purpose.text.en}, so none can be issued to a mobile device.",
        ),
        Text("先にカードの証明書を発行又は更新してください。", "Issue or renew the card's certificate first."),
    )


def reason_after(card: Reason | None) -> Reason:
    """Return why a certificate on a device ends with the card's: what is true of the data or the CA is true of both."""
    return card if card in _SHARED_REASONS else Reason.CESSATION_OF_OPERATION


def end_on_device(authority: Authority, serial: Serial, reason: Reason, by: Actor) -> None:
    """Revoke one on a device, or close it where it is on its way; one that another ended meanwhile has ended.

    Raises:
        JpkiError: what the ledger refuses, but no CONFLICT.
    """
    try:
        if not authority.discard([serial], by):
            authority.revoke(serial, reason, by)
    except JpkiError as error:
        if error.kind is not Kind.CONFLICT:
            raise
