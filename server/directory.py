"""The public directory of lists, out of the ledger: which there are, of which municipality, and where."""

from collections.abc import Sequence

from crl.directory import DistributionPoint
from enroll.municipalities import municipalities
from jpki.certificate import HOLDER_PURPOSES
from jpki.holder import Municipality
from jpki.ids import PartitionId
from jpki.partition import COMPLETE, crl_url
from jpki.ports import ShelfMark
from server.wiring import Rooms


def distribution_points(rooms: Rooms) -> Sequence[DistributionPoint]:
    """Return the newest list of every partition, and the complete ones, under each generation that answers.

    Raises:
        JpkiError: UNAVAILABLE while the ledger is away.
    """
    base_url, now = rooms.settings.base_url, rooms.clock()
    answering = {purpose: rooms.store.generations.answering(purpose, now) for purpose in HOLDER_PURPOSES}
    marks = sorted(rooms.store.shelf.marks(), key=_order)
    return [
        DistributionPoint(
            purpose=mark.purpose,
            generation=generation.id,
            partition=mark.partition,
            number=mark.number,
            entries=mark.entries,
            this_update=mark.this_update,
            next_update=mark.next_update,
            municipality=_municipality(rooms, mark.partition),
            url=crl_url(base_url, mark.purpose, generation.id, mark.partition),
            issuer_url=f"{base_url}/ca/{mark.purpose}/{generation.id}.cer",
        )
        for mark in marks
        for generation in answering[mark.purpose]
    ]


def _order(mark: ShelfMark) -> tuple[int, bool, str]:
    """Return the complete lists first, then the partitions in order of their ids."""
    return HOLDER_PURPOSES.index(mark.purpose), mark.partition != COMPLETE, mark.partition


def _municipality(rooms: Rooms, partition: PartitionId) -> Municipality | None:
    if partition == COMPLETE:
        return None
    return municipalities().get(rooms.store.partitions.municipality_of(partition))
