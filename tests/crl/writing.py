"""Lists written outside of a publication, as one string of octets or as a file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from crl.builder import Edition, encoded, signed_around
from crl.entries import Entries
from jpki.generation import Generation
from jpki.partition import Partition
from jpki.ports import RevokedEntry, RevokedLines
from jpki.signature import PrivateKey


def encode(entries: Sequence[RevokedEntry]) -> bytes:
    return encoded(RevokedLines.of(entries))


def list_of(
    entries: Sequence[RevokedEntry], edition: Edition, generation: Generation, of: Partition | None, key: PrivateKey
) -> bytes:
    octets = encode(entries)
    frame = signed_around([octets[:70], octets[70:]], len(octets), edition, generation, of, key)
    return frame.head + octets + frame.tail


@contextmanager
def spooled(entries: Sequence[RevokedEntry], lines: int = 1000) -> Iterator[Entries]:
    """Entries on their way, as they come in pieces of so many lines."""
    with TemporaryFile() as file:
        spool = Entries(file)
        for at in range(0, len(entries), lines):
            spool.add(RevokedLines.of(entries[at : at + lines]))
        yield spool


def in_file(path: Path, octets: bytes) -> Path:
    path.write_bytes(octets)
    return path
