"""Rows as values of the kernel."""

from sqlalchemy import Connection, select

from jpki.ids import GenerationId, PartitionId, Serial
from jpki.revocation import Reason, State, Status
from server.store import tables


def status_of(connection: Connection, serial: Serial, *, lock: bool = False) -> Status | None:
    """Return the status row of `serial`; with `lock`, no other transaction changes it before this one ends."""
    query = select(tables.status).where(tables.status.c.serial == serial)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        return None
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
