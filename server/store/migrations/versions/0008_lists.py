"""What a list pictures, and indexes that hold the complete lists in their order."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns and the indexes."""
    op.add_column("crl", sa.Column("epoch", sa.Integer(), server_default="0", nullable=False))
    op.add_column("crl", sa.Column("ending_after", Moment(timezone=True), nullable=True))
    listed = sa.text("revoked_at IS NOT NULL")
    for name, columns in (
        ("status_revoked", ["serial", "generation", "revoked_at", "reason", "not_after"]),
        ("status_ending", ["not_after"]),
    ):
        op.create_index(name, "status", columns, sqlite_where=listed, postgresql_where=listed)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("status_ending", "status")
    op.drop_index("status_revoked", "status")
    op.drop_column("crl", "ending_after")
    op.drop_column("crl", "epoch")
