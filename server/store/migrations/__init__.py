"""Migrations of the schema, each a file in versions/, run by alembic over a connection of ours."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def run(connection: Connection, target: str) -> None:
    """Bring the schema up or down to `target` (`Database.migrate`), in the connection's running transaction."""
    config = _config()
    config.attributes["connection"] = connection
    # Names of migrations are in the order in which they are made.
    current = MigrationContext.configure(connection).get_current_revision()
    if target == "base" or (target != "head" and current is not None and target < current):
        command.downgrade(config, target)
    else:
        command.upgrade(config, target)


def names() -> set[str]:
    """Return the names of all migrations that this program has."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
