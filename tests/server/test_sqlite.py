"""The store on SQLite."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, select
from sqlalchemy.dialects import sqlite

from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.certificate import Purpose
from jpki.clock import JST, system_clock
from jpki.errors import JpkiError, Kind
from jpki.ids import GenerationId, Serial
from jpki.randomness import system_randomness
from server.store import audit, tables
from server.store.among import Among
from server.store.database import Database
from server.store.types import Moment
from server.wiring import Store, store_of
from tests.ca import world
from tests.conftest import NOON, SteppingClock
from tests.server.audit_contract import AuditContract
from tests.server.audit_world import office
from tests.server.console_sessions_contract import ConsoleSessionsContract
from tests.server.generations_contract import GenerationsContract
from tests.server.ledger_contract import LedgerContract, furnished, stand_again
from tests.server.many_writers import LONG, SHORT, check_many_writers
from tests.server.migrations_contract import (
    check_cards_ends_are_taken_from_the_cases,
    check_old_acts_are_carried_over,
    check_records_are_carried_over_and_sealed,
    check_up_and_down,
)
from tests.server.verifiers_contract import VerifiersContract


@pytest.fixture(scope="module")
def furnished_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished ledger, made once; every test works on a copy of its own."""
    file = tmp_path_factory.mktemp("furnished") / "jpki.sqlite"
    database = Database.at_file(file, create=True)
    database.found(NOON)
    furnished(database)
    database.close()
    return file


@pytest.fixture
def store(furnished_file: Path, tmp_path: Path) -> Store:
    file = tmp_path / "jpki.sqlite"
    shutil.copy(furnished_file, file)
    return stand_again(Database.at_file(file))


class TestSqliteLedger(LedgerContract):
    """The ledger's contract on SQLite."""


class TestSqliteAudit(AuditContract):
    """The audit's contract on SQLite."""


class TestSqliteGenerations(GenerationsContract):
    """The generations' contract on SQLite."""


class TestSqliteVerifiers(VerifiersContract):
    """The contract of the verifiers' record on SQLite."""


class TestSqliteConsoleSessions(ConsoleSessionsContract):
    """The contract of the clerk console's sessions on SQLite."""


@pytest.mark.slow
def test_r20_r26_many_processes_write_and_a_reader_follows(tmp_path: Path, *, at_length: bool) -> None:
    file = tmp_path / "jpki.sqlite"
    database = Database.at_file(file, create=True)
    database.found(system_clock())
    check_many_writers(furnished(database), str(file), LONG if at_length else SHORT)
    database.close()


@pytest.mark.slow
def test_r22_waiting_for_the_others_is_no_clock_that_went_back(store: Store, clock: SteppingClock) -> None:
    """A moment is taken, others write for a while, and only then is it this one's turn."""
    mine, theirs = clock(), clock() + timedelta(seconds=3)
    locked = threading.Event()

    def write_for_a_while() -> None:
        with store.database.writing() as connection:
            store.database.advance_clock(connection, theirs)
            locked.set()
            time.sleep(1.2)

    with ThreadPoolExecutor() as pool:
        other = pool.submit(write_for_a_while)
        locked.wait()
        with store.database.writing() as connection:
            store.database.advance_clock(connection, mine)
        other.result()
    with pytest.raises(JpkiError) as refused, store.database.writing() as connection:
        store.database.advance_clock(connection, mine)
    assert refused.value.code == "clock-went-back"


def test_generations_read_back(store: Store, clock: SteppingClock) -> None:
    ours, _ = world.authority(Purpose.SIGNING)
    assert store.generations.live(Purpose.SIGNING, clock()) == [ours]
    assert store.generations.live(Purpose.SIGNING, ours.not_after.replace(year=2040)) == []
    assert [each.id for each in store.generations.ever(Purpose.SIGNING)] == [GenerationId("s1")]


def test_a_missing_ledger_is_an_outage_and_is_not_made_anew(tmp_path: Path) -> None:
    missing = tmp_path / "jpki.sqlite"
    with pytest.raises(JpkiError) as refused:
        store_of(Database.at_file(missing), world.wrapping_keys(), system_randomness).ledger.status(Serial(1))
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


def test_migrations_go_up_and_down_on_data(store: Store, tmp_path: Path) -> None:
    empty = Database.at_file(tmp_path / "empty.sqlite", create=True)
    check_up_and_down(store.database, empty)


def test_cards_ends_are_taken_from_the_cases(tmp_path: Path) -> None:
    check_cards_ends_are_taken_from_the_cases(Database.at_file(tmp_path / "cards.sqlite", create=True))


def test_records_are_carried_over_and_sealed(tmp_path: Path) -> None:
    check_records_are_carried_over_and_sealed(Database.at_file(tmp_path / "older.sqlite", create=True))


def test_acts_of_the_first_version_are_carried_over(tmp_path: Path) -> None:
    check_old_acts_are_carried_over(Database.at_file(tmp_path / "old.sqlite", create=True))


@pytest.mark.slow
def test_whoever_acts_gets_a_turn_while_a_backlog_is_chained(store: Store, clock: SteppingClock) -> None:
    clock.now = world.NOW
    here = office(store.database, clock)
    event = AuditEvent(at=clock(), actor=LOCAL_OPERATOR, act=Act.SIGNED, subjects=("before",))
    with store.database.writing() as connection:
        for _ in range(20_000):
            audit.write(connection, event)
    waits: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        chaining = pool.submit(here.notary.chain)
        while not chaining.done():
            asked = time.perf_counter()
            here.act("meanwhile")
            waits.append(time.perf_counter() - asked)
            time.sleep(0.002)
        whole = time.perf_counter() - begun
        assert chaining.result() >= 20_000
    # Without the pause between two batches the lock is seldom free when somebody looks: one waits for nearly all.
    assert max(waits) < whole / 2


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path, clock: SteppingClock) -> None:
    foreign = Database.at_file(tmp_path / "foreign.sqlite", create=True)
    with foreign.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE cats (name TEXT)")
    with pytest.raises(JpkiError) as refused:
        foreign.require_current()
    assert refused.value.code == "database-foreign"
    with pytest.raises(JpkiError) as refused:
        foreign.found(clock())
    assert refused.value.code == "database-not-empty"


def test_a_half_migrated_database_is_refused(store: Store) -> None:
    store.database.migrate("base")
    store.database.migrate("0001")
    with pytest.raises(JpkiError) as refused:
        store.database.require_current()
    assert refused.value.code == "database-outdated"


def test_who_is_among_many_is_found_by_the_index(store: Store) -> None:
    """A condition that SQLAlchemy compares with 1 reads the whole table."""
    status = tables.status
    query = select(status.c.state).where(Among(status.c.serial, [Serial(1), Serial(2)]), status.c.state == "active")
    text = str(query.compile(dialect=sqlite.dialect()))
    with store.database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ("[]", "active")).all()
    assert any("SEARCH status USING INDEX" in row.detail for row in plan)
    assert not any("SCAN status" in row.detail for row in plan)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31)),  # noqa: DTZ001 - the zone follows
    st.sampled_from([UTC, JST, timezone(timedelta(hours=-9, minutes=-30))]),
)
def test_a_moment_is_written_as_sqlalchemy_writes_it_in_utc_and_read_back(moment: datetime, zone: tzinfo) -> None:
    moment, dialect = moment.replace(tzinfo=zone), sqlite.dialect()
    write = DateTime().dialect_impl(dialect).bind_processor(dialect)
    assert write is not None
    written = Moment().bind_processor(dialect)(moment)
    assert written == write(moment.astimezone(UTC).replace(tzinfo=None))
    read = Moment().result_processor(dialect, None)(written)
    assert (read, read and read.tzinfo) == (moment, UTC)
