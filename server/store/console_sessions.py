"""The clerk console's sessions in SQL: a row for each, gone when the clerk logs out."""

from datetime import datetime

from sqlalchemy import delete, insert, select, update

from enroll.console.session import IDLE, LONGEST, Session
from jpki.case import CaseNumber
from jpki.clerk import ClerkId
from jpki.counter import CounterCode
from server.store import tables
from server.store.database import Database


class SqlConsoleSessions:
    """See `enroll.console.session.Sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, session: Session) -> None:
        """Keep a new session in place of the clerk's former ones: nobody sits at two counters."""
        table = tables.console_session
        ended = (table.c.clerk == session.clerk) | (table.c.began_at < session.began_at - LONGEST)
        with self._database.writing() as connection:
            connection.execute(delete(table).where(ended))
            connection.execute(
                insert(table).values(
                    id=session.id,
                    clerk=session.clerk,
                    counter=session.counter,
                    at_hand=session.at_hand,
                    began_at=session.began_at,
                    seen_at=session.seen_at,
                )
            )

    def find(self, session: bytes) -> Session | None:
        """Return a session."""
        table = tables.console_session
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.id == session)).first()
        if row is None:
            return None
        return Session(
            id=row.id,
            clerk=ClerkId(row.clerk),
            counter=None if row.counter is None else CounterCode(row.counter),
            at_hand=None if row.at_hand is None else CaseNumber(row.at_hand),
            began_at=row.began_at,
            seen_at=row.seen_at,
        )

    def seen(self, session: bytes, at: datetime) -> None:
        """Note that a session was used."""
        table = tables.console_session
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.id == session).values(seen_at=at))

    def lay(self, session: bytes, case: CaseNumber | None) -> None:
        """Lay a case before the clerk."""
        table = tables.console_session
        with self._database.writing() as connection:
            connection.execute(update(table).where(table.c.id == session).values(at_hand=case))

    def end(self, session: bytes) -> None:
        """End a session."""
        table = tables.console_session
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.id == session))

    def at_hand(self, clerk: ClerkId, now: datetime) -> CaseNumber | None:
        """Return the case that lies before a clerk whose session goes on."""
        table = tables.console_session
        wanted = select(table.c.at_hand).where(table.c.clerk == clerk, table.c.seen_at >= now - IDLE)
        with self._database.reading() as connection:
            number = connection.execute(wanted).scalar()
        return None if number is None else CaseNumber(number)
