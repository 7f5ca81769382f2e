"""What registers tell of their residents, and the notices of what ended by it."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the tables, and the row that numbers events."""
    intake = op.create_table(
        "resident_intake",
        sa.Column("id", sa.Integer(), sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("last", sa.BigInteger(), nullable=False),
    )
    op.bulk_insert(intake, [{"id": 1, "last": 0}])
    op.create_table(
        "resident_event",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("effective_at", Moment(timezone=True), nullable=False),
        sa.Column("received_at", Moment(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("taken_until", Moment(timezone=True), nullable=True),
        sa.Column("serials", sa.Text(), nullable=True),
        sa.Column("doubt", sa.String(32), nullable=True),
        sa.Column("because", sa.String(200), nullable=True),
        sa.UniqueConstraint("source", "sequence", "kind", "holder", "effective_at"),
    )
    op.create_index("resident_event_queue", "resident_event", ["state", "effective_at", "number"])
    op.create_index("resident_event_holder", "resident_event", ["holder", "state"])
    op.create_table(
        "notice",
        sa.Column(
            "event", sa.BigInteger(), sa.ForeignKey("resident_event.number"), primary_key=True, autoincrement=False
        ),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("serials", sa.Text(), nullable=False),
        sa.Column("made_at", Moment(timezone=True), nullable=False),
    )
    op.create_index("ix_notice_holder", "notice", ["holder"])


def downgrade() -> None:
    """Drop them; what ended stays so."""
    op.drop_table("notice")
    op.drop_table("resident_event")
    op.drop_table("resident_intake")
