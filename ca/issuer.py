"""Issuing in two steps: `prepare` lints and hands out a permit, and only `redeem` touches the CA's key.

The record is always ahead of the signature (rule R2): reserve, draft, lint, store the exact octets together with
the audit's "will sign", sign those octets, store the certificate. See docs/adr/0003 for what a crash leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ca.draft import Draft, common_name
from ca.key_policy import holder_key, key_hash
from ca.lint import lint
from ca.profile import Profile, profile_for
from jpki.acts import Actor
from jpki.certificate import Carrier, Purpose, Validity
from jpki.clock import Clock, iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import HolderCode, Serial, new_serial
from jpki.partition import Partition
from jpki.ports import CertificateLedger, Generations, KeyProvider, Reservation
from jpki.randomness import Randomness
from jpki.signature import signed
from jpki.text import Text

Partitions = Callable[[Holder | None, Serial], Partition]
"""Chooses the partition that a new certificate will name, its present base URL included: by the municipality of the
holder it discloses, else by the serial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the registration office approved: whose certificate, for which key, from when to when.

    `disclosed` is the holder whose attributes the certificate will carry: given for a signing certificate, and None
    for an authentication certificate, so that the CA never learns what it does not need.
    """

    holder: HolderCode
    disclosed: Holder | None
    carrier: Carrier
    csr: x509.CertificateSigningRequest
    validity: Validity
    renews: Serial | None = None

    @property
    def purpose(self) -> Purpose:
        """Which of the two certificates this is."""
        return Purpose.AUTHENTICATION if self.disclosed is None else Purpose.SIGNING


class Permit:
    """The right to sign one linted draft, once."""

    __slots__ = ("_spent", "generation", "serial", "to_be_signed")

    def __init__(self, generation: Generation, serial: Serial, to_be_signed: bytes) -> None:
        self.generation = generation
        self.serial = serial
        self.to_be_signed = to_be_signed
        self._spent = False

    def spend(self) -> None:
        """Use the permit up.

        Raises:
            JpkiError: INTERNAL `permit-spent` the second time.
        """
        if self._spent:
            raise JpkiError(
                Kind.INTERNAL,
                "permit-spent",
                Text("署名の許可は一度しか使えません。", "A permit to sign can be used only once."),
                Text("不具合として報告してください。", "Report this as a defect."),
            )
        self._spent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Turns an order into a signed certificate; `profile` is the home's card profile."""

    profile: Profile
    base_url: str
    ledger: CertificateLedger
    keys: KeyProvider
    generations: Generations
    partitions: Partitions
    clock: Clock
    randomness: Randomness

    def prepare(self, order: Order, by: Actor) -> Permit:
        """Reserve a serial for the order, draft the certificate and lint it.

        Raises:
            JpkiError: of the key policy, of the ledger's constraints, `issuing-ended`, or `lint-failed`.
        """
        now = self.clock()
        profile = profile_for(self.profile, order.carrier)
        public_key = holder_key(order.csr, profile.key)
        generation = self._issuing_generation(order, now)
        serial = new_serial(self.randomness)
        partition = self.partitions(order.disclosed, serial)
        reservation = Reservation(
            serial=serial,
            purpose=order.purpose,
            carrier=order.carrier,
            holder=order.holder,
            generation=generation.id,
            partition=partition.id,
            base_url=self.base_url,
            profile_hash=profile.hash,
            key_hash=key_hash(public_key),
            validity=order.validity,
            renews=order.renews,
        )
        self.ledger.reserve(reservation, by, now)
        draft = Draft(
            profile=profile,
            generation=generation,
            partition=partition,
            base_url=self.base_url,
            serial=serial,
            common_name=common_name(order.purpose, order.validity, self.randomness),
            validity=order.validity,
            disclosed=order.disclosed,
            public_key=public_key,
        )
        try:
            to_be_signed = draft.to_be_signed()
            lint(to_be_signed, draft)
        except BaseException:
            self.ledger.discard(serial, by, self.clock())
            raise
        return Permit(generation, serial, to_be_signed)

    def redeem(self, permit: Permit, by: Actor) -> x509.Certificate:
        """Sign the permit's octets, the stored intent first, and store the certificate (not yet live).

        Raises:
            JpkiError: the key's or the ledger's; the serial is then closed for good and never signed again.
        """
        permit.spend()
        try:
            self.ledger.intend(permit.serial, permit.to_be_signed, by, self.clock())
            der = signed(self.keys.signer(permit.generation.key), permit.to_be_signed)
            self.ledger.complete(permit.serial, der, by, self.clock())
        except BaseException:
            self.ledger.discard(permit.serial, by, self.clock())
            raise
        return x509.load_der_x509_certificate(der)

    def _issuing_generation(self, order: Order, now: datetime) -> Generation:
        living = self.generations(order.purpose)
        if not living:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "no-generation",
                Text("発行できる認証局の鍵がありません。", "The CA has no key that may issue."),
                Text("新しい世代の鍵をセレモニーで作成してください。", "Make the next generation's key in a ceremony."),
            )
        generation = living[0]
        if now >= generation.issue_until or order.validity.not_after > generation.not_after:
            raise JpkiError(
                Kind.CONFLICT,
                "issuing-ended",
                Text(
                    f"認証局の鍵 {generation.id} の発行期間は {iso(generation.issue_until)} までです。",
                    f"The CA key {generation.id} issues until {iso(generation.issue_until)} only.",
                ),
                Text("新しい世代の鍵をセレモニーで作成してください。", "Make the next generation's key in a ceremony."),
            )
        return generation
