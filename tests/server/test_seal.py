"""Sealed records: what a stolen or altered database gives away, and how the keys change."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import delete, select, update

from hsm_adapter.software import SoftwareKeys
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri, Serial
from jpki.randomness import system_randomness
from server.sealing import Sealing
from server.store import tables
from server.store.database import Database
from server.wiring import Store, store_of
from tests.conftest import SteppingClock
from tests.server.conftest import Town, certificate_in
from tests.server.console import Jpki
from tests.server.ledger_contract import TBS, LedgerContract, furnished

FIRST = KeyUri("software:seal-0")


@pytest.fixture
def database(tmp_path: Path, clock: SteppingClock) -> Database:
    database = Database.at_file(tmp_path / "jpki.sqlite", create=True)
    database.found(clock())
    return database


@pytest.fixture
def keys(tmp_path: Path) -> SoftwareKeys:
    return SoftwareKeys(tmp_path / "keys", lambda: b"passphrase")


@pytest.fixture
def store(database: Database, keys: SoftwareKeys) -> Store:
    return furnished(database, keys)


@pytest.fixture
def sealing(store: Store, keys: SoftwareKeys, clock: SteppingClock) -> Sealing:
    return Sealing(store=store, keys=keys, clock=clock, randomness=system_randomness)


def live(store: Store, clock: SteppingClock, count: int = 1) -> list[Serial]:
    return [LedgerContract().live(store, clock, f"H-{number:04}") for number in range(count)]


@pytest.fixture
def reopened(database: Database, store: Store, tmp_path: Path) -> Store:
    """The same records, as another process sees them."""
    assert store.seals.began()
    return store_of(database, SoftwareKeys(tmp_path / "keys", lambda: b"passphrase"), system_randomness)


def test_what_is_sealed_opens_in_another_process(store: Store, reopened: Store, clock: SteppingClock) -> None:
    (serial,) = live(store, clock)
    assert reopened.ledger.certificates([serial]).get(serial) == store.ledger.certificates([serial]).get(serial)


@pytest.mark.parametrize("column", ["to_be_signed", "signature"])
def test_an_altered_record_is_refused(store: Store, database: Database, clock: SteppingClock, column: str) -> None:
    (serial,) = live(store, clock)
    record = tables.certificate_record
    with database.writing() as connection:
        octets = bytearray(connection.execute(select(record.c[column])).scalar_one())
        octets[-1] ^= 1
        connection.execute(update(record).values({column: bytes(octets)}))
    with pytest.raises(JpkiError) as refused:
        store.ledger.certificates([serial]).get(serial)
    assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "record-unreadable")


def test_a_record_passed_off_as_that_of_another_is_refused(
    store: Store, database: Database, clock: SteppingClock
) -> None:
    mine, yours = live(store, clock, 2)
    record = tables.certificate_record
    with database.writing() as connection:
        stolen = connection.execute(select(record).where(record.c.serial == yours)).one()
        connection.execute(
            update(record)
            .where(record.c.serial == mine)
            .values(to_be_signed=stolen.to_be_signed, signature=stolen.signature)
        )
    with pytest.raises(JpkiError) as refused:
        store.ledger.certificates([mine]).get(mine)
    assert refused.value.code == "record-unreadable"


def test_the_same_octets_are_never_sealed_alike(store: Store, database: Database, clock: SteppingClock) -> None:
    live(store, clock, 2)
    with database.reading() as connection:
        one, other = connection.execute(select(tables.certificate_record.c.to_be_signed)).scalars()
    assert len(one) == len(other) > len(TBS)
    assert one[12:] != other[12:]


def test_a_new_key_seals_everything_anew_and_the_old_one_goes(
    store: Store, reopened: Store, keys: SoftwareKeys, clock: SteppingClock, sealing: Sealing
) -> None:
    serials = live(store, clock, 3)
    before = [store.ledger.certificates([serial]).get(serial) for serial in serials]
    new = sealing.begin()
    left: list[int] = []
    assert sealing.seal_all(left.append) == 3
    assert left == [0]
    assert sealing.retire() == [FIRST]
    assert [reopened.ledger.certificates([serial]).get(serial) for serial in serials] == before
    with pytest.raises(JpkiError) as gone:
        keys.unwrap(FIRST, b"x" * 60)
    assert gone.value.code == "key-not-found"
    assert keys.wrap(new, b"x")


def test_a_rotation_that_stopped_in_the_middle_goes_on(
    store: Store, reopened: Store, clock: SteppingClock, sealing: Sealing
) -> None:
    live(store, clock, 2)
    sealing.begin()
    assert store.seals.unneeded() == []
    assert store.seals.outdated() == 2
    assert reopened.seals.reseal_some() == 2
    assert store.seals.unneeded() == [FIRST]


def test_issuing_goes_on_while_keys_change(store: Store, clock: SteppingClock, sealing: Sealing) -> None:
    """A certificate intended under the old key and completed after the rotation opens whole."""
    reservation = LedgerContract().wanted(clock)
    serial = reservation.serial
    store.ledger.reserve([reservation], BY, clock())
    store.ledger.intend({serial: TBS}, BY, clock())
    sealing.begin()
    sealing.seal_all(lambda _: None)
    store.ledger.complete({serial: b"signature"}, BY, clock())
    assert store.ledger.certificates([serial]).get(serial) is not None


def test_while_the_wrapping_key_is_away_revocation_and_status_go_on(
    store: Store, database: Database, clock: SteppingClock, tmp_path: Path
) -> None:
    (serial,) = live(store, clock)
    without_key = store_of(database, SoftwareKeys(tmp_path / "nothing", lambda: b""), system_randomness)
    with pytest.raises(JpkiError) as away:
        without_key.ledger.certificates([serial]).get(serial)
    assert (away.value.kind, away.value.code) == (Kind.UNAVAILABLE, "key-not-found")
    assert without_key.ledger.find([serial]).get(serial) is not None
    assert without_key.ledger.status(serial) is not None


def test_an_operator_rotates_the_seal(jpki: Jpki, town: Town) -> None:
    before = set((town.home / "keys").glob("seal-*"))
    done = jpki.done("db", "rotate-seal", "--home", town.home)
    assert (done["sealed"], len(done["destroyed"])) == (2, 1)
    after = set((town.home / "keys").glob("seal-*"))
    assert len(after) == 1
    assert not after & before


def test_a_stolen_database_tells_no_name_and_no_address(town: Town) -> None:
    told = certificate_in(town.signing).public_bytes(Encoding.DER)
    assert "花子".encode() in told
    with closing(sqlite3.connect(town.home / "jpki.sqlite")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    stolen = (town.home / "jpki.sqlite").read_bytes()
    assert len(stolen) > 100_000
    for word in ("花子", "霞が関"):
        assert word.encode() not in stolen
    assert told[200:232] not in stolen


def test_a_sealing_key_in_use_is_neither_destroyed_nor_forgotten(
    store: Store, database: Database, clock: SteppingClock
) -> None:
    def destroyed() -> None:
        raise AssertionError("a record needs it")

    serials = live(store, clock)
    assert not store.seals.forget(FIRST, destroyed)
    assert store.seals.unneeded() == []
    store.seals.use(FIRST)
    assert not store.seals.forget(FIRST, destroyed)
    with pytest.raises(JpkiError), database.writing() as connection:
        connection.execute(delete(tables.data_key))
    assert set(store.ledger.certificates(serials)) == set(serials)
