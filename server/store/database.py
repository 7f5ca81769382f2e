"""The database: how it is opened, and the two kinds of transaction. Foreign exceptions end here."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store import tables

SCHEMA_VERSION = 1
_BUSY_SECONDS = 20


class Database:
    """One SQL database; safe to share between threads, not across a fork."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(self._engine, "connect", _configure_sqlite)
        event.listen(self._engine, "begin", _begin_sqlite)

    @classmethod
    def at(cls, file: Path) -> "Database":
        """Open the SQLite file, which must exist: a missing ledger is never silently made anew."""
        return cls(f"sqlite:///file:{file}?mode=rw&uri=true")

    @classmethod
    def create(cls, file: Path, now: datetime) -> "Database":
        """Make the SQLite file with all tables and an empty ledger."""
        database = cls(f"sqlite:///file:{file}?mode=rwc&uri=true")
        with _translated(), database._engine.begin() as connection:
            tables.metadata.create_all(connection)
            connection.execute(
                insert(tables.ledger).values(id=1, schema_version=SCHEMA_VERSION, epoch=1, position=0, latest=now)
            )
        file.chmod(0o600)
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run a transaction that reads one consistent picture."""
        with _translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a transaction that writes; committed, and flushed to disk, when the block ends without an error."""
        with _translated(), self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def advance_clock(self, connection: Connection, at: datetime, *, tolerance_seconds: float = 2) -> None:
        """Remember the latest moment written, to a second, and refuse one that lies before it (rule R22).

        Raises:
            JpkiError: UNAVAILABLE `clock-went-back`.
        """
        latest = connection.execute(select(tables.ledger.c.latest)).scalar_one()
        if (latest - at).total_seconds() > tolerance_seconds:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "clock-went-back",
                Text("時計が過去に戻ったため、署名を停止しました。", "The clock went back, so signing is stopped."),
                Text("時刻同期を確認してください。", "Check the machine's time synchronisation."),
            )
        if (at - latest).total_seconds() >= 1:
            connection.execute(update(tables.ledger).values(latest=at))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _configure_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001 - SQLAlchemy's signature
    # SQLAlchemy begins transactions itself (below); sqlite3's own implicit ones would begin too late to be immediate.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, SQLAlchemyError, OSError) as error:
        cause = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
        raise JpkiError(
            Kind.UNAVAILABLE,
            "database-unavailable",
            Text(
                f"データベースに接続できないか、書き込めません（{cause}）。", f"The database cannot be used ({cause})."
            ),
            Text(
                "データベースの稼働とディスクの空きを確認して、再実行してください。",
                "Check that the database is up and the disk has room, then try again.",
            ),
        ) from error
