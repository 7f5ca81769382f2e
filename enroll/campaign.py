"""Renewing many: what one worker of a campaign does with what it took.

A worker that dies at any point loses and doubles nothing: what it took is given to another when its lease ends, which
finds what the dead one brought to life, delivers what it had signed, and closes what it may have signed (rule R4).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from cryptography import x509

from ca.issuer import Order
from ca.key_policy import holder_key, read_csr
from ca.profile import Profile
from ca.validity import renewal_opens
from enroll.delivery import Delivery, HandOver, serial_of
from enroll.eligibility import require_entitled
from enroll.orders import Terms, renewal_order
from enroll.renewal import holder_of, register_disagrees, require_not_merged
from jpki.acts import Actor
from jpki.campaign import CampaignId
from jpki.certificate import CARD, Purpose
from jpki.clock import Clock, day_in_japan, end_of_day
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.ids import HolderCode, PartitionId, Serial
from jpki.ports import CampaignBook, CertificateLedger, CertificateRecord, ResidentRegistry
from jpki.resident import Resident, taken_at_word
from jpki.revocation import State
from jpki.text import Text

BATCH = 500

CardRequests = Callable[[Sequence[CertificateRecord]], Mapping[Serial, bytes]]
"""Returns the CSRs, PEM or DER, that cards made for the successors of these certificates, as far as they are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of any number of workers, in any number of processes and nodes."""

    book: CampaignBook
    ledger: CertificateLedger
    delivery: Delivery
    profile: Profile
    municipality_of: Callable[[PartitionId], str]
    requests: CardRequests
    hand_over: HandOver
    registry: ResidentRegistry | None
    """The register of residents, where there is one to ask."""
    clock: Clock
    by: Actor

    def work(self, campaign: CampaignId) -> tuple[int, bool]:
        """Renew one batch; return how many renewals it was given, and whether any was not done before it began.

        Raises:
            JpkiError: UNAVAILABLE: what was taken is given out again when the lease ends, or at the next `work`.
        """
        taken = self.book.take(campaign, BATCH, self.clock())
        if taken.serials:
            done, failed = self._left_by_others(taken.serials)
            renewed, refused = self._renew([each for each in taken.serials if each not in done and each not in failed])
            self.book.finish(campaign, taken, {**done, **renewed}, {**failed, **refused})
        return len(taken.serials), taken.left

    def _left_by_others(self, serials: Sequence[Serial]) -> tuple[dict[Serial, Serial], dict[Serial, str]]:
        """Finish what a dead worker had begun: what it had signed is delivered, what it may have signed is closed.

        That may be long ago, so the register is asked again.
        """
        successors = self.ledger.successors(serials)
        issued = {new.serial: old for old, new in successors.items() if new.state is State.ISSUED}
        doubtful = [new.serial for new in successors.values() if new.state in (State.RESERVED, State.INTENDED)]
        if doubtful:
            self.ledger.discard(doubtful, self.by, self.clock())
        refused = self._forbidden(list(issued))
        if refused:
            self.ledger.discard(list(refused), self.by, self.clock())
        allowed = [each for each in issued if each not in refused]
        octets = self.ledger.certificates(allowed) if allowed else {}
        certificates = [x509.load_der_x509_certificate(each) for each in octets.values()]
        refused |= self.delivery.hand_over(certificates, self.by, self.hand_over)
        failed = {issued[serial]: error.code for serial, error in refused.items()}
        done = {old: new.serial for old, new in successors.items() if new.serial not in doubtful and old not in failed}
        return done, failed

    def _forbidden(self, issued: Sequence[Serial]) -> dict[Serial, JpkiError]:
        """Return what was signed and may not be handed over any more, and why."""
        records = self.ledger.find(issued)
        disclosed, registered = self._disclosed(records), self._registered({each.holder for each in records.values()})
        forbidden: dict[Serial, JpkiError] = {}
        for serial, record in records.items():
            try:
                resident = _resident(disclosed.get(serial), registered.get(record.holder))
                if resident is not None:
                    require_entitled(resident, record.purpose, day_in_japan(self.clock()))
            except JpkiError as refusal:
                forbidden[serial] = refusal
        return forbidden

    def _renew(self, serials: Sequence[Serial]) -> tuple[dict[Serial, Serial], dict[Serial, str]]:
        """Return the successors of those that were renewed, and the error codes of the others."""
        orders, failed = self._orders(serials)
        renewed: dict[Serial, Serial] = {}
        outcomes = self.delivery.deliver(list(orders.values()), self.by, self.hand_over)
        for old, outcome in zip(orders, outcomes, strict=True):
            if isinstance(outcome, JpkiError):
                failed[old] = outcome.code
            else:
                renewed[old] = serial_of(outcome)
        return renewed, failed

    def _orders(self, serials: Sequence[Serial]) -> tuple[dict[Serial, Order], dict[Serial, str]]:
        """Return an order for each that can be renewed, and the error codes of the others."""
        records = self.ledger.find(serials)
        requests = self.requests(list(records.values()))
        disclosed, ends = self._disclosed(records), self._ends_beside(records)
        # Nobody is asked about whose card has not asked for anything.
        registered = self._registered({records[serial].holder for serial in requests})
        now = self.clock()
        orders: dict[Serial, Order] = {}
        failed: dict[Serial, str] = {}
        for serial in serials:
            record = records[serial]
            terms = Terms(profile=self.profile, now=now, beside=ends.get(record.holder))
            try:
                if record.purpose is Purpose.SIGNING:
                    require_not_merged(self.municipality_of(record.status.partition))
                if serial not in requests:
                    raise _no_request()
                key = holder_key(read_csr(requests[serial]), self.profile.key)
                resident = _resident(disclosed.get(serial), registered.get(record.holder))
                orders[serial] = _gaining(record, renewal_order(record, resident, key, terms))
            except JpkiError as refusal:
                failed[serial] = refusal.code
        return orders, failed

    def _registered(self, holders: Collection[HolderCode]) -> Mapping[HolderCode, Resident | JpkiError]:
        return {} if self.registry is None else self.registry.each_resident(holders)

    def _disclosed(self, records: Mapping[Serial, CertificateRecord]) -> dict[Serial, Holder]:
        """Return the holders that the old signing certificates tell of: their data are taken over."""
        signing = {serial: each for serial, each in records.items() if each.purpose is Purpose.SIGNING}
        if not signing:
            return {}
        return {
            serial: holder_of(
                signing[serial].holder,
                x509.load_der_x509_certificate(octets),
                self.municipality_of(signing[serial].status.partition),
            )
            for serial, octets in self.ledger.certificates(list(signing)).items()
        }

    def _ends_beside(self, records: Mapping[Serial, CertificateRecord]) -> dict[HolderCode, datetime]:
        """Return when the authentication certificates beside signing ones end, for those end with them."""
        holders = [each.holder for each in records.values() if each.purpose is Purpose.SIGNING]
        if not holders:
            return {}
        beside = self.ledger.live(holders, Purpose.AUTHENTICATION, CARD, self.clock())
        return {holder: record.validity.not_after for holder, record in beside.items()}


def require_window(profile: Profile, ending_by: date, now: datetime) -> None:
    """Require that all that end until a day in Japan are in their renewal window.

    Raises:
        JpkiError: CONFLICT `renewal-closed`.
    """
    opens = renewal_opens(profile, end_of_day(ending_by))
    if opens > day_in_japan(now):
        raise JpkiError(
            Kind.CONFLICT,
            "renewal-closed",
            Text(
                f"{ending_by} に終わる証明書の更新は {opens} から受け付けます。",
                f"Certificates that end on {ending_by} can be renewed from {opens} on.",
            ),
            Text("もっと早い日を指定してください。", "Name an earlier day."),
        )


def _resident(disclosed: Holder | None, registered: Resident | JpkiError | None) -> Resident | None:
    """Return what is known of a holder: what the register says, or without one what the old certificate tells.

    Nobody shows papers in a campaign, so what the register says now must be what the old certificate tells.

    Raises:
        JpkiError: CONFLICT `register-disagrees`; what the register answers instead of a person.
    """
    if isinstance(registered, JpkiError):
        raise registered
    if registered is None:
        return None if disclosed is None else taken_at_word(disclosed)
    # The register's code of a municipality may be that of a successor.
    if disclosed is not None and replace(disclosed, municipality=registered.holder.municipality) != registered.holder:
        raise register_disagrees()
    return registered


def _gaining(old: CertificateRecord, order: Order) -> Order:
    """Return an order; refuse one whose certificate would end no later than the one that it renews.

    Raises:
        JpkiError: CONFLICT `nothing-gained`.
    """
    if order.validity.not_after > old.validity.not_after:
        return order
    raise JpkiError(
        Kind.CONFLICT,
        "nothing-gained",
        Text(
            "カード、在留期間又は利用者証明用電子証明書とともに終わるため、更新しても有効期限は延びません。",
            "It ends with the card, the stay or the authentication certificate: a renewal would gain nothing.",
        ),
        Text("先にそちらを更新してください。", "Have that renewed first."),
    )


def _no_request() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "request-missing",
        Text("カードからの証明書要求（CSR）が届いていません。", "The card's request has not arrived."),
        Text("届いたら jpki campaign retry で再開してください。", "When it has, go on with `jpki campaign retry`."),
    )
