"""Which list is current, as rows; see `jpki.ports.CrlShelf`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jpki.acts import Act, Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.errors import JpkiError
from jpki.ids import PartitionId
from jpki.partition import COMPLETE
from jpki.ports import DeltaMark, ShelfMark
from server.store import audit, tables
from server.store.database import Database


class SqlShelf:
    """The newest publication of every list, replaced by compare-and-swap on its number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, purpose: Purpose, partitions: Collection[PartitionId]) -> Mapping[PartitionId, ShelfMark]:
        """Return the newest publication of each list."""
        of_lists = select(tables.crl).where(tables.crl.c.purpose == purpose, tables.crl.c.partition.in_(partitions))
        with self._database.reading() as connection:
            return {PartitionId(row.partition): _mark(row) for row in connection.execute(of_lists)}

    def marks(self) -> Sequence[ShelfMark]:
        """Return the newest publication of every list."""
        with self._database.reading() as connection:
            ordered = select(tables.crl).order_by(tables.crl.c.purpose, tables.crl.c.partition)
            return [_mark(row) for row in connection.execute(ordered)]

    def bases(self, purpose: Purpose) -> Sequence[ShelfMark]:
        """Return the complete lists that a delta may be of, the oldest first."""
        base = tables.crl_base
        with self._database.reading() as connection:
            rows = connection.execute(select(base).where(base.c.purpose == purpose).order_by(base.c.number)).all()
        return [ShelfMark(partition=COMPLETE, **_values(row)) for row in rows]

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        """Put `new` in the place of `old` if it is still there."""
        try:
            return self._swap(old, new, by)
        except JpkiError as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise

    def _swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        picture = {
            "number": new.number,
            "this_update": new.this_update,
            "next_update": new.next_update,
            "epoch": new.epoch,
            "position": new.position,
            "ending_after": new.ending_after,
            "entries": new.entries,
        }
        delta = new.delta
        values = picture | {
            "delta_base": None if delta is None else delta.base,
            "delta_entries": None if delta is None else delta.entries,
        }
        with self._database.writing() as connection:
            if old is None:
                connection.execute(insert(tables.crl).values(purpose=new.purpose, partition=new.partition, **values))
            else:
                same = (
                    tables.crl.c.purpose == old.purpose,
                    tables.crl.c.partition == old.partition,
                    tables.crl.c.number == old.number,
                )
                if connection.execute(update(tables.crl).where(*same).values(**values)).rowcount != 1:
                    return False
            if delta is not None:
                base = tables.crl_base
                passed = base.c.purpose == new.purpose, base.c.number < delta.base
                connection.execute(delete(base).where(*passed))
                connection.execute(insert(base).values(purpose=new.purpose, **picture))
            event = AuditEvent(
                at=new.this_update,
                actor=by,
                act=Act.CRL_PUBLISHED,
                subjects=(f"{new.purpose}/{new.partition}",),
                details=new.told(),
            )
            audit.write(connection, event)
        return True


def _mark(row: Row[Any]) -> ShelfMark:
    delta = None if row.delta_base is None else DeltaMark(row.delta_base, row.delta_entries)
    return ShelfMark(partition=PartitionId(row.partition), delta=delta, **_values(row))


def _values(row: Row[Any]) -> dict[str, Any]:
    return {
        "purpose": Purpose(row.purpose),
        "number": row.number,
        "this_update": row.this_update,
        "next_update": row.next_update,
        "epoch": row.epoch,
        "position": row.position,
        "ending_after": row.ending_after,
        "entries": row.entries,
    }
