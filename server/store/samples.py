"""How many sample holders the ledger knows."""

from sqlalchemy import func, select

from server.store import tables
from server.store.database import Database


class SqlSamples:
    """Holders whose codes begin with a prefix of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_code(self, prefix: str) -> str | None:
        """Return the greatest holder code that begins with `prefix`, None where there is none."""
        holder = tables.certificate.c.holder
        with self._database.reading() as connection:
            code: str | None = connection.execute(
                select(func.max(holder)).where(holder.startswith(prefix, autoescape=True))
            ).scalar()
            return code
