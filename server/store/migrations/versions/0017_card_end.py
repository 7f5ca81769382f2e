"""When the card ends that a certificate was written to: what was issued in a case knows it from there."""

import sqlalchemy as sa
from alembic import op

from server.store.types import Moment

revision = "0017"
down_revision = "0016"

_KNOWN = """
UPDATE certificate SET card_end = (
    SELECT office_case.card_not_after FROM case_certificate
    JOIN office_case ON office_case.number = case_certificate.number
    WHERE case_certificate.serial = certificate.serial
) WHERE serial IN (SELECT serial FROM case_certificate)
"""


def upgrade() -> None:
    """Add the column, and fill it from the cases."""
    op.add_column("certificate", sa.Column("card_end", Moment(timezone=True), nullable=True))
    op.execute(_KNOWN)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("certificate", "card_end")
