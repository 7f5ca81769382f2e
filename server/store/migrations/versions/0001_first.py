"""The first schema: ledger, generations, partitions, certificates, status, journal, audit, lists."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment, SerialColumn

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "certificate",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("carrier", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("profile_hash", sa.String(length=64), nullable=False),
        sa.Column("not_before", Moment(timezone=True), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.Column("renews", SerialColumn(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("certificate_holder", "certificate", ["holder", "purpose"], unique=False)
    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("latest", Moment(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "crl",
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("partition", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("this_update", Moment(timezone=True), nullable=False),
        sa.Column("next_update", Moment(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "partition"),
    )
    op.create_table(
        "generation",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("key_uri", sa.String(length=512), nullable=False),
        sa.Column("profile", sa.String(length=32), nullable=False),
        sa.Column("issue_until", Moment(timezone=True), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.Column("compromised_at", Moment(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("purpose", "number"),
    )
    op.create_table(
        "lease",
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("until", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "partition",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("municipality", sa.String(length=6), nullable=True),
        sa.Column("successor", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["successor"], ["partition.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("municipality"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "place",
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("carrier", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=8), nullable=False),
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("since", Moment(timezone=True), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("holder", "purpose", "carrier", "stage"),
        sa.UniqueConstraint("serial"),
    )
    op.create_table(
        "certificate_record",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("to_be_signed", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_table(
        "holder_key",
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"]),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_table(
        "journal",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("partition", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("listed", sa.Integer(), nullable=False),
        sa.Column("effective_at", Moment(timezone=True), nullable=False),
        sa.Column("recorded_at", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["partition"], ["partition.id"]),
        sa.PrimaryKeyConstraint("epoch", "position"),
    )
    op.create_index(op.f("ix_journal_serial"), "journal", ["serial"], unique=False)
    op.create_index("journal_list", "journal", ["partition", "listed", "position"], unique=False)
    op.create_table(
        "partition_url",
        sa.Column("partition", sa.String(length=16), nullable=False),
        sa.Column("base_url", sa.String(length=512), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["partition"], ["partition.id"]),
        sa.PrimaryKeyConstraint("partition", "base_url"),
    )
    op.create_table(
        "responder",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("generation", sa.String(length=16), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("key_uri", sa.String(length=512), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["generation"], ["generation.id"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index(op.f("ix_responder_generation"), "responder", ["generation"], unique=False)
    op.create_table(
        "status",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("generation", sa.String(length=16), nullable=False),
        sa.Column("partition", sa.String(length=16), nullable=False),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("revoked_at", Moment(timezone=True), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(state IN ('held', 'revoked')) = (revoked_at IS NOT NULL) AND (revoked_at IS NULL) = (reason IS NULL)",
            name="status_listed",
        ),
        sa.ForeignKeyConstraint(["generation"], ["generation.id"]),
        sa.ForeignKeyConstraint(["partition"], ["partition.id"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("status_list", "status", ["partition", "state", "serial"], unique=False)


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index("status_list", table_name="status")
    op.drop_table("status")
    op.drop_index(op.f("ix_responder_generation"), table_name="responder")
    op.drop_table("responder")
    op.drop_table("partition_url")
    op.drop_index("journal_list", table_name="journal")
    op.drop_index(op.f("ix_journal_serial"), table_name="journal")
    op.drop_table("journal")
    op.drop_table("holder_key")
    op.drop_table("certificate_record")
    op.drop_table("place")
    op.drop_table("partition")
    op.drop_table("ledger")
    op.drop_table("lease")
    op.drop_table("generation")
    op.drop_table("crl")
    op.drop_table("clock")
    op.drop_index("certificate_holder", table_name="certificate")
    op.drop_table("certificate")
    op.drop_table("audit")
