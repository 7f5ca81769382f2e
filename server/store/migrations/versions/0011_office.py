"""The registration office: counters, clerks, cases, and the replies to requests that may be repeated."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment, SerialColumn

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "counter",
        sa.Column("code", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("municipality", sa.String(6), nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
    )
    _add_clerks()
    _take_up_administrators()
    _add_cases()
    op.create_table(
        "reply",
        sa.Column("client", sa.String(40), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("at", Moment(timezone=True), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("data_key", sa.Integer(), sa.ForeignKey("data_key.id"), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_reply_at", "reply", ["at"])
    op.create_index("ix_reply_data_key", "reply", ["data_key"])


def _add_clerks() -> None:
    op.create_table(
        "clerk",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_table(
        "clerk_role",
        sa.Column("clerk", sa.String(32), sa.ForeignKey("clerk.id"), primary_key=True),
        sa.Column("counter", sa.String(16), primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
    )
    op.create_table(
        "clerk_certificate",
        sa.Column("serial", SerialColumn(), primary_key=True),
        sa.Column("clerk", sa.String(32), sa.ForeignKey("clerk.id"), nullable=False),
    )
    op.create_table(
        "clerk_refusal",
        sa.Column("client", sa.String(40), primary_key=True),
        sa.Column("minute", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("count", sa.Integer(), nullable=False),
    )


def _take_up_administrators() -> None:
    """Make clerks of those who were certified before there were any: the administrators of the ceremony."""
    of_clerks = "FROM delegate WHERE kind = 'clerk' AND certificate IS NOT NULL"
    op.execute(f"INSERT INTO clerk (id, name, state) SELECT DISTINCT name, name, 'active' {of_clerks}")
    op.execute(f"INSERT INTO clerk_role (clerk, counter, role) SELECT DISTINCT name, '*', 'administrator' {of_clerks}")
    op.execute(f"INSERT INTO clerk_certificate (serial, clerk) SELECT serial, name {of_clerks}")


def _add_cases() -> None:
    op.create_table(
        "office_case",
        sa.Column("number", sa.String(16), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("counter", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("purposes", sa.String(32), nullable=False),
        sa.Column("applicant", sa.String(16), nullable=False),
        sa.Column("documents", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=True),
        sa.Column("express_ground", sa.String(16), nullable=True),
        sa.Column("express_day", sa.Date(), nullable=True),
        sa.Column("card", sa.String(32), nullable=True),
        sa.Column("card_not_after", Moment(timezone=True), nullable=True),
        sa.Column("card_mode", sa.String(16), nullable=True),
        sa.Column("opened_at", Moment(timezone=True), nullable=False),
        sa.Column("changed_at", Moment(timezone=True), nullable=False),
        sa.Column("expires_at", Moment(timezone=True), nullable=False),
        sa.Column("opened_by", sa.String(32), nullable=False),
        sa.Column("checked_by", sa.String(32), nullable=True),
        sa.Column("approved_by", sa.String(32), nullable=True),
        sa.Column("ground", sa.String(32), nullable=True),
    )
    op.create_index("office_case_counter", "office_case", ["counter", "state", "number"])
    op.create_index("office_case_holder", "office_case", ["holder", "opened_at"])
    op.create_index("office_case_due", "office_case", ["state", "expires_at"])
    op.create_table(
        "case_resident",
        sa.Column("number", sa.String(16), sa.ForeignKey("office_case.number"), primary_key=True),
        sa.Column("data_key", sa.Integer(), sa.ForeignKey("data_key.id"), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_case_resident_data_key", "case_resident", ["data_key"])
    op.create_table(
        "case_certificate",
        sa.Column("serial", SerialColumn(), sa.ForeignKey("certificate.serial"), primary_key=True),
        sa.Column("number", sa.String(16), sa.ForeignKey("office_case.number"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=True),
    )
    op.create_index("ix_case_certificate_number", "case_certificate", ["number"])
    op.create_index("ix_case_certificate_fingerprint", "case_certificate", ["fingerprint"])


def downgrade() -> None:
    """Drop them."""
    for table in (
        *("reply", "case_certificate", "case_resident", "office_case"),
        *("clerk_refusal", "clerk_certificate", "clerk_role", "clerk", "counter"),
    ):
        op.drop_table(table)
