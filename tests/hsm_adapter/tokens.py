"""Tokens to test with: SoftHSM in a folder of its own, and the same behind a socket, which can be cut or hang."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hsm_adapter.pkcs11 import Token, make_token
from jpki.errors import JpkiError, Kind

PIN, SO_PIN = "24681357", "13572468"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
P11_KIT_CLIENT = Path("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so")


class Seconds:
    """A monotonic clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def new_token(folder: Path, label: str = "jpki test", pin: str = PIN) -> Token:
    """Make a SoftHSM token in this folder, which may hold others."""
    if not SOFTHSM.exists():
        pytest.skip("the outside program SoftHSM is not installed")
    (folder / "tokens").mkdir(exist_ok=True)
    made = _token_in(folder, label)
    make_token(made, so_pin=SO_PIN, pin=pin)
    return made


def copy_of(token: Token, folder: Path) -> Token:
    """Copy a SoftHSM token, and all that lies beside it, into another folder."""
    shutil.copytree(Path(token.environment["SOFTHSM2_CONF"]).with_name("tokens"), folder / "tokens")
    return _token_in(folder, token.label)


def _token_in(folder: Path, label: str) -> Token:
    configuration = folder / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlibrary.reset_on_fork = true\n"
    )
    return Token(module=SOFTHSM, label=label, environment={"SOFTHSM2_CONF": str(configuration)})


def code(call: Callable[[], object]) -> tuple[Kind, str]:
    """Return what a call is refused with, which never tells the PIN."""
    with pytest.raises(JpkiError) as refused:
        call()
    assert PIN not in f"{refused.value} {refused.value.problem} {refused.value.action}"
    return refused.value.kind, refused.value.code


@dataclass
class NetworkHsm:
    """A token behind `p11-kit server`: an HSM on a network that can fail as one."""

    behind: Token
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp()))
    server: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> Token:
        """How to reach it. Its socket's path is short, as the kernel wants it."""
        address = {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.folder / 'socket'}"}
        return Token(module=P11_KIT_CLIENT, label=self.behind.label, environment=address)

    def start(self) -> None:
        """Serve, in a process group of its own: the server has a process for each client."""
        socket = self.folder / "socket"
        socket.unlink(missing_ok=True)
        self.server = subprocess.Popen(
            ["p11-kit", "server", "-f", "-n", str(socket), "--provider", str(self.behind.module), "pkcs11:"],
            env={**os.environ, **self.behind.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and what it has for its clients."""
        assert self.server is not None
        os.killpg(self.server.pid, number)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.server is not None
        self.signal(signal.SIGKILL)
        self.server.wait()
        self.server = None

    def close(self) -> None:
        """Leave nothing behind."""
        if self.server is not None:
            self.kill()
        shutil.rmtree(self.folder)
