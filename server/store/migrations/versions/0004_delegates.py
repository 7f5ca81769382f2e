"""Delegates with their intents in place of responders; ceremonies; generations that are compromised or destroyed."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from cryptography import x509
from sqlalchemy import Row

from server.store.types import Moment, SerialColumn

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Carry responders and roots over: each was signed, so its octets are in its certificate."""
    _create_delegate()
    _create_ceremony()
    for column in ("issues_from", "destroyed_at"):
        op.add_column("generation", sa.Column(column, Moment(timezone=True), nullable=True))
    op.add_column("generation", sa.Column("compromised_position", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("journal") as journal:
        journal.alter_column("partition", existing_type=sa.String(length=16), nullable=True)
    connection = op.get_bind()
    for row in connection.execute(sa.select(_GENERATION)).all():
        issued = x509.load_der_x509_certificate(row.certificate).not_valid_before_utc
        connection.execute(_GENERATION.update().where(_GENERATION.c.id == row.id).values(issues_from=issued))
        _carry(row.id, "root", row)
    for row in connection.execute(sa.select(_RESPONDER)).all():
        _carry(row.generation, "responder", row)
    op.drop_index(op.f("ix_responder_generation"), table_name="responder")
    op.drop_table("responder")


def downgrade() -> None:
    """Bring the responders back; ceremonies, intents, clerks and what was said of whole generations are lost."""
    _create_responder()
    connection = op.get_bind()
    responders = sa.select(_DELEGATE).where(_DELEGATE.c.kind == "responder", _DELEGATE.c.certificate.is_not(None))
    for row in connection.execute(responders).all():
        kept = {name: getattr(row, name) for name in ("serial", "generation", "certificate", "key_uri", "not_after")}
        connection.execute(_RESPONDER.insert().values(**kept))
    connection.execute(_JOURNAL.delete().where(_JOURNAL.c.partition.is_(None)))
    with op.batch_alter_table("journal") as journal:
        journal.alter_column("partition", existing_type=sa.String(length=16), nullable=False)
    for column in ("compromised_position", "destroyed_at", "issues_from"):
        op.drop_column("generation", column)
    op.drop_table("ceremony")
    op.drop_index("delegate_generation", table_name="delegate")
    op.drop_table("delegate")


_METADATA = sa.MetaData()
_GENERATION = sa.Table(
    "generation",
    _METADATA,
    sa.Column("id", sa.String(16)),
    sa.Column("certificate", sa.LargeBinary),
    sa.Column("key_uri", sa.String(512)),
    sa.Column("not_after", Moment),
    sa.Column("issues_from", Moment),
)
_RESPONDER = sa.Table(
    "responder",
    _METADATA,
    sa.Column("serial", SerialColumn),
    sa.Column("generation", sa.String(16)),
    sa.Column("certificate", sa.LargeBinary),
    sa.Column("key_uri", sa.String(512)),
    sa.Column("not_after", Moment),
)
_DELEGATE = sa.Table(
    "delegate",
    _METADATA,
    sa.Column("serial", SerialColumn),
    sa.Column("generation", sa.String(16)),
    sa.Column("kind", sa.String(16)),
    sa.Column("name", sa.String(64)),
    sa.Column("key_uri", sa.String(512)),
    sa.Column("not_after", Moment),
    sa.Column("to_be_signed", sa.LargeBinary),
    sa.Column("certificate", sa.LargeBinary),
)
_JOURNAL = sa.Table("journal", _METADATA, sa.Column("partition", sa.String(16)))


def _carry(generation: str, kind: str, row: Row[Any]) -> None:
    certificate = x509.load_der_x509_certificate(row.certificate)
    op.get_bind().execute(
        _DELEGATE.insert().values(
            serial=certificate.serial_number,
            generation=generation,
            kind=kind,
            name=generation,
            key_uri=row.key_uri,
            not_after=row.not_after,
            to_be_signed=certificate.tbs_certificate_bytes,
            certificate=row.certificate,
        )
    )


def _create_delegate() -> None:
    op.create_table(
        "delegate",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("generation", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("key_uri", sa.String(length=512), nullable=True),
        sa.Column("not_after", Moment(timezone=True), nullable=False),
        sa.Column("to_be_signed", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index("delegate_generation", "delegate", ["generation", "kind"], unique=False)


def _create_ceremony() -> None:
    op.create_table(
        "ceremony",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=16), nullable=True),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("minutes", sa.Text(), nullable=False),
        sa.Column("opened_at", Moment(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("record", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )


def _create_responder() -> None:
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
