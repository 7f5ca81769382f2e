"""Room on disk that is kept for revocations, and given up when the disk is full (rule R18)."""

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, Table, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from jpki.errors import JpkiError, Kind
from jpki.text import Text

DISK_FULL = "database-full"


class Reserve(Protocol):
    """Room that is whole, or that is not there."""

    def keep(self, connection: Connection) -> None:
        """See to it that the reserve is whole, in a transaction that wrote nothing yet.

        Raises:
            JpkiError: UNAVAILABLE `database-full` when there is no room for it.
            OSError, SQLAlchemyError: when it cannot be made, for that or another reason.
        """

    def give_up(self) -> bool:
        """Give the room to whoever needs it now; tell whether there was any."""

    def is_needed(self) -> bool:
        """Tell whether the disk has less room than a transaction may take, where that can be seen from here."""


_FILE = 8 << 20
"""Octets; more than SQLite's log takes before it is written back (4 MB). 1,500 revocations in a row go in, measured."""


@dataclass(frozen=True, slots=True)
class FileReserve:
    """A file of zeros at `path`, beside a SQLite ledger."""

    path: Path

    def keep(self, connection: Connection) -> None:
        """See `Reserve`."""
        del connection
        if self.path.exists():
            return
        waiting = self.path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            with waiting.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE)
            waiting.rename(self.path)
        except OSError as error:
            waiting.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full() from error
            raise

    def give_up(self) -> bool:
        """See `Reserve`."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def is_needed(self) -> bool:
        """See `Reserve`."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize < _FILE // 8


RESERVE = Table("reserve", MetaData(), *(Column(f"n{number}", BigInteger) for number in range(200)))
"""Numbers are never moved elsewhere, as longer values are. PostgreSQL alone has the table; its columns mean nothing."""
_TABLE = 4 << 20
"""Octets; thousands of revocations in a row go in, as long as the server's log has its own room."""
_ROWS = 3000
"""Five of them fill a page of 8,192 octets but for a few."""
_SIZE = text("SELECT pg_relation_size(to_regclass('reserve'))")


@dataclass(frozen=True, slots=True)
class TableReserve:
    """A table on PostgreSQL's own disk, which nobody reads.

    It has neither index nor TOAST, and is not logged: to empty it takes no room at all, and frees all of its own at the
    commit. A server that was killed, or a stand-by that took over, finds it empty, and fills it at the next write.
    """

    engine: Engine

    def keep(self, connection: Connection) -> None:
        """See `Reserve`."""
        if _is_whole(connection):
            return
        connection.execute(text("LOCK TABLE reserve IN ACCESS EXCLUSIVE MODE"))
        if not _is_whole(connection):
            # What was written of it before, in vain, goes with the old file.
            connection.execute(text("TRUNCATE reserve"))
            number = func.generate_series(1, _ROWS).column_valued("number")
            connection.execute(
                insert(RESERVE).from_select(list(RESERVE.columns), select(*[number] * len(RESERVE.columns)))
            )

    def give_up(self) -> bool:
        """See `Reserve`."""
        try:
            with self.engine.begin() as connection:
                had_any = bool(connection.execute(_SIZE).scalar())
                connection.execute(text("TRUNCATE reserve"))
        except SQLAlchemyError:
            return False
        return had_any

    def is_needed(self) -> bool:
        """See `Reserve`: the disk is the server's, which tells when it is full."""
        return False


def _is_whole(connection: Connection) -> bool:
    """Tell whether nothing is missing; without the table, before it was made, there is nothing to keep."""
    size: int | None = connection.execute(_SIZE).scalar()
    return size is None or size >= _TABLE


def disk_full() -> JpkiError:
    """Return the error of a ledger whose disk is full."""
    return JpkiError(
        Kind.UNAVAILABLE,
        DISK_FULL,
        Text(
            "ディスクに空きがなく、台帳と監査記録を書けないため、署名しません。失効は受け付けます。",
            "The disk is full: without ledger and audit nothing is signed. Revocations are still taken.",
        ),
        Text("ディスクの空きを作って、やり直してください。", "Make room on the disk, then try again."),
    )
