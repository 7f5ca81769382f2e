"""Campaign workers in processes: where card requests come from, where certificates go, and the work itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_policy import LARGEST_CSR
from enroll.campaign import CardRequests, Worker
from enroll.delivery import HandOver
from enroll.mass_revocation import Revoker
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import CampaignId
from jpki.ids import Serial, format_serial
from jpki.ports import CertificateRecord
from jpki.revocation import Reason
from server.home import Home, read_at_most, write_new
from server.wiring import Rooms, open_rooms

_PAUSE_SECONDS = 0.5
_BREATH_SECONDS = 0.1
"""Between two batches of revocations: on SQLite who waits to write looks up every tenth of a second, in no order."""


@dataclass(frozen=True, slots=True)
class RequestFolder:
    """Card requests that lie in a folder, each named by the serial it renews: `<serial>.csr`; see `CardRequests`."""

    path: Path

    def __call__(self, records: Sequence[CertificateRecord]) -> Mapping[Serial, bytes]:
        """Return those that are there."""
        files = {each.serial: self.path / f"{format_serial(each.serial)}.csr" for each in records}
        return {serial: read_at_most(file, LARGEST_CSR) for serial, file in files.items() if file.is_file()}


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """Where certificates are handed over: each batch one new PEM file, named by its first serial; see `HandOver`.

    What stands in a bundle is live if the ledger says so: a batch that could not be made live is made anew.
    """

    path: Path

    def __call__(self, certificates: Sequence[x509.Certificate]) -> None:
        """Write the batch, flushed to disk; what a dead worker had written of it stays beside it."""
        name = format_serial(Serial(certificates[0].serial_number))
        content = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
        files = (self.path / f"{name}{again}.pem" for again in chain([""], (f"-{number}" for number in count(2))))
        write_new(next(file for file in files if not file.exists()), content, 0o600)


def worker_of(rooms: Rooms, requests: CardRequests, hand_over: HandOver) -> Worker:
    """Return a worker of this home's campaigns."""
    return Worker(
        book=rooms.store.campaigns,
        ledger=rooms.store.ledger,
        delivery=rooms.desk.delivery,
        profile=rooms.profile,
        municipality_of=rooms.store.partitions.municipality_of,
        requests=requests,
        hand_over=hand_over,
        registry=rooms.registry,
        clock=rooms.clock,
        by=LOCAL_OPERATOR,
    )


def revoker_of(rooms: Rooms, reason: Reason) -> Revoker:
    """Return a worker of this home's campaigns that revoke for `reason`."""
    return Revoker(
        book=rooms.store.campaigns,
        ledger=rooms.store.ledger,
        authority=rooms.desk.authority,
        on_devices=rooms.desk.on_devices,
        reason=reason,
        clock=rooms.clock,
        by=LOCAL_OPERATOR,
    )


def renew(home: Path, campaign: CampaignId, requests: CardRequests, hand_over: HandOver) -> int:
    """Work until the campaign is done, paused or cancelled; return how many renewals this process was given."""
    with closing(open_rooms(Home.open(home))) as rooms:
        return _until_done(worker_of(rooms, requests, hand_over).work, campaign, breath=0)


def revoke(home: Path, campaign: CampaignId, reason: Reason) -> int:
    """Revoke until the campaign is done, paused or cancelled; return how many this process was given."""
    with closing(open_rooms(Home.open(home))) as rooms:
        return _until_done(revoker_of(rooms, reason).work, campaign, breath=_BREATH_SECONDS)


def _until_done(work: Callable[[CampaignId], tuple[int, bool]], campaign: CampaignId, breath: float) -> int:
    total, left = 0, True
    while left:
        taken, left = work(campaign)
        total += taken
        # Where nothing was given out, the rest is with other workers; they may be dead, and what they took comes back
        # when its lease ends.
        time.sleep(breath if taken else _PAUSE_SECONDS if left else 0)
    return total
