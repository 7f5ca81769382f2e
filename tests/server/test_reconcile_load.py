"""Many processes at one ledger, and a database that is killed under them: nothing differs afterwards (rule R3)."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import CampaignId, ItemState
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import system_clock
from jpki.randomness import system_randomness
from server.founding import found
from server.home import Home
from server.reconcile.reconcile import Report, reconcile
from server.sample.keys import card_request
from server.settings import Settings
from server.store import tables
from server.wiring import Rooms, open_rooms
from tests import forked
from tests.server import loader
from tests.server.loader import CODES, HOLDERS, TRY_AGAIN
from tests.server.people import someone
from tests.server.postgresql import Server, running
from tests.server.test_campaign import aged, check_everyone_was_renewed_once, end_leases, node, opened

pytestmark = pytest.mark.slow
PROCESSES = 3
ISSUED = 6
"""So many certificates are issued before the database is killed: the processes are in the middle of it."""
NINE_YEARS = timedelta(days=9.2 * 365.25)


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def old_town(folder: Path, settings: Settings) -> Home:
    """A home of years ago whose few holders' certificates can be renewed now."""
    past = system_clock() - NINE_YEARS
    rooms = found(Home(folder), settings, lambda: past, system_randomness)
    for number in range(HOLDERS):
        for purpose in HOLDER_PURPOSES:
            csr = card_request(rooms.profile.key, 10**9 + number * 2 + HOLDER_PURPOSES.index(purpose))
            rooms.desk.issue(someone(CODES.format(number)), purpose, csr, BY)
    rooms.close()
    now = open_rooms(rooms.home)
    now.maintenance.jobs["responders"]()
    now.close()
    return rooms.home


def loaders(home: Home, turns: int) -> list[BaseProcess]:
    begun = [
        forked.printing(said_by(home, number), said_by(home, 0), loader.main, home.path, number, turns)
        for number in range(1, PROCESSES + 1)
    ]
    for each in begun:
        each.start()
    return begun


def said_by(home: Home, number: int) -> Path:
    """Where a loader writes what it did, and all of them (0) what they died of."""
    return home.path.with_name(f"said-{number}")


def ended(processes: Sequence[BaseProcess]) -> list[int | None]:
    """Wait for all, and return how each ended."""
    for each in processes:
        each.join(300)
    return [each.exitcode for each in processes]


def later(minutes: int) -> Callable[[], datetime]:
    return lambda: system_clock() + timedelta(minutes=minutes)


def reconciled(home: Home, minutes: int = 0) -> Report:
    rooms = open_rooms(home, later(minutes))
    try:
        return reconcile(rooms, BY, lambda _: None)
    finally:
        rooms.close()


def check_load(home: Home, turns: int) -> None:
    """Let them work, reconcile beside them, and once more when they have ended."""
    processes = loaders(home, turns)
    with closing(open_rooms(home)) as rooms:
        wait_until(partial(have_issued, rooms, 2 * HOLDERS + PROCESSES))
    assert all(each.exitcode is None for each in processes)
    # What is on its way is none of its business, and makes no difference.
    beside = reconciled(home)
    assert (beside.found, beside.closed) == (0, {}), beside.differences
    assert ended(processes) == [0] * PROCESSES, said_by(home, 0).read_text()
    said = [json.loads(said_by(home, number).read_text()) for number in range(1, PROCESSES + 1)]
    done = sum(map(Counter, said), Counter[str]())
    assert set(done) >= {"issue", "renew", "hold", "release", "revoke", "publish", "refused"}, done
    after = reconciled(home)
    assert (after.found, after.pending, after.closed) == (0, 0, {}), after.differences
    assert after.certificates > 2 * HOLDERS


@pytest.fixture
def turns(at_length: bool) -> int:  # noqa: FBT001 - a fixture's value
    return 1000 if at_length else 25


def test_r03_after_a_load_of_everything_nothing_differs_on_sqlite(tmp_path: Path, turns: int) -> None:
    check_load(old_town(tmp_path / "home", Settings(profile="card-v2")), turns)


def test_r03_after_a_load_of_everything_nothing_differs_on_postgresql(
    server: Server, tmp_path: Path, turns: int
) -> None:
    settings = Settings(profile="card-v2", database=server.new_database("load"))
    check_load(old_town(tmp_path / "home", settings), turns)


def test_r02_r03_postgresql_killed_in_mid_issue(server: Server, tmp_path: Path) -> None:
    """Whoever works gives up and says so with exit code 75; afterwards nothing is lost and nothing is left open."""
    home = old_town(tmp_path / "home", Settings(profile="card-v2", database=server.new_database("killed")))
    enough = 2 * HOLDERS
    for _ in range(2):
        enough += ISSUED
        processes = loaders(home, 10**6)
        with closing(open_rooms(home)) as rooms:
            wait_until(partial(have_issued, rooms, enough))
        server.kill()
        assert ended(processes) == [TRY_AGAIN] * PROCESSES, said_by(home, 0).read_text()
        server.start()
        report = reconciled(home, minutes=11)
        assert (report.found, report.pending) == (0, 0), report.differences
        assert report.certificates >= enough
        enough = report.certificates
    again = reconciled(home, minutes=11)
    assert (again.found, again.closed) == (0, {})


def test_r02_r03_postgresql_killed_in_mid_campaign(server: Server, tmp_path: Path) -> None:
    """Two nodes work on it; killed twice, it goes on where it stood, and everyone is renewed once."""
    home = aged(tmp_path / "home", Settings(database=server.new_database("campaign")), 150)
    rooms = open_rooms(home)
    rooms.maintenance.jobs["responders"]()
    wanted = opened(rooms)
    for pause in (0.1, 0.4):
        nodes = [node(home, tmp_path / "out") for _ in range(2)]
        wait_until(partial(some_are_taken, rooms))
        time.sleep(pause)
        server.kill()
        assert ended(nodes) == [TRY_AGAIN] * 2, (tmp_path / "said").read_text()
        server.start()
        end_leases(rooms.store.database)
        report = reconciled(home)
        assert report.found == 0, report.differences
    assert ended([node(home, tmp_path / "out")]) == [0]
    check_everyone_was_renewed_once(rooms, wanted)
    rooms.close()
    after = reconciled(home, minutes=11)
    assert (after.found, after.pending, after.closed) == (0, 0, {}), after.differences


def some_are_taken(rooms: Rooms) -> bool:
    return rooms.store.campaigns.campaign(CampaignId(1)).counts[ItemState.TAKEN] > 0


def have_issued(rooms: Rooms, enough: int) -> bool:
    with rooms.store.database.reading() as connection:
        count = connection.execute(select(func.count()).select_from(tables.certificate)).scalar_one()
    return bool(count >= enough)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)
