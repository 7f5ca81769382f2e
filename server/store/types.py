"""Column types: serials and moments, the same values on every database.

Both say what they do to a value in one function: a batch of certificates has twenty of them for each.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import CHAR, DateTime, Dialect, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

from jpki.ids import Serial, format_serial

_MOMENTS = 4096
"""Moments that are kept as they are written: certificates end on birthdays, and a batch happens at one moment."""


class SerialColumn(TypeDecorator[Serial]):
    """A serial in 16 octets: PostgreSQL's uuid, and 32 hexadecimal digits on SQLite."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take plain digits where there is no uuid: a serial in a row costs a third then."""
        return dialect.type_descriptor(CHAR(32) if _is_sqlite(dialect) else Uuid())

    def bind_processor(self, dialect: Dialect) -> Callable[[Serial | None], Any]:
        """Return what turns a serial into the database's value."""
        return _digits if _is_sqlite(dialect) else _uuid

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Serial | None]:  # noqa: ARG002 - SQLAlchemy's signature
        """Return what turns the database's value into a serial."""
        return _from_digits if _is_sqlite(dialect) else _from_uuid


class Moment(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite keeps it as text without its zone, which is always UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Return what turns an aware moment into the database's value."""
        return _written if _is_sqlite(dialect) else _in_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002 - SQLAlchemy's signature
        """Return what turns the database's value into an aware moment in UTC."""
        return _read if _is_sqlite(dialect) else _in_utc


def _is_sqlite(dialect: Dialect) -> bool:
    return dialect.name == "sqlite"


def _digits(serial: Serial | None) -> str | None:
    return None if serial is None else format_serial(serial)


def _from_digits(digits: str | None) -> Serial | None:
    return None if digits is None else Serial(int(digits, 16))


def _uuid(serial: Serial | None) -> uuid.UUID | None:
    return None if serial is None else uuid.UUID(int=serial)


def _from_uuid(value: uuid.UUID | None) -> Serial | None:
    return None if value is None else Serial(value.int)


@lru_cache(_MOMENTS)
def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@lru_cache(_MOMENTS)
def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
