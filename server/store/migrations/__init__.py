"""Migrations of the schema, each a file in versions/, run by alembic over a connection of ours."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def run(connection: Connection, target: str) -> None:
    """Bring the schema up or down to `target` (`Database.migrate`), in the connection's running transaction."""
    config = _config()
    config.attributes["connection"] = connection
    if target == "base" or target.startswith("-"):
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
