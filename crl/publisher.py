"""Publishing lists: which are due, and how one comes into the world.

One publication takes these steps, and a crash between any two of them leaves a whole list under the stable name:

1. read the newest mark, then what the register holds: a picture can only be newer than the mark it will replace;
   choose a number under which nothing lies in the archive;
2. tell the audit, which may refuse (rule R18);
3. for each generation: sign, read back with another parser, write to a waiting file of its own name, flush;
4. swap the mark, committed. This decides: of several publishers of one number exactly one wins;
5. the winner alone gives its waiting files the numbered names, so one number never stands for two contents;
6. under a lock, link the stable names to the numbered files, unless they bear a higher number already: a publisher
   that was overtaken while it slept cannot put an old list back.

A loser, or a crash before step 4, leaves nothing but waiting files. A crash between 4 and 6 leaves a mark whose
files do not stand under the stable names. `repair` takes step 6 again; where step 5 is missing too nobody can tell
the winner's files any more, and nobody ever saw them: the list is due, and the next number is published.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from crl.builder import Edition, certificate_list, encode_entries
from crl.check import check_list
from crl.files import ListFiles, land, locked, staged
from jpki.acts import SYSTEM, Act, AuditEvent
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, iso, whole_second
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import KeyUri, PartitionId
from jpki.partition import COMPLETE, Partition
from jpki.ports import AuditSink, CrlShelf, Generations, RevocationRegister, RevokedEntry, ShelfMark
from jpki.signature import PrivateKey
from jpki.text import Text

_PERIOD = timedelta(hours=24)
_PROMISE = timedelta(hours=48)
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _List:
    """A list to publish, of one partition or the complete one, and the generations that will sign it."""

    purpose: Purpose
    generations: Sequence[Generation]
    partition: Partition | None

    @property
    def id(self) -> PartitionId:
        return COMPLETE if self.partition is None else self.partition.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Publishes the lists of both CAs below `home`; any number of publishers may work at once.

    `signer` returns the private key of a generation.
    """

    register: RevocationRegister
    shelf: CrlShelf
    generations: Generations
    signer: Callable[[KeyUri], PrivateKey]
    audit: AuditSink
    home: Path
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
                for partition in (None, *self.register.partitions_in_use(purpose)):
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
            or self.clock() - mark.this_update >= _PERIOD
            or self.register.last_change(wanted.purpose, wanted.id) > mark.position
            or not self._project(mark, wanted.generations)
        )

    def _publish(self, wanted: _List) -> ShelfMark | None:
        """Publish one list in the steps above; return None where another publisher was faster."""
        old = self.shelf.newest(wanted.purpose, [wanted.id]).get(wanted.id)
        mark, entries = self._next(wanted, old)
        self._announce(mark)
        with staged(self._signed(wanted, mark, entries)) as waiting:
            if not self.shelf.swap(old, mark, SYSTEM):
                return None
            land(waiting)
        self._project(mark, wanted.generations)
        return mark

    def _next(self, wanted: _List, old: ShelfMark | None) -> tuple[ShelfMark, Sequence[RevokedEntry]]:
        """Return what will be published: the mark and its entries.

        thisUpdate never goes back. The mark's nextUpdate is the latest of its lists' (rule R25).
        """
        now = whole_second(self.clock())
        files = self._files(wanted.id, wanted.generations)
        this_update = now if old is None else max(now, old.this_update)
        # A revoked certificate leaves after a list from past its end was published (RFC 5280 3.3): an old mark
        # whose files never landed does not count.
        ending_after = old.this_update if old is not None and files.landed(old.number) else None
        picture = self.register.revocations(wanted.purpose, wanted.id, ending_after)
        mark = ShelfMark(
            purpose=wanted.purpose,
            partition=wanted.id,
            number=files.next_number(0 if old is None else old.number),
            this_update=this_update,
            next_update=min(this_update + _PROMISE, max(each.not_after for each in wanted.generations)),
            position=picture.position,
            entries=len(picture.entries),
        )
        return mark, picture.entries

    def _announce(self, mark: ShelfMark) -> None:
        self.audit.record(
            AuditEvent(
                at=self.clock(),
                actor=SYSTEM,
                act=Act.CRL_WILL_SIGN,
                subjects=(f"{mark.purpose}/{mark.partition}",),
                details={"number": mark.number, "entries": mark.entries, "next_update": iso(mark.next_update)},
            )
        )

    def _signed(self, wanted: _List, mark: ShelfMark, entries: Sequence[RevokedEntry]) -> Iterator[tuple[Path, bytes]]:
        """Yield each generation's list with its numbered name, signed and read back."""
        edition = Edition(
            number=mark.number,
            this_update=mark.this_update,
            next_update=mark.next_update,
            revoked=encode_entries(entries),
        )
        files = self._files(wanted.id, wanted.generations)
        for generation in wanted.generations:
            encoded = certificate_list(edition, generation, wanted.partition, self.signer(generation.key))
            check_list(encoded, edition, generation, entries)
            yield files.numbered(generation, mark.number), encoded

    def _project(self, mark: ShelfMark, generations: Sequence[Generation]) -> bool:
        """Give the list of `mark` the stable names that bear no higher number; tell whether it has all of them now."""
        files = self._files(mark.partition, generations)
        if not files.stand(mark.number):
            with locked(self.home):
                files.link(mark.number)
        return files.stand(mark.number)

    def _files(self, partition: PartitionId, generations: Sequence[Generation]) -> ListFiles:
        return ListFiles(self.home, partition, generations)


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
