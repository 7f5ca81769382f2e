"""Renewing many: what one worker of a campaign does with what it took.

A worker that dies at any point loses and doubles nothing: what it took is given to another when its lease ends, which
closes what the dead one left pending and finds what it brought to life.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from ca.authority import Authority
from ca.issuer import Order
from ca.key_policy import holder_key, read_csr
from ca.profile import Profile
from crl.publisher import Publisher
from enroll.renewal import Terms, holder_of, renewal_order
from jpki.acts import Actor
from jpki.campaign import CampaignId
from jpki.certificate import CARD, Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.ids import HolderCode, PartitionId, Serial
from jpki.ports import CampaignBook, CertificateLedger, CertificateRecord
from jpki.revocation import State
from jpki.text import Text

BATCH = 500

CardRequests = Callable[[Sequence[Serial]], Mapping[Serial, bytes]]
"""Returns the CSRs, PEM or DER, that cards made for the successors of these certificates, as far as they are there."""
HandOver = Callable[[Sequence[x509.Certificate]], object]
"""Gives certificates to their cards, durably; if it raises, none of them comes to life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One of any number of workers, in any number of processes and nodes."""

    book: CampaignBook
    authority: Authority
    ledger: CertificateLedger
    publisher: Publisher
    profile: Profile
    municipality_of: Callable[[PartitionId], str]
    requests: CardRequests
    hand_over: HandOver
    clock: Clock
    by: Actor
    listed: set[tuple[Purpose, PartitionId]] = field(default_factory=set)

    def work(self, campaign: CampaignId) -> tuple[int, int]:
        """Renew one batch; return how many renewals it was given, and how many were not done before it began.

        Raises:
            JpkiError: UNAVAILABLE: what was taken is given out again when the lease ends, or at the next `work`.
        """
        taken = self.book.take(campaign, BATCH, self.clock())
        if taken.serials:
            done = self._renewed_before(taken.serials)
            renewed, failed = self._renew([serial for serial in taken.serials if serial not in done])
            self.book.finish(campaign, {**done, **renewed}, failed)
        return len(taken.serials), taken.left

    def _renewed_before(self, serials: Sequence[Serial]) -> dict[Serial, Serial]:
        """Return the live successors that a worker who died had made; what it left pending is closed."""
        successors = self.ledger.successors(serials)
        alive = {old: new.serial for old, new in successors.items() if new.state in (State.ACTIVE, State.HELD)}
        if pending := [new.serial for old, new in successors.items() if old not in alive]:
            self.authority.discard(pending, self.by)
        return alive

    def _renew(self, serials: Sequence[Serial]) -> tuple[dict[Serial, Serial], dict[Serial, str]]:
        orders, failed = self._orders(serials)
        if not orders:
            return {}, failed
        issued: dict[Serial, x509.Certificate] = {}
        for order, outcome in zip(orders, self.authority.issue_each(orders, self.by), strict=True):
            match order.renews, outcome:
                case int(old), JpkiError() as refusal:
                    failed[Serial(old)] = refusal.code
                case int(old), x509.Certificate() as certificate:
                    issued[Serial(old)] = certificate
        renewed, lost = self._deliver(issued)
        return renewed, {**failed, **lost}

    def _orders(self, serials: Sequence[Serial]) -> tuple[list[Order], dict[Serial, str]]:
        """Return an order for each that can be renewed, and the error codes of the others."""
        records, requests = self.ledger.find(serials), self.requests(serials)
        holders, ends = self._disclosed(records), self._latest_ends(records)
        now = self.clock()
        orders: list[Order] = []
        failed: dict[Serial, str] = {}
        for serial in serials:
            record = records[serial]
            terms = Terms(profile=self.profile, now=now, latest_end=ends.get(record.holder))
            try:
                if serial not in requests:
                    raise _no_request()
                key = holder_key(read_csr(requests[serial]), self.profile.key)
                orders.append(renewal_order(record, holders.get(serial), key, terms))
            except JpkiError as refusal:
                failed[serial] = refusal.code
        return orders, failed

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

    def _latest_ends(self, records: Mapping[Serial, CertificateRecord]) -> dict[HolderCode, datetime]:
        """Return when the authentication certificates beside signing ones end, for those end with them."""
        holders = [each.holder for each in records.values() if each.purpose is Purpose.SIGNING]
        if not holders:
            return {}
        beside = self.ledger.live(holders, Purpose.AUTHENTICATION, CARD, self.clock())
        return {holder: record.validity.not_after for holder, record in beside.items()}

    def _deliver(self, issued: Mapping[Serial, x509.Certificate]) -> tuple[dict[Serial, Serial], dict[Serial, str]]:
        """See to it that the lists exist that the certificates name, hand them over, and only then make them live."""
        serials = {old: Serial(certificate.serial_number) for old, certificate in issued.items()}
        if not serials:
            return {}, {}
        try:
            self._ensure_lists(list(serials.values()))
            self.hand_over(list(issued.values()))
        except BaseException:
            self.authority.discard(list(serials.values()), self.by)
            raise
        failed = self._activate(serials)
        return {old: new for old, new in serials.items() if old not in failed}, failed

    def _ensure_lists(self, serials: Sequence[Serial]) -> None:
        for record in self.ledger.find(serials).values():
            named = (record.purpose, record.status.partition)
            if named not in self.listed:
                self.publisher.ensure_first(*named)
                self.listed.add(named)

    def _activate(self, serials: Mapping[Serial, Serial]) -> dict[Serial, str]:
        """Make them live; return the refusals: an old one may have been revoked meanwhile, and its new one ends with it."""
        try:
            self.authority.activate(list(serials.values()), self.by)
        except JpkiError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            if len(serials) == 1:
                self.authority.discard(list(serials.values()), self.by)
                return dict.fromkeys(serials, error.code)
        else:
            return {}
        pairs, half = list(serials.items()), len(serials) // 2
        return {**self._activate(dict(pairs[:half])), **self._activate(dict(pairs[half:]))}


def _no_request() -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "request-missing",
        Text("カードからの証明書要求（CSR）が届いていません。", "The card's request has not arrived."),
        Text("届いたら jpki campaign retry で再開してください。", "When it has, go on with `jpki campaign retry`."),
    )
