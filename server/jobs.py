"""What happens by itself: abandoned certificates closed, keys that answer or stamp renewed, lists published.

A lease sees to it that one process of all begins a job in a minute; the jobs bear it when one lasts longer and another
process begins the next. What concerns a node's own files each process does without one.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType

from jpki.clock import Clock
from jpki.errors import JpkiError
from server.store.leases import SqlLeases

TIME_STAMPING = "time-stamping"
"""The job of a process that stamps, whether or not it holds the CA keys."""
_PERIOD = timedelta(seconds=60)
_log = logging.getLogger(__name__)


class Maintenance:
    """Runs the jobs once a minute in whichever process takes the lease, and those of `here` in every process."""

    def __init__(
        self,
        leases: SqlLeases,
        jobs: Mapping[str, Callable[[], object]],
        clock: Clock,
        here: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        self._leases = leases
        self.jobs = jobs
        self.here = here
        self._clock = clock

    def run(self) -> None:
        """Run each job that nobody has run in the last minute; one that fails is tried again in the next."""
        for name, job in {**self.jobs, **self.here}.items():
            try:
                if name in self.here or self._leases.take(name, self._clock(), _PERIOD):
                    job()
            except JpkiError as error:
                _log.error("job %s: %s", name, error.code)
            except Exception as error:  # noqa: BLE001 - a fault in one job must not end them all
                # Only the type is written down: the text may hold what was being worked on (rule R21).
                _log.error("job %s: unexpected %s", name, type(error).__name__)

    def only(self, name: str) -> "Maintenance":
        """Return what runs one of the jobs alone, for a process without the keys that the others need."""
        return Maintenance(self._leases, {name: self.jobs[name]}, self._clock)

    def start(self) -> None:
        """Run for as long as the process lives, in a thread of its own."""
        threading.Thread(target=self._run_forever, name="maintenance", daemon=True).start()

    def _run_forever(self) -> None:
        pause = threading.Event()
        while True:
            self.run()
            pause.wait(_PERIOD.total_seconds())
