"""Resident events in this home's processes: received from a file, and handled by whoever takes them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from enroll.event_file import events_in
from enroll.resident_events import EventWorker, receive
from jpki.acts import Actor
from jpki.errors import JpkiError
from jpki.resident_event import Received
from server.home import Home
from server.jobs import BREATH_SECONDS
from server.store.events import LEASE
from server.wiring import Rooms, open_rooms

_CHUNK = 1000
"""Lines that are written down in one transaction."""
_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Import:
    """How far the import of a file is: lines read, what became of their events, and how many lines were wrong."""

    lines: int = 0
    received: Received = field(default_factory=lambda: Received(0, 0, 0))
    wrong: int = 0


def receive_file(
    rooms: Rooms, stream: BinaryIO, by: Actor, tell: Callable[[Import], None], wrong: Callable[[int, JpkiError], None]
) -> Import:
    """Receive the events of a file, a thousand lines at a time; `wrong` is told of each line that is no event.

    What was received before stays, whatever stops the rest: the same file is simply handed in again.
    """
    done = Import()
    lines = events_in(stream, rooms.clock())
    while chunk := list(islice(lines, _CHUNK)):
        received, refused = receive(rooms.store.events, chunk, by, rooms.clock())
        for number, error in refused:
            wrong(number, error)
        done.received += received
        done.wrong += len(refused)
        done.lines = chunk[-1][0]
        tell(done)
    return done


def handle_all(home: Path) -> int:
    """Handle events until none is left that has come true; return how many this process was given.

    What other workers hold is waited for as long as a dead one's lease may last.
    """
    with closing(open_rooms(Home.open(home))) as rooms:
        return sum(_given(rooms.events, LEASE.total_seconds() + 1))


def _given(worker: EventWorker, patience_seconds: float) -> Iterator[int]:
    waited = 0.0
    while waited < patience_seconds:
        given, left = worker.work()
        if not left:
            return
        yield given
        pause = BREATH_SECONDS if given else _PAUSE_SECONDS
        waited = 0.0 if given else waited + pause
        time.sleep(pause)
