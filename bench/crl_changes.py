"""Changes of lists: what an entry of a delta costs, what a reader takes to apply one, and 100,000 revocations at once.

The delta is two days' of a nation, 20,000 revocations on a complete list of 100,000, which the ledger's own act made;
the product publishes it. The room then makes its entries once more, out of the journal and in memory, which is timed
beside the lines of the complete list; and our reader opens it and brings its base up to date.
The mass revocation is `jpki campaign revoke` and `jpki campaign run` as operators run them, lists at the end included.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench import questions
from bench.crl import WrongList
from bench.revocations import filled, living
from bench.rows import Row, absolute
from crl.entries import Entries
from crl.files import ListFiles, nameless
from crl.reader import CrlFile
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import system_clock
from jpki.ids import PartitionId
from jpki.partition import COMPLETE, DELTA
from jpki.ports import ShelfMark
from jpki.revocation import Reason
from server.store import changes
from server.wiring import Rooms

ROUNDS = 5
LISTED, CHANGED = 100_000, 20_000
REVOKED_AT_ONCE = 100_000


def rows() -> Iterator[Row]:
    """Measure each row."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _delta(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield _mass_revocation(Path(folder))


# --- a delta -------------------------------------------------------------------------------------------------------


def _delta(folder: Path) -> Iterator[Row]:
    rooms = filled(folder / "home", LISTED, living=CHANGED)
    rooms.publisher.publish_due()
    base = _newest(rooms)
    with rooms.store.database.writing() as connection:
        serials = list(islice(living(rooms), CHANGED))
        changes.revoke(connection, serials, Reason.SUPERSEDED, LOCAL_OPERATOR, system_clock())
    rooms.publisher.publish_due()
    now, delta = _newest(rooms), _file(rooms, DELTA, _newest(rooms).number)
    if now.delta is None or (now.delta.base, now.delta.entries) != (base.number, CHANGED):
        raise WrongList(now)
    made, lines, applied = [], [], []
    for _ in range(ROUNDS):
        made.append(_seconds_to_make(rooms, base, now) / CHANGED * 1e6)
        lines.append(_seconds_of_lines(rooms) / (LISTED + CHANGED) * 1e6)
        applied.append(_seconds_to_apply(rooms, base, now) * 1e3)
    octets = delta.stat().st_size / CHANGED
    yield absolute("crl.delta-octets", 52, [octets], {"delta, MB": [delta.stat().st_size / 1e6]})
    yield absolute("crl.delta-us", 30, made, {"a line of a complete list, us": lines})
    yield absolute("crl.delta-apply-ms", 50, applied)
    rooms.close()


def _newest(rooms: Rooms) -> ShelfMark:
    return rooms.store.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]


def _file(rooms: Rooms, which: PartitionId, number: int) -> Path:
    generation = rooms.living(Purpose.SIGNING)[0]
    return ListFiles(rooms.home.path, which, [generation]).numbered(generation, number)


def _seconds_to_make(rooms: Rooms, base: ShelfMark, now: ShelfMark) -> float:
    begun = time.perf_counter()
    with nameless(rooms.home.path) as file, rooms.store.partitions.delta(base, now) as lines:
        entries = Entries(file)
        for each in lines or ():
            entries.add(each)
    if entries.count != CHANGED:
        raise WrongList(entries.count)
    return time.perf_counter() - begun


def _seconds_of_lines(rooms: Rooms) -> float:
    begun = time.perf_counter()
    with (
        nameless(rooms.home.path) as file,
        rooms.store.partitions.revocations(Purpose.SIGNING, COMPLETE, None) as listed,
    ):
        entries = Entries(file)
        for each in listed.lines:
            entries.add(each)
    return time.perf_counter() - begun


def _seconds_to_apply(rooms: Rooms, base: ShelfMark, now: ShelfMark) -> float:
    """Return how long our reader takes to open a delta, and to bring by it up to date what it had opened before."""
    with _file(rooms, COMPLETE, base.number).open("rb") as file:
        complete = CrlFile(file)
    with _file(rooms, DELTA, now.number).open("rb") as file:
        begun = time.perf_counter()
        complete.updated(CrlFile(file))
        return time.perf_counter() - begun


# --- all at once ---------------------------------------------------------------------------------------------------


def _mass_revocation(folder: Path) -> Row:
    home, named = folder / "home", folder / "serials"
    rooms = questions.filled(home, REVOKED_AT_ONCE)
    named.write_text("".join(f"{serial:#x}\n" for serial in living(rooms)))
    begun = time.perf_counter()
    _jpki("campaign", "revoke", "--serials", named, "--reason", Reason.KEY_COMPROMISE, "--home", home)
    opened = time.perf_counter() - begun
    _jpki("campaign", "run", "1", "--home", home)
    seconds = time.perf_counter() - begun
    if next(living(rooms), None) is not None or _newest(rooms).entries != REVOKED_AT_ONCE // 2:
        raise WrongList(_newest(rooms))
    rooms.close()
    return absolute("crl.mass-s", 120, [seconds], {"opened, s": [opened]})


def _jpki(*words: object) -> None:
    command = Path(sys.executable).with_name("jpki")
    subprocess.run([command, *map(str, words)], check=True, capture_output=True)
