"""What a process gives up before it reads a stranger's file (docs/adr/0022).

It can get no further descriptor, so it opens no file and no socket; it writes no file; it starts no process. Its
memory and its processor time are bounded. It ends with the process that started it, and none of its user may look in.
"""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_NOBODY = 65534


def give_up_root() -> None:
    """Become nobody, where this process is root's: root could take back whatever is given up.

    The root of a user namespace may know nobody else; outside of the namespace it is no root.
    """
    if os.geteuid() == 0:
        with suppress(OSError):
            os.setgroups([])
        with suppress(OSError):
            os.setgid(_NOBODY)
        with suppress(OSError):
            os.setuid(_NOBODY)


def give_up_privileges() -> None:
    """Never gain a right by executing a file; let no other process of the user, and no core file, have this memory."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """Ask the kernel to end this process when `parent`, which started it, ends; end now if it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def keep_open(descriptors: Sequence[int], nowhere: int) -> None:
    """Close all other descriptors; the three standard ones lead to `nowhere`, which is /dev/null."""
    for standard in range(3):
        os.dup2(nowhere, standard)
    kept = [2, *sorted(descriptors), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]
    for below, above in pairwise(kept):
        os.closerange(below + 1, above)


def limit(memory: int, processor_seconds: int) -> None:
    """Bound this process for good, as the module says; `memory` is octets of address space."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 0,
    }
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 1))
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


# --- what Python does without descriptors ----------------------------------------------------------------------------


class LateImport(BaseException):
    """A module was asked for that nobody imported in time; no verdict must come of that.

    Not an `Exception`, for what a document makes the libraries raise becomes a verdict.
    """


class NoMoreImports:
    """A finder of modules that finds none."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """Say that there is no such encoding, as a document may name what it likes; stop at any other module.

        Raises:
            LateImport: always but for encodings.
        """
        if name.startswith("encodings."):
            return None
        raise LateImport(name)


class _EventLoop(asyncio.BaseEventLoop):
    """An event loop that waits for no descriptor, and so needs none."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self

    def select(self, _timeout: float | None) -> list[object]:
        """Find nothing ready."""
        return []

    def _process_events(self, _events: list[object]) -> None:
        """Do nothing: there are none."""


class _EventLoops(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return _EventLoop()


def live_without_descriptors() -> None:
    """Let nothing be imported any more, and event loops need no descriptor: pyHanko's validation runs in one."""
    sys.meta_path[:] = [NoMoreImports()]
    asyncio.set_event_loop_policy(_EventLoops())
