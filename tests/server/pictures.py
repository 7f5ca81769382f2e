"""What a list would hold now, line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from jpki.certificate import Purpose
from jpki.ids import PartitionId
from jpki.ports import RevokedEntry, RevokedLines
from jpki.revocation import Reason
from server.wiring import Store

_BY_NUMBER = {reason.number: reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Pictured:
    """A list's entries, and the journal's position that they picture."""

    position: int
    entries: list[RevokedEntry]


def pictured(
    store: Store, partition: str, purpose: Purpose = Purpose.SIGNING, ending_after: datetime | None = None
) -> Pictured:
    with store.partitions.revocations(purpose, PartitionId(partition), ending_after) as picture:
        return Pictured(picture.position, entries_of(picture.lines))


def entries_of(chunks: Iterable[RevokedLines]) -> list[RevokedEntry]:
    return [RevokedEntry(serial, moment, _BY_NUMBER[reason]) for lines in chunks for serial, moment, reason in lines]
