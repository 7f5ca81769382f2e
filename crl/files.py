"""Lists on disk: numbered files in the archive, and the stable names that the world reads.

A stable name is a hard link to the numbered file of the current list, so two `stat` calls tell whether it is
current, and it goes from one whole list to the next in one step.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, BinaryIO

from crl.outline import UNREADABLE, number_of, outline
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import PartitionId
from jpki.text import Text

_READABLE = 0o644
WAITING = ".*.crl.*"
"""The form of the names of files that wait to be published."""


@dataclass(frozen=True, slots=True)
class ListFiles:
    """The files of one list: a numbered one for each publication and a stable one, both for each live generation."""

    home: Path
    partition: PartitionId
    generations: Sequence[Generation]

    def numbered(self, generation: Generation, number: int) -> Path:
        """Return the path of one publication, for ever."""
        return self.home / "crl-archive" / generation.purpose / generation.id / f"{self.partition}-{number}.crl"

    def stable(self, generation: Generation) -> Path:
        """Return the path that the door `crl` serves."""
        return self.home / "crl" / generation.purpose / generation.id / f"{self.partition}.crl"

    def landed(self, number: int) -> bool:
        """Tell whether publication `number` has all its numbered files."""
        return all(self.numbered(each, number).exists() for each in self.generations)

    def stand(self, number: int) -> bool:
        """Tell whether every stable name is that of publication `number`."""
        return all(_same_file(self.numbered(each, number), self.stable(each)) for each in self.generations)

    def show(self, number: int) -> bool:
        """Tell whether every stable name shows publication `number` or a later one, wherever its file came from."""
        return self.stand(number) or all(_published_number(self.stable(each)) >= number for each in self.generations)

    def next_number(self, last: int) -> int:
        """Return the next number above `last`, above all that the world can read, and with nothing in the archive.

        After a restore of the store the files may be ahead of it (rule R11). Where a stable name is gone the whole
        archive is looked through, for it has gaps.
        """
        published = [_published_number(self.stable(each)) for each in self.generations]
        archived = [number for each in self.generations if not all(published) for number in self._archived(each)]
        number = max(last, *published, *archived) + 1
        while any(self.numbered(each, number).exists() for each in self.generations):
            number += 1
        return number

    def _archived(self, generation: Generation) -> Iterator[int]:
        begin, end = f"{self.partition}-", ".crl"
        for path in self.numbered(generation, 0).parent.glob(f"{begin}*{end}"):
            number = path.name.removeprefix(begin).removesuffix(end)
            if number.isdecimal():
                yield int(number)

    def link(self, number: int) -> None:
        """Give publication `number` the stable names that bear no higher one; the caller holds the lock.

        Raises:
            JpkiError: UNAVAILABLE `crl-unwritable`.
        """
        for each in self.generations:
            numbered, stable = self.numbered(each, number), self.stable(each)
            if _same_file(numbered, stable) or not numbered.exists():
                continue
            if _published_number(stable) <= number:
                _link(numbered, stable)


@contextmanager
def disk() -> Iterator[None]:
    """Turn the disk's refusals into ours.

    Raises:
        JpkiError: UNAVAILABLE `crl-unwritable`.
    """
    try:
        yield
    except OSError as error:
        raise JpkiError(
            Kind.UNAVAILABLE,
            "crl-unwritable",
            Text(
                f"失効リストを書き込めません（{error.strerror}）。公開済みのリストは変わっていません。",
                f"The list could not be written ({error.strerror}); the published one is unchanged.",
            ),
            Text(
                "ディスクの空きと権限を確認し、再度発行してください。",
                "Check the disk's free space and permissions, then publish again.",
            ),
        ) from error


@contextmanager
def nameless(home: Path) -> Iterator[BinaryIO]:
    """Yield a file on the archive's disk that nobody can find, and that is gone when the block ends, or the process.

    Raises:
        JpkiError: UNAVAILABLE `crl-unwritable`.
    """
    with ExitStack() as open_file:
        with disk():
            archive = home / "crl-archive"
            archive.mkdir(parents=True, exist_ok=True)
            file = open_file.enter_context(TemporaryFile(dir=archive))
        yield file


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Keep all others from linking; the lock ends with its process, however that ends.

    Raises:
        JpkiError: UNAVAILABLE `crl-unwritable`.
    """
    with disk():
        path = home / "crl-archive" / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("wb")
    with lock:
        with disk():
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def staged(contents: Iterable[tuple[Path, Iterable[bytes]]]) -> Iterator[Mapping[Path, Path]]:
    """Write each content, block by block, beside its target, flushed, and yield where it waits, by target.

    The waiting files have names of their own, so that two publishers of one number never meet. They are locked as long
    as they wait, so that others can tell them from what the dead left. What has not landed at the end is removed.

    Raises:
        JpkiError: UNAVAILABLE `crl-unwritable`.
    """
    waiting: dict[Path, Path] = {}
    with ExitStack() as locks:
        try:
            for target, content in contents:
                with disk():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    file = locks.enter_context(_new_file_beside(target))
                    waiting[target] = Path(file.name)
                    fcntl.flock(file, fcntl.LOCK_EX)
                    _write(file, content)
            yield waiting
        finally:
            for path in waiting.values():
                path.unlink(missing_ok=True)


def land(waiting: Mapping[Path, Path]) -> None:
    """Give each waiting file the name of its target, flushed.

    Raises:
        JpkiError: UNAVAILABLE `crl-unwritable`.
    """
    with disk():
        for target, path in waiting.items():
            path.replace(target)
            _flush_directory(target.parent)


def _new_file_beside(target: Path) -> IO[bytes]:
    """Return a new file that is closed at its end, but not removed."""
    return NamedTemporaryFile(prefix=f".{target.name}.", dir=target.parent, delete=False)


def _write(file: IO[bytes], content: Iterable[bytes]) -> None:
    os.fchmod(file.fileno(), _READABLE)
    file.writelines(content)
    file.flush()
    os.fsync(file.fileno())


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(numbered: Path, stable: Path) -> None:
    with disk():
        stable.parent.mkdir(parents=True, exist_ok=True)
        new = stable.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.hardlink_to(numbered)
        new.replace(stable)
        _flush_directory(stable.parent)


def _same_file(numbered: Path, stable: Path) -> bool:
    try:
        return numbered.samefile(stable)
    except OSError:
        return False


def _published_number(stable: Path) -> int:
    try:
        with stable.open("rb", buffering=0) as file:
            return number_of(outline(file).head)
    except (OSError, *UNREADABLE):
        return 0
