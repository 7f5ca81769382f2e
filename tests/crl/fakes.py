"""In memory, the ports that the publisher is given; and a fuse that crashes it at any step."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from crl.publisher import Publisher
from jpki.acts import Actor, AuditEvent
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import PartitionId, Serial
from jpki.partition import ARL, COMPLETE, Partition
from jpki.ports import Generations, RevocationChanges, Revocations, RevokedEntry, RevokedLines, ShelfMark
from jpki.revocation import REMOVED_FROM_LIST, Reason
from jpki.text import Text
from tests.crl.authority import BASE_URL, BUCKET, CHIYODA, END, NOW, generations, signer

_P = TypeVar("_P")
LINES = 3
"""Few, so that a picture comes in several pieces."""


@dataclass(frozen=True, slots=True)
class Row:
    """A revoked certificate in the ledger, or one that was on hold until `released_at`."""

    partition: Partition
    entry: RevokedEntry
    not_after: datetime
    position: int
    released_at: datetime | None = None


@dataclass
class MemoryRegister:
    partitions: list[Partition] = field(default_factory=lambda: [CHIYODA, BUCKET])
    rows: list[Row] = field(default_factory=list)
    position: int = 0
    epoch: int = 1

    def revoke(
        self,
        serial: Serial,
        partition: Partition = CHIYODA,
        *,
        reason: Reason = Reason.KEY_COMPROMISE,
        at: datetime = NOW,
        not_after: datetime = END,
    ) -> None:
        self.position += 1
        self.rows.append(Row(partition, RevokedEntry(serial, at, reason), not_after, self.position))

    def release(self, serial: Serial, at: datetime = NOW) -> None:
        self.position += 1
        self.rows = [
            replace(row, position=self.position, released_at=at) if row.entry.serial == serial else row
            for row in self.rows
        ]

    def partitions_in_use(self, purpose: Purpose) -> Sequence[Partition]:
        return [each for each in self.partitions if each.purpose is purpose]

    def partition_in_use(self, purpose: Purpose, partition: PartitionId) -> Partition | None:
        return next((each for each in self.partitions_in_use(purpose) if each.id == partition), None)

    def last_change(self, purpose: Purpose, partition: PartitionId) -> int:
        return max((row.position for row in self._rows(purpose, partition)), default=0)

    @contextmanager
    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> Iterator[Revocations]:
        rows = [
            row for row in self._rows(purpose, partition) if ending_after is None or not row.not_after < ending_after
        ]
        entries = sorted((row.entry for row in rows if row.released_at is None), key=lambda entry: entry.serial)
        chunks = (RevokedLines.of(entries[at : at + LINES]) for at in range(0, len(entries), LINES))
        yield Revocations(self.epoch, self.position, chunks)

    def changes(self, since: ShelfMark, ending_after: datetime, at_most: int) -> RevocationChanges | None:
        rows = self._rows(since.purpose, since.partition)
        changed: dict[Serial, RevokedEntry | None] = {
            row.entry.serial: None if row.not_after < ending_after or row.released_at is not None else row.entry
            for row in rows
            if row.position > since.position or row.not_after < ending_after
        }
        if self.epoch != since.epoch or len(changed) > at_most:
            return None
        return RevocationChanges(self.position, changed)

    @contextmanager
    def delta(self, base: ShelfMark, now: ShelfMark) -> Iterator[Iterator[RevokedLines] | None]:
        if self.epoch != base.epoch or now.ending_after is None:
            yield None
            return
        lines = []
        for row in self._rows(now.purpose, COMPLETE):
            is_new = base.position < row.position <= now.position
            if row.not_after < now.ending_after:
                if is_new or base.ending_after is None or row.not_after >= base.ending_after:
                    lines.append((row.entry.serial, row.not_after, REMOVED_FROM_LIST))
            elif is_new and row.released_at is not None:
                lines.append((row.entry.serial, row.released_at, REMOVED_FROM_LIST))
            elif is_new:
                lines.append((row.entry.serial, row.entry.revoked_at, row.entry.reason.number))
        lines.sort()
        yield (RevokedLines.told(lines[at : at + LINES]) for at in range(0, len(lines), LINES))

    def entries(self, purpose: Purpose, partition: PartitionId) -> list[RevokedEntry]:
        """All that is listed but for what was released, whether it has ended or not; in order."""
        rows = [row for row in self._rows(purpose, partition) if row.released_at is None]
        return sorted((row.entry for row in rows), key=lambda entry: entry.serial)

    def _rows(self, purpose: Purpose, partition: PartitionId) -> list[Row]:
        of_ca = [row for row in self.rows if row.partition.purpose is purpose]
        if partition == COMPLETE:
            return [row for row in of_ca if row.partition.id != ARL]
        return [row for row in of_ca if row.partition.id == partition]


class MemoryShelf:
    def __init__(self) -> None:
        self._marks: dict[tuple[Purpose, PartitionId], ShelfMark] = {}
        self._bases: dict[Purpose, list[ShelfMark]] = {}
        self._lock = threading.Lock()

    def newest(self, purpose: Purpose, partitions: Collection[PartitionId]) -> Mapping[PartitionId, ShelfMark]:
        marks = {partition: self._marks.get((purpose, partition)) for partition in partitions}
        return {partition: mark for partition, mark in marks.items() if mark is not None}

    def swap(self, old: ShelfMark | None, new: ShelfMark, by: Actor) -> bool:
        del by
        with self._lock:
            if self._marks.get((new.purpose, new.partition)) != old:
                return False
            self._marks[new.purpose, new.partition] = new
            if new.delta is not None:
                base = new.delta.base
                kept = [mark for mark in self.bases(new.purpose) if mark.number >= base]
                self._bases[new.purpose] = [*kept, replace(new, delta=None)]
            return True

    def bases(self, purpose: Purpose) -> Sequence[ShelfMark]:
        return self._bases.get(purpose, [])

    def marks(self) -> Sequence[ShelfMark]:
        return list(self._marks.values())

    def restore(self, marks: Sequence[ShelfMark]) -> None:
        """Go back to an earlier state, as a store does that is restored from a backup."""
        self._marks = {(mark.purpose, mark.partition): mark for mark in marks}


@dataclass
class MemoryAudit:
    events: list[AuditEvent] = field(default_factory=list)
    full: bool = False

    def record(self, event: AuditEvent) -> None:
        if self.full:
            text = Text("監査記録を書けません。", "The audit cannot be written.")
            raise JpkiError(Kind.UNAVAILABLE, "audit-unavailable", text, text)
        self.events.append(event)


@dataclass
class Hands:
    """A clock whose hands the test turns."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class World:
    """A publisher's surroundings, all sound."""

    home: Path
    register: MemoryRegister = field(default_factory=MemoryRegister)
    shelf: MemoryShelf = field(default_factory=MemoryShelf)
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    clock: Hands = field(default_factory=Hands)
    generations: Generations = generations

    def publisher(self) -> Publisher:
        return Publisher(
            register=self.register,
            shelf=self.shelf,
            generations=self.generations,
            signer=signer,
            audit=self.audit,
            home=self.home,
            base_url=BASE_URL,
            clock=self.clock,
        )

    def fused(self, fuse: "Fuse") -> Publisher:
        """A publisher that crashes when the fuse blows."""
        return replace(
            self.publisher(),
            register=fuse.port(self.register),
            shelf=fuse.port(self.shelf),
            audit=fuse.port(self.audit),
            signer=fuse.call(signer),
        )


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fuse:
    """Lets `left` steps pass, where each call of a port is two: before it is done, and after."""

    left: int

    def burn(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1

    def call(self, function: Callable[..., _P]) -> Callable[..., _P]:
        def fused(*args: object) -> _P:
            self.burn()
            result = function(*args)
            self.burn()
            return result

        return fused

    def port(self, port: _P) -> _P:
        return cast("_P", _FusedPort(port, self))


class _FusedPort:
    def __init__(self, port: object, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._fuse.call(getattr(self._port, name))
