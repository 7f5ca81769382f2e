"""The journal as its readers follow it."""

from sqlalchemy import select

from jpki.ids import PartitionId
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
        entries = [
            JournalEntry(
                position=row.position,
                serial=row.serial,
                partition=None if row.partition is None else PartitionId(row.partition),
                state=State(row.state),
                reason=None if row.reason is None else Reason(row.reason),
                listed=bool(row.listed),
                effective_at=row.effective_at,
                recorded_at=row.recorded_at,
            )
            for row in rows
        ]
        return JournalChanges(ledger.epoch, ledger.position, entries)
