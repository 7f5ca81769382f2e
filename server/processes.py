"""Processes of our own that end with the one that started them, by whatever means that ends."""

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

_PR_SET_PDEATHSIG = 1
_P = ParamSpec("_P")
_T = TypeVar("_T")


def die_with(parent: int) -> None:
    """Ask the kernel to end this process when `parent`, which started it, ends; end now if it has ended already."""
    if not Path("/proc").exists():
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield an executor of fresh processes: none inherits a key, a session or a database connection."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=die_with, initargs=(os.getpid(),)) as executor:
        yield executor


def in_each(
    workers: int, watch: Callable[[], object], task: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> list[_T]:
    """Run `task` once in each of `workers` processes, call `watch` now and then, and return the results.

    It is called every second, or less often where it takes its time: it never costs more than a tenth of the work.

    Raises:
        Exception: the first that a task raised, after the others ended.
    """
    with pool(workers) as executor:
        running: set[Future[_T]] = {executor.submit(task, *args, **kwargs) for _ in range(workers)}
        pending: set[Future[_T]] = running
        pause = 1.0
        while pending:
            _, pending = wait(pending, timeout=pause, return_when=FIRST_EXCEPTION)
            begun = time.monotonic()
            watch()
            pause = max(1.0, 10 * (time.monotonic() - begun))
        return [each.result() for each in running]
