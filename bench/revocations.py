"""What lists are made of: a home with many revoked certificates, and openssl's own CA with as many in its index.

The certificates are synthetic: their rows in `status` are written in bulk, with serials as the CA draws them, and lists
read nothing else.
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import insert, select

from hsm_adapter.software import SCHEME
from jpki.certificate import Purpose
from jpki.clock import system_clock, whole_second
from jpki.ids import Serial, new_serial
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.store import tables
from server.wiring import Rooms, open_rooms

_CHUNK = 20_000
_LIFE, _REVOKED_WITHIN = timedelta(days=5 * 365), timedelta(days=2 * 365)
_REASONS = 12 * [Reason.AFFILIATION_CHANGED] + 12 * [Reason.SUPERSEDED] + 5 * [Reason.CESSATION_OF_OPERATION]
_REASONS += [Reason.KEY_COMPROMISE, Reason.CERTIFICATE_HOLD, Reason.UNSPECIFIED]


def filled(path: Path, revoked: int, living: int = 0) -> Rooms:
    """Found a home, and fill it with so many signing certificates over all municipalities, revoked and living ones."""
    home = Home(path)
    found(home, Settings(), system_clock, system_randomness).close()
    rooms = open_rooms(home)
    # In the order of the primary key: a tree that grows at its end is written several times faster.
    serials = sorted(new_serial(system_randomness) for _ in range(revoked + living))
    step = (revoked + living) // living if living else 0
    rows = _rows(rooms, serials, step)
    with _without_indexes(rooms):
        while chunk := list(islice(rows, _CHUNK)):
            with rooms.store.database.writing() as connection:
                connection.execute(insert(tables.status), chunk)
    return rooms


@contextmanager
def _without_indexes(rooms: Rooms) -> Iterator[None]:
    """Take the indexes away and make them again at the end: a million rows go into them many times faster at once."""
    with rooms.store.database.writing() as connection:
        for index in tables.status.indexes:
            index.drop(connection)
    yield
    with rooms.store.database.writing() as connection:
        for index in tables.status.indexes:
            index.create(connection)


def _rows(rooms: Rooms, serials: Sequence[Serial], step: int) -> Iterator[dict[str, object]]:
    generation, partitions = rooms.living(Purpose.SIGNING)[0], cycle(_partitions(rooms))
    now, reasons = whole_second(system_clock()), cycle(_REASONS)
    for number, serial in enumerate(serials):
        row = {
            "serial": serial,
            "generation": generation.id,
            "partition": next(partitions),
            "not_after": now + timedelta(days=serial % 1000 + 1),
            "position": 0,
        }
        if step and number % step == 0:
            yield row | {"state": State.ACTIVE, "reason": None, "revoked_at": None}
        else:
            reason, since = next(reasons), timedelta(seconds=serial % int(_REVOKED_WITHIN.total_seconds()))
            state = State.HELD if reason is Reason.CERTIFICATE_HOLD else State.REVOKED
            yield row | {"state": state, "reason": reason, "revoked_at": now - since}


def _partitions(rooms: Rooms) -> Sequence[str]:
    partition = tables.partition
    of_signing = select(partition.c.id).where(partition.c.purpose == Purpose.SIGNING).order_by(partition.c.id)
    with rooms.store.database.reading() as connection:
        return connection.execute(of_signing).scalars().all()


def in_use(rooms: Rooms) -> int:
    """Let every signing partition be named by certificates, so that it has a list; return how many there are."""
    names = _partitions(rooms)
    url = rooms.settings.base_url
    with rooms.store.database.writing() as connection:
        rows = [{"partition": each, "base_url": url, "added": 1} for each in names]
        connection.execute(insert(tables.partition_url), rows)
    return len(names)


def living(rooms: Rooms) -> Iterator[Serial]:
    """Yield the certificates that live."""
    status = tables.status
    with rooms.store.database.reading() as connection:
        yield from connection.execute(select(status.c.serial).where(status.c.state == State.ACTIVE)).scalars().all()


class OpensslCa:
    """`openssl ca` with the signing CA's own key, and its index of as many revoked certificates as the home has."""

    def __init__(self, folder: Path, rooms: Rooms) -> None:
        folder.mkdir()
        generation = rooms.living(Purpose.SIGNING)[0]
        self._folder = folder
        self._key = rooms.home.keys / f"{generation.key.removeprefix(SCHEME)}.pem"
        (folder / "passphrase").write_bytes(rooms.home.passphrase())
        (folder / "ca.pem").write_bytes(generation.certificate.public_bytes(Encoding.PEM))
        (folder / "index.attr").write_text("unique_subject = no\n")
        (folder / "number").write_text("01\n")
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = lists\n[lists]\ndatabase = {folder}/index\ncrlnumber = {folder}/number\n"
            "default_md = sha256\ndefault_crl_days = 2\ncrl_extensions = extensions\n"
            "[extensions]\nauthorityKeyIdentifier = keyid\n"
        )
        with (folder / "index").open("w") as index:
            index.writelines(_index(rooms))

    def seconds(self) -> float:
        """Return how long it takes to write a list, as DER."""
        words = ("ca", "-config", self._folder / "ca.cnf", "-gencrl", "-cert", self._folder / "ca.pem")
        key = ("-keyfile", self._key, "-passin", f"file:{self._folder}/passphrase")
        begun = time.perf_counter()
        subprocess.run(["openssl", *words, *key, "-out", self._folder / "list.pem"], check=True, capture_output=True)
        return time.perf_counter() - begun


def _index(rooms: Rooms) -> Iterator[str]:
    status = tables.status
    revoked = select(status.c.serial, status.c.not_after, status.c.revoked_at, status.c.reason)
    with rooms.store.database.reading() as connection:
        rows = connection.execute(
            revoked.where(status.c.revoked_at.is_not(None)).order_by(status.c.serial),
            execution_options={"yield_per": _CHUNK},
        )
        for row in rows:
            reason = "" if row.reason == Reason.UNSPECIFIED else f",{row.reason}"
            yield f"R\t{_time(row.not_after)}\t{_time(row.revoked_at)}{reason}\t{row.serial:032X}\tunknown\t/CN=x\n"


def _time(moment: datetime) -> str:
    return f"{moment:%y%m%d%H%M%SZ}"
