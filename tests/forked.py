"""Processes forked from a server that has imported the house, so that hundreds of them need no second each to begin."""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests import cheap_keys
from tests.cheap_keys import CheapKeys

_CONTEXT = multiprocessing.get_context("forkserver")
_COMMANDS = ("certificates", "documents", "home", "lists")
_CONTEXT.set_forkserver_preload(["tests.server.crashing", *(f"server.cli.{name}" for name in _COMMANDS)])


def process(target: Any, *arguments: object) -> Any:  # noqa: ANN401 - multiprocessing has no type for it
    """Return a process, not started yet, that will call `target`."""
    return _CONTEXT.Process(target=_begin, args=(cheap_keys.for_another(), target, arguments))


def _begin(keys: CheapKeys, target: Callable[..., object], arguments: Sequence[object]) -> None:
    keys.install(pytest.MonkeyPatch())
    target(*arguments)
