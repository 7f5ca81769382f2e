"""What happens by itself: abandoned certificates closed, keys that answer or stamp renewed, lists published.

A lease sees to it that one process of all begins a job in a minute; the jobs bear it when one lasts longer and another
process begins the next. What concerns a node's own files each process does without one.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType

from jpki.clock import Clock
from jpki.errors import JpkiError
from server.store.leases import SqlLeases

TIME_STAMPING = "time-stamping"
"""The job of a process that stamps, whether or not it holds the CA keys."""
ARCHIVE, COPIES = "archive", "copies"
"""The jobs of a process whose lists are copies of what other nodes publish."""
EVENTS = "events"
"""The job of a process that holds the CA keys: what registers told is handled within a minute."""
_PERIOD, _SHORT_PERIOD = timedelta(seconds=60), timedelta(seconds=15)
BREATH_SECONDS = 0.1
"""Between two batches: on SQLite who waits to write looks up every tenth of a second, in no order."""
_log = logging.getLogger(__name__)


class Maintenance:
    """Runs the jobs once a minute in whichever process takes the lease, and those of `here` in every process.

    Those of `prompt` run in every process, too, four times a minute: they share their work by its rows.
    """

    def __init__(
        self,
        leases: SqlLeases,
        jobs: Mapping[str, Callable[[], object]],
        clock: Clock,
        here: Mapping[str, Callable[[], object]] = MappingProxyType({}),
        prompt: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        self._leases = leases
        self.jobs = jobs
        self.here = here
        self.prompt = prompt
        self._clock = clock

    def run(self) -> None:
        """Run each job that nobody has run in the last minute; one that fails is tried again in the next."""
        self._run_leased()
        self._run_here()

    def _run_leased(self) -> None:
        for name, job in self.jobs.items():
            with _logged(name):
                if self._leases.take(name, self._clock(), _PERIOD):
                    job()

    def _run_here(self) -> None:
        _run_each(self.here)

    def run_prompt(self) -> None:
        """Run the jobs that share their work by its rows."""
        _run_each(self.prompt)

    def only(self, *names: str) -> "Maintenance":
        """Return what runs these jobs alone, for a process without the keys that the others need."""
        jobs, here = ({name: job for name, job in all_.items() if name in names} for all_ in (self.jobs, self.here))
        return Maintenance(self._leases, jobs, self._clock, here)

    def start(self) -> None:
        """Run for as long as the process lives; to publish lists does not wait for the other nodes' copies."""
        runs = ((self._run_leased, _PERIOD), (self._run_here, _PERIOD), (self.run_prompt, _SHORT_PERIOD))
        for arguments in runs:
            threading.Thread(target=_for_ever, args=arguments, name="maintenance", daemon=True).start()


def until_idle(work: Callable[[], tuple[int, bool]]) -> None:
    """Let a worker do one batch after another, until it is given none."""
    pause = threading.Event()
    while work()[0]:
        pause.wait(BREATH_SECONDS)


@contextmanager
def _logged(name: str) -> Iterator[None]:
    """Write down what goes wrong: a fault in one job must not end them all."""
    try:
        yield
    except JpkiError as error:
        _log.error("job %s: %s", name, error.code)
    except Exception as error:  # noqa: BLE001 - whatever it is
        # Only the type is written down: the text may hold what was being worked on (rule R21).
        _log.error("job %s: unexpected %s", name, type(error).__name__)


def _run_each(jobs: Mapping[str, Callable[[], object]]) -> None:
    for name, job in jobs.items():
        with _logged(name):
            job()


def _for_ever(run: Callable[[], None], period: timedelta) -> None:
    pause = threading.Event()
    while True:
        run()
        pause.wait(period.total_seconds())
