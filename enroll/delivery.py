"""From orders to certificates that live: issued, named by a list that exists, handed over, and only then made live."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from ca.authority import Authority
from ca.issuer import Order
from crl.publisher import Publisher
from jpki.acts import Actor
from jpki.errors import JpkiError, Kind
from jpki.ids import PartitionId, Serial
from jpki.ports import CertificateLedger
from jpki.revocation import State

HandOver = Callable[[Sequence[x509.Certificate]], object]
"""Gives certificates to their holders, durably; if it raises, they were not delivered and never come to life."""

Outcome = x509.Certificate | JpkiError
"""What came of an order: the live certificate, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Delivers one certificate or many; `listed` remembers the lists that were seen to exist."""

    authority: Authority
    ledger: CertificateLedger
    publisher: Publisher
    listed: set[PartitionId] = field(default_factory=set)

    def deliver(self, orders: Sequence[Order], by: Actor, hand_over: HandOver) -> list[Outcome]:
        """Serve each order of one purpose that can be served, and return what came of each.

        Raises:
            JpkiError: UNAVAILABLE, or what the handing over raises; then nothing of it is live.
        """
        outcomes = self.authority.issue_each(orders, by) if orders else []
        refused = self.hand_over([each for each in outcomes if isinstance(each, x509.Certificate)], by, hand_over)
        return [each if isinstance(each, JpkiError) else refused.get(serial_of(each), each) for each in outcomes]

    def hand_over(
        self, certificates: Sequence[x509.Certificate], by: Actor, hand_over: HandOver
    ) -> dict[Serial, JpkiError]:
        """Deliver certificates that are issued already; return the refusals of those that could not be made live.

        Raises:
            JpkiError: as `deliver`.
        """
        issued = [serial_of(each) for each in certificates]
        if not issued:
            return {}
        try:
            self.ensure_lists(issued)
            hand_over(certificates)
            return self._activate(issued, by)
        except BaseException:
            self.authority.discard(issued, by)
            # What came to life before the failure was handed over and is its holder's: no failure any more.
            records = self.ledger.find(issued).values()
            if any(record.status.state is not State.ACTIVE for record in records):
                raise
            return {}

    def ensure_lists(self, serials: Sequence[Serial]) -> None:
        """Publish the first lists of partitions that these certificates, of one purpose, are the first to name."""
        unseen = self.ledger.partitions(serials) - self.listed
        if unseen:
            purpose = self.ledger.find(serials[:1])[serials[0]].purpose
            self.publisher.ensure_first(purpose, sorted(unseen))
            self.listed.update(unseen)

    def _activate(self, serials: Sequence[Serial], by: Actor) -> dict[Serial, JpkiError]:
        """Make them live; return the refusals: an old one may have been revoked meanwhile, and ends its new one."""
        try:
            self.authority.activate(serials, by)
        except JpkiError as error:
            if error.kind is Kind.UNAVAILABLE:
                raise
            if len(serials) == 1:
                self.authority.discard(serials, by)
                return {serials[0]: error}
        else:
            return {}
        half = len(serials) // 2
        return {**self._activate(serials[:half], by), **self._activate(serials[half:], by)}


def serial_of(certificate: x509.Certificate) -> Serial:
    """Return the certificate's serial."""
    return Serial(certificate.serial_number)
