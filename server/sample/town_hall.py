"""A town hall for trials: its register holds the sample holders, to whom things happen, and it tells of them.

Its file is a journal, one JSON object a line: the events as they are told, which an office may read as they stand.
What a fictitious person's data are after them follows from seed, number and journal.
"""

import fcntl
import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from enroll.event_file import as_line, read_event
from jpki.clock import whole_second
from jpki.errors import JpkiError
from jpki.errors import Kind as ErrorKind
from jpki.ids import HolderCode
from jpki.resident import Registration, Resident
from jpki.resident_event import Kind, ResidentEvent, SourceName
from jpki.text import Text
from server.sample.holders import CODE_PREFIX, sample_holder

_OTHERS = 10**7
"""So far away are the sample holders whose addresses and names those take on to whom something happens."""
_REGISTRATIONS = {
    Kind.DIED: Registration.ENDED,
    Kind.DELETED: Registration.ENDED,
    Kind.DEPARTED: Registration.ENDED,
    Kind.RESIDENCY_LOST: Registration.ENDED,
    Kind.MOVED_ABROAD: Registration.ABROAD,
    Kind.MOVED: Registration.RESIDENT,
}


@dataclass(frozen=True, slots=True)
class TownHall:
    """A town hall whose journal lies in `file`; the first `holders` sample holders of `seed` are its residents."""

    file: Path
    seed: str
    holders: int
    source: SourceName

    def happen(self, kind: Kind, holders: Sequence[HolderCode], at: datetime) -> Sequence[ResidentEvent]:
        """Let something happen to residents, and return the events that tell of it, flushed to the journal.

        Raises:
            JpkiError: NOT_FOUND `resident-unknown`.
        """
        for each in holders:
            self._number(each)
        with self.file.open("ab") as journal:
            fcntl.flock(journal, fcntl.LOCK_EX)
            first = sum(1 for _ in self._lines()) + 1
            events = [
                ResidentEvent(
                    source=self.source, sequence=first + each, kind=kind, holder=holder, effective_at=whole_second(at)
                )
                for each, holder in enumerate(holders)
            ]
            journal.writelines(map(as_line, events))
        return events

    def told(self, since: int) -> Iterator[bytes]:
        """Yield the journal's lines from a sequence number on."""
        for number, line in enumerate(self._lines(), 1):
            if number >= since:
                yield line

    def _lines(self) -> Iterator[bytes]:
        if self.file.exists():
            with self.file.open("rb") as lines:
                yield from lines

    def register(self, now: datetime) -> "Register":
        """Return the register as it stands after all that is in the journal."""
        return Register(self, {}, 0).updated(now)

    def _number(self, holder: HolderCode) -> int:
        digits = holder.removeprefix(CODE_PREFIX)
        known = holder.startswith(CODE_PREFIX) and re.fullmatch("[0-9]{8}", digits) is not None
        if not known or not 1 <= int(digits) <= self.holders:
            raise JpkiError(
                ErrorKind.NOT_FOUND,
                "resident-unknown",
                Text("この符号の住民は台帳にいません。", "The register knows nobody by this code."),
                Text(f"{CODE_PREFIX}00000001 のように指定してください。", f"Name one such as {CODE_PREFIX}00000001."),
            )
        return int(digits)

    def original(self, holder: HolderCode) -> Resident:
        """Return a resident as nothing ever happened.

        Raises:
            JpkiError: NOT_FOUND `resident-unknown`.
        """
        return Resident(
            holder=sample_holder(self.seed, self._number(holder)),
            registration=Registration.RESIDENT,
            is_ward=False,
            stay_until=None,
        )

    def after(self, before: Resident, event: ResidentEvent) -> Resident:
        """Return what an event makes of a resident: new data are those of somebody far away."""
        other = sample_holder(self.seed, _OTHERS + event.sequence)
        holder = before.holder
        match event.kind:
            case Kind.MOVED:
                holder = replace(
                    holder,
                    address=other.address,
                    address_substitutes=other.address_substitutes,
                    municipality=other.municipality,
                )
            case Kind.RENAMED:
                holder = replace(holder, name=other.name, name_substitutes=other.name_substitutes)
        return replace(before, holder=holder, registration=_REGISTRATIONS.get(event.kind, before.registration))


class Register:
    """What the journal made of the residents; it is read on as the journal grows."""

    def __init__(self, hall: TownHall, changed: dict[HolderCode, Resident], read: int) -> None:
        self._hall = hall
        self._changed = changed
        self._read = read
        self._lock = threading.Lock()

    def updated(self, now: datetime) -> "Register":
        """Read on in the journal."""
        with self._lock:
            for line in self._hall.told(self._read + 1):
                event = read_event(json.loads(line), now)
                before = self._changed.get(event.holder) or self._hall.original(event.holder)
                self._changed[event.holder] = self._hall.after(before, event)
                self._read += 1
        return self

    def resident(self, code: HolderCode) -> Resident:
        """Return what the register says now.

        Raises:
            JpkiError: NOT_FOUND `resident-unknown`.
        """
        return self._changed.get(code) or self._hall.original(code)
