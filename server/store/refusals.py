"""What the ledger refuses, and what to do about it."""

from datetime import datetime

from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.revocation import State, Status
from jpki.text import Text


def pending() -> JpkiError:
    """Return the refusal of an order while another of the same kind is pending."""
    return JpkiError(
        Kind.CONFLICT,
        "certificate-pending",
        Text(
            "この利用者の同じ種類の証明書が発行の途中です。",
            "A certificate of this kind is being issued to this holder.",
        ),
        Text(
            "完了を待ってください。中断された場合は10分後にやり直せます。",
            "Wait until it is done; if it was interrupted, try again after ten minutes.",
        ),
    )


def live_exists(serial: Serial, not_after: datetime) -> JpkiError:
    """Return the refusal of an order beside a live certificate (rule R20)."""
    return JpkiError(
        Kind.CONFLICT,
        "certificate-live",
        Text(
            f"この利用者には有効な証明書 {format_serial(serial)} があります（{iso(not_after)} まで）。",
            f"This holder has a live certificate, {format_serial(serial)}, until {iso(not_after)}.",
        ),
        Text("更新（renew）するか、失効（revoke）させてください。", "Renew it, or revoke it first."),
    )


def not_live(serial: Serial) -> JpkiError:
    """Return the refusal of an act that needs a live certificate."""
    return JpkiError(
        Kind.CONFLICT,
        "not-live",
        Text(
            f"証明書 {format_serial(serial)} は有効ではありません（未交付又は期限切れ）。",
            f"Certificate {format_serial(serial)} is not live (not delivered, or expired).",
        ),
        Text("status で状態を確認してください。", "Look at it with `jpki status`."),
    )


def already_revoked(status: Status) -> JpkiError:
    """Return the refusal of an act on a revoked certificate."""
    when = "" if status.revoked_at is None else iso(status.revoked_at)
    return JpkiError(
        Kind.CONFLICT,
        "already-revoked",
        Text(
            f"証明書 {format_serial(status.serial)} は {when} に失効済みです（{status.reason}）。",
            f"Certificate {format_serial(status.serial)} was revoked at {when} ({status.reason}).",
        ),
        Text("何もする必要はありません。", "There is nothing to do."),
    )


def signing_outlives(serial: Serial, authentication: Serial) -> JpkiError:
    """Return the refusal of what would leave a signing certificate that ends after the authentication certificate."""
    return JpkiError(
        Kind.CONFLICT,
        "signing-outlives",
        Text(
            f"署名用電子証明書 {format_serial(serial)} の期限が、"
            f"利用者証明用電子証明書 {format_serial(authentication)} の期限より後になります。",
            f"The signing certificate {format_serial(serial)} would outlive the authentication certificate"
            f" {format_serial(authentication)}.",
        ),
        Text("両方の証明書を発行し直してください。", "Issue both anew."),
    )


def card_outlived(serial: Serial) -> JpkiError:
    """Return the refusal of what would outlive its card."""
    return JpkiError(
        Kind.CONFLICT,
        "card-outlived",
        Text(
            f"証明書 {format_serial(serial)} の期限がカードの期限より後になります。",
            f"Certificate {format_serial(serial)} would outlive its card.",
        ),
        Text("カードを更新し、証明書を発行し直してください。", "Renew the card, and issue the certificate anew."),
    )


def key_reused() -> JpkiError:
    """Return the refusal of a key that another certificate bears (rule R17)."""
    return JpkiError(
        Kind.CONFLICT,
        "key-reused",
        Text("この鍵は既に別の証明書で使われています。", "This key is already in another certificate."),
        Text("カードで新しい鍵ペアを作成してください。", "Make a new key pair on the card."),
    )


def state_changed(serial: Serial, expected: State) -> JpkiError:
    """Return the refusal of a step whose certificate is no longer where it should be."""
    return JpkiError(
        Kind.CONFLICT,
        "state-changed",
        Text(
            f"証明書 {format_serial(serial)} の状態が変わったため、この手続きを続けられません。",
            f"Certificate {format_serial(serial)} is not in the state '{expected}'.",
        ),
        Text("状態を確認してやり直してください。", "Look at its status and start again."),
    )


def serial_unknown(serial: Serial) -> JpkiError:
    """Return the refusal of a serial that the ledger does not know."""
    return JpkiError(
        Kind.NOT_FOUND,
        "serial-unknown",
        Text(
            f"発行番号 {format_serial(serial)} の証明書はありません。",
            f"There is no certificate with the serial {format_serial(serial)}.",
        ),
        Text("発行番号を確認してください。", "Check the serial."),
    )
