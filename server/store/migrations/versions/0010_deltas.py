"""The delta that was published with a complete list, and the complete lists that the next ones may be of."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the columns and the table."""
    with op.batch_alter_table("crl") as crl:
        crl.add_column(sa.Column("delta_base", sa.Integer(), nullable=True))
        crl.add_column(sa.Column("delta_entries", sa.Integer(), nullable=True))
        crl.create_check_constraint("crl_delta", "(delta_base IS NULL) = (delta_entries IS NULL)")
    op.create_table(
        "crl_base",
        sa.Column("purpose", sa.String(16), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("this_update", Moment(timezone=True), nullable=False),
        sa.Column("next_update", Moment(timezone=True), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("ending_after", Moment(timezone=True), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("crl_base")
    with op.batch_alter_table("crl") as crl:
        crl.drop_constraint("crl_delta", type_="check")
        crl.drop_column("delta_entries")
        crl.drop_column("delta_base")
