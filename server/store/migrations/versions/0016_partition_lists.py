"""The lists of partitions in their order, and no index that each step of a certificate would touch."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make two indexes of one."""
    listed = sa.text("revoked_at IS NOT NULL")
    columns = ["partition", "serial", "revoked_at", "reason", "not_after"]
    op.create_index("status_listed_in", "status", columns, sqlite_where=listed, postgresql_where=listed)
    op.create_index("status_partition", "status", ["partition", "serial"])
    op.drop_index("status_list", "status")


def downgrade() -> None:
    """Make one of two."""
    op.create_index("status_list", "status", ["partition", "state", "serial"])
    op.drop_index("status_partition", "status")
    op.drop_index("status_listed_in", "status")
