"""Publishing lists: which are due, and how one comes into the world.

One publication takes these steps, and a crash between any two of them leaves a whole list under the stable name:

1. read the newest mark, then what the register holds: a picture can only be newer than the mark it will replace;
   choose a number under which nothing lies in the archive; encode the entries into a nameless file, those that did
   not change since the last publication out of its own file (docs/adr/0016); with a complete list, into another one
   those of its delta, as of the same place in the journal (docs/adr/0020);
2. tell the audit, which may refuse (rule R18);
3. for each generation: sign, write to a waiting file of its own name, flush, read back with another parser;
4. swap the mark, committed. This decides: of several publishers of one number exactly one wins;
5. the winner alone gives its waiting files the numbered names, so one number never stands for two contents;
6. under a lock, link the stable names to the numbered files, unless they bear a higher number already: a publisher
   that was overtaken while it slept cannot put an old list back. A delta comes after its complete list, so beside
   a complete list never stands the delta of a later one.

A loser, or a crash before step 4, leaves nothing but waiting files. A crash between 4 and 6 leaves a mark whose
files do not stand under the stable names. `repair` takes step 6 again; where step 5 is missing too nobody can tell
the winner's files any more, and nobody ever saw them: the list is due, and the next number is published.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from crl.builder import Edition, signed_around
from crl.check import check_list
from crl.entries import Entries
from crl.files import ListFiles, land, locked, nameless, staged
from crl.increment import Base, NotCarriedOver, carry_over
from crl.partition import authorities
from jpki.acts import SYSTEM, Act, AuditEvent
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, whole_second
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import KeyUri, PartitionId
from jpki.partition import COMPLETE, DELTA, Partition
from jpki.ports import AuditSink, CrlShelf, DeltaMark, Generations, RevocationRegister, ShelfMark
from jpki.signature import PrivateKey
from jpki.text import Text

_PERIOD = timedelta(hours=24)
_PROMISE = timedelta(hours=48)
_AHEAD = timedelta(minutes=5)
"""By no more do clocks of nodes differ that are set: a list from later was made when a clock had run ahead."""
_ATTEMPTS = 3
_ENTRIES_TO_A_CHANGE = 50
"""Where there are fewer to each that changed, a list is built anew: to find their places would cost more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """A list to publish, of one partition or the complete one, and the generations that will sign it."""

    purpose: Purpose
    generations: Sequence[Generation]
    partition: Partition | None

    @property
    def id(self) -> PartitionId:
        return COMPLETE if self.partition is None else self.partition.id

    @property
    def lists(self) -> Sequence[PartitionId]:
        """The names under which it is to be read, a delta's after that of its list."""
        return (COMPLETE, DELTA) if self.partition is None else (self.partition.id,)


@dataclass(frozen=True, slots=True)
class _Picture:
    """The entries of a list, and the journal's epoch and position that they picture."""

    epoch: int
    position: int
    entries: Entries


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is signed as one list: the list that is due, or its delta."""

    edition: Edition
    entries: Entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes the lists of both CAs below `home`; any number of publishers may work at once.

    `signer` returns the private key of a generation; below `base_url` the world reads the lists.
    """

    register: RevocationRegister
    shelf: CrlShelf
    generations: Generations
    signer: Callable[[KeyUri], PrivateKey]
    audit: AuditSink
    home: Path
    base_url: str
    clock: Clock

    def publish_due(self) -> list[ShelfMark]:
        """Publish every list that is new, changed, a day old, or missing under a stable name.

        One list's failure does not keep the others from being published.

        Raises:
            JpkiError: the first failure, after all lists were tried.
        """
        return self._publish_each(self._is_due)

    def publish_all(self) -> list[ShelfMark]:
        """Publish every list, due or not; see `publish_due`."""
        return self._publish_each(lambda _: True)

    def ensure_first(self, purpose: Purpose, partitions: Collection[PartitionId]) -> None:
        """Return when the list of each partition can be read under every live generation (rule R12).

        Raises:
            JpkiError: NOT_FOUND `partition-not-in-use`; UNAVAILABLE `crl-contended`, or as for `publish_due`.
        """
        missing = self._unreadable(purpose, partitions)
        for _ in range(_ATTEMPTS):
            # Of those that another publisher was faster with it is looked up again whether they can be read.
            missing = [each for each in missing if self._publish(self._in_use(purpose, each)) is None]
            missing = self._unreadable(purpose, missing)
            if not missing:
                return
        raise _contended()

    def repair(self) -> None:
        """Give the newest lists the stable names they should have, without signing anything."""
        for mark in self.shelf.marks():
            self._project(mark, self.generations(mark.purpose))

    def _unreadable(self, purpose: Purpose, partitions: Collection[PartitionId]) -> list[PartitionId]:
        """Return those whose newest list does not stand under its stable names, and cannot be put there."""
        if not partitions:
            return []
        generations, marks = self.generations(purpose), self.shelf.newest(purpose, partitions)
        readable = {mark.partition for mark in marks.values() if self._project(mark, generations)}
        return [each for each in partitions if each not in readable]

    def _publish_each(self, wanted: Callable[[_List], bool]) -> list[ShelfMark]:
        published: list[ShelfMark] = []
        failures: list[JpkiError] = []
        for each in self._lists():
            try:
                if wanted(each) and (mark := self._publish(each)) is not None:
                    published.append(mark)
            except JpkiError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return published

    def _lists(self) -> Iterator[_List]:
        for purpose in HOLDER_PURPOSES:
            if generations := self.generations(purpose):
                arl = authorities(generations[0], self.base_url)
                for partition in (None, arl, *self.register.partitions_in_use(purpose)):
                    yield _List(purpose=purpose, generations=generations, partition=partition)

    def _in_use(self, purpose: Purpose, partition: PartitionId) -> _List:
        generations = self.generations(purpose)
        found = self.register.partition_in_use(purpose, partition)
        if found is None or not generations:
            raise _not_in_use(partition)
        return _List(purpose=purpose, generations=generations, partition=found)

    def _is_due(self, wanted: _List) -> bool:
        mark = self.shelf.newest(wanted.purpose, [wanted.id]).get(wanted.id)
        return (
            mark is None
            or mark.lists != wanted.lists
            or not -_AHEAD <= self.clock() - mark.this_update < _PERIOD
            or self.register.last_change(wanted.purpose, wanted.id) > mark.position
            or not self._project(mark, wanted.generations)
        )

    def _publish(self, wanted: _List) -> ShelfMark | None:
        """Publish one list in the steps above; return None where another publisher was faster."""
        old = self.shelf.newest(wanted.purpose, [wanted.id]).get(wanted.id)
        with nameless(self.home) as file, nameless(self.home) as file_of_delta:
            mark, sheets = self._next(wanted, old, file, file_of_delta)
            self._announce(mark)
            with staged(self._signed(wanted, mark, sheets)) as waiting:
                self._check(wanted, mark, sheets, waiting)
                if not self.shelf.swap(old, mark, SYSTEM):
                    return None
                land(waiting)
        self._project(mark, wanted.generations)
        return mark

    def _next(
        self, wanted: _List, old: ShelfMark | None, file: BinaryIO, file_of_delta: BinaryIO
    ) -> tuple[ShelfMark, Sequence[_Sheet]]:
        """Return what will be published: the mark, and what is to be signed, its entries encoded in the files.

        thisUpdate never goes back, but from a clock that had run ahead: no verifier believes a list of the future, and
        what seemed to have ended left it. The mark's nextUpdate is the latest of its lists' (rule R25).
        """
        now = whole_second(self.clock())
        files, *others = self._files(wanted.lists, wanted.generations)
        in_time = old if old is not None and old.this_update - now <= _AHEAD else None
        this_update = now if in_time is None else max(now, in_time.this_update)
        # A revoked certificate leaves after a list from past its end was published (RFC 5280 3.3): an old mark
        # whose files never landed does not count.
        landed = in_time if in_time is not None and files.landed(in_time.number) else None
        picture = (None if landed is None else self._carried_over(wanted, landed, file)) or self._anew(
            wanted, None if landed is None else landed.this_update, file
        )
        mark = ShelfMark(
            purpose=wanted.purpose,
            partition=wanted.id,
            number=_next_number([files, *others], 0 if old is None else old.number),
            this_update=this_update,
            next_update=min(this_update + _PROMISE, max(each.not_after for each in wanted.generations)),
            epoch=picture.epoch,
            position=picture.position,
            ending_after=None if landed is None else landed.this_update,
            entries=picture.entries.count,
        )
        if DELTA not in wanted.lists:
            return mark, [_Sheet(_edition(mark), picture.entries)]
        delta, entries = self._delta(wanted, mark, file_of_delta)
        return replace(mark, delta=delta), [
            _Sheet(replace(_edition(mark), freshest=self.base_url), picture.entries),
            _Sheet(replace(_edition(mark), base=delta.base), entries),
        ]

    def _delta(self, wanted: _List, mark: ShelfMark, file: BinaryIO) -> tuple[DeltaMark, Entries]:
        """Encode what changed since the base; where there is none, or the journal cannot tell, the list is its own."""
        entries, base = Entries(file), self._base(wanted, mark)
        if base is not None:
            with self.register.delta(base, mark) as changes:
                if changes is not None:
                    for lines in changes:
                        entries.add(lines)
                    return DeltaMark(base.number, entries.count), entries
        return DeltaMark(mark.number, 0), entries

    def _base(self, wanted: _List, mark: ShelfMark) -> ShelfMark | None:
        """Return the oldest complete list that still holds, and that each of the generations signed; None for none."""
        (files,) = self._files([COMPLETE], wanted.generations)
        holding = (each for each in self.shelf.bases(wanted.purpose) if each.next_update >= mark.this_update)
        return next((each for each in holding if files.landed(each.number)), None)

    def _anew(self, wanted: _List, ending_after: datetime | None, file: BinaryIO) -> _Picture:
        """Encode all entries out of the register."""
        entries = Entries(file)
        with self.register.revocations(wanted.purpose, wanted.id, ending_after) as revocations:
            for lines in revocations.lines:
                entries.add(lines)
        return _Picture(revocations.epoch, revocations.position, entries)

    def _carried_over(self, wanted: _List, landed: ShelfMark, file: BinaryIO) -> _Picture | None:
        """Take the entries out of the last publication but for what changed; None where it cannot be done, or pays not.

        All generations' files hold the same entries.
        """
        changes = self.register.changes(landed, landed.this_update, landed.entries // _ENTRIES_TO_A_CHANGE)
        if changes is None:
            return None
        entries, generation = Entries(file), wanted.generations[0]
        (files,) = self._files([wanted.id], wanted.generations)
        try:
            with files.numbered(generation, landed.number).open("rb", buffering=0) as opened:
                carry_over(Base(opened, landed, generation, wanted.partition), changes.entries, entries)
        except (NotCarriedOver, OSError):
            return None
        return _Picture(landed.epoch, changes.position, entries)

    def _announce(self, mark: ShelfMark) -> None:
        self.audit.record(
            AuditEvent(
                at=self.clock(),
                actor=SYSTEM,
                act=Act.CRL_WILL_SIGN,
                subjects=(f"{mark.purpose}/{mark.partition}",),
                details=mark.told(),
            )
        )

    def _signed(
        self, wanted: _List, mark: ShelfMark, sheets: Sequence[_Sheet]
    ) -> Iterator[tuple[Path, Iterable[bytes]]]:
        """Yield each generation's lists with their numbered names, signed; they land in this order."""
        for generation in wanted.generations:
            key = self.signer(generation.key)
            for sheet, files in zip(sheets, self._files(mark.lists, wanted.generations), strict=True):
                entries = sheet.entries
                frame = signed_around(
                    entries.blocks(), entries.octets, sheet.edition, generation, wanted.partition, key
                )
                numbered = files.numbered(generation, mark.number)
                yield numbered, chain([frame.head], entries.blocks(), [frame.tail])

    def _check(self, wanted: _List, mark: ShelfMark, sheets: Sequence[_Sheet], waiting: Mapping[Path, Path]) -> None:
        """Read each generation's waiting lists back."""
        for sheet, files in zip(sheets, self._files(mark.lists, wanted.generations), strict=True):
            for each in wanted.generations:
                path = waiting[files.numbered(each, mark.number)]
                check_list(path, sheet.edition, each, wanted.partition, sheet.entries)

    def _project(self, mark: ShelfMark, generations: Sequence[Generation]) -> bool:
        """Give the lists of `mark` the stable names that bear no higher number; tell whether they have all of them."""
        lists = self._files(mark.lists, generations)
        if not _all_stand(lists, mark.number):
            with locked(self.home):
                for each in lists:
                    each.link(mark.number)
                    if not each.stand(mark.number):
                        break
        return _all_stand(lists, mark.number)

    def _files(self, lists: Iterable[PartitionId], generations: Sequence[Generation]) -> Sequence[ListFiles]:
        return [ListFiles(self.home, each, generations) for each in lists]


def _next_number(lists: Sequence[ListFiles], last: int) -> int:
    """Return the next number above `last` that is free for each of the lists."""
    number = last + 1
    while (later := max(each.next_number(number - 1) for each in lists)) > number:
        number = later
    return number


def _all_stand(lists: Iterable[ListFiles], number: int) -> bool:
    return all(each.stand(number) for each in lists)


def _edition(mark: ShelfMark) -> Edition:
    return Edition(number=mark.number, this_update=mark.this_update, next_update=mark.next_update)


def _contended() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "crl-contended",
        Text(
            "ほかの処理が同じ失効リストを発行し続けているため、待ちきれませんでした。",
            "Others kept publishing the same list at the same moment.",
        ),
        Text("少し待ってからやり直してください。", "Try again in a moment."),
    )


def _not_in_use(partition: PartitionId) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "partition-not-in-use",
        Text(
            f"区画 {partition} を記載した証明書はまだありません。",
            f"No certificate names the partition {partition} yet.",
        ),
        Text("区画の番号を確認してください。", "Check the partition's id."),
    )
