"""Rows as values of the kernel."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from jpki.ids import GenerationId, PartitionId, Serial
from jpki.revocation import Reason, State, Status
from server.store import tables


def statuses_of(connection: Connection, serials: Sequence[Serial], *, lock: bool = False) -> dict[Serial, Status]:
    """Return the status rows of `serials`; with `lock`, no other transaction changes them before this one ends."""
    query = select(tables.status).where(tables.status.c.serial.in_(serials)).order_by(tables.status.c.serial)
    return {
        row.serial: Status(
            serial=row.serial,
            generation=GenerationId(row.generation),
            partition=PartitionId(row.partition),
            not_after=row.not_after,
            state=State(row.state),
            reason=None if row.reason is None else Reason(row.reason),
            revoked_at=row.revoked_at,
            position=row.position,
        )
        for row in connection.execute(query.with_for_update() if lock else query)
    }
