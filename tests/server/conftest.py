"""Homes to work in: each kind is founded once, and every test gets a copy of its own."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, system_clock, years_later
from jpki.ids import Serial, format_serial
from jpki.randomness import system_randomness
from server.cli.frame import run
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.wiring import Rooms
from tests.server.console import Jpki
from tests.server.people import HOLDER_FILE, card_key, request, someone


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own settings out of the commands."""
    for name in [name for name in os.environ if name.startswith("JPKI_") and name != "JPKI_SHARED"]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def jpki(capsys: pytest.CaptureFixture[str]) -> Jpki:
    return Jpki(capsys)


@pytest.fixture(scope="session")
def installed() -> Path:
    """The command as it is installed, for a process of its own."""
    return Path(sys.executable).with_name("jpki")


# --- homes ---------------------------------------------------------------------------------------------------------


def make(folder: Path, clock: Callable[[], datetime]) -> Rooms:
    return found(Home(folder), Settings(), clock, system_randomness)


def copied(folder: Path, to: Path) -> Path:
    """Copy a home, but for the eight megabytes of its reserve: the ledger makes them anew before it writes."""
    return shutil.copytree(folder, to, ignore=shutil.ignore_patterns("reserve"))


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rooms = make(tmp_path_factory.mktemp("new") / "home", system_clock)
    rooms.store.database.close()
    return rooms.home.path


@pytest.fixture
def home(new_home: Path, tmp_path: Path) -> Path:
    """A home in which nothing was issued yet."""
    return copied(new_home, tmp_path / "home")


@dataclass(frozen=True, slots=True)
class Town:
    """A home, and beside it what one holder got: a folder for each certificate."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def signing(self) -> Path:
        return self.folder / "signing"

    @property
    def authentication(self) -> Path:
        return self.folder / "authentication"


def certificate_in(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())


def serial_in(folder: Path) -> str:
    return format_serial(Serial(certificate_in(folder).serial_number))


@pytest.fixture(scope="session")
def issued_town(new_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("issued") / "town"
    town = Town(folder)
    copied(new_home, town.home)
    for kind in ("authentication", "signing"):
        words = ["issue", "--home", town.home, "--kind", kind, "--holder", HOLDER_FILE, "--out", folder / kind]
        assert run([str(word) for word in words]) == 0
    return folder


@pytest.fixture
def town(issued_town: Path, tmp_path: Path) -> Town:
    """A home in which the holder of examples/holder.json has a live pair."""
    return Town(copied(issued_town, tmp_path / "town"))


@dataclass(frozen=True, slots=True)
class AgedHome:
    """A home of years ago, whose one holder's pair is now in its renewal window."""

    home: Path
    serials: dict[Purpose, str]


@pytest.fixture(scope="session")
def made_years_ago(tmp_path_factory: pytest.TempPathFactory) -> AgedHome:
    birthday = day_in_japan(system_clock() + timedelta(days=45))
    past = system_clock() - timedelta(days=4.38 * 365.25)
    rooms = make(tmp_path_factory.mktemp("aged") / "home", lambda: past)
    holder = someone("H-0001", years_later(birthday, -40))
    serials = {}
    for number, purpose in enumerate(HOLDER_PURPOSES):
        certificate = rooms.desk.issue(holder, purpose, request(card_key(100 + number)), LOCAL_OPERATOR)
        serials[purpose] = format_serial(Serial(certificate.serial_number))
    rooms.store.database.close()
    return AgedHome(rooms.home.path, serials)


@pytest.fixture
def aged(made_years_ago: AgedHome, tmp_path: Path) -> AgedHome:
    return AgedHome(copied(made_years_ago.home, tmp_path / "aged"), made_years_ago.serials)
