"""The entries of a list, read strictly and once: which serials are listed, since when, and why (RFC 5280 5.1.2.6, 5.3).

Entries of one form have tags, lengths and identifiers in common, and differ in the serial, the digits of times and
the reason only. cryptography reads one entry of each form; the others are compared with that one, and the octets in
which they may differ are checked, thousands at a time. What has no form in common with many is read by cryptography
entry by entry. Either way each octet of each entry was looked at.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID

from jpki import der, oids
from jpki.der import DerError, Reader, Tag

_REASONS: tuple[x509.ReasonFlags | None, ...] = (
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.key_compromise,
    x509.ReasonFlags.ca_compromise,
    x509.ReasonFlags.affiliation_changed,
    x509.ReasonFlags.superseded,
    x509.ReasonFlags.cessation_of_operation,
    x509.ReasonFlags.certificate_hold,
    None,
    x509.ReasonFlags.remove_from_crl,
    x509.ReasonFlags.privilege_withdrawn,
    x509.ReasonFlags.aa_compromise,
)
"""CRLReason by its number; 7 is not used (RFC 5280 5.3.1)."""
_NUMBERS = {reason: number for number, reason in enumerate(_REASONS) if reason is not None}
_NO_REASON = 255

_MANY = 16
"""So many entries of one size are worth comparing with one another, and so many forms of one size are worth telling."""

_Octets = npt.NDArray[np.uint8]
_Numbers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]
_Mask = npt.NDArray[np.bool_]
_Texts = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list says of one certificate; `reason` is None where it gives none."""

    serial: int
    revoked_at: datetime
    reason: x509.ReasonFlags | None


@dataclass(frozen=True, slots=True)
class _Index:
    """The entries whose serials have one length, in order of serial.

    `serials` are the INTEGERs' contents, `moments` what `_moment` reads, `reasons` the CRLReasons' numbers.
    """

    length: int
    serials: _Texts
    moments: _Words
    reasons: _Octets

    def find(self, content: bytes) -> Entry | None:
        place = int(self.serials.searchsorted(np.array(content, self.serials.dtype)))
        # A text is given without the zeros at its end.
        if place == len(self.serials) or self.serials[place] != content.rstrip(b"\0"):
            return None
        return self.entry(place)

    def entry(self, place: int) -> Entry:
        number = int(self.reasons[place])
        return Entry(
            serial=_number(self.serials[place], self.length),
            revoked_at=_moment(self.moments[place].tobytes()),
            reason=None if number == _NO_REASON else _REASONS[number],
        )


class EntryIndex:
    """The entries of one list, found by serial; none of the list's octets are needed any more.

    `understood` is False where a single entry has a critical extension that is not known here, which forbids the
    whole list (RFC 5280 5.3), or names another issuer (5.3.3).
    """

    def __init__(self, indexes: Sequence[_Index], *, understood: bool) -> None:
        self._indexes = {each.length: each for each in indexes}
        self.understood = understood

    def __len__(self) -> int:
        return sum(len(each.reasons) for each in self._indexes.values())

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries: shorter serials first, each in its order."""
        for _, index in sorted(self._indexes.items()):
            yield from map(index.entry, range(len(index.reasons)))

    def find(self, serial: int) -> Entry | None:
        """Return the entry of a serial, None where it is not listed; of several the first in the list."""
        content = _content(serial)
        index = self._indexes.get(len(content))
        return None if index is None else index.find(content)

    def reasons(self) -> dict[x509.ReasonFlags | None, int]:
        """Count the entries by reason, None where they give none; reasons that no entry gives are left out."""
        counted: Counter[int] = Counter()
        for each in self._indexes.values():
            numbers = np.bincount(each.reasons)
            counted.update({number: int(count) for number, count in enumerate(numbers) if count})
        return {None if number == _NO_REASON else _REASONS[number]: counted[number] for number in sorted(counted)}


class EntryReader:
    """Takes a revokedCertificates' content in blocks and makes the `EntryIndex` of it."""

    def __init__(self) -> None:
        self._found: defaultdict[int, list[_Found]] = defaultdict(list)
        self._blocks = _Blocks()

    def take(self, block: bytes) -> int:
        """Read all entries that are whole in `block`, which begins with one; return how many octets they have.

        Raises:
            crl.outline.UNREADABLE: these are no entries.
        """
        octets, found = self._blocks.read(block)
        for length, each in found.items():
            self._found[length].append(each)
        return octets

    def entries(self) -> EntryIndex:
        """Return all that was taken."""
        indexes = [_indexed(length, found) for length, found in self._found.items()]
        return EntryIndex(indexes, understood=self._blocks.understood)


class OrderedEntries:
    """Takes the same, requires that each serial is greater than the one before it, and keeps none."""

    def __init__(self) -> None:
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None
        self._blocks = _Blocks()

    @property
    def understood(self) -> bool:
        """Whether nothing in the entries forbids the list; as `EntryIndex` has it."""
        return self._blocks.understood

    def take(self, block: bytes) -> int:
        """Read all entries that are whole in `block`; else as `EntryReader.take`.

        Raises:
            crl.outline.UNREADABLE: these are no entries, or not in order of serial.
        """
        octets, found = self._blocks.read(block)
        if found:
            first, last = _ends(found)
            if self.last is not None and first <= self.last:
                raise DerError("entries are not in order")
            self.first, self.last = first if self.first is None else self.first, last
            self.count += sum(len(each.places) for each in found.values())
        return octets


def _ends(found: "Mapping[int, _Found]") -> tuple[int, int]:
    """Return the first and the last serial of a block, in which all are in order.

    Raises:
        DerError: they are not.
    """
    if len(found) == 1:
        ((length, alike),) = found.items()
        serials = alike.serials
        # A positive number's octets compare as it does; a serial that others gave may be negative.
        if not (serials[1:] > serials[:-1]).all() or serials[-1] >= b"\x80":
            raise DerError("entries are not in order")
        return _number(serials[0], length), _number(serials[-1], length)
    places = np.concatenate([each.places for each in found.values()])
    numbers = [_number(serial, length) for length, each in found.items() for serial in each.serials]
    ordered = [numbers[place] for place in np.argsort(places)]
    if any(later <= earlier for earlier, later in pairwise(ordered)):
        raise DerError("entries are not in order")
    return ordered[0], ordered[-1]


def _number(content: bytes, length: int) -> int:
    """Return the serial of an INTEGER's content, given without the zeros at its end."""
    return int.from_bytes(content.ljust(length, b"\0"), signed=True)


class _Blocks:
    """Reads blocks of entries; `understood` is as `EntryIndex` has it, of all that was read."""

    def __init__(self) -> None:
        self.understood = True
        self._forms: defaultdict[int, list[_Form]] = defaultdict(list)

    def read(self, block: bytes) -> "tuple[int, Mapping[int, _Found]]":
        """Return how many octets the entries have that are whole in a block, and these by their serials' lengths."""
        found: list[_Found] = []
        at = 0
        while (sized := _next_run(block, at)) is not None:
            at = sized.end
            for rows, places in sized.rows(block):
                found += self._read(rows, places)
        lengths = {each.serials.itemsize for each in found}
        return at, {
            length: _in_order([each for each in found if each.serials.itemsize == length]) for length in lengths
        }

    def _read(self, rows: _Octets, places: _Numbers) -> "Iterator[_Found]":
        """Read entries of one size, each a row; forms that came before are tried first."""
        forms = self._forms[rows.shape[1]]
        for number in range(_MANY):
            if number == len(forms):
                if len(rows) < _MANY:
                    break
                forms.append(_form_of(rows[0].tobytes()))
                self.understood &= forms[number].is_understood
            alike = forms[number].fits(rows)
            if alike.all():
                yield forms[number].read(rows, places)
                return
            if alike.any():
                yield forms[number].read(rows[alike], places[alike])
                rows, places = rows[~alike], places[~alike]
        entries = list(_parsed(rows.tobytes()))
        self.understood &= all(map(_is_understood, entries))
        yield from _found_by_cryptography(entries, places)


@dataclass(frozen=True, slots=True)
class _Found:
    """Entries with serials of one length: where in the block each begins, and what it says; see `_Index`."""

    places: _Numbers
    serials: _Texts
    moments: _Words
    reasons: _Octets


def _in_order(found: Sequence[_Found]) -> _Found:
    """Return as one what was found of a block, in the order of the block."""
    if len(found) == 1:
        return found[0]
    places = np.concatenate([each.places for each in found])
    order = np.argsort(places, kind="stable")
    return _Found(
        places[order],
        np.concatenate([each.serials for each in found])[order],
        np.concatenate([each.moments for each in found])[order],
        np.concatenate([each.reasons for each in found])[order],
    )


def _indexed(length: int, found: Sequence[_Found]) -> _Index:
    serials = np.concatenate([each.serials for each in found])
    moments = np.concatenate([each.moments for each in found])
    reasons = np.concatenate([each.reasons for each in found])
    # Texts of one width compare octet by octet, so that those which end in zeros are told apart.
    if (serials[1:] < serials[:-1]).any():
        order = np.argsort(serials, kind="stable")
        serials, moments, reasons = serials[order], moments[order], reasons[order]
    return _Index(length, serials, moments, reasons)


def _content(serial: int) -> bytes:
    """Return an INTEGER's content; a serial may be negative where others gave it (RFC 5280 4.1.2.2)."""
    magnitude = serial if serial >= 0 else ~serial
    return serial.to_bytes(magnitude.bit_length() // 8 + 1, signed=True)


# --- where entries begin and end -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Alike:
    """So many entries of one size one after another."""

    start: int
    size: int
    count: int

    @property
    def end(self) -> int:
        return self.start + self.size * self.count

    def rows(self, block: bytes) -> "Iterator[tuple[_Octets, _Numbers]]":
        octets = np.frombuffer(block, np.uint8)[self.start : self.end]
        yield octets.reshape(self.count, self.size), self.start + self.size * np.arange(self.count)


@dataclass(frozen=True, slots=True)
class _Mixed:
    """Entries of any sizes one after another, by where they begin."""

    starts: _Numbers
    end: int

    def rows(self, block: bytes) -> "Iterator[tuple[_Octets, _Numbers]]":
        sizes = np.diff(self.starts, append=self.end)
        for size in np.flatnonzero(np.bincount(sizes)):
            begin = self.starts[sizes == size]
            at_each_octet: npt.NDArray[np.void] = np.ndarray((len(block) - size + 1,), f"V{size}", block, 0, (1,))
            yield at_each_octet[begin].view(np.uint8).reshape(-1, size), begin


_LONG_RUN = 512
"""Entries; so many are not looked for one by one."""
_MIXED_RUN = 1 << 19
"""Octets; after so many a long run may follow."""


def _next_run(block: bytes, at: int) -> _Alike | _Mixed | None:
    """Return the next entries that are whole in the block, None where none is."""
    size = _size_at(block, at)
    if size is None or at + size > len(block):
        return None
    rows = np.frombuffer(block, np.uint8)[at : at + (len(block) - at) // size * size].reshape(-1, size)
    same = _same(rows, 0) & _same(rows, _header_size(size) - 2)
    count = len(rows) if same.all() else int(same.argmin())
    if count >= _LONG_RUN or count == len(rows):
        return _Alike(at, size, count)
    return _short_ones(block, at) or _Mixed(np.array([at], np.int64), at + size)


def _short_ones(block: bytes, at: int) -> _Mixed | None:
    """Return the entries from `at` on whose lengths have one octet; None where the first is none of those.

    An entry begins as a SEQUENCE whose first element is an INTEGER. What looks like that within an entry, as a
    serial may, is none: the entry before reaches beyond it.
    """
    octets = np.frombuffer(block, np.uint8)[at : at + _MIXED_RUN]
    # With a plain int numpy compares octets as octets.
    likely = np.flatnonzero(
        (octets[:-2] == int(Tag.SEQUENCE)) & (octets[1:-1] < 0x80) & (octets[2:] == int(Tag.INTEGER))
    )
    ends = likely + octets[likely + 1] + 2
    likely, ends = likely[ends <= len(octets)], ends[ends <= len(octets)]
    if not len(likely) or likely[0]:
        return None
    are_entries, last = np.ones(len(likely), np.bool_), 0
    for each in np.flatnonzero(ends[:-1] != likely[1:]):
        if each < last:
            continue
        last = int(likely.searchsorted(ends[each]))
        are_entries[each + 1 : last] = False
        if last == len(likely) or likely[last] != ends[each]:
            are_entries[last:] = False
            break
    return _Mixed(likely[are_entries] + at, at + int(ends[are_entries][-1]))


def _same(rows: _Octets, at: int) -> _Mask:
    """Tell which rows hold the same two octets at an offset as the first."""
    column = _column(rows, at, "<u2")
    same: _Mask = column == column[0]
    return same


_LONGEST_HEADER = 4


def _header_size(size: int) -> int:
    return 2 if size < 0x82 else 3 if size < 0x103 else 4


def _size_at(block: bytes, at: int) -> int | None:
    """Return the size of the entry that begins there, header included; None where the block ends too soon to tell."""
    header = block[at : at + _LONGEST_HEADER]
    if not header:
        return None
    if header[0] != Tag.SEQUENCE:
        raise DerError("an entry is no SEQUENCE")
    if len(header) < _LONGEST_HEADER:
        return None  # No entry is that short.
    if header[1] < 0x80:
        return 2 + header[1]
    if header[1] == 0x81 and header[2] >= 0x80:
        return 3 + header[2]
    if header[1] == 0x82 and header[2]:
        return 4 + int.from_bytes(header[2:])
    raise DerError("an entry's length is not minimal, or beyond all measure")


# --- one entry, by cryptography --------------------------------------------------------------------------------

_ALGORITHM = der.sequence(der.object_identifier(oids.ECDSA_SHA256))
_BEFORE = der.integer(1), _ALGORITHM, der.sequence(), der.time(datetime(2000, 1, 1, tzinfo=UTC))
_AFTER = _ALGORITHM, der.bit_string(b"")


def _parsed(entries: bytes) -> Iterator[x509.RevokedCertificate]:
    """Yield these entries as cryptography reads them in a list of their own, extensions included."""
    alone = der.sequence(der.sequence(*_BEFORE, der.sequence(entries)), *_AFTER)
    yield from x509.load_der_x509_crl(alone)


def _is_understood(entry: x509.RevokedCertificate) -> bool:
    return all(
        each.oid == CRLEntryExtensionOID.CRL_REASON
        or not (each.critical or each.oid == CRLEntryExtensionOID.CERTIFICATE_ISSUER)
        for each in entry.extensions
    )


def _found_by_cryptography(entries: Sequence[x509.RevokedCertificate], places: _Numbers) -> Iterator[_Found]:
    contents = [_content(each.serial_number) for each in entries]
    lengths = np.array([len(each) for each in contents], np.int64)
    moments = np.array([_packed(each.revocation_date_utc) for each in entries], np.uint64)
    reasons = np.array([_reason_number(each) for each in entries], np.uint8)
    for length in set(lengths.tolist()):
        of_this = lengths == length
        serials = np.array([each for each in contents if len(each) == length], f"S{length}")
        yield _Found(places[of_this], serials, moments[of_this], reasons[of_this])


def _reason_number(entry: x509.RevokedCertificate) -> int:
    return next(
        (_NUMBERS[each.value.reason] for each in entry.extensions if isinstance(each.value, x509.CRLReason)),
        _NO_REASON,
    )


# --- many entries of one form ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Form:
    """What entries of one form have in common, and where they may differ.

    `words` are the octets in common, eight by eight, with the mask of those that count; `times` where the digits of
    each time begin, the revocationDate's first, and whether its year has four.
    """

    words: Sequence[tuple[int, np.uint64, np.uint64]]
    serial: slice
    times: Sequence[tuple[int, bool]]
    reason: int | None
    is_understood: bool

    def fits(self, rows: _Octets) -> _Mask:
        """Tell which rows are of this form."""
        fit = np.ones(len(rows), np.bool_)
        for at, mask, word in self.words:
            fit &= _column(rows, at, "<u8") & mask == word
        return fit

    def read(self, rows: _Octets, places: _Numbers) -> _Found:
        """Return what rows of this form say.

        Raises:
            DerError: a serial, a time or a reason is none.
        """
        length = self.serial.stop - self.serial.start
        if length > 1:
            nine_bits = _column(rows, self.serial.start, ">i2") >> 7
            if ((nine_bits == 0) | (nine_bits == -1)).any():
                raise DerError("a serial is not minimal")
        moments, *_ = [_moments(rows, at, has_century=has_century) for at, has_century in self.times]
        if self.reason is None:
            reasons = np.full(len(rows), _NO_REASON, np.uint8)
        else:
            reasons = rows[:, self.reason].copy()
            if ((reasons >= len(_REASONS)) | (reasons == _REASONS.index(None))).any():
                raise DerError("a reason is unknown")
        return _Found(places, _column(rows, self.serial.start, f"S{length}").copy(), moments, reasons)


def _form_of(entry: bytes) -> _Form:
    """Return the form of an entry, which cryptography reads too.

    The value of an extension that is not known here is free: nothing is made of it. That of a certificateIssuer is
    too, for the list has no say.
    """
    (parsed,) = _parsed(entry)
    size = len(entry)
    fields = Reader(Reader(entry).read(Tag.SEQUENCE))
    serial = fields.read(Tag.INTEGER)
    end_of_serial = size - len(fields.rest())
    has_century = fields.peek() == Tag.GENERALIZED_TIME
    time = fields.read(Tag.GENERALIZED_TIME if has_century else Tag.UTC_TIME)
    times = [(size - len(fields.rest()) - len(time), has_century)]
    reason = None
    free = [slice(end_of_serial - len(serial), end_of_serial), slice(times[0][0], times[0][0] + len(time) - 1)]
    extensions = Reader(fields.read_optional(Tag.SEQUENCE) or b"")
    while extensions.peek() is not None:
        extension = Reader(extensions.read(Tag.SEQUENCE))
        identifier = extension.read_element(Tag.OBJECT_IDENTIFIER)
        extension.read_optional(Tag.BOOLEAN)
        value, end = extension.read(Tag.OCTET_STRING), size - len(extensions.rest())
        if identifier == _CRL_REASON:
            reason = end - 1
            free.append(slice(reason, end))
        elif identifier == _INVALIDITY_DATE:
            times.append((end - _GENERALIZED, True))
            free.append(slice(end - _GENERALIZED, end - 1))
        else:
            free.append(slice(end - len(value), end))
    return _Form(_common(entry, free), free[0], times, reason, _is_understood(parsed))


_CRL_REASON = der.object_identifier(oids.CRL_REASON)
_INVALIDITY_DATE = der.object_identifier(CRLEntryExtensionOID.INVALIDITY_DATE.dotted_string)
_GENERALIZED = len("YYYYMMDDhhmmssZ")


def _common(entry: bytes, free: Sequence[slice]) -> Sequence[tuple[int, np.uint64, np.uint64]]:
    """Return an entry's octets but the free ones; the last word overlaps the one before."""
    mask = bytearray(b"\xff" * len(entry))
    for each in free:
        mask[each] = bytes(each.stop - each.start)
    words = []
    for at in [*range(0, len(entry) - 8, 8), len(entry) - 8]:
        counts = int.from_bytes(mask[at : at + 8], "little")
        if counts:
            words.append((at, np.uint64(counts), np.uint64(counts & int.from_bytes(entry[at : at + 8], "little"))))
    return words


def _column(rows: _Octets, at: int, kind: str) -> npt.NDArray[Any]:
    """Return what each row holds at an offset, as numbers or texts of numpy's type `kind`, without copying."""
    column: npt.NDArray[Any] = np.ndarray((len(rows),), kind, rows, at, (rows.shape[1],))
    return column


def _moments(rows: _Octets, at: int, *, has_century: bool) -> _Words:
    """Return the times of which the digits begin at an offset (RFC 5280 4.1.2.5), each as `_moment` has it.

    Raises:
        DerError: one is no time.
    """
    after_century = at + 2 if has_century else at
    date, time = _pairs(rows, after_century, "<u8"), _pairs(rows, after_century + 8, "<u4")
    year, month, day, hour = date.T
    century = _pairs(rows, at, "<u2")[:, 0] if has_century else np.where(year < 50, np.uint8(20), np.uint8(19))
    days = month.astype(np.int64) * 100 + day
    if not _DAYS[days].all() or (hour > 23).any() or (time > 59).any():
        raise DerError("a time is none")
    if (in_leap_years := days == _LEAP_DAY).any():
        years = century[in_leap_years].astype(np.int64) * 100 + year[in_leap_years]
        if not (((years % 4 == 0) & (years % 100 != 0)) | (years % 400 == 0)).all():
            raise DerError("a time is none")
    if ((century == 0) & (year == 0)).any():
        raise DerError("a time is none")
    moments = np.zeros((len(rows), 8), np.uint8)
    moments[:, 0], moments[:, 1:5], moments[:, 5:7] = century, date, time
    return moments.view("<u8")[:, 0]


_LEAP_DAY = 229
_DAYS = np.zeros(10_000, np.bool_)
"""Whether month and day, as MMDD, are a day of a leap year."""
for _month, _days in enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1):
    _DAYS[_month * 100 + 1 : _month * 100 + _days + 1] = True


def _pairs(rows: _Octets, at: int, kind: str) -> _Octets:
    """Return the numbers that pairs of digits are, of each row those in the word of numpy's type `kind`.

    Raises:
        DerError: there is something else than digits.
    """
    words = _column(rows, at, kind).astype(kind)
    each = words.dtype.type(int.from_bytes(b"\x01" * words.itemsize))
    digits = words & (each * 0x0F)
    # Of all that has a digit's upper half, : to ? are none.
    if ((words ^ digits != each * 0x30) | ((digits + each * 0x06) & (each * 0x10) != 0)).any():
        raise DerError("a time holds something else than digits")
    # The first of a pair is the lower octet; ten times it does not carry into the next.
    pairs = digits * words.dtype.type(10) + (digits >> words.dtype.type(8))
    octets: _Octets = pairs.view(np.uint8).reshape(len(rows), -1)
    return octets[:, ::2]


def _moment(packed: bytes) -> datetime:
    """Return a time from century, year, month, day, hour, minute and second, an octet each, and one of zero."""
    century, year, *others, _ = packed
    month, day, hour, minute, second = others
    return datetime(century * 100 + year, month, day, hour, minute, second, tzinfo=UTC)


def _packed(moment: datetime) -> int:
    """Return what `_moment` reads, as a little-endian number."""
    century, year = divmod(moment.year, 100)
    parts = (century, year, moment.month, moment.day, moment.hour, moment.minute, moment.second, 0)
    return int.from_bytes(bytes(parts), "little")
