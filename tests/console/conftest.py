"""One office and one browser for all walks; an office of its own for each test that needs no browser."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from jpki.clock import system_clock
from tests.chromium import chromium
from tests.conftest import SteppingClock
from tests.console.office import OfficeServed, office_served
from tests.console.seats import Browser as Seat
from tests.console.seats import logged_in
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied, new_home
from tests.server.office_world import Serials, resident_of

__all__ = ["new_home"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def office(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfficeServed]:
    command = Path(sys.executable).with_name("jpki")
    with office_served(tmp_path_factory.mktemp("console"), command, browser) as served:
        yield served


@pytest.fixture(autouse=True)
def _nothing_was_said(request: pytest.FixtureRequest) -> None:
    """Let no test hear what another one's pages wrote."""
    if "office" in request.fixturenames:
        request.getfixturevalue("office").said.clear()


# --- without a browser ---------------------------------------------------------------------------------------------


@pytest.fixture
def time() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def town(new_home: Path, tmp_path: Path, time: SteppingClock) -> Iterator[ApiTown]:
    with api_at(copied(new_home, tmp_path / "home"), time) as opened:
        opened.office.register.enter(resident_of())
        yield opened


@pytest.fixture
def pair(town: ApiTown) -> Serials:
    return town.office.delivered()


@pytest.fixture
def front(town: ApiTown) -> Seat:
    """The clerk at the front, logged in."""
    return logged_in(Seat(town, town.office.front))
