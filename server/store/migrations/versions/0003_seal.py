"""Sealed records: data keys, and of each signed certificate the signature beside the octets that it signs.

A migration has no keys: what it leaves unsealed, `jpki db upgrade` seals right after it.
"""

import sqlalchemy as sa
from alembic import op
from cryptography import x509

from jpki.signature import assembled
from server.store.types import SerialColumn

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make room for data keys, and keep signatures instead of whole certificates."""
    op.create_table(
        "data_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wrapping_key", sa.String(length=512), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.rename_table("certificate_record", "certificate_record_before")
    record = op.create_table(
        "certificate_record",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("data_key", sa.Integer(), nullable=True),
        sa.Column("to_be_signed", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"]),
        sa.ForeignKeyConstraint(["data_key"], ["data_key.id"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_index(op.f("ix_certificate_record_data_key"), "certificate_record", ["data_key"], unique=False)
    for row in _rows("certificate_record_before", "certificate"):
        signature = None if row.certificate is None else x509.load_der_x509_certificate(row.certificate).signature
        values = {"serial": row.serial, "to_be_signed": row.to_be_signed, "signature": signature}
        op.execute(sa.insert(record).values(values))
    op.drop_table("certificate_record_before")


def downgrade() -> None:
    """Keep whole certificates again; sealed ones cannot be opened here, and are dropped."""
    op.drop_index(op.f("ix_certificate_record_data_key"), table_name="certificate_record")
    op.rename_table("certificate_record", "certificate_record_after")
    record = op.create_table(
        "certificate_record",
        sa.Column("serial", SerialColumn(), nullable=False),
        sa.Column("to_be_signed", sa.LargeBinary(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["serial"], ["certificate.serial"]),
        sa.PrimaryKeyConstraint("serial"),
    )
    for row in _rows("certificate_record_after", "signature", "data_key"):
        if row.data_key is None:
            certificate = None if row.signature is None else assembled(row.to_be_signed, row.signature)
            values = {"serial": row.serial, "to_be_signed": row.to_be_signed, "certificate": certificate}
            op.execute(sa.insert(record).values(values))
    op.drop_table("certificate_record_after")
    op.drop_table("data_key")


def _rows(table: str, *more: str) -> list[sa.Row[tuple[object, ...]]]:
    columns = [sa.column("serial", SerialColumn()), sa.column("to_be_signed"), *map(sa.column, more)]
    return list(op.get_bind().execute(sa.select(*columns).select_from(sa.table(table))))
