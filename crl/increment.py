"""The entries of the next list out of the last one's file: what did not change is copied, at the speed of copying.

The file on disk is believed for its signature alone, which is checked over the very octets that were copied.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from crl.builder import encoded
from crl.entries import Entries
from crl.outline import number_of, octets_of, outline, require_algorithm
from jpki import der
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import RevokedEntry, RevokedLines, ShelfMark
from jpki.signature import check_digest, hashing

_ENTRY = re.compile(rb"0[\x21\x23\x2f\x31]\x02\x10([\x01-\x7f][\x00-\xff]{15})(?:\x17\r[0-9]{12}|\x18\x0f[0-9]{14})Z")
"""How an entry of ours begins: with a serial of 16 octets, and a moment; a reason may follow."""
_LONGEST = 64
"""An entry of ours has 51 octets at most."""
_SERIAL_AT = 4
_NEAR = 1024
_LEAST = 1 << 126
"""The least serial of ours, and how many there may be: their two highest bits are 01 (DESIGN)."""


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
        require_publication(carrying.found.frame, base.mark, base.partition, base_number=None)
        carrying.through(changes)
    except (ValueError, InvalidSignature) as error:
        raise NotCarriedOver from error
    entries.count += base.mark.entries


def require_publication(
    frame: x509.CertificateRevocationList, mark: ShelfMark, partition: Partition | None, *, base_number: int | None
) -> None:
    """Require the very list that the mark tells of: an older one, or another partition's, is signed as well.

    Its delta bears the number of the list that it is of, `base_number`; no other list does.

    Raises:
        ValueError: it is another.
    """
    bases = [each.value.crl_number for each in frame.extensions if isinstance(each.value, x509.DeltaCRLIndicator)]
    points = [each.value for each in frame.extensions if isinstance(each.value, x509.IssuingDistributionPoint)]
    names = [each for point in points for each in point.full_name or () if isinstance(each, x509.DirectoryName)]
    if (
        bases != ([] if base_number is None else [base_number])
        or number_of(frame) != mark.number
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
        for serial, encoding in _encodings(changes):
            begin, after = self._place(serial, at)
            self._copy(at, begin)
            self._pass_over(begin, after)
            if encoding:
                self._entries.copy([encoding], serial, serial)
            self._entries.count += bool(encoding) - (after > begin)
            at = after
        self._copy(at, end)
        self._pass_over(end, signed.stop)
        check_digest(self._key, self._hashed.finalize(), self.found.frame.signature)

    def _pass_over(self, begin: int, end: int) -> None:
        for block in octets_of(self._file, range(begin, end)):
            self._hashed.update(block)

    def _copy(self, begin: int, end: int) -> None:
        if begin < end:
            self._entries.copy(self._hashed_blocks(begin, end), self._serial(begin), self._last(begin, end))

    def _hashed_blocks(self, begin: int, end: int) -> Iterator[bytes]:
        for block in octets_of(self._file, range(begin, end)):
            self._hashed.update(block)
            yield block

    # --- where entries lie ---------------------------------------------------------------------------------------

    def _place(self, serial: Serial, low: int) -> tuple[int, int]:
        """Return where the entry of a serial begins and ends, or twice where it would stand; not before `low`.

        All that begins before `low` bears lesser serials, and all from `high` on this one or greater. As serials are
        random, one lies about as far within the list as within their range: the two places beside that are tried
        first, and what is left is halved.
        """
        entries = self.found.entries
        high, about = entries.stop, entries.start + len(entries) * (serial - _LEAST) // _LEAST
        beside = _LONGEST * isqrt(len(entries) // _LONGEST)
        likely = [about - beside, about + beside]
        while high - low > _NEAR:
            middle = likely.pop() if likely else (low + high) // 2
            if low < middle < high:
                found = self._entry_from(middle, high)
                if found is not None and found[1] < serial:
                    low = found[0]
                else:
                    high = middle
        return self._place_after(low, serial)

    def _place_after(self, at: int, serial: Serial) -> tuple[int, int]:
        """Return the same where it is near: the octets after `at`, where an entry begins, are read at once."""
        octets, stop = self._octets(at, _NEAR + 2 * _LONGEST), self.found.entries.stop
        here = 0
        while at + here < stop:
            found, end = _entry(octets, here)
            if found >= serial:
                return at + here, at + (end if found == serial else here)
            here = end
        return stop, stop

    def _last(self, begin: int, end: int) -> int:
        """Return the last serial between two places where an entry begins."""
        last = begin, self._serial(begin)
        while (later := self._entry_from(max(last[0] + 1, end - _LONGEST), end)) is not None:
            last = later
        return last[1]

    def _entry_from(self, at: int, end: int) -> tuple[int, int] | None:
        """Return where the first entry at or after `at` begins, and its serial; None where none begins before `end`.

        It is known by its form, of which 16 octets are random: nothing else looks like it by chance.

        Raises:
            ValueError: there must be one, and none has the form.
        """
        octets = self._octets(at, 2 * _LONGEST)
        match = _ENTRY.search(octets)
        if match is None and len(octets) == 2 * _LONGEST:
            raise ValueError("entries are not of our form")
        return None if match is None or at + match.start() >= end else (at + match.start(), int.from_bytes(match[1]))

    def _serial(self, at: int) -> int:
        """Return the serial of the entry that begins here."""
        return _entry(self._octets(at, _LONGEST), 0)[0]

    def _octets(self, at: int, count: int) -> bytes:
        """Return the octets of entries from `at` on, so many or as many as there are."""
        return os.pread(self._file.fileno(), min(count, self.found.entries.stop - at), at)


def _entry(octets: bytes, at: int) -> tuple[int, int]:
    """Return the serial of the entry that begins here, and where it ends."""
    header = octets[at : at + _SERIAL_AT]
    if len(header) < _SERIAL_AT or header[0] != der.Tag.SEQUENCE or header[2] != der.Tag.INTEGER:
        raise ValueError("no entry begins where one must")
    serial = at + _SERIAL_AT
    return int.from_bytes(octets[serial : serial + header[3]]), at + 2 + header[1]


def _encodings(changes: Mapping[Serial, RevokedEntry | None]) -> Iterator[tuple[Serial, bytes]]:
    """Yield the serials in order, each with its entry as it is now, encoded, and no octets for none."""
    serials = sorted(changes)
    octets, at = encoded(RevokedLines.of([entry for each in serials if (entry := changes[each]) is not None])), 0
    for each in serials:
        end = at if changes[each] is None else _entry(octets, at)[1]
        yield each, octets[at:end]
        at = end
