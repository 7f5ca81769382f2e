"""The blocklist of keys."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table of blocked keys."""
    op.create_table(
        "blocked_key",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("since", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("blocked_key")
