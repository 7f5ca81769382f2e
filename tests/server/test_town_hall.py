"""The simulated town hall: who its residents are now, what it tells, and whom it answers."""

import json
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from enroll.event_file import read_event
from enroll.registry_client import RegistryClient
from jpki.certificate import CARD, Purpose
from jpki.clock import system_clock
from jpki.errors import JpkiError
from jpki.ids import HolderCode
from jpki.randomness import system_randomness
from jpki.resident import Registration
from jpki.resident_event import Kind, SourceName
from server.founding import found
from server.home import Home
from server.registry_tls import context_for
from server.sample.holders import sample_code, sample_holder
from server.sample.town import populate
from server.sample.town_hall import TownHall
from server.sample.town_server import server_context, town_server
from server.settings import RegistrySettings, Settings
from server.wiring import open_rooms
from tests.server.console import Jpki
from tests.server.test_campaign import nothing

ONE, TWO = sample_code(1), sample_code(2)


@pytest.fixture
def hall(tmp_path: Path) -> TownHall:
    return TownHall(tmp_path / "journal", "hall", 20, SourceName("131016"))


@contextmanager
def serving(hall: TownHall, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    server = town_server(hall, ("127.0.0.1", 0), system_clock, tls)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}/residents"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client(url: str, tls: Callable[[], ssl.SSLContext | None] = lambda: None) -> RegistryClient:
    return RegistryClient(url=url, tls=tls, clock=system_clock)


# --- its register ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Kind))
def test_what_happens_to_one_changes_what_it_should_and_nobody_else(hall: TownHall, kind: Kind) -> None:
    before, other = (hall.original(each) for each in (ONE, TWO))
    hall.happen(kind, [ONE], system_clock())
    register = hall.register(system_clock())
    after = register.resident(ONE)
    assert register.resident(TWO) == other
    assert (after.holder.address != before.holder.address) is (kind is Kind.MOVED)
    assert (after.holder.name != before.holder.name) is (kind is Kind.RENAMED)
    ended = kind in {Kind.DIED, Kind.DELETED, Kind.DEPARTED, Kind.RESIDENCY_LOST}
    assert (after.registration is Registration.ENDED) is ended
    assert (after.registration is Registration.ABROAD) is (kind is Kind.MOVED_ABROAD)
    assert after.holder.birth_date == before.holder.birth_date


def test_it_tells_events_in_order_without_a_gap_however_many_clerks_it_has(hall: TownHall) -> None:
    def work(_: int) -> None:
        hall.happen(Kind.MOVED, [ONE, TWO], system_clock())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(10)))
    told = [read_event(json.loads(line), system_clock()) for line in hall.told(1)]
    assert [each.sequence for each in told] == list(range(1, 21))
    assert list(hall.told(20)) == list(hall.told(1))[19:]


@pytest.mark.parametrize("code", ["SAMPLE-00000021", "SAMPLE-00000000", "SAMPLE-1", "H-0001", ""])
def test_whom_it_does_not_know_nothing_happens_to(hall: TownHall, code: str) -> None:
    with pytest.raises(JpkiError, match="resident-unknown"):
        hall.happen(Kind.DIED, [ONE, HolderCode(code)], system_clock())
    assert list(hall.told(1)) == []


# --- its server ------------------------------------------------------------------------------------------------------


def test_an_office_is_told_who_a_code_stands_for_now(hall: TownHall) -> None:
    with serving(hall) as url:
        before = client(url).resident(ONE)
        assert before.holder == sample_holder("hall", 1)
        hall.happen(Kind.MOVED, [ONE], system_clock())
        assert client(url).resident(ONE).holder.address != before.holder.address
        with pytest.raises(JpkiError, match="resident-unknown"):
            client(url).resident(HolderCode("H-0001"))
        many = client(url).each_resident([ONE, HolderCode("H-0001"), TWO])
        assert many[ONE] == client(url).resident(ONE)
        assert many[TWO] == client(url).resident(TWO)
        assert str(many[HolderCode("H-0001")]).startswith("resident-unknown")
        with pytest.raises(JpkiError, match="registry-unreadable"):
            client(url.replace("residents", "elsewhere")).resident(ONE)


@pytest.mark.slow
def test_over_tls_it_answers_only_who_shows_a_certificate_that_it_believes(
    jpki: Jpki, hall: TownHall, home: Path, tmp_path: Path
) -> None:
    jpki.done("tls", "certify", "--home", home, "--host", "127.0.0.1")
    jpki.done("verifier", "add", "--home", home, "--name", "office", "--purpose", "trial", "--out", tmp_path / "office")
    server = [home / "tls" / name for name in ("certificate.pem", "key.pem", "root.pem")]
    own = [tmp_path / "office" / name for name in ("certificate.pem", "key.pem")]
    named = RegistrySettings(
        url="https://127.0.0.1:1/residents", certificate=str(own[0]), key=str(own[1]), roots=str(server[2])
    )
    with serving(hall, server_context(*server)) as url:
        assert client(url, lambda: context_for(named)).resident(ONE).code == ONE
        bare = ssl.create_default_context(cafile=str(server[2]))
        with pytest.raises(JpkiError, match="registry-away"):
            client(url, lambda: bare).resident(ONE)
        stranger = ssl.create_default_context()
        with pytest.raises(JpkiError, match="registry-away"):
            client(url, lambda: stranger).resident(ONE)


def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "file.pem").write_text("no PEM")
    file = str(tmp_path / "file.pem")
    for roots in (file, str(tmp_path / "none")):
        named = RegistrySettings(url="https://a/residents", certificate=file, key=file, roots=roots)
        with pytest.raises(JpkiError, match="registry-files-unusable"):
            context_for(named)


# --- a life ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_town_and_an_office_agree_on_who_may_sign(hall: TownHall, tmp_path: Path) -> None:
    """Twenty holders, to some of whom things happen; afterwards the ledger is what the register says."""
    now = system_clock()
    rooms = found(Home(tmp_path / "home"), Settings(), lambda: now, system_randomness)
    populate(rooms, "hall", 20, nothing)
    rooms.close()
    later = now + timedelta(hours=2)
    rooms = open_rooms(rooms.home, lambda: later)
    codes = [sample_code(number) for number in range(1, 21)]
    alive = {purpose: set(rooms.store.ledger.live(codes, purpose, CARD, later)) for purpose in Purpose}
    happened: dict[Kind, Sequence[HolderCode]] = {
        Kind.MOVED: codes[0:6],
        Kind.CORRECTED: codes[6:8],
        Kind.DIED: codes[4:5] + codes[8:10],
        Kind.RENAMED: codes[10:12],
    }
    for kind, those in happened.items():
        hall.happen(kind, those, now + timedelta(hours=1))
    told = [read_event(json.loads(line), later) for line in hall.told(1)]
    rooms.store.events.receive(told, rooms.events.by, later)
    with serving(hall) as url:
        worker = replace(rooms.events, registry=client(url))
        while worker.work()[0]:
            pass
    dead = set(happened[Kind.DIED])
    changed = {*happened[Kind.MOVED], *happened[Kind.RENAMED]}
    after = {purpose: set(rooms.store.ledger.live(codes, purpose, CARD, later)) for purpose in Purpose}
    assert after[Purpose.AUTHENTICATION] == alive[Purpose.AUTHENTICATION] - dead
    assert after[Purpose.SIGNING] == alive[Purpose.SIGNING] - dead - changed
    rooms.close()


# --- its commands ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_r21_the_command_serves_and_writes_nobody_down(jpki: Jpki, installed: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    jpki.done("town-hall", "happen", "moved", ONE, TWO, "--file", journal)
    assert jpki.refused("town-hall", "happen", "moved", "X", "--file", journal).code == "resident-unknown"
    words = [installed, "town-hall", "serve", "--file", journal, "--port", "0"]
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=err)
    try:
        while b"http" not in (printed := (tmp_path / "err").read_bytes()):
            assert process.poll() is None
            time.sleep(0.05)
        url = printed.decode().split()[-1]
        resident = client(url).resident(ONE)
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    assert out == b""
    assert resident.holder.address != sample_holder("jpki", 1).address
    assert ONE.encode() not in (tmp_path / "err").read_bytes()
    told = subprocess.check_output([installed, "town-hall", "events", "--file", journal, "--from", "2"])
    as_json = jpki.done("town-hall", "events", "--file", journal, "--from", "2")
    assert as_json["events"] == [json.loads(line) for line in told.splitlines()]
    assert [json.loads(line)["holder"] for line in told.splitlines()] == [TWO]
