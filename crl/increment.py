"""The entries of the next list out of the last one's file: what did not change is copied, at the speed of copying.

The file on disk is believed for its signature alone, which is checked over the very octets that were copied.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from crl.entries import Entries
from crl.outline import number_of, octets_of, outline, require_algorithm
from jpki import der
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import RevokedEntry, RevokedLines, ShelfMark
from jpki.signature import check_digest, hashing

_ENTRY = re.compile(rb"0[\x21\x23\x2f\x31]\x02\x10[\x01-\x7f][\x00-\xff]{15}(?:\x17\r[0-9]{12}|\x18\x0f[0-9]{14})Z")
"""How an entry of ours begins: with a serial of 16 octets, and a moment; a reason may follow."""
_LONGEST = 64
"""An entry of ours has 51 octets at most."""
_SERIAL_AT = 4
_NEAR = 1024


class NotCarriedOver(Exception):  # noqa: N818 - a reason to build the list anew, and no error of anybody
    """The file is not what its key signed, or not in the form in which we write lists."""


@dataclass(frozen=True, slots=True)
class Base:
    """The file of a publication, as `generation` signed it; without a `partition`, of a complete list."""

    file: BinaryIO
    mark: ShelfMark
    generation: Generation
    partition: Partition | None


def carry_over(base: Base, changes: Mapping[Serial, RevokedEntry | None], entries: Entries) -> None:
    """Add the base's entries to `entries`, those that changed as they are now, None for none.

    Raises:
        NotCarriedOver: as the exception says; `entries` are worthless then.
        JpkiError: as for `Entries`.
    """
    try:
        carrying = _Carrying(base, entries)
        require_publication(carrying.found.frame, base.mark, base.partition)
        carrying.through(changes)
    except (ValueError, InvalidSignature) as error:
        raise NotCarriedOver from error
    entries.count += base.mark.entries


def require_publication(frame: x509.CertificateRevocationList, mark: ShelfMark, partition: Partition | None) -> None:
    """Require the very list that the mark tells of: an older one, or another partition's, is signed as well.

    Raises:
        ValueError: it is another.
    """
    points = [each.value for each in frame.extensions if isinstance(each.value, x509.IssuingDistributionPoint)]
    names = [each for point in points for each in point.full_name or () if isinstance(each, x509.DirectoryName)]
    if (
        number_of(frame) != mark.number
        or frame.last_update_utc != mark.this_update
        or [each.value for each in names] != ([] if partition is None else [partition.name])
    ):
        raise ValueError("another list")


class _Carrying:
    def __init__(self, base: Base, entries: Entries) -> None:
        self.found = outline(base.file)
        self._file = base.file
        self._key = base.generation.public_key
        self._hashed = hashing(self._key)
        self._entries = entries

    def through(self, changes: Mapping[Serial, RevokedEntry | None]) -> None:
        """Copy what lies between the changes, and lay them in their places.

        Raises:
            ValueError, InvalidSignature: the file is not to be believed.
        """
        require_algorithm(self.found, self._key)
        signed, at, end = self.found.to_be_signed, self.found.entries.start, self.found.entries.stop
        self._pass_over(signed.start, at)
        for serial in sorted(changes):
            begin, after = self._place(serial, at)
            self._copy(at, begin)
            self._pass_over(begin, after)
            self._entries.count -= after > begin
            entry = changes[serial]
            if entry is not None:
                self._entries.add(RevokedLines.of([entry]))
            at = after
        self._copy(at, end)
        self._pass_over(end, signed.stop)
        check_digest(self._key, self._hashed.finalize(), self.found.frame.signature)

    def _pass_over(self, begin: int, end: int) -> None:
        for block in octets_of(self._file, range(begin, end)):
            self._hashed.update(block)

    def _copy(self, begin: int, end: int) -> None:
        if begin < end:
            self._entries.copy(self._hashed_blocks(begin, end), self._entry(begin)[0], self._last(begin, end))

    def _hashed_blocks(self, begin: int, end: int) -> Iterator[bytes]:
        for block in octets_of(self._file, range(begin, end)):
            self._hashed.update(block)
            yield block

    # --- where entries lie ---------------------------------------------------------------------------------------

    def _place(self, serial: Serial, low: int) -> tuple[int, int]:
        """Return where the entry of a serial begins and ends, or twice where it would stand; not before `low`.

        All that begins before `low` bears lesser serials, and all from `high` on this one or greater.
        """
        high = self.found.entries.stop
        while high - low > _NEAR:
            middle = (low + high) // 2
            begin = self._beginning(middle, high)
            if begin is not None and self._entry(begin)[0] < serial:
                low = begin
            else:
                high = middle
        while low < self.found.entries.stop:
            found, end = self._entry(low)
            if found >= serial:
                return low, (end if found == serial else low)
            low = end
        return low, low

    def _last(self, begin: int, end: int) -> int:
        """Return the last serial between two places where an entry begins."""
        at = begin
        while (later := self._beginning(max(at + 1, end - _LONGEST), end)) is not None:
            at = later
        return self._entry(at)[0]

    def _beginning(self, at: int, end: int) -> int | None:
        """Return where the first entry at or after `at` begins, None where none does before `end`.

        It is known by its form, of which 16 octets are random: nothing else looks like it by chance.

        Raises:
            ValueError: there must be one, and none has the form.
        """
        seen = os.pread(self._file.fileno(), min(2 * _LONGEST, self.found.entries.stop - at), at)
        match = _ENTRY.search(seen)
        if match is None and len(seen) == 2 * _LONGEST:
            raise ValueError("entries are not of our form")
        return None if match is None or at + match.start() >= end else at + match.start()

    def _entry(self, at: int) -> tuple[int, int]:
        """Return the serial of the entry that begins here, and where it ends."""
        head = os.pread(self._file.fileno(), _LONGEST, at)
        if len(head) < _SERIAL_AT or head[0] != der.Tag.SEQUENCE or head[2] != der.Tag.INTEGER:
            raise ValueError("no entry begins where one must")
        return int.from_bytes(head[_SERIAL_AT : _SERIAL_AT + head[3]]), at + 2 + head[1]
