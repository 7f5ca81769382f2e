"""The public directory of lists, out of the ledger: which there are, of which municipality, and where."""

from collections.abc import Sequence

from crl.directory import DistributionPoint
from enroll.municipalities import municipalities, successor
from jpki.certificate import HOLDER_PURPOSES
from jpki.holder import Municipality
from jpki.ids import PartitionId
from jpki.partition import ARL, COMPLETE, crl_url
from jpki.ports import ShelfMark
from server.wiring import Rooms


def distribution_points(rooms: Rooms) -> Sequence[DistributionPoint]:
    """Return the newest of all lists, under each generation that answers.

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
            partition=name,
            number=mark.number,
            base=delta.base if delta else None,
            entries=delta.entries if delta else mark.entries,
            this_update=mark.this_update,
            next_update=mark.next_update,
            municipality=place,
            merged_into=place and successor(place.code),
            url=crl_url(base_url, mark.purpose, generation.id, name),
            issuer_url=f"{base_url}/ca/{mark.purpose}/{generation.id}.cer",
        )
        for mark in marks
        for place in [_municipality(rooms, mark.partition)]
        for name, delta in zip(mark.lists, (None, mark.delta), strict=False)
        for generation in answering[mark.purpose]
    ]


def _order(mark: ShelfMark) -> tuple[int, int, str]:
    """Return the complete lists first, then the ARLs, then the partitions in order of their ids."""
    return HOLDER_PURPOSES.index(mark.purpose), _FIRST.get(mark.partition, len(_FIRST)), mark.partition


_FIRST = {COMPLETE: 0, ARL: 1}


def _municipality(rooms: Rooms, partition: PartitionId) -> Municipality | None:
    if partition in _FIRST:
        return None
    return municipalities().get(rooms.store.partitions.municipality_of(partition))
