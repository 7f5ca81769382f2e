"""Which municipality took over from a merged one is told by the release, no more by its partition."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Drop the column, which nobody ever filled."""
    with op.batch_alter_table("partition") as partition:
        partition.drop_column("successor")


def downgrade() -> None:
    """Bring it back, empty."""
    op.execute("ALTER TABLE partition ADD COLUMN successor VARCHAR(16) REFERENCES partition (id)")
