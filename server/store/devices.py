"""What a holder has on mobile devices."""

from collections.abc import Sequence
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

    def serials(self, holder: HolderCode, purpose: Purpose, at: datetime) -> Sequence[Serial]:
        """Return the certificates of this kind that are live, or pending, on the holder's devices."""
        place = tables.place
        query = select(place.c.serial).where(
            place.c.holder == holder,
            place.c.purpose == purpose,
            place.c.carrier != CARD,
            place.c.not_after >= whole_second(at),
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalars().all()
