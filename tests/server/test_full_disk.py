"""Rule R18 on a disk that is really full: no CA key signs, and a revocation is still taken."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri, Serial
from jpki.ports import KeyProvider
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from jpki.signature import KeySpec, PrivateKey
from server.home import Home
from server.settings import read_settings
from server.store.database import Database
from server.store.reserve import Reserve
from server.store.seal import SALT_OCTETS
from server.wiring import Rooms, assemble, database_of, keys_of, store_of
from tests.ca.world import wrapping_keys
from tests.conftest import SteppingClock
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.ledger_contract import LedgerContract, furnished
from tests.server.people import HOLDER_FILE, card_key, request, someone

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.getuid() != 0:
        pytest.skip("only root can mount the small disk (tmpfs) that this test fills")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=False, timeout=30)
    if mounted.returncode != 0:
        pytest.skip("mounting the small disk (tmpfs) that this test fills is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True, timeout=30)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert os.statvfs(disk).f_bavail == 0


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no room while the block runs."""
    fill(disk)
    yield
    (disk / "filler").unlink()


@dataclass
class WatchedKeys:
    """The home's keys, and which of them were asked for."""

    keys: KeyProvider
    asked: list[KeyUri] = field(default_factory=list)

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        return self.keys.create(label, spec)

    def signer(self, uri: KeyUri) -> PrivateKey:
        self.asked.append(uri)
        return self.keys.signer(uri)

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        self.asked.append(uri)
        return self.keys.sign_many(uri, messages)

    def create_wrapping_key(self, label: str) -> KeyUri:
        return self.keys.create_wrapping_key(label)

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        return self.keys.wrap(uri, octets)

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        return self.keys.unwrap(uri, wrapped)

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        return self.keys.attributes(uri)

    def destroy(self, uri: KeyUri) -> None:
        self.keys.destroy(uri)

    def close(self) -> None:
        self.keys.close()


class FillingRandomness:
    """Randomness that fills the disk when it is asked for so many octets, once it is armed."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._octets = 0

    def arm(self, octets: int) -> None:
        self._octets = octets

    def __call__(self, octets: int) -> bytes:
        if octets == self._octets:
            self._octets = 0
            fill(self._disk)
        return system_randomness(octets)


@dataclass(frozen=True)
class Service:
    """A home on the small disk, opened as `jpki serve` has it."""

    rooms: Rooms
    keys: WatchedKeys
    randomness: FillingRandomness
    serial: Serial

    def issue(self) -> object:
        return self.rooms.desk.issue(someone(), Purpose.AUTHENTICATION, request(card_key(7)), LOCAL_OPERATOR)

    def count(self, what: str) -> int:
        with self.rooms.store.database.reading() as connection:
            found: int = connection.exec_driver_sql(f"SELECT count(*) FROM {what}").scalar_one()  # noqa: S608
        return found


def on_disk(town: Town, disk: Path) -> Path:
    """Copy a town's home onto the small disk, and lay up its reserve there."""
    home = Path(shutil.copytree(town.home, disk / "home"))
    Reserve(home / "reserve").keep()
    return home


@pytest.fixture
def service(town: Town, disk: Path) -> Iterator[Service]:
    home = Home(on_disk(town, disk))
    settings = read_settings(home.settings)
    keys, randomness = WatchedKeys(keys_of(home, settings)), FillingRandomness(disk)
    store = store_of(database_of(home, settings), keys, randomness)
    rooms = assemble(home, settings, keys, store, system_clock, randomness)
    yield Service(rooms, keys, randomness, Serial(int(serial_in(town.authentication), 16)))
    rooms.close()


def test_r18_an_order_on_a_full_disk_is_refused_and_nothing_is_signed(service: Service, disk: Path) -> None:
    before = service.count("status"), service.count("audit_outbox")
    with full(disk), pytest.raises(JpkiError) as refused:
        service.issue()
    assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "database-full")
    assert service.keys.asked == []
    assert (service.count("status"), service.count("audit_outbox")) == before
    service.issue()


def test_r18_a_disk_that_fills_before_will_sign_keeps_the_key_from_signing(service: Service, disk: Path) -> None:
    # The salt of what will be signed is drawn between the reservation and the intent.
    service.randomness.arm(SALT_OCTETS)
    with pytest.raises(JpkiError) as refused:
        service.issue()
    assert (disk / "filler").exists()
    assert refused.value.code == "database-full"
    assert service.keys.asked == []
    assert service.count("status WHERE state = 'reserved'") == 1
    assert service.count("certificate_record") == 2


def test_r18_no_list_is_signed_on_a_full_disk(service: Service, disk: Path) -> None:
    with full(disk), pytest.raises(JpkiError) as refused:
        service.rooms.publisher.publish_all()
    assert refused.value.code == "database-full"
    assert service.keys.asked == []
    assert service.rooms.publisher.publish_all()


def test_r18_a_revocation_on_a_full_disk_is_taken_and_audited(service: Service, disk: Path) -> None:
    rooms = service.rooms
    assert rooms.desk.record(service.serial).status.state is State.ACTIVE
    with full(disk):
        rooms.desk.revoke(service.serial, Reason.KEY_COMPROMISE, LOCAL_OPERATOR)
        status = rooms.store.ledger.status(service.serial)
        assert status is not None
        assert status.state is State.REVOKED
        # The room that was given up is for revocations only.
        with pytest.raises(JpkiError) as refused:
            service.issue()
        assert refused.value.code == "database-full"
        assert not (disk / "home" / "reserve").exists()
    service.issue()
    assert (disk / "home" / "reserve").stat().st_size == 8 << 20
    rooms.notary.chain()
    told = [each.event.act for each in rooms.store.audit_log.entries(subject=f"{service.serial:032x}") if each.event]
    assert told[-1] == "certificate revoked"


def test_r18_hundreds_of_revocations_on_a_full_disk_are_taken(disk: Path, clock: SteppingClock) -> None:
    """More than SQLite's log holds before it must be written back into the database file."""
    database = Database.at_file(disk / "jpki.sqlite", create=True)
    database.found(clock())
    store = furnished(database)
    serials = [LedgerContract().live(store, clock, f"H-{number}") for number in range(250)]
    database.close()
    reopened = store_of(Database.at_file(disk / "jpki.sqlite"), wrapping_keys(), system_randomness)
    fill(disk)
    for serial in serials:
        reopened.ledger.revoke([serial], Reason.KEY_COMPROMISE, LOCAL_OPERATOR, clock())
    assert {getattr(reopened.ledger.status(serial), "state", None) for serial in serials} == {State.REVOKED}
    reopened.database.close()


def test_r18_the_command_line_on_a_full_disk(jpki: Jpki, town: Town, disk: Path, tmp_path: Path) -> None:
    """Where even opening the ledger takes room."""
    home = on_disk(town, disk)
    serial = serial_in(town.signing)
    order = ("issue", "--home", home, "--kind", "authentication", "--holder", HOLDER_FILE, "--out", tmp_path / "out")
    with full(disk):
        refused = jpki.refused(*order)
        assert (refused.exit, refused.code) == (75, "database-full")
        assert not (tmp_path / "out").exists()
        revoked = jpki.done("revoke", "--home", home, serial, "--reason", "keyCompromise")
        assert revoked["state"] == "revoked"
        assert jpki.refused(*order).code == "database-full"
    assert jpki.done("status", "--home", home, serial)["state"] == "revoked"
    jpki.done("revoke", "--home", home, serial_in(town.authentication), "--reason", "superseded")
    jpki.done(*order)
    assert jpki.done("audit", "verify", "--home", home)["whole"]
