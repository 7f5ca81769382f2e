"""What migrations must do on every database."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from server.store.database import SCHEMA, Database
from server.store.tables import metadata


def differences(database: Database) -> list[object]:
    """What the migrated schema lacks or has beyond the tables of the code."""
    with database.reading() as connection:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))


def check_up_and_down(full: Database, empty: Database) -> None:
    """Migrations bring an empty database up to the code's tables, and a full one down to nothing and up again."""
    assert full.schema() == SCHEMA
    assert differences(full) == []
    full.migrate("base")
    assert full.schema() is None
    full.migrate()
    assert differences(full) == []
    assert empty.schema() is None
    empty.migrate()
    assert differences(empty) == []
