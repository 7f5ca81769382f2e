"""The store on SQLite."""

from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID

from ca import names
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId, PartitionId, Serial
from jpki.partition import Partition
from server.store import tables
from server.store.database import Database
from server.wiring import Store, store_of
from tests.ca import world
from tests.conftest import SteppingClock
from tests.server.ledger_contract import LedgerContract


@pytest.fixture
def store(tmp_path: Path, clock: SteppingClock) -> Store:
    made = store_of(Database.create(tmp_path / "jpki.sqlite", clock()))
    made.partitions.add(
        (
            Partition(
                id=PartitionId(name),
                purpose=purpose,
                name=names.below_root(purpose, (NameOID.COMMON_NAME, name)),
                base_urls=(),
            ),
            None,
        )
        for name, purpose in (("p0001", Purpose.SIGNING), ("p0002", Purpose.SIGNING), ("b01", Purpose.AUTHENTICATION))
    )
    for purpose in (Purpose.SIGNING, Purpose.AUTHENTICATION):
        generation, _ = world.authority(purpose)
        made.generations.add(generation, 1)
    return made


class TestSqliteLedger(LedgerContract):
    """The ledger's contract on SQLite."""


def test_generations_read_back(store: Store, clock: SteppingClock) -> None:
    ours, _ = world.authority(Purpose.SIGNING)
    assert store.generations.live(Purpose.SIGNING, clock()) == [ours]
    assert store.generations.live(Purpose.SIGNING, ours.not_after.replace(year=2040)) == []
    assert [each.id for each in store.generations.ever(Purpose.SIGNING)] == [GenerationId("s1")]


def test_a_missing_ledger_is_an_outage_and_is_not_made_anew(tmp_path: Path) -> None:
    missing = tmp_path / "jpki.sqlite"
    with pytest.raises(JpkiError) as refused:
        store_of(Database.at(missing)).ledger.status(Serial(1))
    assert refused.value.kind is Kind.UNAVAILABLE
    assert not missing.exists()


def test_the_status_row_holds_nothing_about_a_person() -> None:
    assert set(tables.status.columns.keys()) == {
        "serial",
        "generation",
        "partition",
        "not_after",
        "state",
        "reason",
        "revoked_at",
        "position",
    }
