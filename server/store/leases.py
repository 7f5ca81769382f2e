"""Leases: which process of which node does a periodic job now."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from server.store import tables
from server.store.database import Database


class SqlLeases:
    """A job belongs to whoever took its row last, until the moment in it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, job: str, at: datetime, duration: timedelta) -> bool:
        """Take the job for `duration` if nobody has it; tell whether it was taken. Of several at once one takes it."""
        lease = tables.lease
        with self._database.writing() as connection:
            until = connection.execute(select(lease.c.until).where(lease.c.job == job)).scalar()
            if until is None:
                return _begun(connection, job, at + duration)
            if not _free(until, at, duration):
                return False
            mine = update(lease).where(lease.c.job == job, lease.c.until == until).values(until=at + duration)
            return connection.execute(mine).rowcount == 1


def _begun(connection: Connection, job: str, until: datetime) -> bool:
    """Write the first lease of a job; tell whether nobody else did."""
    try:
        with connection.begin_nested():
            connection.execute(insert(tables.lease).values(job=job, until=until))
    except IntegrityError:
        return False
    return True


def _free(until: datetime, at: datetime, duration: timedelta) -> bool:
    """Tell whether a lease has ended. One that ends later than any honest one was taken under a wrong clock."""
    return not at < until <= at + duration
