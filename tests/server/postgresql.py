"""A PostgreSQL server of the tests' own: on a free loopback port, stopped after, its data thrown away."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from tests.ports import free_port

_USER = "postgres"


def _bin() -> Path:
    """The server's programs; Debian keeps them off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if not found and on_path is None:
        pytest.skip("the outside program postgres is not installed")
    return found[-1].parent if found else Path(on_path or "").parent


def _run(words: Sequence[str | Path], as_postgres: bool) -> None:  # noqa: FBT001 - one of two ways
    # initdb and postgres refuse to run as root.
    user = {"user": _USER, "group": _USER, "extra_groups": []} if as_postgres else {}
    subprocess.run(list(map(str, words)), check=True, capture_output=True, timeout=60, **user)  # type: ignore[call-overload]


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """A running server; `url(name)` makes an empty database of its own for whoever asks."""

    def __init__(self, folder: Path, programs: Path, port: int, *, as_postgres: bool) -> None:
        self._folder = folder
        self._programs = programs
        self._as_postgres = as_postgres
        self.port = port

    def new_database(self, name: str, template: str = "template1") -> str:
        """Make a database, empty or as another one is that nobody is connected to, and return its URL."""
        words = ["createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", _USER, "-T", template, name]
        _run([self._programs / words[0], *words[1:]], self._as_postgres)
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Without fsync only a power cut loses anything; a killed server does not, and many databases are made here.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        self._control("start", "-w", "-t", "30", "-l", self._folder / "log", "-o", f"{options} -c fsync=off")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        self._control("stop", "-w", "-t", "30", "-m", mode)

    def kill(self) -> None:
        """Kill it and all its processes with SIGKILL, as a machine does that runs out of memory."""
        lock = self._folder / "data" / "postmaster.pid"
        postmaster = int(lock.read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while any(_is_alive(process) for process in (postmaster, *map(int, children))):
            time.sleep(0.02)
        # Where nobody reaps the dead, their number is still taken, and the next server would think it alive.
        lock.unlink()

    def _control(self, *words: str | Path) -> None:
        _run([self._programs / "pg_ctl", "-D", self._folder / "data", *words], self._as_postgres)


def _new_folder(within: Path | None = None) -> Path:
    """Make a folder for the server, which does not run as root."""
    folder = Path(tempfile.mkdtemp(prefix="jpki-postgresql-", dir=within))
    if os.getuid() == 0:
        owner = pwd.getpwnam(_USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


@cache
def _empty_cluster() -> Path:
    """Make what every server begins with, once in each process of the tests: a copy is made in a tenth of the time."""
    folder = _new_folder()
    atexit.register(shutil.rmtree, folder)
    words: list[str | Path] = [
        "-D",
        folder / "data",
        "-U",
        _USER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    _run([_bin() / "initdb", *words], as_postgres=os.getuid() == 0)
    return folder / "data"


@contextmanager
def running(within: Path | None = None) -> Iterator[Server]:
    """Run a server while the block runs, its data in a folder `within` this one."""
    programs = _bin()
    as_postgres = os.getuid() == 0
    folder = _new_folder(within)
    server = Server(folder, programs, free_port(), as_postgres=as_postgres)
    try:
        _run(["cp", "-a", _empty_cluster(), folder / "data"], as_postgres)
        server.start()
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
