"""A fork server whose processes do what the file says: what a library that is broken, or a stranger's, might do."""

import codecs
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import IO

from cryptography import x509

from jpki.text import Text
from server.stored_evidence import read_stored
from signing.policies import ValidationPolicy
from signing.report import FileVerdict
from signing.validation import Validation
from signing.verdict import Decision
from signing.zygote import start

_PR_GET_DUMPABLE = 3
_PR_GET_NO_NEW_PRIVS = 39


def obey(
    document: IO[bytes], validation: Validation, _policy: ValidationPolicy, _content: IO[bytes] | None
) -> FileVerdict:
    """Do what the file's octets name, and tell what came of it, or which process did."""
    order, _, argument = document.read().decode().partition(" ")
    told = _ORDERS[order](argument, validation)
    return FileVerdict(path="", decision=Decision.UNDECIDED, sentence=Text(str(told), f"{told} {os.getpid()}"))


def _exit(argument: str, _: Validation) -> None:
    os._exit(int(argument))


def _kill(argument: str, _: Validation) -> None:
    os.kill(os.getpid(), signal.Signals[argument])


def _spin(_argument: str, _: Validation) -> None:
    while True:
        pass


def _sleep(argument: str, _: Validation) -> None:
    time.sleep(float(argument))


def _fill(_argument: str, _: Validation) -> None:
    held = []
    while True:
        held.append(bytes(1024 * 1024))


def _overflow(_argument: str, _: Validation) -> None:
    back = ctypes.CFUNCTYPE(None)

    def deeper() -> None:
        back(deeper)()

    sys.setrecursionlimit(2**31 - 1)
    deeper()


def _say(argument: str, _: Validation) -> None:
    """Send octets as a process that a stranger owns might: on the channel, whatever its form is."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, bytes.fromhex(argument))
        except OSError:
            continue
    time.sleep(60)


def _hang_up(_argument: str, _: Validation) -> None:
    os.closerange(3, 64)
    time.sleep(60)


def _rights(_argument: str, _: Validation) -> str:
    """Try what a stranger would try, and name what was possible."""
    tried = {
        "read": lambda: Path("/etc/passwd").read_bytes(),
        "list": lambda: list(Path("/").iterdir()),
        "connect": lambda: socket.socket(socket.AF_INET),
        "unix": lambda: socket.socket(socket.AF_UNIX),
        "pipe": os.pipe,
        "duplicate": lambda: os.dup(0),
        "more-descriptors": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        "more-memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)),
        "fork": os.fork,
        "look-in": lambda: _attach(os.getppid()),
        "import": _import,
    }
    possible = []
    for name, attempt in tried.items():
        try:
            attempt()
            possible.append(name)
        except BaseException:  # noqa: BLE001, S112 - whatever stops it
            continue
    return " ".join(possible) or "nothing"


def _attach(pid: int) -> None:
    if ctypes.CDLL(None).ptrace(16, pid, 0, 0) != 0:
        raise PermissionError


def _state(_argument: str, _: Validation) -> str:
    """Tell whose process this is, and what it has of the environment of the one that asked."""
    kept = ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE), 1 - ctypes.CDLL(None).prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
    return f"uid={os.geteuid()} kept={sum(kept)} secrets={[name for name in os.environ if 'JPKI' in name]}"


def _import_late(_argument: str, _: Validation) -> None:
    _import()


def _decode(argument: str, _: Validation) -> str:
    try:
        return codecs.decode(b"x", argument)
    except LookupError:
        return "unknown"


def _import() -> None:
    importlib.import_module("antigravity")


def _ask(argument: str, validation: Validation) -> str:
    """Ask about the anchor, at so many moments, and tell the last word."""
    anchor: x509.Certificate = validation.anchors[0].certificate
    moments = (validation.clock() + timedelta(seconds=second) for second in range(int(argument)))
    found = [validation.revocation[0].evidence(anchor, anchor, moment) for moment in moments]
    return str(found[-1] and found[-1].finding)


_ORDERS = {
    "exit": _exit,
    "kill": _kill,
    "spin": _spin,
    "sleep": _sleep,
    "fill": _fill,
    "overflow": _overflow,
    "say": _say,
    "hang-up": _hang_up,
    "rights": _rights,
    "state": _state,
    "ask": _ask,
    "import": _import_late,
    "decode": _decode,
}

if __name__ == "__main__":
    start(obey, read_stored)
