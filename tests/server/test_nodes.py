"""Two nodes on one PostgreSQL, each with a folder of its own: whoever publishes, both serve the newest lists."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from jpki.acts import LOCAL_OPERATOR as BY
from jpki.clock import system_clock
from jpki.partition import COMPLETE
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from server.app import Door, create_app
from server.cli.frame import run
from server.doctor import examine
from server.founding import found
from server.home import Home
from server.jobs import ARCHIVE, COPIES
from server.sample.town import populate
from server.settings import Settings
from server.wiring import Rooms, open_rooms
from tests.conftest import SteppingClock
from tests.server.postgresql import running
from tests.server.test_campaign import nothing
from tests.server.test_cli_serve import serving
from tests.server.test_mass_revocation import in_state

pytestmark = pytest.mark.slow


def lists_in(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in (home / "crl").rglob("*.crl")}


def ready(rooms: Rooms) -> dict[str, Any]:
    answer: dict[str, Any] = create_app(rooms, [Door.CRL]).test_client().get("/readyz").get_json()
    return answer


def beside(folder: Path, settings: Settings, node: str) -> Home:
    """A home without keys and lists, which knows another node."""
    folder.mkdir()
    home = Home(folder)
    home.settings.write_text(settings.model_copy(update={"nodes": (node,)}).as_toml(), "utf-8")
    return home


def found_on_line(rooms: Rooms) -> str | None:
    return next((each.error.code for each in examine(rooms) if each.name == "lists" and each.error), None)


@pytest.fixture
def url(installed: Path, tmp_path: Path) -> Iterator[str]:
    """A node that publishes, and serves its lists."""
    with running() as server, ExitStack() as served:
        settings = Settings(database=server.new_database("nodes"))
        rooms = found(Home(tmp_path / "one"), settings, system_clock, system_randomness)
        populate(rooms, "nodes", 4, nothing)
        rooms.publisher.publish_due()
        rooms.close()
        yield served.enter_context(serving(installed, tmp_path / "one", "--door", "crl")).url


def settings_of(home: Path) -> Settings:
    rooms = open_rooms(Home(home))
    rooms.close()
    return rooms.settings


def test_a_node_with_a_folder_of_its_own_serves_what_another_published(
    url: str, tmp_path: Path, installed: Path
) -> None:
    one, two = tmp_path / "one", beside(tmp_path / "two", settings_of(tmp_path / "one"), url)
    clock = SteppingClock(system_clock() + timedelta(minutes=5))
    rooms, publishing = open_rooms(two, clock), open_rooms(Home(one))
    # Nothing is here yet: certificates name lists that this node has not.
    assert (ready(rooms)["ready"], ready(rooms)["checks"]["crl"]) == (False, "crl-behind")
    assert run(["serve", "--home", str(two.path), "--port", "0", "--door", "crl", "--host", "192.0.2.1"]) == 1
    assert lists_in(two.path) == lists_in(one)
    assert (ready(rooms)["ready"], ready(rooms)["warnings"]) == (True, {})
    # Another revokes and publishes; until the copy is here this node serves the old one, and says so.
    victim = in_state(rooms, State.ACTIVE)[0]
    publishing.desk.revoke(victim, Reason.KEY_COMPROMISE, BY)
    assert len(publishing.publisher.publish_due()) > 1
    clock.now = system_clock() + timedelta(minutes=2)
    assert ready(rooms)["warnings"] == {}
    clock.advance(minutes=2)
    assert (ready(rooms)["ready"], ready(rooms)["warnings"]) == (True, {"crl": "crl-behind"})
    assert found_on_line(rooms) == "crl-behind"
    rooms.maintenance.only(COPIES, ARCHIVE).run()
    assert (ready(rooms)["ready"], ready(rooms)["warnings"]) == (True, {})
    assert found_on_line(rooms) is None
    with serving(installed, two.path, "--door", "crl") as served:
        purpose = rooms.store.ledger.find([victim])[victim].purpose
        name = next(path for path in lists_in(one) if path.startswith(f"crl/{purpose}/") and COMPLETE in path)
        with urlopen(f"{served.url}/{name}", timeout=10) as answer:
            assert victim.to_bytes(16) in answer.read()
    for each in (rooms, publishing):
        each.close()


def test_a_served_node_fetches_by_itself(url: str, tmp_path: Path, installed: Path) -> None:
    one, two = tmp_path / "one", beside(tmp_path / "two", settings_of(tmp_path / "one"), url)
    with serving(installed, two.path, "--door", "crl") as served:
        publishing = open_rooms(Home(one))
        publishing.publisher.publish_all()
        publishing.close()
        # The worker looks when it starts, and then each minute.
        shutil.rmtree(two.path / "crl-archive")
        until = time.monotonic() + 75
        while lists_in(two.path) != lists_in(one) and time.monotonic() < until:
            time.sleep(0.2)
        assert lists_in(two.path) == lists_in(one)
        assert served.process.poll() is None


def test_two_nodes_with_the_keys_publish_in_turns_and_numbers_only_grow(url: str, tmp_path: Path) -> None:
    one, two = Home(tmp_path / "one"), beside(tmp_path / "two", settings_of(tmp_path / "one"), url)
    for part in ("keys", "secrets"):
        shutil.copytree(one.path / part, two.path / part)
    first, second = open_rooms(one), open_rooms(two)
    rounds = []
    for rooms, other in ((second, first), (first, second), (second, first)):
        for node in (first, second):
            node.maintenance.only(COPIES).run()
        assert rooms.publisher.publish_due() == [] or rooms is first
        victim = in_state(rooms, State.ACTIVE)[0]
        other.desk.revoke(victim, Reason.KEY_COMPROMISE, BY)
        rooms.publisher.publish_due()
        purpose = rooms.store.ledger.find([victim])[victim].purpose
        (mark,) = rooms.store.shelf.newest(purpose, [COMPLETE]).values()
        generation = rooms.served(purpose)[0]
        octets = (rooms.home.path / f"crl/{purpose}/{generation.id}/complete.crl").read_bytes()
        assert victim.to_bytes(16) in octets
        rounds.append(mark)
    for purpose in {mark.purpose for mark in rounds}:
        numbers = [mark.number for mark in rounds if mark.purpose is purpose]
        assert numbers == sorted(set(numbers))
    assert replace(rounds[-1], number=0).entries > 0
    # The first knows no other node: what it lacks it publishes anew, and never shows an older one as the newest.
    first.publisher.publish_due()
    second.maintenance.only(COPIES).run()
    assert lists_in(two.path) == lists_in(one.path)
    for each in (first, second):
        each.close()
