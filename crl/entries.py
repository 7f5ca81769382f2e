"""The entries of a list on their way: encoded once, kept in a nameless file until every generation has signed them."""

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from crl.builder import encoded
from crl.files import disk
from jpki.ids import SERIAL_OCTETS
from jpki.ports import RevokedLines

_BLOCK = 1 << 20


class Entries:
    """Entries in order of serial; how many there are, and the first and last serial, None where there is none."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin with none; what the file holds is thrown away.

        Raises:
            JpkiError: UNAVAILABLE `crl-unwritable`, as for each method.
        """
        self.count = 0
        self.first: int | None = None
        self.last: int | None = None
        self.octets = 0
        self._file = file
        with disk():
            file.seek(0)
            file.truncate()

    def add(self, lines: RevokedLines) -> None:
        """Encode lines, and add them at the end."""
        ends = int.from_bytes(lines.serials[:SERIAL_OCTETS]), int.from_bytes(lines.serials[-SERIAL_OCTETS:])
        self.copy([encoded(lines)], *ends)
        self.count += len(lines)

    def copy(self, blocks: Iterable[bytes], first: int, last: int) -> None:
        """Add entries that are encoded already, from serial `first` to `last`, at the end; the caller counts them."""
        self.first = first if self.first is None else self.first
        self.last = last
        for block in blocks:
            with disk():
                self._file.write(block)
            self.octets += len(block)

    def blocks(self) -> Iterator[bytes]:
        """Yield the encoded entries."""
        with disk():
            self._file.flush()
        at = 0
        while at < self.octets:
            with disk():
                block = os.pread(self._file.fileno(), _BLOCK, at)
            at += len(block)
            yield block
