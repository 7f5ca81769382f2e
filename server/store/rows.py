"""Rows as values of the kernel."""

from typing import Any

from sqlalchemy import Connection, Row, select

from jpki.ids import GenerationId, PartitionId, Serial
from jpki.revocation import Reason, State, Status
from server.store import tables


def status_of(connection: Connection, serial: Serial, *, lock: bool = False) -> Status | None:
    """Return the status of `serial`, the compromise of its generation counted in.

    With `lock`, no other transaction changes its row before this one ends.
    """
    query = (
        select(tables.status, tables.generation.c.compromised_at)
        .join(tables.generation, tables.generation.c.id == tables.status.c.generation)
        .where(tables.status.c.serial == serial)
    )
    row = connection.execute(query.with_for_update(of=tables.status) if lock else query).one_or_none()
    if row is None:
        return None
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
