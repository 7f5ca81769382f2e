"""What happens by itself happens once at a time, whatever the number of processes."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.jobs import Maintenance, until_idle
from server.store.database import Database
from server.store.leases import SqlLeases
from tests.conftest import SteppingClock

Jobs = dict[str, Callable[[], object]]


@pytest.fixture
def leases(tmp_path: Path, clock: SteppingClock) -> SqlLeases:
    database = Database.at_file(tmp_path / "jpki.sqlite", create=True)
    database.found(clock())
    return SqlLeases(database)


def raise_outage() -> None:
    raise JpkiError(Kind.UNAVAILABLE, "key-not-found", Text("鍵がない 花子", "no key 花子"), Text("-", "-"))


def test_of_two_processes_one_does_the_job(leases: SqlLeases, clock: SteppingClock) -> None:
    done: list[str] = []
    here = Maintenance(leases, {"crl": lambda: done.append("here")}, clock)
    there = Maintenance(leases, {"crl": lambda: done.append("there")}, clock)
    here.run()
    there.run()
    assert done == ["here"]
    clock.advance(seconds=59)
    there.run()
    assert done == ["here"]
    clock.advance(seconds=1)
    there.run()
    here.run()
    assert done == ["here", "there"]


def test_each_job_has_its_own_lease(leases: SqlLeases, clock: SteppingClock) -> None:
    done: list[str] = []
    jobs: Jobs = {"responders": lambda: done.append("responders"), "crl": lambda: done.append("crl")}
    Maintenance(leases, {"crl": jobs["crl"]}, clock).run()
    Maintenance(leases, jobs, clock).run()
    assert done == ["crl", "responders"]


def test_r21_a_job_that_fails_is_named_and_does_not_stop_the_next(
    leases: SqlLeases, clock: SteppingClock, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    jobs: Jobs = {"responders": raise_outage, "crl": lambda: done.append("crl")}
    with caplog.at_level(logging.ERROR):
        Maintenance(leases, jobs, clock).run()
    assert done == ["crl"]
    assert [record.getMessage() for record in caplog.records] == ["job responders: key-not-found"]


def test_a_job_that_failed_is_tried_again(leases: SqlLeases, clock: SteppingClock) -> None:
    tries: list[int] = []

    def job() -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            raise_outage()

    maintenance = Maintenance(leases, {"crl": job}, clock)
    maintenance.run()
    clock.advance(seconds=60)
    maintenance.run()
    assert len(tries) == 2


def test_what_is_shared_by_rows_every_process_looks_for_without_a_lease(
    leases: SqlLeases, clock: SteppingClock
) -> None:
    done: list[str] = []
    here, there = (
        Maintenance(leases, {}, clock, prompt={"events": lambda name=name: done.append(name)})  # type: ignore[misc]
        for name in ("here", "there")
    )
    for each in (here, there, here):
        each.run_prompt()
    assert done == ["here", "there", "here"]
    here.run()
    assert len(done) == 3


def test_a_worker_is_let_work_until_it_is_given_nothing() -> None:
    left = [3, 2, 1, 0]
    until_idle(lambda: (left.pop(0), True))
    assert left == []
