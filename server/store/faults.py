"""What can go wrong with the database, in our words. Foreign exceptions end here."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store.reserve import disk_full


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's exceptions into ours.

    UNAVAILABLE `database-full` or `database-unavailable`, CONFLICT `database-incomplete`.
    """
    try:
        yield
    except DBAPIError as error:
        if _tells_of_full_disk(error.orig):
            raise disk_full() from error
        raise (_incomplete() if _lacks_something(error) else _unavailable(_cause(error))) from error
    except (SQLAlchemyError, OSError) as error:
        raise _unavailable(type(error).__name__) from error


def _tells_of_full_disk(error: BaseException | None) -> bool:
    """Tell SQLite's word for a full disk, or PostgreSQL's by psycopg's class: the other database loads no psycopg."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or type(error).__name__ == "DiskFull"


def _lacks_something(error: DBAPIError) -> bool:
    """Tell whether a table or a column is missing: psycopg has classes for it, and sqlite3 a sentence."""
    return type(error.orig).__name__ in {"UndefinedTable", "UndefinedColumn"} or str(error.orig).startswith("no such ")


def _cause(error: DBAPIError) -> str:
    """Say what went wrong in the database's words, but never in those about a statement: it may name a person (R21)."""
    if error.statement is None and not isinstance(error, IntegrityError):
        return str(error.orig).partition("\n")[0].removeprefix("connection failed: ")
    return getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)


def _unavailable(cause: str) -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "database-unavailable",
        Text(f"データベースを利用できません（{cause}）。", f"The database cannot be used ({cause})."),
        Text(
            "データベースの稼働、ディスクの空き、jpki.toml の database（SQLiteではホームの jpki.sqlite）を確認して、"
            "再実行してください。",
            "Check that the database is up, that the disk has room, and `database` in jpki.toml (with SQLite,"
            " jpki.sqlite in the home), then try again.",
        ),
    )


def _incomplete() -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "database-incomplete",
        Text(
            "台帳の表又は列が足りません。移行の途中で止まったか、壊れています。",
            "The ledger lacks a table or a column: a migration stopped half-way, or it is damaged.",
        ),
        Text("バックアップから復旧してください。", "Restore it from a backup."),
    )


def url_wrong() -> JpkiError:
    """Return our error for a URL that names no PostgreSQL database."""
    return JpkiError(
        Kind.UNPROCESSABLE,
        "database-url-wrong",
        Text("データベースのURLが正しくありません。", "The database's URL is wrong."),
        Text("postgresql://利用者@ホスト/名前 の形で指定してください。", "Write it as postgresql://user@host/name."),
    )


def not_empty() -> JpkiError:
    """Return our error for a database that was to be new and has tables."""
    return JpkiError(
        Kind.CONFLICT,
        "database-not-empty",
        Text("データベースに既に表があります。", "The database has tables already."),
        Text("空のデータベースを指定してください。何も変更していません。", "Name an empty one; nothing was changed."),
    )


def empty() -> JpkiError:
    """Return our error for a ledger's database without any table."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "database-empty",
        Text("データベースが空です。台帳が失われています。", "The database is empty: the ledger is not there."),
        Text("バックアップから復旧してください。", "Restore it from a backup."),
    )


def foreign() -> JpkiError:
    """Return our error for a database with tables that are not ours."""
    return JpkiError(
        Kind.CONFLICT,
        "database-foreign",
        Text("このデータベースは認証局の台帳ではありません。", "This database is not an authority's ledger."),
        Text("jpki.toml の database を確認してください。", "Check `database` in jpki.toml."),
    )


def newer(schema: str, ours: str) -> JpkiError:
    """Return our error for a ledger that a newer program made."""
    return JpkiError(
        Kind.CONFLICT,
        "database-newer",
        Text(
            f"台帳の版 {schema} を、このプログラム（{ours} まで）は知りません。",
            f"The ledger is of version {schema}, which this program, of version {ours}, does not know.",
        ),
        Text("新しい版の jpki を使ってください。", "Use a newer version of jpki."),
    )


def outdated(schema: str, ours: str) -> JpkiError:
    """Return our error for a ledger that is to be brought up first."""
    return JpkiError(
        Kind.CONFLICT,
        "database-outdated",
        Text(
            f"台帳の版は {schema} ですが、このプログラムには {ours} が必要です。",
            f"The ledger is of version {schema}; this program needs {ours}.",
        ),
        Text("jpki db upgrade --home で更新してください。", "Bring it up with `jpki db upgrade --home`."),
    )
