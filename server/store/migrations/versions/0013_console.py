"""The clerk console's sessions."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "console_session",
        sa.Column("id", sa.LargeBinary(32), primary_key=True),
        sa.Column("clerk", sa.String(32), nullable=False),
        sa.Column("counter", sa.String(16), nullable=True),
        sa.Column("at_hand", sa.String(16), nullable=True),
        sa.Column("began_at", Moment(timezone=True), nullable=False),
        sa.Column("seen_at", Moment(timezone=True), nullable=False),
    )
    op.create_index("ix_console_session_clerk", "console_session", ["clerk"])


def downgrade() -> None:
    """Drop it: every clerk logs in anew."""
    op.drop_table("console_session")
