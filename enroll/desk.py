"""The desk: the whole way from a holder's wish to a delivered certificate, and back.

The local operator acts here on the word of holder.json; the registration office (enroll/office.py) for its cases.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509

from ca.authority import Authority
from ca.issuer import Order
from ca.key_policy import holder_key
from ca.profile import Profile, profile_for
from enroll.delivery import Delivery
from enroll.mobile import OnDevices, end_on_device, reason_after, require_card
from enroll.orders import Terms, first_order, renewal_order
from enroll.renewal import holder_of, not_renewable, register_disagrees, require_not_merged
from jpki.acts import Actor
from jpki.case import Change
from jpki.certificate import CARD, Carrier, Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.ids import HolderCode, PartitionId, Serial, format_serial
from jpki.ports import CertificateLedger, CertificateRecord, ResidentRegistry
from jpki.resident import Resident, taken_at_word
from jpki.revocation import Reason
from jpki.text import Text

HandOver = Callable[[x509.Certificate], object]
"""Gives a certificate to its holder; if it raises, the certificate was not delivered and never comes to life."""


def _at_the_counter(certificate: x509.Certificate) -> None:
    """Hand over by returning: the caller is the counter."""
    del certificate


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did: the certificate's record, and those on mobile devices that ended with it."""

    record: CertificateRecord
    on_devices: Sequence[Serial]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a counter can do for a holder."""

    authority: Authority
    ledger: CertificateLedger
    delivery: Delivery
    profile: Profile
    municipality_of: Callable[[PartitionId], str]
    on_devices: OnDevices
    registry: ResidentRegistry | None
    """The register of residents, where there is one to ask."""
    clock: Clock

    def issue(
        self,
        holder: Holder,
        purpose: Purpose,
        csr: x509.CertificateSigningRequest,
        by: Actor,
        hand_over: HandOver = _at_the_counter,
        carrier: Carrier = CARD,
    ) -> x509.Certificate:
        """Issue a first certificate, or one after the last was revoked or ended, and deliver it.

        Raises:
            JpkiError: FORBIDDEN, as `require_entitled`; CONFLICT `certificate-live`, `certificate-pending`,
                `card-certificate-missing` or `register-disagrees`; of the key policy and the register.
        """
        resident = self._registered(holder.code, holder) or taken_at_word(holder)
        terms = self._terms(holder.code, purpose, carrier)
        key = holder_key(csr, terms.profile.key)
        return self._deliver(first_order(resident, purpose, carrier, key, terms), by, hand_over)

    def renew(
        self,
        serial: Serial,
        csr: x509.CertificateSigningRequest,
        by: Actor,
        holder: Holder | None = None,
        hand_over: HandOver = _at_the_counter,
    ) -> x509.Certificate:
        """Issue the successor of a live certificate inside its renewal window; the old one is superseded at once.

        The data are what the register says, or `holder` where there is none to ask; without both they are those of the
        old certificate.

        Raises:
            JpkiError: CONFLICT `not-live`, `renewal-closed` or `municipality-merged`; NOT_FOUND `serial-unknown`; as
                `issue` otherwise.
        """
        old = self.authority.record(serial)
        if holder is not None and holder.code != old.holder:
            raise _other_holder(serial)
        resident = self._registered(old.holder, holder)
        if resident is None and holder is None and old.purpose is Purpose.SIGNING:
            holder = self._disclosed_by(old)
        if resident is None and holder is not None:
            resident = taken_at_word(holder)
        terms = self._terms(old.holder, old.purpose, old.carrier)
        return self._deliver(renewal_order(old, resident, holder_key(csr, terms.profile.key), terms), by, hand_over)

    def revoke(self, serial: Serial, reason: Reason, by: Actor) -> Revoked:
        """Revoke a certificate at once; with the card's end those on the holder's mobile devices."""
        try:
            self.authority.revoke(serial, reason, by)
        finally:
            # Also where it was revoked before: then whoever did so may have been stopped here.
            ended = self._end_on_devices(self.authority.record(serial), by)
        return Revoked(self.authority.record(serial), ended)

    def sign(self, order: Order, by: Actor) -> x509.Certificate:
        """Issue a certificate that waits in its case to be handed over; nothing is live yet.

        Raises:
            JpkiError: as `ca.authority.Authority.issue`; CONFLICT `case-changed`.
        """
        (certificate,) = self.authority.issue([order], by)
        return certificate

    def activate(self, serials: Sequence[Serial], by: Actor, change: Change) -> None:
        """Make what a case issued live as it is handed over: with the case's change, or not at all."""
        self.authority.activate(serials, by, change)

    def on_card(self, holder: HolderCode) -> Mapping[Purpose, CertificateRecord]:
        """Return the holder's card certificates that are live or on hold, by kind."""
        return self.ledger.on_card(holder, self.clock())

    def hold(self, serial: Serial, by: Actor) -> CertificateRecord:
        """Put a certificate on hold and return its record; a signing certificate's hold never lifts."""
        self.authority.hold(serial, by)
        return self.authority.record(serial)

    def release(self, serial: Serial, by: Actor, change: Change | None = None) -> CertificateRecord:
        """Lift an authentication certificate's hold, with a case's change if in one, and return its record."""
        self.authority.release(serial, by, change)
        return self.authority.record(serial)

    def record(self, serial: Serial) -> CertificateRecord:
        """Return the record of a certificate.

        Raises:
            JpkiError: NOT_FOUND `serial-unknown`.
        """
        return self.authority.record(serial)

    def _disclosed_by(self, old: CertificateRecord) -> Holder:
        octets = self.ledger.certificates([old.serial]).get(old.serial)
        if octets is None:
            raise not_renewable(old.serial)
        municipality = self.municipality_of(old.status.partition)
        require_not_merged(municipality)
        return holder_of(old.holder, x509.load_der_x509_certificate(octets), municipality)

    def _registered(self, code: HolderCode, holder: Holder | None) -> Resident | None:
        """Return what the register says, None where there is none to ask; `holder` is what was shown of the person.

        Raises:
            JpkiError: CONFLICT `register-disagrees`; of the register.
        """
        resident = None if self.registry is None else self.registry.resident(code)
        if resident is not None and holder is not None and resident.holder != holder:
            raise register_disagrees()
        return resident

    def _terms(self, holder: HolderCode, purpose: Purpose, carrier: Carrier) -> Terms:
        """Return what a certificate of this kind on this carrier must not outlive.

        On a device it ends with the card's own; on the card a signing certificate ends with the authentication
        certificate, and both with the card, whose end is known where one of them was issued with the card in a reader.
        """
        profile, now = profile_for(self.profile, carrier), self.clock()
        if carrier != CARD:
            card = require_card(self._on_card(holder, purpose), purpose)
            return Terms(profile=profile, now=now, beside=card.validity.not_after)
        living = self.ledger.on_card(holder, now)
        authentication = living.get(Purpose.AUTHENTICATION) if purpose is Purpose.SIGNING else None
        return Terms(
            profile=profile,
            now=now,
            card_end=min((each.card_end for each in living.values() if each.card_end is not None), default=None),
            beside=None if authentication is None else authentication.validity.not_after,
        )

    def _on_card(self, holder: HolderCode, purpose: Purpose) -> CertificateRecord | None:
        return self.ledger.live([holder], purpose, CARD, self.clock()).get(holder)

    def _end_on_devices(self, card: CertificateRecord, by: Actor) -> Sequence[Serial]:
        """End what hangs on a card certificate, unless another has taken its place."""
        if self._on_card(card.holder, card.purpose) is not None:
            return ()
        ended = self.on_devices([card.holder], card.purpose, self.clock()).get(card.holder, ())
        for serial in ended:
            end_on_device(self.authority, serial, reason_after(card.status.reason), by)
        return ended

    def _deliver(self, order: Order, by: Actor, hand_over: HandOver) -> x509.Certificate:
        def give(certificates: Sequence[x509.Certificate]) -> None:
            hand_over(certificates[0])
            if order.carrier != CARD:
                # Revoked before this look, the card's is missed here; revoked after it, it ends this one, too.
                require_card(self._on_card(order.holder, order.purpose), order.purpose)

        (outcome,) = self.delivery.deliver([order], by, give)
        if isinstance(outcome, JpkiError):
            raise outcome
        return outcome


def _other_holder(serial: Serial) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "other-holder",
        Text(
            f"証明書 {format_serial(serial)} は別の利用者のものです。",
            f"Certificate {format_serial(serial)} belongs to another holder.",
        ),
        Text("発行番号と holder.json を確認してください。", "Check the serial and holder.json."),
    )
