"""Verifiers and their look-ups, for `registered` mode."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment, SerialColumn

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "verifier",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("purpose", sa.String(length=256), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "verifier_certificate",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("verifier", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["verifier"], ["verifier.id"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_table(
        "verifier_use",
        sa.Column("verifier", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["verifier"], ["verifier.id"]),
        sa.PrimaryKeyConstraint("verifier", "day"),
    )
    op.create_table(
        "look_up",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("verifier", sa.Integer(), nullable=False),
        sa.Column("finding", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["verifier"], ["verifier.id"]),
    )
    op.create_index("look_up_serial", "look_up", ["serial", "at"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for table in ("look_up", "verifier_use", "verifier_certificate", "verifier"):
        op.drop_table(table)
