"""The journal as its readers follow it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from jpki.ids import PartitionId, Serial
from jpki.ports import JournalChanges, JournalEntry
from jpki.revocation import Reason, State
from server.store import tables
from server.store.database import Database


class SqlJournal:
    """Every change that a verifier can see, in the order in which it became true."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, position: int, at_most: int) -> JournalChanges:
        """Return what follows `position`; see `jpki.ports.Journal`."""
        journal = tables.journal
        following = select(journal).where(journal.c.position > position).order_by(journal.c.position).limit(at_most)
        with self._database.reading() as connection:
            ledger = connection.execute(select(tables.ledger.c.epoch, tables.ledger.c.position)).one()
            rows = connection.execute(following).all() if ledger.position > position else []
        return JournalChanges(ledger.epoch, ledger.position, list(map(_entry, rows)))

    def of(self, serials: Sequence[Serial]) -> Sequence[JournalEntry]:
        """Return every change of these certificates, in order."""
        journal = tables.journal
        theirs = select(journal).where(journal.c.serial.in_(serials)).order_by(journal.c.epoch, journal.c.position)
        with self._database.reading() as connection:
            return list(map(_entry, connection.execute(theirs)))


def _entry(row: Row[Any]) -> JournalEntry:
    return JournalEntry(
        position=row.position,
        serial=row.serial,
        partition=None if row.partition is None else PartitionId(row.partition),
        state=State(row.state),
        reason=None if row.reason is None else Reason(row.reason),
        listed=bool(row.listed),
        effective_at=row.effective_at,
        recorded_at=row.recorded_at,
    )
