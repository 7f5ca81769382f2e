"""Campaigns that revoke: each has a reason, and no day by which anything ends."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the reason, and let the day be absent; SQLite can take a NOT NULL away with its column only."""
    op.add_column("campaign", sa.Column("reason", sa.String(length=32), nullable=True))
    _without_not_null()


def downgrade() -> None:
    """Forget such campaigns; what they revoked stays so."""
    revocations = "SELECT id FROM campaign WHERE reason IS NOT NULL"
    op.execute(f"DELETE FROM campaign_item WHERE campaign IN ({revocations})")  # noqa: S608 - our own words
    op.execute("DELETE FROM campaign WHERE reason IS NOT NULL")
    op.drop_column("campaign", "reason")


def _without_not_null() -> None:
    op.add_column("campaign", sa.Column("ends", sa.Date(), nullable=True))
    op.execute("UPDATE campaign SET ends = ending_by")
    op.drop_column("campaign", "ending_by")
    op.alter_column("campaign", "ends", new_column_name="ending_by")
