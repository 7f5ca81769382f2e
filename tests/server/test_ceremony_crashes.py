"""A ceremony cut off at any step leaves nothing, or what `jpki doctor` names and `jpki ceremony resume` ends."""

import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ca.plan import default_plan
from ca.profile import CARD_V1
from ca.record import check_record
from hsm_adapter.pkcs11 import Token, make_token
from hsm_adapter.software import SoftwareKeys
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.randomness import system_randomness
from jpki.signature import KeySpec
from jpki.text import Text
from server.doctor import examine
from server.founding import found
from server.home import Home
from server.settings import Pkcs11Settings, Settings, read_settings
from server.store.ceremonies import CeremonyKind
from server.store.database import Database
from server.wiring import Rooms, assemble, open_rooms, store_of
from tests.conftest import SteppingClock
from tests.server.conftest import copied
from tests.server.console import Jpki

AUTHENTICATION = default_plan(CARD_V1, {Purpose.AUTHENTICATION: 2}, "a test")


class Crash(BaseException):
    """The process dies."""


class Fuse:
    """Burns so many times, and then the process dies."""

    def __init__(self, length: int) -> None:
        self.left = length

    def burn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


class DyingDatabase(Database):
    """A ledger whose process dies before or after the commit of a transaction."""

    fuse: Fuse
    after: bool

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with super().writing() as connection:
            yield connection
            if not self.after:
                self.fuse.burn()
        if self.after:
            self.fuse.burn()


class DyingKeys(SoftwareKeys):
    """Keys whose process dies when one was made, or destroyed, and nobody knows of it yet."""

    fuse: Fuse

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        uri = super().create(label, spec)
        self.fuse.burn()
        return uri

    def destroy(self, uri: KeyUri) -> None:
        super().destroy(uri)
        self.fuse.burn()


def dying_rooms(home: Home, database_fuse: int, keys_fuse: int, *, after: bool) -> Rooms:
    database = DyingDatabase.at_file(home.database)
    database.fuse, database.after = Fuse(database_fuse), after
    keys = DyingKeys(home.keys, home.passphrase)
    keys.fuse = Fuse(keys_fuse)
    settings = read_settings(home.settings)
    return assemble(home, settings, keys, store_of(database, keys, system_randomness), system_clock, system_randomness)


NEVER = 10_000


@dataclass(frozen=True, slots=True)
class Left:
    """What a crash left of a ceremony."""

    failing: Sequence[str]
    issuing: str
    is_open: bool


def left_in(home: Home) -> Left:
    rooms = open_rooms(home)
    failing = [each.name for each in examine(rooms) if each.error is not None]
    issuing = rooms.store.generations.issuing(Purpose.AUTHENTICATION, rooms.clock())[0].id
    is_open = bool(rooms.store.ceremonies.unfinished())
    require_known_keys(rooms)
    rooms.close()
    return Left(failing, issuing, is_open)


def require_known_keys(rooms: Rooms) -> None:
    """Rule R19: every CA key there is was made in a ceremony that is on record, under a label of its plan."""
    ceremonies = [*rooms.store.ceremonies.unfinished(), *rooms.store.ceremonies.closed()]
    planned = {each["label"] for ceremony in ceremonies for each in ceremony.plan["generation"]}
    noted = {uri.removeprefix("software:") for each in ceremonies for uri in each.minutes["keys"].values()}
    assert {file.stem for file in rooms.home.keys.glob("ca-*")} <= planned | noted


def mend(home: Home) -> None:
    """Resume, and require that all is as if nothing had happened."""
    rooms = open_rooms(home)
    rooms.ceremonies.resume("jpki ceremony resume")
    assert [each.name for each in examine(rooms) if each.error is not None] == []
    assert [each.id for each in rooms.store.generations.issuing(Purpose.AUTHENTICATION, rooms.clock())] == ["a2", "a1"]
    (_, record) = rooms.store.ceremonies.closed()
    checked = check_record(rooms.ceremonies.record_file(record).read_text("utf-8"))
    (made,) = checked.body["generations"]
    assert made["generation"] == "a2"
    require_known_keys(rooms)
    signed = rooms.store.delegates.certificates(rooms.living(Purpose.AUTHENTICATION)[0].id)
    assert [kind for kind, _ in signed].count(DelegateKind.ROOT) == 1
    assert len({each.serial_number for _, each in signed}) == len(signed)
    rooms.close()


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before each commit", "after each commit"])
@pytest.mark.parametrize("part", range(3))
def test_a_new_generation_that_is_cut_off_at_any_transaction(
    new_home: Path, tmp_path: Path, part: int, *, after: bool
) -> None:
    for step in range(part, NEVER, 3):
        home = Home(copied(new_home, tmp_path / f"home-{step}"))
        rooms = dying_rooms(home, step, NEVER, after=after)
        try:
            rooms.ceremonies.new_generation(AUTHENTICATION, "jpki ceremony new-generation")
        except Crash:
            rooms.close()
        else:
            rooms.close()
            assert step >= 11
            return
        left = left_in(home)
        if left.is_open:
            assert "ceremonies" in left.failing
            assert left.issuing == "a1"
            mend(home)
        elif left.issuing == "a1":
            assert left.failing == []
        else:
            # It was closed and on record in the ledger; only the file was not written.
            assert left.failing == ["ceremonies"]
            mend(home)


@pytest.mark.parametrize("step", [0, 1])
def test_r19_a_key_that_was_made_and_not_noted_is_never_used(home: Path, step: int) -> None:
    here = Home(home)
    rooms = dying_rooms(here, NEVER, step, after=False)
    with pytest.raises(Crash):
        rooms.ceremonies.new_generation(AUTHENTICATION, "jpki ceremony new-generation")
    rooms.close()
    assert left_in(here) == Left(["responders", "lists", "ceremonies"] if step else ["ceremonies"], "a1", is_open=True)
    mend(here)
    rooms = open_rooms(here)
    record = rooms.store.ceremonies.closed()[-1]
    assert record.minutes["lost_labels"] == (["ca-authentication-a2"] if step == 0 else [])
    rooms.close()


def test_a_compromise_that_waits_for_a_new_infrastructure_does_not_keep_it_waiting(home: Path) -> None:
    here = Home(home)
    rooms = open_rooms(here)
    attendance = default_plan(CARD_V1, {}, "a test")
    rooms.ceremonies.compromise(rooms.store.generations.ever(Purpose.INFRASTRUCTURE)[0].id, attendance, "compromise")
    rooms.close()
    rooms = dying_rooms(here, NEVER, 0, after=False)
    with pytest.raises(Crash):
        rooms.ceremonies.new_generation(default_plan(CARD_V1, {Purpose.INFRASTRUCTURE: 2}, "a test"), "new-generation")
    rooms.close()
    rooms = open_rooms(here)
    kinds = [each.kind for each in rooms.ceremonies.resume("jpki ceremony resume")]
    assert kinds == [CeremonyKind.NEW_GENERATION, CeremonyKind.COMPROMISE]
    assert [each.name for each in examine(rooms) if each.error is not None] == []
    rooms.close()


def test_the_file_of_a_record_is_written_again(home: Path) -> None:
    here = Home(home)
    rooms = open_rooms(here)
    rooms.ceremonies.new_generation(AUTHENTICATION, "jpki ceremony new-generation")
    rooms.ceremonies.record_file(rooms.store.ceremonies.closed()[-1]).unlink()
    rooms.close()
    assert left_in(here).failing == ["ceremonies"]
    mend(here)


# --- retirement ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose first generations have all ended."""
    past = SteppingClock(system_clock())
    past.advance(days=-11 * 366)
    rooms = found(Home(tmp_path_factory.mktemp("ended") / "home"), Settings(), past, system_randomness)
    rooms.close()
    return rooms.home.path


@pytest.fixture
def old(ended: Path, tmp_path: Path) -> Path:
    return copied(ended, tmp_path / "home")


def test_the_key_of_an_ended_generation_is_destroyed_on_record(jpki: Jpki, old: Path) -> None:
    retire = ("ceremony", "retire", "--home", old, "--generation", "s1")
    assert jpki.refused(*retire).code == "infrastructure-missing"
    jpki.done("ceremony", "new-generation", "--home", old, "--ca", "infrastructure")
    jpki.done("ceremony", "new-generation", "--home", old, "--ca", "both")
    assert (old / "keys" / "ca-signing-s1.pem").exists()
    (held,) = jpki.done(*retire)["held"]
    assert [file.name for file in (old / "keys").iterdir() if "s1" in file.stem.split("-")] == []
    checked = check_record(Path(held["record"]).read_text("utf-8"))
    assert checked.body["subject"]["generation"] == "s1"
    destroyed = checked.body["destroyed"]
    assert destroyed[0]["uri"] == "software:ca-signing-s1"
    assert destroyed[0]["attributes"]["kind"] == "rsa-2048"
    assert [each["uri"].startswith("software:ocsp-s1-") for each in destroyed[1:]] == [True]
    assert [each["generation"] for each in checked.body["signed_by"]] == ["i2"]
    assert jpki.refused(*retire).code == "generation-destroyed"
    doctor = jpki.done("doctor", "--home", old)
    assert any("key was destroyed" in each["title"]["en"] for each in doctor["checks"])


def test_a_responder_whose_key_is_elsewhere_does_not_hinder_a_retirement(jpki: Jpki, old: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", old, "--ca", "infrastructure")
    for key in (old / "keys").glob("ocsp-s1-*"):
        key.unlink()
    (held,) = jpki.done("ceremony", "retire", "--home", old, "--generation", "s1")["held"]
    body = check_record(Path(held["record"]).read_text("utf-8")).body
    assert [each["uri"] for each in body["destroyed"]] == ["software:ca-signing-s1"]


def test_r25_the_key_of_a_generation_that_answers_is_not_destroyed(jpki: Jpki, home: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", home, "--ca", "both")
    refused = jpki.refused("ceremony", "retire", "--home", home, "--generation", "s1")
    assert (refused.exit, refused.code) == (1, "generation-alive")
    assert (home / "keys" / "ca-signing-s1.pem").exists()


@pytest.mark.slow
def test_a_retirement_that_is_cut_off_is_finished(jpki: Jpki, old: Path, tmp_path: Path) -> None:
    jpki.done("ceremony", "new-generation", "--home", old, "--ca", "infrastructure")
    plan = default_plan(CARD_V1, {}, "a test")
    for step in range(NEVER):
        here = Home(copied(old, tmp_path / f"home-{step}"))
        rooms = dying_rooms(here, NEVER, step, after=False)
        generation = rooms.every_generation()[0].id
        try:
            rooms.ceremonies.retire(generation, plan, "jpki ceremony retire")
        except Crash:
            rooms.close()
        else:
            rooms.close()
            assert step == 2
            return
        assert jpki.done("ceremony", "resume", "--home", here.path)["held"]
        rooms = open_rooms(here)
        record = check_record(rooms.store.ceremonies.closed()[-1].record or "")
        authority, responder = (each["uri"] for each in record.body["destroyed"])
        assert (authority, responder[:17]) == ("software:ca-signing-s1", "software:ocsp-s1-")
        assert rooms.store.generations.find(generation).destroyed_at is not None
        rooms.close()


# --- the first ceremony --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seen", ["jpki.sqlite", "keys/ca-signing-s1.pem", "crl", "clerks"])
def test_an_init_that_is_killed_leaves_no_home(jpki: Jpki, tmp_path: Path, installed: Path, seen: str) -> None:
    home = tmp_path / "home"
    process = subprocess.Popen([installed, "init", "--home", home], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (home / seen).exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (home / "jpki.toml").exists()
    refused = jpki.refused("doctor", "--home", home)
    assert (refused.exit, refused.code) == (64, "home-unfinished")
    assert jpki.refused("init", "--home", home).code == "home-not-empty"


@pytest.mark.slow
def test_an_init_that_fails_takes_its_keys_out_of_the_token_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Path("/usr/lib/softhsm/libsofthsm2.so")
    if not module.exists():
        pytest.skip("the outside program softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    monkeypatch.setenv("JPKI_PIN", "33334444")
    make_token(Token(module=module, label="outside"), so_pin="11112222", pin="33334444")
    settings = Settings(keys="pkcs11", pkcs11=Pkcs11Settings(module=str(module), token="outside"))

    def failing(octets: int) -> bytes:
        """Fail for the administrator's password, which is drawn last of all."""
        if octets == 20:
            raise JpkiError(Kind.UNAVAILABLE, "no-randomness", Text("乱数がない", "no randomness"), Text("-", "-"))
        return system_randomness(octets)

    with pytest.raises(JpkiError) as refused:
        found(Home(tmp_path / "home"), settings, system_clock, failing)
    assert refused.value.code == "no-randomness"
    assert not (tmp_path / "home").exists()
    rooms = found(Home(tmp_path / "home"), settings, system_clock, system_randomness)
    try:
        assert {each["attributes"]["never_extractable"] for each in keys_told(rooms)} == {True}
    finally:
        rooms.close()


def keys_told(rooms: Rooms) -> list[dict[str, dict[str, object]]]:
    body = check_record(rooms.store.ceremonies.find(1).record or "").body
    return [each["key"] for each in body["generations"]]
