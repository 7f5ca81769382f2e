"""The command line `jpki`: thin commands over the rooms, imported only when they run."""

from server.cli.frame import main

__all__ = ["main"]
