"""Rows as values of the kernel."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from jpki.ids import GenerationId, PartitionId, Serial
from jpki.revocation import Reason, State, Status
from server.store import tables
from server.store.among import Among


def statuses_of(connection: Connection, serials: Sequence[Serial], *, lock: bool = False) -> dict[Serial, Status]:
    """Return the status of each serial that there is, the compromise of its generation counted in.

    With `lock`, no other transaction changes their rows before this one ends.
    """
    rows = connection.execute(_LOCKED if lock else _STATUSES, {"among": serials})
    return {row.serial: _under_compromise(row) for row in rows.all()}


_STATUSES = (
    select(tables.status, tables.generation.c.compromised_at)
    .join(tables.generation, tables.generation.c.id == tables.status.c.generation)
    .where(Among(tables.status.c.serial))
    .order_by(tables.status.c.serial)
)
_LOCKED = _STATUSES.with_for_update(of=tables.status)


def _under_compromise(row: Row[Any]) -> Status:
    status = status_from(row)
    return status if row.compromised_at is None else status.under_compromise(row.compromised_at)


def status_from(row: Row[Any]) -> Status:
    """Return the status as its own row has it."""
    return Status(
        serial=row.serial,
        generation=GenerationId(row.generation),
        partition=PartitionId(row.partition),
        not_after=row.not_after,
        state=State(row.state),
        reason=None if row.reason is None else Reason(row.reason),
        revoked_at=row.revoked_at,
        position=row.position,
    )
