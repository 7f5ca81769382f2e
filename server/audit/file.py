"""A log, or an anchor of heads alone, in a file that only grows."""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.audit.chain import Record
from server.audit.lines import from_line, to_line
from server.audit.position import Position, position_after

_BLOCK = 1 << 16


def read_lines(file: Path) -> Iterator[bytes]:
    """Return the file's lines as they are.

    Raises:
        JpkiError: UNPROCESSABLE `file-unreadable`.
    """
    try:
        with file.open("rb") as stream:
            yield from stream
    except OSError as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "file-unreadable",
            Text(f"{file} を読めません（{error.strerror}）。", f"{file} cannot be read ({error.strerror})."),
            Text("ファイルと権限を確認してください。", "Check the file and its permissions."),
        ) from error


def append(file: Path, more: Callable[[Position], Iterable[Record]]) -> int:
    """Add to the file what comes after its end, flushed; return how many records that were.

    Of several that append at once each waits for the one before. What could not be written whole is taken back.

    Raises:
        JpkiError: UNAVAILABLE `audit-log-unwritable`; CONFLICT `audit-log-unreadable` when the file's end is no log.
    """
    with _translated(file), _opened(file) as stream:
        position = _end_of(stream, file)
        start = stream.seek(0, os.SEEK_END)
        try:
            count = _write(stream, more(position))
        except BaseException:
            os.ftruncate(stream.fileno(), start)
            raise
    return count


@contextmanager
def _opened(file: Path) -> Iterator[FileIO]:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    # Not buffered: after a write that failed, closing must not write the rest.
    with FileIO(descriptor, "r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


def _write(stream: FileIO, records: Iterable[Record]) -> int:
    count, waiting = 0, bytearray()
    for record in records:
        waiting += to_line(record)
        count += 1
        if len(waiting) >= _BLOCK:
            _write_all(stream, waiting)
            waiting = bytearray()
    _write_all(stream, waiting)
    os.fsync(stream.fileno())
    return count


def _write_all(stream: FileIO, octets: bytearray) -> None:
    view = memoryview(octets)
    while view:
        view = view[stream.write(view) :]


def _end_of(stream: FileIO, file: Path) -> Position:
    """Return where the log ends, reading back from its end; what a power cut left half-written there is cut off."""
    size, block = stream.seek(0, os.SEEK_END), _BLOCK
    while True:
        begin = max(0, size - block)
        stream.seek(begin)
        octets = stream.read(size - begin)
        end = octets.rfind(b"\n") + 1
        if begin == 0 and octets and not end:
            raise _unreadable(file)
        lines = octets[:end].splitlines(keepends=True)[1 if begin else 0 :]
        position = position_after([_read(line, file) for line in lines], whole=begin == 0)
        if position is not None:
            if end < len(octets):
                os.ftruncate(stream.fileno(), begin + end)
            return position
        block *= 4


def _read(line: bytes, file: Path) -> Record:
    record = from_line(line)
    if record is None:
        raise _unreadable(file)
    return record


@contextmanager
def _translated(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise JpkiError(
            Kind.UNAVAILABLE,
            "audit-log-unwritable",
            Text(f"{file} に書き込めません（{error.strerror}）。", f"{file} cannot be written ({error.strerror})."),
            Text("置き場所・空き・権限を確認してください。", "Check the place, its free space and permissions."),
        ) from error


def _unreadable(file: Path) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "audit-log-unreadable",
        Text(f"{file} の末尾は監査記録ではありません。", f"The end of {file} is no audit log, or was changed."),
        Text(
            "jpki audit verify で確認し、新しいファイルに書き出してください。",
            "Check it with `jpki audit verify`, and export to a new file.",
        ),
    )
