"""Column types: serials and moments, the same values on every database."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import CHAR, DateTime, Dialect, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

from jpki.ids import Serial, format_serial


class SerialColumn(TypeDecorator[Serial]):
    """A serial in 16 octets: PostgreSQL's uuid, and 32 hexadecimal digits on SQLite."""

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take plain digits where there is no uuid: a serial in a row costs a third then."""
        return dialect.type_descriptor(CHAR(32) if dialect.name == "sqlite" else Uuid())

    def process_bind_param(self, value: Serial | None, dialect: Dialect) -> Any:  # noqa: ANN401 - SQLAlchemy's signature
        """Turn a serial into the database's value."""
        if value is None:
            return None
        return format_serial(value) if dialect.name == "sqlite" else uuid.UUID(int=value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Serial | None:  # noqa: ANN401 - SQLAlchemy's signature
        """Turn the database's value into a serial."""
        if value is None:
            return None
        return Serial(int(value, 16) if dialect.name == "sqlite" else value.int)


class Moment(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite keeps it without its zone, which is always UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into the database's value."""
        if value is None:
            return None
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn the database's value into an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
