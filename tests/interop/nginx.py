"""nginx with the configuration of deploy/, of which only addresses and directories are changed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.interop.programs import ENVIRONMENT, Reply
from tests.ports import free_port

SHIPPED = PROJECT / "deploy" / "nginx" / "jpki.conf"
_START_SECONDS = 10
_AROUND = """
user {user};
worker_processes 2;
daemon off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/jpki.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Front:
    """A running nginx."""

    port: int
    directory: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def answers(self) -> Path:
        """Where OCSP answers are stored."""
        return self.directory / "jpki-ocsp"

    @property
    def lists(self) -> Path:
        """Where lists are stored."""
        return self.directory / "jpki-crl"

    @property
    def log(self) -> Path:
        """The access log; it is whole when nginx has ended."""
        return self.directory / "jpki.log"

    def connect(self, address: str = "127.0.0.1") -> socket.socket:
        """Return a connection that comes from this address of the loopback: limits are per address."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(address, 0))

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
    ) -> Reply:
        """Ask once; the path goes out as it is written."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(address, 0))
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@contextmanager
def fronting(directory: Path, *nodes: int) -> Iterator[Front]:
    """Run nginx before the servers on these ports while the block runs; nothing of it is left afterwards."""
    # Debian keeps it off the PATH of those who are not root.
    program = shutil.which("nginx", path=f"{ENVIRONMENT['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("the outside program nginx is not installed")
    directory.mkdir()
    port = free_port()
    (directory / "jpki.conf").write_text(_moved(SHIPPED.read_text("utf-8"), port, nodes, directory), "utf-8")
    main = directory / "nginx.conf"
    main.write_text(_AROUND.format(user=pwd.getpwuid(os.geteuid()).pw_name, directory=directory), "utf-8")
    said = directory / "said.log"
    with said.open("wb") as output:
        words = [program, "-p", str(directory), "-e", "stderr", "-c", str(main)]
        master = subprocess.Popen(words, stdout=output, stderr=output, env=ENVIRONMENT, start_new_session=True)
    try:
        _wait_until_it_listens(master, port, said)
        yield Front(port, directory)
        master.terminate()
        assert master.wait(10) == 0, said.read_text("utf-8")
    finally:
        # Its workers are in its own process group, and would outlive a master that is killed.
        if master.poll() is None:
            os.killpg(master.pid, signal.SIGKILL)
            master.wait()


def _moved(text: str, port: int, nodes: Sequence[int], directory: Path) -> str:
    """Return the configuration with these addresses and this directory, and all else as it is shipped."""
    for shipped, ours in (
        ("listen 80 default_server;", f"listen 127.0.0.1:{port};"),
        ("listen [::]:80 default_server;", ""),
        ("server 127.0.0.1:8080;", " ".join(f"server 127.0.0.1:{node};" for node in nodes)),
        ("/var/lib/nginx/jpki-ocsp", f"{directory}/jpki-ocsp"),
        ("/var/lib/nginx/jpki-crl", f"{directory}/jpki-crl"),
        ("/var/log/nginx/jpki.log", f"{directory}/jpki.log"),
        ("/var/log/nginx/jpki-error.log", f"{directory}/jpki-error.log"),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, ours)
    return text


def _wait_until_it_listens(master: subprocess.Popen[bytes], port: int, said: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and master.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(said.read_text("utf-8"))
