"""Processes forked from a server that has imported the house, so that hundreds of them need no second each to begin."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any, NoReturn, Self

import pytest

from server.cli.frame import run
from tests import cheap_keys, statements
from tests.cheap_keys import CheapKeys

_CONTEXT = multiprocessing.get_context("forkserver")
_COMMANDS = ("certificates", "documents", "home", "lists", "serve")
_CONTEXT.set_forkserver_preload(["tests.warm", "tests.server.crashing", *(f"server.cli.{name}" for name in _COMMANDS)])


def process(target: Any, *arguments: object) -> Any:  # noqa: ANN401 - multiprocessing has no type for it
    """Return a process, not started yet, that will call `target`."""
    return _CONTEXT.Process(target=_begin, args=(cheap_keys.for_another(), target, arguments))


def _begin(keys: CheapKeys, target: Callable[..., int | None], arguments: Sequence[object]) -> NoReturn:
    patch = pytest.MonkeyPatch()
    keys.install(patch)
    statements.share(patch)
    sys.exit(target(*arguments))


def printing(out: Path, err: Path, target: Callable[..., int | None], *arguments: object) -> BaseProcess:
    """Return a process, not started yet, that will call `target`, reads nothing and prints to these files."""
    begun: BaseProcess = process(_print, out, err, target, arguments)
    return begun


def _print(out: Path, err: Path, target: Callable[..., int | None], arguments: Sequence[object]) -> int | None:
    for stream, file in enumerate((Path(os.devnull), out, err)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    return target(*arguments)


def node(*words: str | Path, said: Path) -> BaseProcess:
    """Begin our own command, whose end can be waited for; what it prints comes into a file."""
    begun = printing(said, said, become_jpki, [str(word) for word in words], dict(os.environ))
    begun.start()
    return begun


def become_jpki(words: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Be our own command, in a process that was forked for it."""
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(run(words))


class Command:
    """Our own command as `subprocess.Popen` would start it, forked: a process whose standard error can be read."""

    def __init__(self, program: Path, *words: str | Path) -> None:
        assert program.name == "jpki"
        said, saying = multiprocessing.Pipe(duplex=False)
        self._process = process(_say, list(map(str, words)), dict(os.environ), saying)
        self._process.start()
        saying.close()
        self.stderr = os.fdopen(os.dup(said.fileno()), encoding="utf-8")
        said.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stderr.close()
        self._process.join()

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            raise TimeoutExpired("jpki", seconds)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _say(words: Sequence[str], environment: Mapping[str, str], saying: Connection) -> NoReturn:
    os.dup2(saying.fileno(), sys.stderr.fileno())
    saying.close()
    become_jpki(words, environment)
