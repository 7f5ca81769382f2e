"""Several processes write one ledger and a reader follows its journal: what must hold on every database (R20, R26)."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select

from jpki.ids import Serial
from jpki.ports import JournalEntry
from jpki.revocation import State
from server.store import tables
from server.store.database import Database
from server.wiring import Store
from tests import forked
from tests.ca.world import wrapping_keys
from tests.server import writer

PROCESSES = 4
SHORT, LONG = 25, 600
"""Rounds of each writer, in `make test` and in `make soak`."""


def check_many_writers(store: Store, where: str, rounds: int) -> None:
    """Let the writers write, and hold all that they did against what the reader saw meanwhile."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        out = [Path(folder, str(number)) for number in range(PROCESSES)]
        writers = [_writer(file, where, number, rounds) for number, file in enumerate(out)]
        for each in writers:
            each.start()
            stack.callback(each.kill)
        seen = list(_followed(store, writers))
        assert [each.exitcode for each in writers] == [0] * PROCESSES, Path(folder, "err").read_text()
        said = [json.loads(file.read_text()) for file in out]
    assert [entry.position for entry in seen] == list(range(1, len(seen) + 1))
    assert len(seen) == sum(each["changes"] for each in said)
    assert sum(each["refusals"] for each in said) > 0, "the writers never met"
    _check_one_live_at_every_moment(store.database, seen)


def _writer(out: Path, where: str, number: int, rounds: int) -> BaseProcess:
    return forked.printing(out, out.with_name("err"), writer.main, where, wrapping_keys().folder, number, rounds)


def _followed(store: Store, writers: Sequence[BaseProcess]) -> Iterator[JournalEntry]:
    """Follow the journal by position until every writer has ended, a few entries at a time."""
    position, more = 0, True
    while more:
        # In this order: what was written before the last one ended is read after it.
        running = any(each.exitcode is None for each in writers)
        changes = store.journal.since(position, 7)
        assert changes.epoch == 1
        for entry in changes.entries:
            assert entry.position == position + 1, "a gap"
            position = entry.position
            yield entry
        more = running or bool(changes.entries)


def _check_one_live_at_every_moment(database: Database, seen: Sequence[JournalEntry]) -> None:
    """Replay the journal: no holder ever has two of a kind, and its end is what the ledger says."""
    with database.reading() as connection:
        certificates = connection.execute(select(tables.certificate)).all()
        statuses = {row.serial: row for row in connection.execute(select(tables.status))}
        places = connection.execute(select(tables.place)).all()
    owners = {row.serial: (row.holder, row.purpose) for row in certificates}
    live: dict[tuple[str, str], set[Serial]] = defaultdict(set)
    last: dict[Serial, State] = {}
    for entry in seen:
        mine = live[owners[entry.serial]]
        (mine.discard if entry.state is State.REVOKED else mine.add)(entry.serial)
        assert len(mine) <= 1
        last[entry.serial] = entry.state
        assert statuses[entry.serial].position >= entry.position
    assert {serial: statuses[serial].state for serial in last} == last
    assert {serial for serial, row in statuses.items() if row.state in ("active", "held")} == set().union(
        *live.values()
    )
    assert {row.serial for row in places} == set().union(*live.values())
