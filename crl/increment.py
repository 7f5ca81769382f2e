"""The entries of the next list out of the last one's file: what did not change is copied, at the speed of copying.

The file on disk is believed for its signature alone, which is checked over the very octets that were copied.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from crl.builder import encoded
from crl.entries import Entries
from crl.outline import UNREADABLE, number_of, outline, require_algorithm, signed_octets
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
        require_publication(carrying.found.head, base.mark, base.partition, base_number=None)
        carrying.through(changes)
    except (*UNREADABLE, InvalidSignature) as error:
        raise NotCarriedOver from error
    entries.count += base.mark.entries


def require_publication(
    head: x509.CertificateRevocationList, mark: ShelfMark, partition: Partition | None, *, base_number: int | None
) -> None:
    """Require the very list that the mark tells of: an older one, or another partition's, is signed as well.

    Its delta bears the number of the list that it is of, `base_number`; no other list does.

    Raises:
        ValueError: it is another.
    """
    bases = [each.value.crl_number for each in head.extensions if isinstance(each.value, x509.DeltaCRLIndicator)]
    points = [each.value for each in head.extensions if isinstance(each.value, x509.IssuingDistributionPoint)]
    names = [each for point in points for each in point.full_name or () if isinstance(each, x509.DirectoryName)]
    if (
        bases != ([] if base_number is None else [base_number])
        or number_of(head) != mark.number
        or head.last_update_utc != mark.this_update
        or [each.value for each in names] != ([] if partition is None else [partition.name])
    ):
        raise ValueError("another list")


class _Carrying:
    def __init__(self, base: Base, entries: Entries) -> None:
        self.found = outline(base.file)
        self._file = base.file
        self._key = base.generation.public_key
        self._entries = entries

    def through(self, changes: Mapping[Serial, RevokedEntry | None]) -> None:
        """Copy what lies between the changes, and lay them in their places.

        Raises:
            ValueError, DerError, InvalidSignature: the file is not to be believed.
        """
        require_algorithm(self.found, self._key)
        hashed, left = hashing(self._key), deque(_encodings(changes))
        for block in signed_octets(self._file, self.found, partial(self._take, left)):
            hashed.update(block)
        rest = [encoding for _, encoding in left if encoding]
        self._add(rest, len(rest))
        check_digest(self._key, hashed.finalize(), self.found.head.signature)

    def _take(self, left: "deque[tuple[Serial, bytes]]", octets: bytes) -> int:
        """Add the whole entries that these octets begin with, and the changes that stand among them."""
        end = _end_of_whole(octets)
        at, pieces, more = 0, [], 0
        while left:
            serial, encoding = left[0]
            begin, after = _place(octets, at, end, serial)
            if begin == end:
                break
            left.popleft()
            pieces += [octets[at:begin], encoding]
            more += bool(encoding) - (after > begin)
            at = after
        self._add([*pieces, octets[at:end]], more)
        return end

    def _add(self, pieces: Sequence[bytes], more: int) -> None:
        """Add entries, which are so many more than there were in their place."""
        octets = b"".join(pieces)
        if octets:
            self._entries.copy([octets], _entry(octets, 0)[0], _last(octets)[0])
        self._entries.count += more


def _entry(octets: bytes, at: int) -> tuple[int, int]:
    """Return the serial of the entry that begins here, and where it ends."""
    header = octets[at : at + _SERIAL_AT]
    if len(header) < _SERIAL_AT or header[0] != der.Tag.SEQUENCE or header[2] != der.Tag.INTEGER:
        raise ValueError("no entry begins where one must")
    serial = at + _SERIAL_AT
    return int.from_bytes(octets[serial : serial + header[3]]), at + 2 + header[1]


def _end_of_whole(octets: bytes) -> int:
    """Return where the last whole entry ends that begins here; what follows is one that is cut short, or nothing.

    Raises:
        ValueError: entries are not of our form.
    """
    _, end = _last(octets)
    return end


def _last(octets: bytes) -> tuple[int, int]:
    """Return the serial of the last whole entry, and where it ends.

    An entry is known by its form, of which 16 octets are random: nothing else looks like it by chance.

    Raises:
        ValueError: entries are not of our form.
    """
    begins = [each.start() for each in _ENTRY.finditer(octets, max(0, len(octets) - 3 * _LONGEST))]
    for at in reversed(begins):
        serial, end = _entry(octets, at)
        if end <= len(octets):
            return serial, end
    raise ValueError("entries are not of our form")


def _place(octets: bytes, low: int, high: int, serial: Serial) -> tuple[int, int]:
    """Return where the entry of a serial begins and ends, or twice where it would stand; not before `low`.

    Entries begin at `low` and end at `high`; those that begin before `low` bear lesser serials. They are halved until
    few are left, which are looked at one by one.
    """
    end = high
    while high - low > _NEAR:
        middle = (low + high) // 2
        match = _ENTRY.search(octets, middle)
        if match is not None and match.start() < high and int.from_bytes(match[1]) < serial:
            low = match.start()
        else:
            high = middle
    while low < end:
        found, after = _entry(octets, low)
        if found >= serial:
            return low, after if found == serial else low
        low = after
    return end, end


def _encodings(changes: Mapping[Serial, RevokedEntry | None]) -> Iterator[tuple[Serial, bytes]]:
    """Yield the serials in order, each with its entry as it is now, encoded, and no octets for none."""
    serials = sorted(changes)
    octets, at = encoded(RevokedLines.of([entry for each in serials if (entry := changes[each]) is not None])), 0
    for each in serials:
        end = at if changes[each] is None else _entry(octets, at)[1]
        yield each, octets[at:end]
        at = end
