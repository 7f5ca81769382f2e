"""The lists as they are published, read with another parser and held against the ledger as of their position."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from cryptography import x509

from crl.certificate_list import CertificateList, read_list
from crl.entry_index import Entry
from crl.files import ListFiles
from crl.outline import UNREADABLE, number_of, outline
from crl.reader import extension_of
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso, whole_second
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import PartitionId, Serial, format_serial
from jpki.partition import ARL, COMPLETE, DELTA
from jpki.ports import CrlShelf, Generations, RevocationRegister, RevokedLines, ShelfMark
from jpki.revocation import LISTED_STATES, Reason, Status
from server.reconcile.difference import Difference, Fault
from server.store.picture import Picture, SqlPictures

_ATTEMPTS, _PAUSE_SECONDS = 10, 0.05
_by_serial = attrgetter("serial")


ListName = tuple[Purpose, PartitionId]


@dataclass(frozen=True, slots=True)
class _Edition:
    """The newest mark of a list, and what lies under each generation's stable name: None where nothing is readable.

    The files stay those that were opened, whatever is published meanwhile; each is read when it is compared.
    """

    mark: ShelfMark
    files: Sequence[tuple[Generation, PartitionId, BinaryIO | None]]

    @property
    def entries(self) -> int:
        """How many entries its lists have, under one generation."""
        return self.mark.entries + (0 if self.mark.delta is None else self.mark.delta.entries)

    @property
    def is_whole(self) -> bool:
        """Whether all files are of the mark's number."""
        return all(_number_in(file) == self.mark.number for _, _, file in self.files)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry; `reason` is None where a delta says that its list holds the certificate no more."""

    serial: Serial
    revoked_at: datetime
    reason: Reason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """Compares every list below `home` that should be there; `generations` are those that sign here."""

    register: RevocationRegister
    shelf: CrlShelf
    pictures: SqlPictures
    generations: Generations
    home: Path
    now: datetime

    def in_use(self) -> list[ListName]:
        """Return the lists that there must be; asked before due ones are published, for more may come at any time."""
        return [
            (purpose, partition)
            for purpose in HOLDER_PURPOSES
            if self.generations(purpose)
            for partition in (COMPLETE, ARL, *(each.id for each in self.register.partitions_in_use(purpose)))
        ]

    def differences(
        self, lists: Sequence[ListName], published: Mapping[str, int], tell: Callable[[int], None]
    ) -> Iterator[Difference]:
        """Yield what differs; `published` is the last number of each list that the audit tells of.

        `tell` is told how many entries were compared, list by list.
        """
        for purpose, partition in lists:
            name = f"{purpose}/{partition}"
            with ExitStack() as opened:
                edition, told = self._edition(purpose, partition, opened), published.get(name, 0)
                if edition is None or edition.mark.number < told:
                    found = "-" if edition is None else f"number {edition.mark.number}"
                    yield Difference(name, Fault.LIST_LAGS, f"number {max(told, 1)}", found)
                else:
                    tell(edition.entries)
                    yield from self._of_edition(edition)

    def unknown(self, ever: Sequence[Generation]) -> Iterator[Difference]:
        """Yield what lies where lists are published and is none of ours."""
        marked = {(str(mark.purpose), str(name)) for mark in self.shelf.marks() for name in mark.lists}
        made = {(str(each.purpose), str(each.id)) for each in ever}
        for path in sorted((self.home / "crl").glob("*/*/*.crl")):
            purpose, generation = path.parent.parent.name, path.parent.name
            if (purpose, path.stem) not in marked or (purpose, generation) not in made:
                yield Difference(f"{purpose}/{generation}/{path.stem}", Fault.LIST_UNKNOWN, "-", "a file")

    def _edition(self, purpose: Purpose, partition: PartitionId, opened: ExitStack) -> _Edition | None:
        """Return mark and files of one publication; a publisher at work is given the moment to bring them together."""
        edition = None
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_SECONDS * attempt)
            opened.close()
            mark = self.shelf.newest(purpose, [partition]).get(partition)
            if mark is not None:
                files = [
                    (each, name, self._open(name, each, opened))
                    for each in self.generations(purpose)
                    for name in mark.lists
                ]
                edition = _Edition(mark, files)
                if edition.is_whole:
                    break
        return edition

    def _of_edition(self, edition: _Edition) -> Iterator[Difference]:
        mark = edition.mark
        for generation, which, file in edition.files:
            name = f"{mark.purpose}/{generation.id}/{which}"
            found, number = _read(file), _number_in(file)
            if found is None or number is None or not found.is_signed_by(generation.public_key):
                yield Difference(name, Fault.LIST_UNREADABLE, f"number {mark.number}", "none that this key signed")
            elif number != mark.number:
                yield Difference(name, Fault.LIST_LAGS, f"number {mark.number}", f"number {number}")
            else:
                yield from self._of_file(name, which, mark, found)

    def _open(self, partition: PartitionId, generation: Generation, opened: ExitStack) -> BinaryIO | None:
        with suppress(OSError):
            return opened.enter_context(ListFiles(self.home, partition, [generation]).stable(generation).open("rb"))
        return None

    def _of_file(self, name: str, which: PartitionId, mark: ShelfMark, found: CertificateList) -> Iterator[Difference]:
        end = found.head.next_update_utc
        if end is None or end < self.now:
            yield Difference(name, Fault.LIST_STALE, f"after {iso(self.now)}", str(end))
        if which == DELTA:
            yield from self._of_delta(name, mark, found)
            return
        with self.pictures.taken() as picture:
            wanted = _wanted_roots(picture, mark) if which == ARL else _wanted(picture, mark)
            yield from _entries_differ(name, found, wanted)

    def _of_delta(self, name: str, mark: ShelfMark, found: CertificateList) -> Iterator[Difference]:
        """Yield what the delta says otherwise than the journal does."""
        indicator = extension_of(found.head.extensions, x509.DeltaCRLIndicator)
        number = None if indicator is None else indicator.crl_number
        base = next((each for each in self.shelf.bases(mark.purpose) if each.number == number), None)
        if mark.delta is None or number != mark.delta.base or base is None:
            expected = "-" if mark.delta is None else f"a delta of number {mark.delta.base}"
            yield Difference(name, Fault.LIST_DIFFERS, expected, f"a delta of number {number}")
            return
        with self.register.delta(base, mark) as changes:
            # Where the journal could not tell, the list is its own base, and nothing has changed in it.
            wanted = (entry for lines in changes or () for entry in _entries(lines))
            yield from _entries_differ(name, found, ((each, True) for each in wanted))


def _read(file: BinaryIO | None) -> CertificateList | None:
    if file is not None:
        with suppress(OSError, JpkiError):
            return read_list(file)
    return None


def _number_in(file: BinaryIO | None) -> int | None:
    """Return the number of the list in a file, None where it cannot be read."""
    if file is not None:
        with suppress(OSError, *UNREADABLE):
            return number_of(outline(file).head)
    return None


def _entries(lines: RevokedLines) -> Iterator[_Entry]:
    for serial, moment, reason in lines:
        yield _Entry(serial, moment, _REASONS.get(reason))


_REASONS = {each.number: each for each in Reason}


def _wanted_roots(picture: Picture, mark: ShelfMark) -> Iterator[tuple[_Entry, bool]]:
    """Yield the roots that were compromised at the mark's position, and whether the list must still hold each."""
    for root, end in picture.compromised_roots(mark.purpose, mark.position):
        yield _Entry(root.serial, root.revoked_at, root.reason), end >= whole_second(mark.this_update)


def _wanted(picture: Picture, mark: ShelfMark) -> Iterator[tuple[_Entry, bool]]:
    """Yield in order of serial what was listed at the mark's position, and whether the list must still hold it.

    A certificate that had ended before the list may be on it a last time (RFC 5280 3.3).
    """
    purpose, partition, position = mark.purpose, mark.partition, mark.position
    compromised = picture.compromised_by(purpose, position)
    changed = picture.changed_since(purpose, partition, position)
    now = picture.may_be_listed(purpose, partition, list(compromised))
    unchanged = (each for each in now if each.serial not in changed)
    for own in merge(unchanged, sorted(changed.values(), key=_by_serial), key=_by_serial):
        since = compromised.get(own.generation)
        status = own if since is None else own.under_compromise(since)
        if status.state in LISTED_STATES:
            yield _Entry(status.serial, *_told(status)), status.not_after >= whole_second(mark.this_update)


def _entries_differ(name: str, found: CertificateList, wanted: Iterator[tuple[_Entry, bool]]) -> Iterator[Difference]:
    """Merge the list with what it must hold; both are in order of serial."""
    entries = map(_entry, found.entries)
    entry = next(entries, None)
    for expected, must in wanted:
        while entry is not None and entry.serial < expected.serial:
            yield _differs(name, entry.serial, "-", entry)
            entry = next(entries, None)
        if entry is not None and entry.serial == expected.serial:
            if entry != expected:
                yield _differs(name, expected.serial, expected, entry)
            entry = next(entries, None)
        elif must:
            yield _differs(name, expected.serial, expected, "-")
    while entry is not None:
        yield _differs(name, entry.serial, "-", entry)
        entry = next(entries, None)


def _told(status: Status) -> tuple[datetime, Reason]:
    if status.revoked_at is None or status.reason is None:
        raise ValueError("the database lets no listed status be without time and reason")
    return status.revoked_at, status.reason


def _entry(entry: Entry) -> _Entry:
    return _Entry(Serial(entry.serial), entry.revoked_at, _reason(entry.reason))


def _reason(flag: x509.ReasonFlags | None) -> Reason | None:
    if flag is None:
        return Reason.UNSPECIFIED
    return None if flag is x509.ReasonFlags.remove_from_crl else Reason(flag.value)


def _differs(name: str, serial: Serial, expected: _Entry | str, found: _Entry | str) -> Difference:
    return Difference(f"{name} {format_serial(serial)}", Fault.LIST_DIFFERS, _words(expected), _words(found))


def _words(entry: _Entry | str) -> str:
    if isinstance(entry, str):
        return entry
    return f"{entry.reason or 'on the list no more'} since {iso(entry.revoked_at)}"
