"""Keeping the archive of numbered lists small: what stays, and what publishers that died left behind.

Every list stays for two days, as long as the longest promise of any; then the last of each day in Japan for a month,
and then the last of each month for ever. The newest of each list always stays, and whatever bears a stable name:
what is published next builds on those.
"""

import fcntl
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from crl.files import WAITING, disk
from jpki.clock import Clock, day_in_japan

_EVERY, _DAILY = timedelta(days=2), timedelta(days=31)
_ABANDONED = timedelta(hours=1)
"""A waiting file so old that nobody has just made it, and is about to lock it."""
_PERIOD = timedelta(hours=1)
_NUMBERED = re.compile(r"(?P<list>[^.].*)-(?P<number>[0-9]+)\.crl")


class _File(NamedTuple):
    number: int
    path: Path
    written: datetime
    is_published: bool


@dataclass(slots=True)
class Archive:
    """The archive below `home`, which is this node's own or shared with others; any number of processes may tidy it."""

    home: Path
    clock: Clock
    _tidied: datetime | None = None

    def tidy(self) -> None:
        """Remove what is kept no longer and what the dead left, once an hour in a process.

        Raises:
            JpkiError: UNAVAILABLE `crl-unwritable`.
        """
        now = self.clock()
        if self._tidied is None or not timedelta() <= now - self._tidied < _PERIOD:
            with disk():
                for directory in (self.home / "crl-archive").glob("*/*/"):
                    _sweep(directory, now)
                    _thin(directory, now)
            self._tidied = now


def _thin(directory: Path, now: datetime) -> None:
    for files in _lists_in(directory).values():
        for each in _no_longer_kept(files, now):
            each.path.unlink(missing_ok=True)


def _lists_in(directory: Path) -> dict[str, list[_File]]:
    lists: defaultdict[str, list[_File]] = defaultdict(list)
    with os.scandir(directory) as entries:
        for entry in entries:
            match = _NUMBERED.fullmatch(entry.name)
            if match is not None and (stat := _stat(entry)) is not None:
                written = datetime.fromtimestamp(stat.st_mtime, UTC)
                file = _File(int(match["number"]), Path(entry.path), written, stat.st_nlink > 1)
                lists[match["list"]].append(file)
    return lists


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what the disk says of a file, None where another process removed it."""
    try:
        return entry.stat()
    except FileNotFoundError:
        return None


def _no_longer_kept(files: Sequence[_File], now: datetime) -> Iterator[_File]:
    """Yield the files of one list that are not kept; the later number is the later list, whatever the clock said.

    The newest is always the last of its day and month.
    """
    days, months = set(), set()
    for each in sorted(files, reverse=True):
        day = day_in_japan(each.written)
        month, age = (day.year, day.month), now - each.written
        is_last = month not in months if age > _DAILY else day not in days
        if not (each.is_published or age <= _EVERY or is_last):
            yield each
        days.add(day)
        months.add(month)


def _sweep(directory: Path, now: datetime) -> None:
    """Remove waiting files of publishers that died: a living one, on whatever node, has its own locked."""
    for path in directory.glob(WAITING):
        try:
            if now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > _ABANDONED:
                with path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue
