"""The audit becomes a chain: old rows go to the outbox, from which they are chained first, in their order."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment, SerialColumn

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BATCH = 1000


def upgrade() -> None:
    """Make the chain's tables and carry the old rows over."""
    outbox = op.create_table(
        "audit_outbox",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    tip = op.create_table(
        "audit_tip",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint("id = 1"),
        sa.PrimaryKeyConstraint("id"),
    )
    _create_chain()
    op.bulk_insert(tip, [{"id": 1, "number": 0, "hash": bytes(32)}])
    _move(_old_bodies(), outbox)
    op.drop_table("audit")


def downgrade() -> None:
    """Write the bodies that still exist as rows of the old form, one for each subject; the chain is lost."""
    audit = op.create_table(
        "audit",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    _move(_old_rows(), audit)
    for table in ("audit_body", "audit_head", "audit_chain", "audit_signer", "audit_tip", "audit_outbox"):
        op.drop_table(table)


def _create_chain() -> None:
    op.create_table(
        "audit_chain",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "audit_body",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["audit_chain.number"]),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "audit_head",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["audit_chain.number"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("after"),
    )
    op.create_table(
        "audit_signer",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("key_uri", sa.String(length=512), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
    )


def _move(rows: Iterator[dict[str, Any]], table: sa.Table) -> None:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            op.bulk_insert(table, batch)
            batch = []
    op.bulk_insert(table, batch)


def _old_bodies() -> Iterator[dict[str, Any]]:
    """Yield the old rows as server/audit/body.py writes acts since this version."""
    old = sa.table(
        "audit", *map(sa.column, ("id", "role", "name", "act", "subject", "details")), sa.column("at", Moment())
    )
    for row in op.get_bind().execute(sa.select(old).order_by(old.c.id)):
        fields = {
            "act": row.act,
            "at": row.at.astimezone(UTC).isoformat(),
            "details": json.loads(row.details),
            "name": row.name,
            "role": row.role,
            "subjects": row.subject.split(" "),
        }
        yield {"body": json.dumps(fields, sort_keys=True, separators=(",", ":"))}


def _old_rows() -> Iterator[dict[str, Any]]:
    chained = sa.table("audit_body", sa.column("number"), sa.column("body"))
    waiting = sa.table("audit_outbox", sa.column("id"), sa.column("body"))
    connection = op.get_bind()
    for query in (
        sa.select(chained.c.body).order_by(chained.c.number),
        sa.select(waiting.c.body).order_by(waiting.c.id),
    ):
        for body in connection.execute(query).scalars():
            fields = json.loads(body)
            for subject in fields["subjects"]:
                yield {
                    "at": datetime.fromisoformat(fields["at"]),
                    "role": fields["role"],
                    "name": fields["name"],
                    "act": fields["act"],
                    "subject": subject,
                    "details": json.dumps(fields["details"], sort_keys=True),
                }
