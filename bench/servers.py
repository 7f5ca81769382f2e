"""The servers that are loaded, each as a child process on a free loopback port: the product, and its yardsticks.

Yardsticks get two processes or threads, as the product does, and are set up to be as fast as they can be for this.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from bench.questions import Question
from hsm_adapter.software import SCHEME
from server.wiring import Rooms

WORKERS = 2
_START_SECONDS = 60


class NotStarted(Exception):  # noqa: N818 - it is the server's failure and no error of a caller
    """A server ended, or did not answer in time."""


def program(name: str) -> str | None:
    """Return where the program is, None where it is not installed; Debian has some outside an ordinary PATH."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def jpki(home: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Serve OCSP of a home, and yield the port and the worker processes, by their numbers."""
    command, told = Path(sys.executable).with_name("jpki"), home / "served"
    doors = ("--door", "ocsp", "--fast", "--workers", str(WORKERS))
    words = ("serve", "--home", home, "--port", "0", *doors, "--lang", "en")
    with told.open("w") as output, subprocess.Popen([command, *words], stderr=output) as process:
        try:
            yield _port_told(process, told), _workers(process)
        finally:
            process.terminate()


def _port_told(process: subprocess.Popen[bytes], told: Path) -> int:
    for _ in _until_ended(process):
        if found := re.search(r"Answering on http://127\.0\.0\.1:(\d+)", told.read_text()):
            return int(found[1])
    raise NotStarted(told.read_text())


def _workers(process: subprocess.Popen[bytes]) -> Sequence[str]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in _until_ended(process):
        if len(workers := children.read_text("ascii").split()) == WORKERS:
            return workers
    raise NotStarted(process.args)


@contextmanager
def nginx(folder: Path, answer: bytes) -> Iterator[int]:
    """Serve the octets of an answer as a static file, /answer.der, and yield the port."""
    (folder / "answer.der").write_bytes(answer)
    port = _free_port()
    temporary = "".join(f"{kind}_temp_path {folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}daemon off; worker_processes {WORKERS}; pid {folder}/nginx.pid;"
        "error_log stderr; events { worker_connections 1024; }"
        f"http {{ {temporary} access_log off; keepalive_requests 1000000000; open_file_cache max=16;"
        "types { application/ocsp-response der; } sendfile on; tcp_nopush on;"
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}"
    )
    with _running(port, str(program("nginx")), "-p", folder, "-c", configuration, "-e", "stderr"):
        yield port


@contextmanager
def cfssl(folder: Path, answers: Sequence[bytes]) -> Iterator[int]:
    """Serve answers that were signed beforehand, and yield the port; Debian's cannot read the path of a GET."""
    file, port = folder / "answers", _free_port()
    file.write_bytes(b"\n".join(map(b64encode, answers)))
    with _running(port, "cfssl", "ocspserve", "-address", "127.0.0.1", "-port", str(port), "-responses", file):
        yield port


@contextmanager
def openssl(folder: Path, rooms: Rooms, asked: Sequence[Question]) -> Iterator[int]:
    """Answer by `openssl ocsp -multi`, with the product's own responder key and certificate, and yield the port.

    It listens on all addresses, for it knows no option for one. All that is asked is of one generation. It bears one
    run of load: connections that the load leaves behind stop it.
    """
    generation = asked[0].generation
    responder = rooms.store.delegates.responders(generation.id)[0]
    authority, certificate, passphrase = folder / "ca.pem", folder / "responder.pem", folder / "passphrase"
    authority.write_bytes(generation.certificate.public_bytes(Encoding.PEM))
    certificate.write_bytes(responder.certificate.public_bytes(Encoding.PEM))
    passphrase.write_bytes(rooms.home.passphrase())
    key = rooms.home.keys / f"{responder.key.removeprefix(SCHEME)}.pem"
    index, end = folder / "index.txt", f"{generation.not_after:%y%m%d%H%M%SZ}"
    lines = (f"V\t{end}\t\t{each.serial:032X}\tunknown\t/CN={each.serial}\n" for each in asked)
    index.write_text("".join(lines))
    port = _free_port()
    words = ("-index", index, "-CA", authority, "-nmin", "15", "-resp_key_id", "-ignore_err")
    signing = ("-rsigner", certificate, "-rkey", key, "-passin", f"file:{passphrase}")
    with _running(port, "openssl", "ocsp", "-port", str(port), "-multi", str(WORKERS), *words, *signing):
        yield port


@contextmanager
def _running(port: int, *command: str | Path) -> Iterator[None]:
    # A process group, which is ended as one: openssl's first process is deaf while it waits for the others.
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet, process_group=0) as process:
        try:
            if not any(_is_listening(port) for _ in _until_ended(process)):
                raise NotStarted(command)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def _until_ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Yield now and then until the process ends, or has had time enough to start."""
    begun = time.monotonic()
    while process.poll() is None and time.monotonic() - begun < _START_SECONDS:
        yield
        time.sleep(0.05)


def _is_listening(port: int) -> bool:
    """Ask the kernel and not the server: a connection without a question would stop one of openssl's processes."""
    lines = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()
    ]
    return any(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in lines[1:])


_ports = count(20_000 + os.getpid() % 10_000)
"""Below those that connections get: openssl leaves thousands of ended ones behind, and their ports cannot be bound."""


def _free_port() -> int:
    while True:
        port = next(_ports)
        with suppress(OSError), socket.create_server(("", port)):
            return port
