"""The signer processes of one token: each request in its turn to an idle one, and a wrong PIN is tried once."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from hsm_adapter.breaker import Breaker
from hsm_adapter.faults import PIN_FAULTS, busy
from hsm_adapter.process import SignerProcess
from hsm_adapter.turns import Turns
from jpki.errors import JpkiError, Kind


class SignerPool:
    """Hands each request to an idle process; `patience` is how many seconds a request waits for one.

    Log-ins come one after another, and after a wrong PIN there are no more, lest the token lock. A process whose token
    failed is replaced, for a session seldom survives what its token went through. Fork only while no request is under
    way: the child then starts processes of its own.
    """

    def __init__(self, processes: Sequence[SignerProcess], breaker: Breaker, patience: float) -> None:
        self._processes = processes
        self._breaker = breaker
        self._patience = patience
        self._logging_in = threading.Lock()
        self._pin_refused: JpkiError | None = None
        self._idle = Turns(processes)

    @property
    def size(self) -> int:
        """How many requests are served at once."""
        return len(self._processes)

    def ask(self, operation: str, *arguments: object) -> Any:  # noqa: ANN401 - the answer's type is the operation's
        """Send one request to the token and return the answer.

        Raises:
            JpkiError: what `hsm_adapter.faults` makes of what went wrong; UNAVAILABLE `hsm-unavailable` at once
                for a while after an outage, and UNAVAILABLE `hsm-busy` when no process became idle in time.
        """
        with self._breaker.request() as require_admitted:
            process = self._next_idle()
            try:
                self._log_in(process, require_admitted)
                return process.ask(operation, *arguments)
            except JpkiError as error:
                if error.kind is Kind.UNAVAILABLE:
                    process.close()
                raise
            finally:
                self._idle.give_back(process)

    def close(self) -> None:
        """End all processes; they start anew when they are asked."""
        for process in self._processes:
            process.close()

    def _next_idle(self) -> SignerProcess:
        try:
            return self._idle.take(self._patience)
        except TimeoutError:
            raise busy(self._patience) from None

    def _log_in(self, process: SignerProcess, require_admitted: Callable[[], None]) -> None:
        require_admitted()
        if process.runs():
            return
        with self._logging_in:
            require_admitted()
            if self._pin_refused is not None:
                raise self._pin_refused
            try:
                process.start()
            except JpkiError as error:
                if error.code in PIN_FAULTS:
                    self._pin_refused = error
                raise
