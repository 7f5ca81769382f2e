"""The database: how it is made and opened, and the two kinds of transaction. Foreign exceptions end here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Self
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import DropTable

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store import faults, tables
from server.store.faults import translated
from server.store.reserve import DISK_FULL, FileReserve, Reserve, TableReserve

SCHEMA = "0017"
"""The migration that this code works with; the newest file in migrations/versions bears the same name."""
_BUSY_SECONDS = 20
_LATEST = select(tables.clock.c.latest)
_ASKED = "asked"
"""The execution option that holds when, by the monotonic clock, a transaction that writes was asked for."""
VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32)))
"""Where alembic keeps the name of the last migration."""


class Database:
    """One SQL database; safe to share between threads, not across a fork."""

    def __init__(self, engine: Engine, reserve: Reserve) -> None:
        self._engine = engine
        self._reserve = reserve
        self._writing = Lock()

    @classmethod
    def at_file(cls, file: Path, *, create: bool = False) -> Self:
        """Open a SQLite file. One that is missing is an outage, and made only when asked to `create`."""
        mode = {"mode": "rwc" if create else "rw", "uri": "true"}
        url = URL.create("sqlite", database=f"file:{quote(str(file))}", query=mode)
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return cls(engine, FileReserve(file.with_name("reserve")))

    @classmethod
    def at_url(cls, url: str) -> Self:
        """Open a PostgreSQL database, `postgresql://…`; libpq's own files and variables hold the password.

        Raises:
            JpkiError: UNPROCESSABLE `database-url-wrong`.
        """
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise faults.url_wrong() from None
        if parsed.drivername != "postgresql":
            raise faults.url_wrong()
        settings = f"-c timezone=UTC -c lock_timeout={_BUSY_SECONDS}s"
        arguments = {"connect_timeout": 5, "options": settings}
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args=arguments,
            # By place, as on SQLite: bulk statements give rows as tuples.
            paramstyle="format",
        )
        return cls(engine, TableReserve(engine))

    def found(self, now: datetime) -> None:
        """Make all tables and an empty ledger in a database that has none; see `lay`."""
        self.lay()
        with self.writing() as connection:
            connection.execute(insert(tables.ledger).values(id=1, epoch=1, position=0))
            connection.execute(insert(tables.clock).values(id=1, latest=now))

    def lay(self) -> None:
        """Make all tables, empty, in a database that has none.

        Raises:
            JpkiError: CONFLICT `database-not-empty`.
        """
        if self._has_tables():
            raise faults.not_empty()
        self.migrate()

    def upgrade(self) -> str:
        """Bring a ledger of an older version up to this one, and return the version that it had.

        Raises:
            JpkiError: as `require_current`, but for `database-outdated`.
        """
        schema = self.schema()
        if schema is None or not _is_known(schema):
            self.require_current()
        self.migrate()
        with self.writing():
            pass  # The first transaction lays up the reserve.
        return str(schema)

    def migrate(self, target: str = "head") -> None:
        """Bring the schema up or down to `target`: a migration's name, `head`, or `base` for nothing at all."""
        from server.store.migrations import run

        with translated(), self._engine.connect() as connection:
            self._enforce_references(connection, enforced=False)
            try:
                with connection.begin():
                    run(connection, target)
            finally:
                self._enforce_references(connection, enforced=True)

    def _enforce_references(self, connection: Connection, *, enforced: bool) -> None:
        """Let SQLite look after foreign keys, or not: it rebuilds a table by dropping it (lang_altertable.html 7)."""
        if self._is_sqlite:
            # Not by SQLAlchemy, which would begin a transaction, and within one the pragma does nothing.
            connection.connection.cursor().execute(f"PRAGMA foreign_keys={'ON' if enforced else 'OFF'}")

    def unfound(self) -> None:
        """Take away all that `found` made, where the ceremony failed after it."""
        self.migrate("base")
        with self.writing() as connection:
            connection.execute(DropTable(VERSION))

    def latest(self) -> datetime:
        """Return the latest moment that was written, to a second."""
        with self.reading() as connection:
            moment: datetime = connection.execute(select(tables.clock.c.latest)).scalar_one()
            return moment

    def accept_clock(self, now: datetime) -> None:
        """Take `now` for the latest moment, where a clock that ran ahead wrote a later one."""
        with self.writing() as connection:
            connection.execute(update(tables.clock).values(latest=now))

    def schema(self) -> str | None:
        """Return the name of the migration that the database is at, None where it has none of our tables."""
        with self.reading() as connection:
            if not inspect(connection).has_table(VERSION.name):
                return None
            version: str | None = connection.execute(select(VERSION.c.version_num)).scalar()
            return version

    def require_current(self) -> None:
        """Require that the database is a ledger, of this version.

        Raises:
            JpkiError: CONFLICT `database-foreign`, `database-outdated` or `database-newer`; UNAVAILABLE
                `database-empty` or `database-unavailable`. The database is closed then.
        """
        try:
            schema = self.schema()
            if schema is None:
                raise faults.foreign() if self._has_tables() else faults.empty()
        except JpkiError:
            self.close()
            raise
        if schema != SCHEMA:
            self.close()
            raise (faults.outdated if _is_known(schema) else faults.newer)(schema, SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run a transaction that reads one consistent picture."""
        with translated(), self._connected() as connection:
            if not self._is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a transaction that writes; committed, and flushed to disk, when the block ends without an error.

        While the reserve is not whole nothing but an urgent act is written: what room it left is for those (rule R18).
        """
        options: dict[str, Any] = {"writes": True, _ASKED: monotonic()}
        with (
            translated(),
            self._turn(),
            self._connected().execution_options(**options) as connection,
            connection.begin(),
        ):
            self._reserve.keep(connection)
            yield connection

    def urgently(self, act: Callable[[Connection], None]) -> None:
        """Run an act in a transaction that a full disk does not stop: the reserve is given up for it."""
        try:
            self._run(act)
        except JpkiError as error:
            if error.code != DISK_FULL and not self._reserve.is_needed():
                raise
            self._reserve.give_up()
            self._run(act)

    def _run(self, act: Callable[[Connection], None]) -> None:
        options: dict[str, Any] = {"writes": True, _ASKED: monotonic()}
        with (
            translated(),
            self._turn(),
            self._connected().execution_options(**options) as connection,
            connection.begin(),
        ):
            act(connection)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let this process's threads write to a SQLite file one after the other.

        The file lets one write at a time anyway, but those who wait there try again now and then, and of many one may
        never be lucky in time.
        """
        if not self._is_sqlite:
            yield
            return
        waited_for = self._writing.acquire(timeout=_BUSY_SECONDS)
        try:
            yield
        finally:
            if waited_for:
                self._writing.release()

    def _connected(self) -> Connection:
        """Return a connection. The first one to a SQLite file takes room on disk, even to read."""
        try:
            return self._engine.connect()
        except SQLAlchemyError:
            if not self._reserve.is_needed() or not self._reserve.give_up():
                raise
            return self._engine.connect()

    def advance_clock(self, connection: Connection, at: datetime, *, tolerance_seconds: float = 2) -> None:
        """Remember the latest moment written, to a second, and refuse one that lies before it (rule R22).

        `at` was taken before this transaction waited for its turn among the writers: so long it may lie behind.

        Raises:
            JpkiError: UNAVAILABLE `clock-went-back`.
        """
        latest = connection.execute(_LATEST).scalar_one()
        waited = monotonic() - connection.get_execution_options()[_ASKED]
        if (latest - at).total_seconds() > tolerance_seconds + waited:
            raise JpkiError(
                Kind.UNAVAILABLE,
                "clock-went-back",
                Text("時計が過去に戻ったため、署名を停止しました。", "The clock went back, so signing is stopped."),
                Text("時刻同期を確認してください。", "Check the machine's time synchronisation."),
            )
        if (at - latest).total_seconds() >= 1:
            connection.execute(update(tables.clock).where(tables.clock.c.latest < at).values(latest=at))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _has_tables(self) -> bool:
        with self.reading() as connection:
            return bool(inspect(connection).get_table_names())

    @property
    def has_roles(self) -> bool:
        """Whether the database tells its users apart, and what each may do."""
        return not self._is_sqlite

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"


def _configure_sqlite(connection: Any, record: object) -> None:  # noqa: ANN401, ARG001 - SQLAlchemy's signature
    # SQLAlchemy begins transactions itself (below); sqlite3's own implicit ones would begin too late to be immediate.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # It takes no lock, so nothing can go wrong; a reader needs no more of SQLAlchemy's care, which costs the most.
        connection.connection.cursor().execute("BEGIN")


def _is_known(schema: str) -> bool:
    from server.store.migrations import names

    return schema in names()
