"""Processes forked from a server that has imported the house, so that hundreds of them need no second each to begin."""

import multiprocessing
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# Imported is what most of them need; the rest each imports for itself.
_CONTEXT.set_forkserver_preload([f"server.cli.{name}" for name in ("certificates", "documents", "home", "lists")])


def process(target: Any, *arguments: object) -> Any:  # noqa: ANN401 - multiprocessing has no type for it
    """Return a process, not started yet, that will call `target`."""
    return _CONTEXT.Process(target=target, args=arguments)
