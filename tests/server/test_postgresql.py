"""The store on PostgreSQL: the same contract, and migrations on data."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.errors import DiskFull
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from hsm_adapter.software import SoftwareKeys
from jpki.acts import LOCAL_OPERATOR
from jpki.clock import system_clock
from jpki.errors import JpkiError
from jpki.ids import Serial
from jpki.randomness import system_randomness
from server.partitions import of_this_release
from server.sealing import Sealing
from server.store.clerks import SqlClerks
from server.store.database import Database
from server.store.faults import translated
from server.store.leases import SqlLeases
from server.store.partitions import SqlPartitions
from server.store.reserving import require_free, take_places
from server.wiring import Store, store_of
from tests.conftest import NOON, SteppingClock
from tests.server.audit_contract import AuditContract
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
from tests.server.postgresql import Server, running
from tests.server.verifiers_contract import VerifiersContract

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def new_database(server: Server) -> Iterator[Callable[[], Database]]:
    opened: list[Database] = []

    def new() -> Database:
        opened.append(Database.at_url(server.new_database(f"jpki{next(_numbers)}")))
        return opened[-1]

    yield new
    for database in opened:
        database.close()


@pytest.fixture(scope="module")
def furnished_name(server: Server) -> str:
    """A furnished ledger, made once; every test works on a copy of its own."""
    name = "furnished"
    database = Database.at_url(server.new_database(name))
    database.found(NOON)
    furnished(database)
    database.close()
    return name


@pytest.fixture
def store(server: Server, furnished_name: str) -> Iterator[Store]:
    database = Database.at_url(server.new_database(f"jpki{next(_numbers)}", furnished_name))
    yield stand_again(database)
    database.close()


class TestPostgresqlLedger(LedgerContract):
    """The ledger's contract on PostgreSQL."""


class TestPostgresqlAudit(AuditContract):
    """The audit's contract on PostgreSQL."""


class TestPostgresqlGenerations(GenerationsContract):
    """The generations' contract on PostgreSQL."""


class TestPostgresqlVerifiers(VerifiersContract):
    """The contract of the verifiers' record on PostgreSQL."""


class TestPostgresqlConsoleSessions(ConsoleSessionsContract):
    """The contract of the clerk console's sessions on PostgreSQL."""


def test_r20_an_order_that_is_overtaken_is_refused_before_anything_is_signed(
    store: Store, clock: SteppingClock
) -> None:
    """Another order does all its work between this one's look at the places and its own."""
    contract = TestPostgresqlLedger()
    wish = contract.wanted(clock)
    with store.database.writing() as connection:
        require_free(connection, [wish], LOCAL_OPERATOR, clock())
        contract.live(store, clock)
        with pytest.raises(JpkiError) as refused:
            take_places(connection, [wish], clock())
        connection.rollback()
    assert refused.value.code == "certificate-live"
    assert store.ledger.status(wish.serial) is None


def test_nodes_that_add_a_partition_at_once_add_one(new_database: Callable[[], Database]) -> None:
    database = new_database()
    database.found(NOON)
    begun, waiting = threading.Event(), threading.Event()

    def slowly(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold the first one between its look at what there is and its writing."""
        del connection, cursor
        if statement.startswith("INSERT INTO partition ") and not begun.is_set():
            begun.set()
            waiting.wait(1)

    event.listen(database._engine, "before_cursor_execute", slowly)  # noqa: SLF001 - what lies between two statements
    seeds = of_this_release()[:1]
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(SqlPartitions(database).add, seeds)
        assert begun.wait(20)
        other = threads.submit(SqlPartitions(database).add, seeds)
        assert (one.result(20), other.result(20)) == (seeds, [])


@pytest.mark.parametrize(("of_one_holder", "told"), [(False, "key-reused"), (True, "certificate-pending")])
def test_what_another_order_took_in_the_same_moment_is_told_by_its_name(
    new_database: Callable[[], Database], tmp_path: Path, clock: SteppingClock, *, of_one_holder: bool, told: str
) -> None:
    """Both have looked and found all free; the first to write its rows commits, and the other one learns why not."""
    database = new_database()
    database.found(NOON)
    store = furnished(database, SoftwareKeys(tmp_path / "keys", lambda: b"passphrase"))
    contract = TestPostgresqlLedger()
    first = contract.wanted(clock)
    other = contract.wanted(clock) if of_one_holder else replace(contract.wanted(clock, "H-2"), key_hash=first.key_hash)
    looked = threading.Barrier(2)

    def hold_back(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold each order between its look and its rows until the other one has looked too."""
        del connection, cursor
        if statement.startswith("INSERT INTO certificate ") and not looked.broken:
            with suppress(threading.BrokenBarrierError):
                looked.wait(20)
            looked.abort()

    event.listen(database._engine, "before_cursor_execute", hold_back)  # noqa: SLF001 - what lies between statements
    with ThreadPoolExecutor(2) as threads:
        orders = [threads.submit(store.ledger.reserve, [wish], LOCAL_OPERATOR, clock()) for wish in (first, other)]
        refused = [error for order in orders if (error := order.exception(60)) is not None]
    assert [getattr(error, "code", error) for error in refused] == [told]


def test_clerks_who_are_added_at_once_are_numbered_one_after_the_other(new_database: Callable[[], Database]) -> None:
    database = new_database()
    database.found(NOON)
    first = SqlClerks(database)
    second = SqlClerks(database)
    begun, waiting = threading.Event(), threading.Event()

    def slowly(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold the first one between its look at how many there are and the writing of its row."""
        del connection, cursor
        if statement.startswith("INSERT INTO clerk ") and not begun.is_set():
            begun.set()
            waiting.wait(1)

    event.listen(database._engine, "before_cursor_execute", slowly)  # noqa: SLF001 - what lies between two statements
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(first.add, "x", {}, LOCAL_OPERATOR, NOON)
        assert begun.wait(20)
        other = threads.submit(second.add, "y", {}, LOCAL_OPERATOR, NOON)
        assert {one.result(20), other.result(20)} == {"clerk-1", "clerk-2"}


def test_a_sealing_key_stays_while_anybody_is_about_to_store_a_record_under_it(
    new_database: Callable[[], Database], tmp_path: Path, clock: SteppingClock
) -> None:
    database, folder = new_database(), tmp_path / "keys"
    database.found(NOON)
    keys = SoftwareKeys(folder, lambda: b"passphrase")
    store = furnished(database, keys)
    sealing = Sealing(store=store, keys=keys, clock=clock, randomness=system_randomness)
    written, retiring = threading.Event(), threading.Event()

    def hold_back(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold the record between its writing and the commit, until the key is about to go."""
        del connection, cursor
        if statement.startswith("INSERT INTO certificate_record") and not written.is_set():
            written.set()
            retiring.wait(20)

    def let_go(connection: object, cursor: object, statement: str, *_: object) -> None:
        del connection, cursor
        if statement.startswith("DELETE FROM data_key") or (
            statement.startswith("SELECT data_key.id") and statement.endswith("FOR UPDATE")
        ):
            retiring.set()

    event.listen(database._engine, "after_cursor_execute", hold_back)  # noqa: SLF001 - as above
    event.listen(database._engine, "before_cursor_execute", let_go)  # noqa: SLF001 - as above
    with ThreadPoolExecutor(1) as threads:
        issuing = threads.submit(TestPostgresqlLedger().live, store, clock)
        assert written.wait(20)
        sealing.begin()
        sealing.seal_all(lambda _: None)
        assert sealing.retire() == []
        serial = issuing.result(20)
    reopened = store_of(database, SoftwareKeys(folder, lambda: b"passphrase"), system_randomness)
    before = reopened.ledger.certificates([serial])
    assert serial in before
    assert sealing.seal_all(lambda _: None) == 1
    assert len(sealing.retire()) == 1
    assert store_of(database, keys, system_randomness).ledger.certificates([serial]) == before


def test_r17_a_key_that_is_blocked_while_it_is_taken_is_refused_or_has_its_bearer_known(
    new_database: Callable[[], Database], tmp_path: Path, clock: SteppingClock
) -> None:
    database = new_database()
    database.found(NOON)
    store = furnished(database, SoftwareKeys(tmp_path / "keys", lambda: b"passphrase"))
    wish = TestPostgresqlLedger().wanted(clock)
    looked, blocked = threading.Event(), threading.Event()

    def hold_back(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold the reservation once it has looked for the key, until the key is blocked, or nearly a second long."""
        del connection, cursor
        if statement.startswith("SELECT blocked_key") and not looked.is_set():
            looked.set()
            blocked.wait(0.8)

    def block() -> Serial | None:
        assert looked.wait(20)
        store.blocked_keys.block(wish.key_hash, LOCAL_OPERATOR, clock())
        blocked.set()
        return store.blocked_keys.bearer(wish.key_hash)

    event.listen(database._engine, "after_cursor_execute", hold_back)  # noqa: SLF001 - as above
    with ThreadPoolExecutor(1) as threads:
        blocking = threads.submit(block)
        store.ledger.reserve([wish], LOCAL_OPERATOR, clock())
        assert blocking.result(20) == wish.serial


@pytest.mark.parametrize("known", [False, True], ids=["first", "again"])
def test_a_job_that_two_processes_look_for_at_once_is_taken_by_one(
    new_database: Callable[[], Database], *, known: bool
) -> None:
    database = new_database()
    database.found(NOON)
    leases, minute = SqlLeases(database), timedelta(minutes=1)
    assert not known or leases.take("crl", NOON - minute, minute)
    both = threading.Barrier(2)

    def together(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Let neither write before the other has looked."""
        del connection, cursor
        if statement.startswith(("INSERT INTO lease", "UPDATE lease")):
            both.wait(20)

    event.listen(database._engine, "before_cursor_execute", together)  # noqa: SLF001 - as above
    with ThreadPoolExecutor(2) as threads:
        taken = list(threads.map(lambda _: leases.take("crl", NOON, minute), range(2)))
    assert sorted(taken) == [False, True]


def test_two_first_refusals_of_a_clerk_at_once_are_both_counted(new_database: Callable[[], Database]) -> None:
    database = new_database()
    database.found(NOON)
    clerks, certificate = SqlClerks(database), Serial(0x41 << 120)
    clerk = clerks.add("x", {}, LOCAL_OPERATOR, NOON)
    clerks.certify(clerk, certificate, LOCAL_OPERATOR, NOON, alone=False)
    begun, waiting = threading.Event(), threading.Event()

    def slowly(connection: object, cursor: object, statement: str, *_: object) -> None:
        """Hold the first one between its look for a row and the writing of it."""
        del connection, cursor
        if statement.startswith("INSERT INTO clerk_refusal ") and not begun.is_set():
            begun.set()
            waiting.wait(1)

    event.listen(database._engine, "before_cursor_execute", slowly)  # noqa: SLF001 - what lies between two statements
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(clerks.refused, clerk, 7)
        assert begun.wait(20)
        clerks.refused(clerk, 7)
        one.result(20)
    assert clerks.bearer(certificate, 7) == (clerks.clerk(clerk), 2)


def test_r20_r26_many_processes_write_and_a_reader_follows(server: Server, *, at_length: bool) -> None:
    url = server.new_database("writers")
    database = Database.at_url(url)
    database.found(system_clock())
    check_many_writers(furnished(database), url, LONG if at_length else SHORT)
    database.close()


def test_r18_its_word_for_a_full_disk_is_ours() -> None:
    with pytest.raises(JpkiError) as refused, translated():
        raise DBAPIError("INSERT", {}, DiskFull())
    assert refused.value.code == "database-full"


def test_migrations_go_up_and_down_on_data(store: Store, new_database: Callable[[], Database]) -> None:
    check_up_and_down(store.database, new_database())


def test_cards_ends_are_taken_from_the_cases(new_database: Callable[[], Database]) -> None:
    check_cards_ends_are_taken_from_the_cases(new_database())


def test_records_are_carried_over_and_sealed(new_database: Callable[[], Database]) -> None:
    check_records_are_carried_over_and_sealed(new_database())


def test_acts_of_the_first_version_are_carried_over(new_database: Callable[[], Database]) -> None:
    check_old_acts_are_carried_over(new_database())
