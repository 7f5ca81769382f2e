"""What every suite shares: where the outside cases lie, and a clock and randomness that repeat."""

import gc
import os
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests import cheap_keys, statements, templates

# On a busy machine a property test may pause anywhere; that is no fault of what it tests.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", parent=settings.get_profile("house"), max_examples=3000)
settings.load_profile("house")

PROJECT = Path(__file__).resolve().parent.parent


_LONGEST = (
    "tests/interop",
    "tests/console/test_walks.py",
    "tests/server/test_crashes.py",
    "tests/server/test_nodes.py",
    "tests/server/test_reconcile_load.py",
    "tests/server/test_mass_revocation.py",
    "tests/server/test_resident_events.py",
    "tests/server/test_real_parts.py",
    "tests/bench/test_crl.py",
    "tests/server/test_postgresql.py",
    "tests/server/test_backup_drill.py",
    "tests/server/test_campaign.py",
    "tests/server/test_status_machine.py",
    "tests/server/test_cli_stamps.py",
    "tests/server/test_list_increments.py",
    "tests/server/test_office_machine.py",
    "tests/interop/test_canary.py",
    "tests/interop/test_generations.py",
    "tests/signing/test_sandbox.py",
)
"""What takes half a minute or more, the longest first: whatever begins last should be short."""
_OF_ITS_OWN = (
    "tests/interop/test_canary.py",
    "tests/interop/test_generations.py",
    "tests/interop/test_holder_browser.py",
)
"""Files of interop/ that found an authority of their own."""
_WALKED = (
    "tests/console/test_walks.py",
    "tests/console/test_issue_walk.py",
    "tests/console/test_login.py",
    "tests/console/test_overseers_look.py",
)
"""Files of console/ that walk through one served office."""
_ALONE = ("tests/server/test_crashes.py", "tests/server/test_nodes.py", "tests/server/test_reconcile_load.py")
"""Files of long tests that share nothing: any process may have any of them."""


class ByTown(LoadScopeScheduling):
    """Gives each file to one process, and most of interop/: what they share is made and served once."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(_ALONE) else town_of(nodeid)


def town_of(nodeid: str) -> str:
    """Return whose towns, servers and databases a test shares."""
    file = nodeid.partition("::")[0]
    if file in _WALKED:
        return _WALKED[0]
    return "tests/interop" if file.startswith("tests/interop/") and file not in _OF_ITS_OWN else file


def pytest_configure(config: pytest.Config) -> None:
    """Make keys, statements and templates cheap before the first file is collected."""
    patch = pytest.MonkeyPatch()
    cheap_keys.of_this_process().install(patch)
    statements.share(patch)
    templates.share(patch)
    config.add_cleanup(patch.undo)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByTown:
    """Distribute by town, in the order of the collection."""
    config.option.loadscopereorder = False
    return ByTown(config, log)


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what stays as long as the process: modules and seven thousand tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the browser, before `-m` chooses; begin with the longest, then where most slow tests are.

    At the end short ones keep every process busy.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "browser" in item.fixturenames:
            item.add_marker("browser")
    slow = Counter(town_of(item.nodeid) for item in items if item.get_closest_marker("slow"))
    rank = {town: number for number, town in enumerate(_LONGEST)}
    items.sort(key=lambda item: (rank.get(town_of(item.nodeid), len(rank)), -slow[town_of(item.nodeid)]))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of outside cases beside the project (../shared, or JPKI_SHARED)."""
    folder = Path(os.environ.get("JPKI_SHARED", PROJECT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the outside cases are not here: no {folder.name}/ beside the project, and no JPKI_SHARED")
    return folder


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Find an outside program, or skip the test and name it."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"the outside program {name} is not installed")
        return found

    return find


@pytest.fixture(scope="session")
def at_length() -> bool:
    """Whether this is `make soak`, in which tests that repeat themselves do so for minutes."""
    return settings.get_current_profile_name() == "soak"


class SteppingClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Move forward, or back, by a timedelta's arguments."""
        self.now += timedelta(**by)


NOON = datetime(2026, 10, 1, 3, 0, 0, tzinfo=UTC)
"""Noon in Japan on 1 October 2026."""


@pytest.fixture
def clock() -> SteppingClock:
    """A clock that stands at noon."""
    return SteppingClock(NOON)
