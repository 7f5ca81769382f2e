"""Which of many: a condition with one parameter, however many there are."""

import json
from collections.abc import Callable, Collection
from typing import Any, Self

from sqlalchemy import ARRAY, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import Boolean, TypeDecorator, TypeEngine


class Among(FunctionElement[bool]):
    """The condition that a column of serials or words has one of these values.

    `IN` has a parameter for each value, and a statement of its own for each number of them: for the five hundred of a
    batch that is several times what the look-up costs.
    """

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], values: Collection[Any] | None = None) -> None:
        """Take the values now; or, for a statement that is made once, as the parameter `among` when it is run."""
        if values is None:
            parameter = bindparam("among", type_=_Values(column.type))
        else:
            parameter = bindparam(None, values, type_=_Values(column.type), unique=True)
        super().__init__(column, parameter)

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - SQLAlchemy's signature
        """Stand for itself: compared with 1, as SQLAlchemy would have it on SQLite, it would use no index."""
        return self


class _Values(TypeDecorator[Collection[Any]]):
    """Values of one type: PostgreSQL's array, and a JSON array on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, each: TypeEngine[Any]) -> None:
        super().__init__()
        self.each = each

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take an array where there is one."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(self.each))

    def bind_processor(self, dialect: Dialect) -> Callable[[Collection[Any] | None], Any] | None:
        """Return what turns values into the database's one value."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)
        one = self.each.dialect_impl(dialect).bind_processor(dialect) or str
        return lambda values: json.dumps([one(value) for value in values or ()])


@compiles(Among, "sqlite")
def _on_sqlite(element: Among, compiler: SQLCompiler, **words: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    column, values = (compiler.process(each, **words) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - the values are one parameter


@compiles(Among, "postgresql")
def _on_postgresql(element: Among, compiler: SQLCompiler, **words: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    column, values = (compiler.process(each, **words) for each in element.clauses)
    return f"{column} = ANY ({values})"
