"""Leases: which process of which node does a periodic job now."""

from datetime import datetime, timedelta

from sqlalchemy import insert, select, update

from server.store import tables
from server.store.database import Database


class SqlLeases:
    """A job belongs to whoever took its row last, until the moment in it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, job: str, at: datetime, duration: timedelta) -> bool:
        """Take the job for `duration` if nobody has it; tell whether it was taken."""
        lease = tables.lease
        with self._database.writing() as connection:
            until = connection.execute(select(lease.c.until).where(lease.c.job == job)).scalar()
            if until is None:
                connection.execute(insert(lease).values(job=job, until=at + duration))
            elif _free(until, at, duration):
                connection.execute(update(lease).where(lease.c.job == job).values(until=at + duration))
            return until is None or _free(until, at, duration)


def _free(until: datetime, at: datetime, duration: timedelta) -> bool:
    """Tell whether a lease has ended. One that ends later than any honest one was taken under a wrong clock."""
    return not at < until <= at + duration
