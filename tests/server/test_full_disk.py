"""Rule R18 on a disk that is really full: no CA key signs, and a revocation is still taken."""

import os
import shutil
import subprocess
import tempfile
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
from server.store.seal import SALT_OCTETS
from server.wiring import Rooms, Store, assemble, database_of, keys_of, store_of
from tests.ca.world import wrapping_keys
from tests.conftest import SteppingClock
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.ledger_contract import LedgerContract, furnished
from tests.server.people import HOLDER_FILE, card_key, request, someone
from tests.server.postgresql import running

pytestmark = pytest.mark.slow


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small file system of its own, where the user that PostgreSQL runs as comes in too."""
    if os.getuid() != 0:
        pytest.skip("only root can mount the small disk (tmpfs) that this test fills")
    disk = Path(tempfile.mkdtemp(prefix="jpki-disk-"))
    disk.chmod(0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", disk], check=False, timeout=30)
    if mounted.returncode != 0:
        disk.rmdir()
        pytest.skip("mounting the small disk (tmpfs) that this test fills is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True, timeout=30)
        disk.rmdir()


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
    database = Database.at_file(home / "jpki.sqlite")
    with database.writing():
        pass
    database.close()
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
    revoke_each(reopened, serials, clock)
    reopened.database.close()


def revoke_each(store: Store, serials: Sequence[Serial], clock: SteppingClock) -> None:
    """Revoke one after the other, and see that all are revoked."""
    for serial in serials:
        store.ledger.revoke([serial], Reason.KEY_COMPROMISE, LOCAL_OPERATOR, clock())
    assert {getattr(store.ledger.status(serial), "state", None) for serial in serials} == {State.REVOKED}


def test_r18_a_postgresql_server_with_a_full_disk_takes_revocations(disk: Path, clock: SteppingClock) -> None:
    contract, first = LedgerContract(), "H-0"
    with running(disk) as server:
        database = Database.at_url(server.new_database("jpki"))
        database.found(clock())
        store = furnished(database)
        # Whoever holds a page with room on it needs none of the disk: the many fill more than there was on any.
        serials = [contract.live(store, clock, f"H-{number}") for number in range(120)]
        fill(disk)
        revoke_each(store, serials, clock)
        with pytest.raises(JpkiError) as refused:
            contract.live(store, clock, first)
        assert refused.value.code == "database-full"
        assert reserve_of(database) == 0
        (disk / "filler").unlink()
        contract.live(store, clock, first)
        assert reserve_of(database) >= 4 << 20
        server.kill()
        server.start()
        assert reserve_of(database) == 0, "what is not in the server's log is not there after a crash"
        contract.live(store, clock, "H-1")
        assert reserve_of(database) >= 4 << 20
        database.close()


def reserve_of(database: Database) -> int:
    """Return how many octets the reserve has on a PostgreSQL server's disk."""
    with database.reading() as connection:
        size: int = connection.exec_driver_sql("SELECT pg_relation_size('reserve')").scalar_one()
    return size


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
