"""Counters in SQL: those that were added, and those of municipalities that were closed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from enroll.counters import by_itself, of_municipality
from jpki.acts import Act, Actor, AuditEvent
from jpki.counter import Counter, CounterCode, CounterKind, CounterState
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.store import audit, tables
from server.store.database import Database


class SqlCounters:
    """Municipalities and the holders' page have a counter without a row; a row says more, or that it is closed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counter: Counter, by: Actor, at: datetime) -> None:
        """Add a counter.

        Raises:
            JpkiError: CONFLICT `counter-exists`.
        """
        with self._database.writing() as connection:
            if _find(connection, counter.code) is not None or by_itself(counter.code) is not None:
                raise _exists(counter.code)
            connection.execute(insert(tables.counter).values(_values(counter)))
            details: dict[str, str | int] = {"kind": counter.kind, "municipality": counter.municipality or ""}
            _note(connection, Act.COUNTER_ADDED, counter.code, by, at, details)

    def close(self, code: CounterCode, by: Actor, at: datetime) -> None:
        """Let a counter take no case any more; its open ones can be taken over.

        Raises:
            JpkiError: NOT_FOUND `counter-unknown`.
        """
        table = tables.counter
        with self._database.writing() as connection:
            known = _find(connection, code)
            if known is None:
                municipality = of_municipality(code)
                if municipality is None:
                    raise unknown(code)
                connection.execute(insert(table).values(_values(municipality)))
            connection.execute(update(table).where(table.c.code == code).values(state=CounterState.CLOSED))
            _note(connection, Act.COUNTER_CLOSED, code, by, at, {})

    def counter(self, code: CounterCode) -> Counter:
        """Return a counter.

        Raises:
            JpkiError: NOT_FOUND `counter-unknown`.
        """
        with self._database.reading() as connection:
            return counter_in(connection, code)

    def added(self) -> Sequence[Counter]:
        """Return the counters that have a row, in order of their codes."""
        table = tables.counter
        with self._database.reading() as connection:
            return [_counter(row) for row in connection.execute(select(table).order_by(table.c.code))]


_ONE = select(tables.counter).where(tables.counter.c.code == bindparam("code"))


def counter_in(connection: Connection, code: CounterCode) -> Counter:
    """Return a counter in the running transaction.

    Raises:
        JpkiError: NOT_FOUND `counter-unknown`.
    """
    known = _find(connection, code) or by_itself(code)
    if known is None:
        raise unknown(code)
    return known


def _find(connection: Connection, code: CounterCode) -> Counter | None:
    row = connection.execute(_ONE, {"code": code}).first()
    return None if row is None else _counter(row)


def _counter(row: Row[Any]) -> Counter:
    return Counter(
        code=CounterCode(row.code),
        kind=CounterKind(row.kind),
        name=row.name,
        municipality=row.municipality,
        state=CounterState(row.state),
    )


def _values(counter: Counter) -> dict[str, object]:
    return {
        "code": counter.code,
        "kind": counter.kind,
        "name": counter.name,
        "municipality": counter.municipality,
        "state": counter.state,
    }


def _note(connection: Connection, act: Act, code: str, by: Actor, at: datetime, details: dict[str, str | int]) -> None:
    audit.write(connection, AuditEvent(at=at, actor=by, act=act, subjects=(f"counter/{code}",), details=details))


def _exists(code: CounterCode) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "counter-exists",
        Text(f"窓口 {code} は登録済みです。", f"There is a counter {code} already."),
        Text("別の符号を付けてください。", "Give it another code."),
    )


def unknown(code: str) -> JpkiError:
    """Return our error for a code that no counter has."""
    return JpkiError(
        Kind.NOT_FOUND,
        "counter-unknown",
        Text(f"窓口 {code} はありません。", f"There is no counter {code}."),
        Text(
            "6桁の団体コード、又は jpki counter list の符号を使ってください。",
            "Use a municipality's six digits, or a code of `jpki counter list`.",
        ),
    )
