"""The store on PostgreSQL: the same contract, and migrations on data."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from sqlalchemy import Connection

from jpki.acts import LOCAL_OPERATOR, Actor
from jpki.clock import system_clock
from jpki.errors import JpkiError
from jpki.ports import Reservation
from server.store.database import Database
from server.store.ledger import SqlLedger
from server.wiring import Store
from tests.conftest import SteppingClock
from tests.server.ledger_contract import LedgerContract, furnished
from tests.server.many_writers import LONG, SHORT, check_many_writers
from tests.server.migrations_contract import check_up_and_down
from tests.server.postgresql import Server, running

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


@pytest.fixture
def store(new_database: Callable[[], Database], clock: SteppingClock) -> Store:
    database = new_database()
    database.found(clock())
    return furnished(database)


class TestPostgresqlLedger(LedgerContract):
    """The ledger's contract on PostgreSQL."""


class Overtaken(SqlLedger):
    """A ledger in which another order does all its work between this one's look at the places and its own."""

    other: Callable[[], object]

    def _require_free(self, connection: Connection, wanted: Reservation, by: Actor, at: datetime) -> None:
        super()._require_free(connection, wanted, by, at)
        self.other()


def test_r20_an_order_that_is_overtaken_is_refused_before_anything_is_signed(
    store: Store, clock: SteppingClock
) -> None:
    contract = TestPostgresqlLedger()
    ledger, wish = Overtaken(store.database), contract.wanted(clock)
    ledger.other = lambda: contract.live(store, clock)
    with pytest.raises(JpkiError) as refused:
        ledger.reserve(wish, LOCAL_OPERATOR, clock())
    assert refused.value.code == "certificate-live"
    assert store.ledger.status(wish.serial) is None


def test_r20_r26_many_processes_write_and_a_reader_follows(server: Server, *, soak: bool) -> None:
    url = server.new_database("writers")
    database = Database.at_url(url)
    database.found(system_clock())
    check_many_writers(furnished(database), url, LONG if soak else SHORT)
    database.close()


def test_migrations_go_up_and_down_on_data(store: Store, new_database: Callable[[], Database]) -> None:
    check_up_and_down(store.database, new_database())
