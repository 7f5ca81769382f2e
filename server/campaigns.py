"""Campaign workers in processes: where card requests come from, where certificates go, and the work itself."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.key_policy import LARGEST_CSR
from enroll.campaign import CardRequests, Worker
from jpki.acts import LOCAL_OPERATOR
from jpki.campaign import CampaignId
from jpki.clock import Clock, system_clock
from jpki.ids import Serial, format_serial
from server.home import Home, read_at_most, write_new
from server.wiring import Rooms, open_rooms

_PAUSE_SECONDS = 0.5


def requests_in(folder: Path) -> CardRequests:
    """Return the source of the card requests that lie in `folder`, each named by the serial it renews: `<serial>.csr`."""

    def requests(serials: Sequence[Serial]) -> Mapping[Serial, bytes]:
        files = {serial: folder / f"{format_serial(serial)}.csr" for serial in serials}
        return {serial: read_at_most(file, LARGEST_CSR) for serial, file in files.items() if file.is_file()}

    return requests


def bundles_in(folder: Path) -> Callable[[Sequence[x509.Certificate]], None]:
    """Return what hands certificates over: each batch one new PEM file in `folder`, named by its first serial.

    What stands in a bundle is live if the ledger says so: a batch that could not be made live is made anew.
    """

    def hand_over(certificates: Sequence[x509.Certificate]) -> None:
        name = format_serial(Serial(certificates[0].serial_number))
        content = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
        write_new(folder / f"{name}.pem", content, 0o600)

    return hand_over


def worker_of(rooms: Rooms, requests: CardRequests, out: Path, clock: Clock = system_clock) -> Worker:
    """Return a worker of this home's campaigns."""
    return Worker(
        book=rooms.store.campaigns,
        authority=rooms.desk.authority,
        ledger=rooms.store.ledger,
        publisher=rooms.publisher,
        profile=rooms.profile,
        municipality_of=rooms.store.partitions.municipality_of,
        requests=requests,
        hand_over=bundles_in(out),
        clock=clock,
        by=LOCAL_OPERATOR,
    )


def work(home: Path, campaign: CampaignId, requests: CardRequests, out: Path) -> int:
    """Work until the campaign is done, paused or cancelled; return how many renewals this process was given."""
    rooms = open_rooms(Home.open(home))
    worker = worker_of(rooms, requests, out)
    total, left = 0, 1
    try:
        while left:
            taken, left = worker.work(campaign)
            total += taken
            if not taken and left:
                # The rest is with other workers; they may be dead, and what they took comes back when its lease ends.
                time.sleep(_PAUSE_SECONDS)
    finally:
        rooms.close()
    return total
