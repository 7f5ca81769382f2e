"""Issuing in two steps: `prepare` lints and hands out a permit, and only `redeem` touches the CA's key.

The record is always ahead of the signature (rule R2): reserve, draft, lint, store the exact octets together with
the audit's "will sign", sign those octets, store the certificate. See docs/adr/0003 for what a crash leaves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from ca.draft import Draft, common_name
from ca.key_policy import HolderKey
from ca.lint import LintedTemplates, lint
from ca.profile import Profile, profile_for
from jpki.acts import Actor
from jpki.case import CaseMark
from jpki.certificate import Carrier, Purpose, Validity
from jpki.clock import Clock, iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import HolderCode, Serial, new_serial
from jpki.partition import Partition
from jpki.ports import CertificateLedger, Generations, KeyProvider, Reservation
from jpki.randomness import Randomness
from jpki.signature import KeySpec, assembled
from jpki.text import Text

Partitions = Callable[[Sequence[tuple[Holder | None, Serial]]], Sequence[Partition]]
"""Chooses the partition that each new certificate will name, its present base URL included: by the municipality of the
holder it discloses, else by the serial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the registration office approved: whose certificate, for which key, from when to when.

    `disclosed` is the holder whose attributes the certificate will carry: given for a signing certificate, and None
    for an authentication certificate, so that the CA never learns what it does not need. `card_end` is that of the
    card that it is for, where it is known; `case` is the one in which it was approved, where there is one.
    """

    holder: HolderCode
    disclosed: Holder | None
    carrier: Carrier
    key: HolderKey
    validity: Validity
    card_end: datetime | None = None
    renews: Serial | None = None
    case: CaseMark | None = None

    @property
    def purpose(self) -> Purpose:
        """Which of the two certificates this is."""
        return Purpose.AUTHENTICATION if self.disclosed is None else Purpose.SIGNING


class Permit:
    """The right to sign linted drafts, once: the octets by their serials, all for one generation's key."""

    __slots__ = ("_spent", "generation", "to_be_signed")

    def __init__(self, generation: Generation, to_be_signed: Mapping[Serial, bytes]) -> None:
        self.generation = generation
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
    """Turns orders into signed certificates; `profile` is the home's card profile. One order is a batch of one."""

    profile: Profile
    base_url: str
    ledger: CertificateLedger
    keys: KeyProvider
    generations: Generations
    partitions: Partitions
    clock: Clock
    randomness: Randomness
    templates: LintedTemplates = field(default_factory=LintedTemplates)

    def prepare(self, orders: Sequence[Order], by: Actor) -> Permit:
        """Reserve a serial for each order, draft the certificates and lint them; all orders are for one purpose.

        Raises:
            JpkiError: of the ledger's constraints, `issuing-ended`, or `lint-failed`; then nothing is pending.
        """
        now = self.clock()
        generation = self._issuing_generation(orders, now)
        serials = [new_serial(self.randomness) for _ in orders]
        partitions = self.partitions([(order.disclosed, serial) for order, serial in zip(orders, serials, strict=True)])
        drafts = [
            self._draft(order, serial, generation, partition)
            for order, serial, partition in zip(orders, serials, partitions, strict=True)
        ]
        # Not `now`: where many wait for the processor, that may be seconds ago, and look like a clock gone back.
        self.ledger.reserve(list(map(_reservation, orders, drafts)), by, self.clock())
        try:
            to_be_signed = {draft.serial: _linted(draft) for draft in drafts}
        except BaseException:
            self.ledger.discard([draft.serial for draft in drafts], by, self.clock())
            raise
        return Permit(generation, to_be_signed)

    def redeem(self, permit: Permit, by: Actor) -> list[x509.Certificate]:
        """Sign the permit's octets, the stored intent first, and store the signatures; nothing is live yet.

        Raises:
            JpkiError: the key's or the ledger's; the serials are then closed for good and never signed again.
        """
        permit.spend()
        drafts = permit.to_be_signed
        try:
            self.ledger.intend(drafts, by, self.clock())
            signatures = self.keys.sign_many(permit.generation.key, list(drafts.values()))
            self.ledger.complete(dict(zip(drafts, signatures, strict=True)), by, self.clock())
        except BaseException:
            self.ledger.discard(list(drafts), by, self.clock())
            raise
        return [
            x509.load_der_x509_certificate(assembled(octets, signature))
            for octets, signature in zip(drafts.values(), signatures, strict=True)
        ]

    def _draft(self, order: Order, serial: Serial, generation: Generation, partition: Partition) -> Draft:
        profile = profile_for(self.profile, order.carrier)
        if order.key.spec != profile.key:
            raise _wrong_key(order.key.spec, profile)
        return Draft(
            template=self.templates.of(profile, generation, partition, self.base_url),
            serial=serial,
            common_name=common_name(order.purpose, order.validity, self.randomness),
            validity=order.validity,
            disclosed=order.disclosed,
            key=order.key,
        )

    def _issuing_generation(self, orders: Sequence[Order], now: datetime) -> Generation:
        (purpose,) = {order.purpose for order in orders}
        living = self.generations(purpose)
        if not living:
            raise _no_generation()
        generation = living[0]
        latest = max(order.validity.not_after for order in orders)
        if now >= generation.issue_until or latest > generation.not_after:
            raise _issuing_ended(generation)
        return generation


def _reservation(order: Order, draft: Draft) -> Reservation:
    template = draft.template
    return Reservation(
        serial=draft.serial,
        purpose=order.purpose,
        carrier=order.carrier,
        holder=order.holder,
        generation=template.generation.id,
        partition=template.partition.id,
        base_url=template.base_url,
        profile_hash=template.profile.hash,
        key_hash=order.key.hash,
        validity=order.validity,
        card_end=order.card_end,
        renews=order.renews,
        case=order.case,
    )


def _linted(draft: Draft) -> bytes:
    to_be_signed = draft.to_be_signed()
    lint(to_be_signed, draft)
    return to_be_signed


def _wrong_key(found: KeySpec, profile: Profile) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "key-wrong-kind",
        Text(
            f"鍵の種類が {found} です。プロファイル {profile.name} には {profile.key} が必要です。",
            f"The key is {found}; the profile {profile.name} needs {profile.key}.",
        ),
        Text("カードで鍵ペアを作り直してください。", "Make a new key pair on the card."),
    )


def _no_generation() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "no-generation",
        Text("発行できる認証局の鍵がありません。", "The CA has no key that may issue."),
        Text("新しい世代の鍵をセレモニーで作成してください。", "Make the next generation's key in a ceremony."),
    )


def _issuing_ended(generation: Generation) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "issuing-ended",
        Text(
            f"認証局の鍵 {generation.id} の発行期間は {iso(generation.issue_until)} までです。",
            f"The CA key {generation.id} issues until {iso(generation.issue_until)} only.",
        ),
        Text("新しい世代の鍵をセレモニーで作成してください。", "Make the next generation's key in a ceremony."),
    )
