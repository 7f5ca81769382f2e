"""Room for revocations on the disk of a PostgreSQL server."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table, which the next write fills; SQLite has a file instead."""
    if op.get_bind().dialect.name == "postgresql":
        columns = [sa.Column(f"n{number}", sa.BigInteger()) for number in range(200)]
        op.create_table("reserve", *columns, prefixes=["UNLOGGED"])


def downgrade() -> None:
    """Drop it."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("reserve")
