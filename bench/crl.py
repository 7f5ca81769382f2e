"""Lists: how long one takes out of stored rows, and again after more revocations, of what `openssl ca -gencrl` takes.

The product's own publisher publishes in a process of its own, whose memory is measured: read from SQLite, built, signed
with RSA-2048, read back and checked, flushed to disk, given its stable name. A second process then reads the
published list as a verifier does, every entry and the signature, and its time counts too; what it reads of the last
list, cryptography must read as well. openssl writes a list of as many entries out of its index.
The rows are inserted, not issued; the thousand revocations between two lists are the ledger's own.
"""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from cryptography import x509

from bench.revocations import OpensslCa, filled, in_use, living
from bench.rows import Row, absolute, lower
from crl.certificate_list import read_list
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import system_clock
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.partition import COMPLETE
from jpki.revocation import Reason
from server.home import Home
from server.store import changes
from server.wiring import Rooms, open_rooms

FULL_SCALE = os.environ.get("SCALE") == "full"
ROUNDS = 5
PARTITION_ROUNDS = 3
CHANGES = 1000
COMPLETE_LISTS = ((1_000_000, "1m", 0.35, 0.06), (5_000_000, "5m", 0.20, 0.06))


_LOADED_LATE = "crl.entry_index"
"""A process that published or read before has this module, and numpy with it."""


class WrongList(Exception):  # noqa: N818 - a judgement on a list
    """A list was published that is not what was meant."""


def rows() -> Iterator[Row]:
    """Measure each row."""
    for size, name, full, increment in COMPLETE_LISTS if FULL_SCALE else COMPLETE_LISTS[:1]:
        with tempfile.TemporaryDirectory() as folder:
            yield from _complete(Path(folder), size, (f"crl.full-{name}", full), (f"crl.increment-{name}", increment))
    with tempfile.TemporaryDirectory() as folder:
        yield _partitions(Path(folder), 15_000_000 if FULL_SCALE else 1_500_000)


# --- the complete list ---------------------------------------------------------------------------------------------


def _complete(folder: Path, size: int, full: tuple[str, float], increment: tuple[str, float]) -> Iterator[Row]:
    rooms = filled(folder / "home", size, living=CHANGES * ROUNDS)
    openssl, unrevoked = OpensslCa(folder / "openssl", rooms), living(rooms)
    built, again, theirs, memory = [], [], [], []
    for _ in range(ROUNDS):
        _forget_lists(rooms)
        seconds, megabytes = _published(rooms)
        built.append(seconds + _read_outside(rooms, size))
        memory.append(megabytes)
        _revoke(rooms, list(islice(unrevoked, CHANGES)))
        size += CHANGES
        seconds, megabytes = _published(rooms)
        _read_outside(rooms, size)
        again.append(seconds)
        memory.append(megabytes)
        theirs.append(openssl.seconds())
    _require_cryptography_agrees(rooms, size)
    yield lower(*full, built, {"openssl": theirs})
    yield lower(*increment, again, {"openssl": theirs})
    on_disk = {"list, MB": [_list_of(rooms).stat().st_size / 1e6], "ledger, MB": [_ledger_megabytes(rooms)]}
    yield absolute("crl.memory-mb", 250, memory, on_disk)
    rooms.close()


def _forget_lists(rooms: Rooms) -> None:
    """Take away all lists, so that the next one is built of all rows."""
    for folder in ("crl", "crl-archive"):
        shutil.rmtree(rooms.home.path / folder)


def _revoke(rooms: Rooms, serials: Sequence[Serial]) -> None:
    with rooms.store.database.writing() as connection:
        changes.revoke(connection, serials, Reason.KEY_COMPROMISE, LOCAL_OPERATOR, system_clock())


def _published(rooms: Rooms) -> tuple[float, float]:
    """Publish what is due in a process of its own; return its seconds from the call on, and its memory in MB."""
    told = _of_process("publish", rooms)
    return told["seconds"], told["megabytes"]


def _read_outside(rooms: Rooms, entries: int) -> float:
    """Read the complete list in a process of its own, as a verifier does; return its seconds."""
    told = _of_process("read", rooms)
    if told["entries"] != entries:
        raise WrongList(told)
    return told["seconds"]


def _of_process(act: str, rooms: Rooms) -> dict[str, float]:
    ran = subprocess.run(
        [sys.executable, "-m", "bench.crl", act, rooms.home.path], check=True, capture_output=True, text=True
    )
    told: dict[str, float] = json.loads(ran.stdout)
    return told


def _publish(rooms: Rooms) -> dict[str, float]:
    importlib.import_module(_LOADED_LATE)
    for purpose in HOLDER_PURPOSES:
        for each in rooms.living(purpose):
            rooms.keys.signer(each.key)
    begun = time.perf_counter()
    published = rooms.publisher.publish_due()
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "megabytes": _most_megabytes(), "lists": len(published)}


def _most_megabytes() -> float:
    """Return what this process took at most; `getrusage` would tell of the process that started it."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024 / 1e6


def _read(rooms: Rooms) -> dict[str, float]:
    importlib.import_module(_LOADED_LATE)
    file, key = _list_of(rooms), _generation(rooms).public_key
    begun = time.perf_counter()
    with file.open("rb") as opened:
        found = read_list(opened)
    if not found.is_signed_by(key):
        raise WrongList(file)
    return {"seconds": time.perf_counter() - begun, "entries": len(found.entries)}


def _require_cryptography_agrees(rooms: Rooms, entries: int) -> None:
    parsed = x509.load_der_x509_crl(_list_of(rooms).read_bytes())
    if not parsed.is_signature_valid(_generation(rooms).public_key) or len(parsed) != entries:
        raise WrongList(_list_of(rooms))


def _generation(rooms: Rooms) -> Generation:
    return rooms.living(Purpose.SIGNING)[0]


def _list_of(rooms: Rooms) -> Path:
    return rooms.home.path / "crl" / Purpose.SIGNING / _generation(rooms).id / f"{COMPLETE}.crl"


def _ledger_megabytes(rooms: Rooms) -> float:
    return sum(each.stat().st_size for each in rooms.home.path.glob("jpki.sqlite*")) / 1e6


# --- the partitions ------------------------------------------------------------------------------------------------


def _partitions(folder: Path, size: int) -> Row:
    rooms = filled(folder / "home", size)
    # The complete list is no partition: it is published beforehand, and is not due again.
    _published(rooms)
    lists = in_use(rooms)
    rounds = []
    for _ in range(PARTITION_ROUNDS):
        told = _of_process("publish", rooms)
        if told["lists"] != lists:
            raise WrongList(told)
        rounds.append(told["seconds"])
        for file in rooms.home.path.glob("crl*/signing/*/p*.crl"):
            file.unlink()
    rooms.close()
    return absolute("crl.partitions-s", 90, rounds, {"lists": [lists], "ledger, MB": [_ledger_megabytes(rooms)]})


if __name__ == "__main__":
    _act = {"publish": _publish, "read": _read}[sys.argv[1]]
    _rooms = open_rooms(Home(Path(sys.argv[2])))
    sys.stdout.write(json.dumps(_act(_rooms)))
    _rooms.close()
