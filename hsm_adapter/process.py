"""The parent's side of a signer process: asked with a deadline, killed and replaced when it hangs (docs/adr/0007)."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from hsm_adapter.faults import died, failed, hung
from jpki.errors import JpkiError

_GENERATION_SECONDS = 120.0
"""The deadline of a ceremony's request: the search for an RSA key's primes may take long, and nobody waits for it."""


class SignerProcess:
    """One process and its session; one request at a time. It is started before it is asked, and anew after it failed.

    `opening` returns the request that opens the session, and is asked at each start, so that no PIN is kept;
    `deadline` bounds each request in seconds, but for the making of a key.
    """

    def __init__(self, opening: Callable[[], Sequence[str]], environment: Mapping[str, str], deadline: float) -> None:
        self._opening = opening
        self._environment = environment
        self._deadline = deadline
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._owner = 0

    def ask(self, operation: str, *arguments: object) -> Any:  # noqa: ANN401 - the answer's type is the operation's
        """Send one request and return the answer.

        Raises:
            JpkiError: UNAVAILABLE when the process hangs or dies; what `hsm_adapter.faults` makes of the token's error.
        """
        with self._lock:
            return self._exchange((operation, *arguments))

    def runs(self) -> bool:
        """Tell whether the process is there to be asked."""
        # After a fork the socket is the parent's: two processes must never speak over one session.
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def start(self) -> None:
        """Start the process if it does not run, and make its opening request."""
        with self._lock:
            if not self.runs():
                self._start()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _start(self) -> None:
        if self._owner == os.getpid():
            self._kill()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # -P keeps the working directory off the path of the process that will hold the PIN.
                [sys.executable, "-P", "-m", "hsm_adapter.signer", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**_inherited(), **self._environment},
                stdin=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())
        self._owner = os.getpid()
        try:
            self._exchange(self._opening())
        except BaseException:
            self._kill()
            raise

    def _exchange(self, request: Sequence[object]) -> Any:  # noqa: ANN401 - as `ask`
        if self._connection is None:
            raise died()
        try:
            self._connection.send(tuple(request))
            deadline = _GENERATION_SECONDS if request[0] == "create" else self._deadline
            if not self._connection.poll(deadline):
                self._kill()
                raise hung(deadline)
            outcome, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self._kill()
            raise died() from error
        if outcome == "refused":
            raise JpkiError(*value)
        if outcome == "failed":
            raise failed(value)
        return value

    def _kill(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None


def _inherited() -> dict[str, str]:
    """Return our environment without our own secrets: a vendor's module finds its settings there."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JPKI_") and name != "CREDENTIALS_DIRECTORY"
    }
