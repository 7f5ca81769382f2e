"""Programs as their users run them: to the end, with every octet of what they print."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import forked

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("JPKI_") and not name.lower().endswith("_proxy")
}
"""The environment of every program: no setting of ours from outside, and no proxy before the loopback."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended, and what it printed."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return (self.out + self.err).decode("utf-8", "replace")


def run(name: str | Path, *words: str | Path) -> Done:
    """Run a program to its end, whatever that is; skip the test where the program is not installed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"the outside program {Path(name).name} is not installed")
    done = subprocess.run([program, *words], capture_output=True, env=ENVIRONMENT, check=False, timeout=60)
    return Done(done.returncode, done.stdout, done.stderr)


def jpki(*words: str | Path) -> Done:
    """Run our own command to its end, as `run` would, in a process that is forked and not begun anew."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = forked.printing(out, err, forked.become_jpki, [str(word) for word in words], ENVIRONMENT)
        process.start()
        process.join(180)
        assert process.exitcode is not None, f"jpki {words[0]} did not end"
        return Done(process.exitcode, out.read_bytes(), err.read_bytes())


def holds_within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Tell whether a condition comes to hold; it is asked for every hundredth of a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def openssl(*words: str | Path) -> Done:
    return run("openssl", *words)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as curl received it."""

    status: int
    headers: Message
    body: bytes

    @property
    def max_age(self) -> int:
        directives = [each.strip().partition("=") for each in self.headers["Cache-Control"].split(",")]
        return next(int(value) for name, _, value in directives if name == "max-age")


def curl(url: str, *options: str) -> Reply:
    """Ask with curl; the path goes out as it is written."""
    fixed = ("--silent", "--show-error", "--include", "--path-as-is", "--globoff", "--max-time", "50")
    done = run("curl", *fixed, *options, url)
    assert done.code == 0, done.text
    head, _, body = done.out.partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    return Reply(int(status_line.split()[1]), parse_headers(BytesIO(fields + b"\r\n\r\n")), body)
