"""The only door through which a certificate is issued, comes to life, and dies."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from ca.issuer import Issuer, Order
from ca.reasons import require_allowed
from jpki.acts import Actor
from jpki.case import Change
from jpki.certificate import Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, format_serial
from jpki.ports import CertificateLedger, CertificateRecord
from jpki.revocation import Reason, State
from jpki.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Both CAs: what they do to certificates."""

    issuer: Issuer
    ledger: CertificateLedger
    clock: Clock

    def issue(self, orders: Sequence[Order], by: Actor) -> list[x509.Certificate]:
        """Sign a certificate for each order of one purpose, or none; they are not live until they are activated.

        Raises:
            JpkiError: as `Issuer.prepare` and `Issuer.redeem` say; nothing is left pending.
        """
        return self.issuer.redeem(self.issuer.prepare(orders, by), by)

    def issue_each(self, orders: Sequence[Order], by: Actor) -> list[x509.Certificate | JpkiError]:
        """Sign a certificate for each order that can be served, and return for each the certificate or the refusal.

        A batch that is refused is halved until the order at fault stands alone.

        Raises:
            JpkiError: UNAVAILABLE: what is away for one is away for all.
        """
        try:
            return list(self.issue(orders, by))
        except JpkiError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            if len(orders) == 1:
                return [error]
        half = len(orders) // 2
        return [*self.issue_each(orders[:half], by), *self.issue_each(orders[half:], by)]

    def activate(self, serials: Sequence[Serial], by: Actor, change: Change | None = None) -> None:
        """Make issued certificates live on delivery; those they renew are superseded in the same instant.

        What was approved in a case comes to life with the case's `change`.
        """
        self.ledger.activate(serials, by, self.clock(), change)

    def discard(self, serials: Sequence[Serial], by: Actor) -> int:
        """Close certificates that were not delivered; return how many were pending still."""
        return self.ledger.discard(serials, by, self.clock())

    def revoke(self, serial: Serial, reason: Reason, by: Actor) -> None:
        """Revoke a live certificate, at once and for good.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`, UNPROCESSABLE `reason-not-allowed`, CONFLICT `already-revoked`.
        """
        require_allowed(reason, self.record(serial).purpose)
        self.ledger.revoke([serial], reason, by, self.clock())

    def revoke_each(self, records: Sequence[CertificateRecord], reason: Reason, by: Actor) -> dict[Serial, JpkiError]:
        """Revoke each that lives, in as few transactions as can be; return the refusals of the others.

        To be revoked already is none.

        Raises:
            JpkiError: UNPROCESSABLE `reason-not-allowed`; UNAVAILABLE: what is away for one is away for all.
        """
        for purpose in {each.purpose for each in records}:
            require_allowed(reason, purpose)
        refused = self._revoke_halves([each.serial for each in records if not _is_revoked(each)], reason, by)
        return {serial: error for serial, error in refused.items() if error.code != "already-revoked"}

    def _revoke_halves(self, serials: Sequence[Serial], reason: Reason, by: Actor) -> dict[Serial, JpkiError]:
        """Revoke these; a batch that is refused is halved until the one at fault stands alone."""
        if not serials:
            return {}
        try:
            self.ledger.revoke(serials, reason, by, self.clock())
        except JpkiError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            if len(serials) == 1:
                return {serials[0]: error}
        else:
            return {}
        half = len(serials) // 2
        return {
            **self._revoke_halves(serials[:half], reason, by),
            **self._revoke_halves(serials[half:], reason, by),
        }

    def hold(self, serial: Serial, by: Actor) -> None:
        """Put a live certificate on hold: its holder doubts the safety of the key."""
        self.record(serial)
        self.ledger.hold(serial, by, self.clock())

    def release(self, serial: Serial, by: Actor, change: Change | None = None) -> None:
        """Lift the hold of an authentication certificate, together with a case's `change`.

        Raises:
            JpkiError: FORBIDDEN `hold-final`: a signing certificate's hold never lifts (docs/profile.md).
        """
        if self.record(serial).purpose is Purpose.SIGNING:
            raise JpkiError(
                Kind.FORBIDDEN,
                "hold-final",
                Text(
                    "署名用電子証明書の一時停止は解除できません。",
                    "The hold of a signing certificate cannot be lifted.",
                ),
                Text("失効させて、新しい証明書を発行してください。", "Revoke it and issue a new one."),
            )
        self.ledger.release(serial, by, self.clock(), change)

    def record(self, serial: Serial) -> CertificateRecord:
        """Return the record of a certificate.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`.
        """
        record = self.ledger.find([serial]).get(serial)
        if record is None:
            raise JpkiError(
                Kind.NOT_FOUND,
                "serial-unknown",
                Text(
                    f"発行番号 {format_serial(serial)} の証明書はこの認証局にありません。",
                    f"No certificate of this authority has the serial {format_serial(serial)}.",
                ),
                Text("発行番号と --home を確認してください。", "Check the serial and --home."),
            )
        return record


def _is_revoked(record: CertificateRecord) -> bool:
    return record.status.state is State.REVOKED
