"""Many rows by one statement, each a tuple: what SQLAlchemy does for each takes longer than SQLite's own part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect, Insert, Update


@dataclass(frozen=True, slots=True)
class Bulk:
    """An insert of these columns, or an update with these parameters, in the order in which rows give the values."""

    statement: Insert | Update
    names: tuple[str, ...]

    def execute(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Run the statement for each of the rows, of which there is one at least."""
        prepared = _prepared(self.statement, self.names, connection.dialect)
        given = list(zip(*rows, strict=True))
        columns = [
            given[place] if process is None else map(process, given[place])
            for place, process in zip(prepared.places, prepared.processors, strict=True)
        ]
        return connection.exec_driver_sql(prepared.text, list(zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement's text; for each parameter its place in a row, and what makes its value the database's."""

    text: str
    places: tuple[int, ...]
    processors: tuple[Callable[[Any], Any] | None, ...]


@lru_cache
def _prepared(statement: Insert | Update, names: tuple[str, ...], dialect: Dialect) -> _Prepared:
    columns = list(names) if isinstance(statement, Insert) else None
    compiled = statement.compile(dialect=dialect, column_keys=columns)
    order = compiled.positiontup or ()
    types = (compiled.binds[name].type.dialect_impl(dialect) for name in order)
    return _Prepared(
        str(compiled), tuple(map(names.index, order)), tuple(each.bind_processor(dialect) for each in types)
    )
