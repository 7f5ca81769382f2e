"""Campaigns: many renewals as rows, which are the queue too."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment, SerialColumn

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables, and find a certificate's successor by index."""
    op.create_table(
        "campaign",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ending_by", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened", Moment(timezone=True), nullable=False),
        sa.Column("begun", Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "campaign_item",
        sa.Column("campaign", sa.Integer(), nullable=False),
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("taken_until", Moment(timezone=True), nullable=True),
        sa.Column("successor", SerialColumn(), nullable=True),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.id"]),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"]),
        sa.PrimaryKeyConstraint("campaign", "serial"),
    )
    op.create_index("campaign_item_queue", "campaign_item", ["campaign", "state", "purpose", "not_after"], unique=False)
    op.create_index("campaign_item_serial", "campaign_item", ["serial"], unique=False)
    op.create_index(op.f("ix_certificate_renews"), "certificate", ["renews"], unique=False)


def downgrade() -> None:
    """Drop the tables and the index."""
    op.drop_index(op.f("ix_certificate_renews"), table_name="certificate")
    op.drop_table("campaign_item")
    op.drop_table("campaign")
