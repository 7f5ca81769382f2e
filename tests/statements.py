"""SQL statements are compiled once in a process of the tests, not once for each of its thousands of databases.

That is a sixth of the time of a test that opens a home. Nothing of a database is kept but the text of statements.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.util import LRUCache

from server.store import database


class Statements:
    """A cache of compiled statements that all databases of one kind share: each engine has a dialect of its own."""

    def __init__(self) -> None:
        self._compiled: LRUCache[Any, Any] = LRUCache(2000)

    def get(self, key: tuple[Any, ...]) -> Any:  # noqa: ANN401 - what SQLAlchemy keeps in it
        return self._compiled.get(_of_kind(*key))

    def __setitem__(self, key: tuple[Any, ...], compiled: object) -> None:
        self._compiled[_of_kind(*key)] = compiled


def _of_kind(dialect: object, *rest: object) -> tuple[object, ...]:
    return (type(dialect), *rest)


_STATEMENTS = Statements()


def share(patch: pytest.MonkeyPatch) -> None:
    """Let all databases of this process share their statements, until `patch` is undone."""
    patch.setattr(database, "create_engine", partial(_sharing, create_engine))


def _sharing(create: Callable[..., Engine], *arguments: object, **options: object) -> Engine:
    engine = create(*arguments, **options)
    engine.update_execution_options(compiled_cache=_STATEMENTS)
    return engine
