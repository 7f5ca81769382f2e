"""The ledger as lines that go into any database: one JSON array for each row, from one consistent picture."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, Date, LargeBinary, Table, delete, insert, select

from jpki.ids import Serial, format_serial
from server.audit.chain import Tip
from server.store import tables
from server.store.audit import tip_of
from server.store.database import Database
from server.store.types import Moment, SerialColumn

_PAGE = 1000
_OF_NOW = (tables.lease, tables.console_session)
"""Jobs that run and clerks who sit there now."""
TABLES = tuple(each for each in tables.metadata.sorted_tables if each not in _OF_NOW)
"""All that is kept, each table after those that it refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the ledger stands in a picture of it."""

    schema: str
    epoch: int
    position: int
    tip: Tip


class Picture:
    """One consistent picture of the ledger, whatever is written meanwhile."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def standing(self) -> Standing:
        """Return where the ledger stands."""
        row = self._connection.execute(select(tables.ledger)).one()
        return Standing(schema=self._schema, epoch=row.epoch, position=row.position, tip=tip_of(self._connection))

    def lines(self, table: Table) -> Iterator[bytes]:
        """Yield the table's columns, then its rows in order of their keys."""
        yield _line([column.name for column in table.columns])
        to_text = [_writer(column) for column in table.columns]
        query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_PAGE)
        for row in self._connection.execute(query):
            yield _line([None if value is None else write(value) for write, value in zip(to_text, row, strict=True)])


@contextmanager
def picture_of(database: Database) -> Iterator[Picture]:
    """Open a picture of the ledger: one transaction that reads."""
    schema = database.schema()
    with database.reading() as connection:
        yield Picture(connection, str(schema))


def load(connection: Connection, table: Table, lines: Iterable[bytes]) -> None:
    """Fill a table of a new ledger with what `Picture.lines` wrote, in the place of what the migrations put there.

    The outbox numbers its rows itself: another database's numbers would stand in its way.

    Raises:
        ValueError: when these are no lines of this table.
    """
    rows = iter(lines)
    if json.loads(next(rows)) != [column.name for column in table.columns]:
        raise ValueError(table.name)
    connection.execute(delete(table))
    from_text = [(column.name, _reader(column)) for column in table.columns]
    while page := list(islice(rows, _PAGE)):
        values = [
            {
                name: None if value is None else read(value)
                for (name, read), value in zip(from_text, json.loads(line), strict=True)
                if (table, name) != (tables.audit_outbox, "id")
            }
            for line in page
        ]
        connection.execute(insert(table), values)


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def _writer(column: Column[Any]) -> Callable[[Any], Any]:
    match column.type:
        case SerialColumn():
            return format_serial
        case Moment():
            return datetime.isoformat
        case Date():
            return date.isoformat
        case LargeBinary():
            return lambda octets: b64encode(octets).decode()
    return lambda value: value


def _reader(column: Column[Any]) -> Callable[[Any], Any]:
    match column.type:
        case SerialColumn():
            return lambda text: Serial(int(text, 16))
        case Moment():
            return datetime.fromisoformat
        case Date():
            return date.fromisoformat
        case LargeBinary():
            return b64decode
    return lambda value: value
