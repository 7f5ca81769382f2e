"""A circuit breaker: after an outage callers fail at once, and one at a time tries whether it is over."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hsm_adapter.faults import is_outage, paused
from jpki.errors import JpkiError

Seconds = Callable[[], float]
"""A clock that only goes forward, such as `time.monotonic`."""


class Breaker:
    """Closed until a request meets an outage; then open for `pause` seconds; then one request probes.

    A success closes it. A fault that is no outage, such as one missing key, leaves it as it is.
    """

    def __init__(self, pause: float, clock: Seconds) -> None:
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._opened_at: float | None = None
        self._probing = False

    @contextmanager
    def request(self) -> Iterator[Callable[[], None]]:
        """Let one request through and learn from what it raises.

        Yields a function that refuses the request, if it is no probe and an outage was met since it was let through:
        for one that had to wait.

        Raises:
            JpkiError: UNAVAILABLE `hsm-unavailable` while the breaker is open.
        """
        probe = self._admit()
        try:
            yield (lambda: None) if probe else self._require_closed
        except JpkiError as error:
            if is_outage(error):
                self._open(probe=probe)
            raise
        else:
            self._opened_at = None
        finally:
            if probe:
                self._probing = False

    def _admit(self) -> bool:
        """Tell whether the request that is let through is a probe."""
        with self._lock:
            if self._opened_at is None:
                return False
            if self._probing or self._clock() - self._opened_at < self._pause:
                raise paused()
            self._probing = True
            return True

    def _require_closed(self) -> None:
        if self._opened_at is not None:
            raise paused()

    def _open(self, *, probe: bool) -> None:
        # A request that was under way when another met the outage says nothing new.
        with self._lock:
            if probe or self._opened_at is None:
                self._opened_at = self._clock()
