"""Live certificates in any number: rows that were inserted and not issued, for what looks at no octets of theirs."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import insert, select

from jpki.certificate import CARD, Purpose
from jpki.clock import whole_second
from jpki.ids import Serial, new_serial
from jpki.randomness import system_randomness
from jpki.revocation import State
from server.store import tables
from server.store.changes import LIVE
from server.wiring import Rooms

_CHUNK = 5000


def with_many(rooms: Rooms, count: int, weeks: int = 0) -> Sequence[Serial]:
    """Add so many live signing certificates, each of another holder and over two partitions; return their serials.

    They end in a thousand days, or, the most in the first, over so many weeks from now on.
    """
    generation = rooms.living(Purpose.SIGNING)[0]
    partition = tables.partition
    with rooms.store.database.reading() as connection:
        query = select(partition.c.id).where(partition.c.purpose == Purpose.SIGNING).limit(2)
        partitions = connection.execute(query).scalars().all()
    serials = sorted(new_serial(system_randomness) for _ in range(count))
    now = whole_second(rooms.clock())
    far = now + timedelta(days=1000)
    for start in range(0, count, _CHUNK):
        some = serials[start : start + _CHUNK]
        holders = [f"M-{serial:032x}" for serial in some]
        ends = [
            now + timedelta(weeks=weeks * number * number // count**2, days=1) if weeks else far
            for number in range(start, start + len(some))
        ]
        owned = [
            {"serial": serial, "holder": holder, "purpose": Purpose.SIGNING, "carrier": CARD, "not_after": end}
            for serial, holder, end in zip(some, holders, ends, strict=True)
        ]
        statuses = [
            {
                "serial": serial,
                "generation": generation.id,
                "partition": partitions[number % len(partitions)],
                "not_after": end,
                "state": State.ACTIVE,
                "position": 0,
            }
            for number, (serial, end) in enumerate(zip(some, ends, strict=True))
        ]
        with rooms.store.database.writing() as connection:
            certificates = [{**each, "profile_hash": "0" * 64, "not_before": now} for each in owned]
            connection.execute(insert(tables.certificate), certificates)
            connection.execute(insert(tables.status), statuses)
            connection.execute(insert(tables.place), [{**each, "stage": LIVE, "since": now} for each in owned])
    return serials
