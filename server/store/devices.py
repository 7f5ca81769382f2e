"""What holders have on mobile devices."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select

from jpki.certificate import CARD, Purpose
from jpki.clock import whole_second
from jpki.ids import HolderCode, Serial
from server.store import tables
from server.store.database import Database


class SqlDevices:
    """See `enroll.mobile.OnDevices`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def serials(
        self, holders: Sequence[HolderCode], purpose: Purpose, at: datetime
    ) -> Mapping[HolderCode, Sequence[Serial]]:
        """Return the certificates of this kind that are live, or pending, on the holders' devices."""
        place = tables.place
        query = select(place.c.holder, place.c.serial).where(
            place.c.holder.in_(holders),
            place.c.purpose == purpose,
            place.c.carrier != CARD,
            place.c.not_after >= whole_second(at),
        )
        found: defaultdict[HolderCode, list[Serial]] = defaultdict(list)
        with self._database.reading() as connection:
            for row in connection.execute(query):
                found[row.holder].append(row.serial)
        return found
