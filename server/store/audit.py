"""The audit's rows, written in the same transaction as the act they tell of."""

import json

from sqlalchemy import Connection, insert

from jpki.acts import AuditEvent
from server.store import tables
from server.store.database import Database


def write(connection: Connection, event: AuditEvent) -> None:
    """Add the event to the running transaction."""
    connection.execute(
        insert(tables.audit).values(
            at=event.at,
            role=event.actor.role,
            name=event.actor.name,
            act=event.act,
            subject=" ".join(event.subjects),
            details=json.dumps(event.details, sort_keys=True),
        )
    )


class SqlAudit:
    """The audit sink for acts that touch no certificate row; see `jpki.ports.AuditSink`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, event: AuditEvent) -> None:
        """Write the event in a transaction of its own."""
        with self._database.writing() as connection:
            write(connection, event)
