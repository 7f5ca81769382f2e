"""The file of a backup: a ZIP whose every part is in a signed manifest. It appears whole or not at all."""

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import mkstemp
from types import TracebackType
from typing import Self
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from cryptography import x509

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.audit.trust import Trust
from server.backup.manifest import Manifest, Part, Signature, decoded, signature_in

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
_LARGEST_MANIFEST = 1 << 26
_BLOCK = 1 << 20
_DAMAGED = (BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError)
"""What reading a damaged ZIP raises."""
_NOT_OURS = (ValueError, KeyError, TypeError, AttributeError, RecursionError, x509.InvalidVersion, *_DAMAGED)
"""What reading a manifest or a signature raises that is none."""


class ArchiveWriter:
    """Writes parts one after another, and knows what it wrote."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self.parts: dict[str, Part] = {}

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write one part."""
        digest, size = sha256(), 0
        with self._archive.open(name, "w", force_zip64=True) as stream:
            for chunk in chunks:
                digest.update(chunk)
                size += stream.write(chunk)
        self.parts[name] = Part(size, digest.hexdigest())

    def seal(self, manifest: Manifest, signature: Signature) -> None:
        """Write the manifest and its signature, last."""
        self._archive.writestr(MANIFEST, manifest.encoded())
        self._archive.writestr(SIGNATURE, signature.encoded())


@contextmanager
def writing(file: Path) -> Iterator[ArchiveWriter]:
    """Write a new file under a name that nobody takes for it; when the block ends it is flushed and gets its name.

    Raises:
        JpkiError: CONFLICT `file-exists`, also when it came into being meanwhile; UNPROCESSABLE `file-unwritable`.
    """
    if file.exists():
        raise _exists(file)
    try:
        # mkstemp makes it for its owner only.
        descriptor, name = mkstemp(prefix=f".{file.name}.", dir=file.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
                    yield ArchiveWriter(archive)
                stream.flush()
                os.fsync(stream.fileno())
            file.hardlink_to(temporary)
        finally:
            temporary.unlink()
        _flush(file.parent)
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "file-unwritable",
            Text(f"{file} に書き込めません（{error.strerror}）。", f"{file} cannot be written ({error.strerror})."),
            Text("書き込める出力先を指定してください。", "Name a place that you may write."),
        ) from error


class Archive:
    """A backup's file, open for reading."""

    def __init__(self, file: Path) -> None:
        """Open the file.

        Raises:
            JpkiError: UNPROCESSABLE `backup-damaged` when it is no ZIP, or cut off.
        """
        try:
            self._archive = ZipFile(file)
        except _DAMAGED as error:
            raise damaged(file.name) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def manifest(self) -> Manifest:
        """Return the manifest.

        Raises:
            JpkiError: UNPROCESSABLE `backup-damaged`.
        """
        try:
            return decoded(self._small(MANIFEST))
        except _NOT_OURS as error:
            raise damaged(MANIFEST) from error

    def first_bad(self, trust: Trust | None) -> str | None:
        """Return the name of the first part that is missing, altered, too much, or not signed; None if all is well.

        Without `trust` anybody's key will do: then the file is whole, but not known to be the authority's.
        """
        try:
            manifest = decoded(self._small(MANIFEST))
        except _NOT_OURS:
            return MANIFEST
        try:
            if not signature_in(self._small(SIGNATURE)).is_good(manifest, trust):
                return SIGNATURE
        except _NOT_OURS:
            return SIGNATURE
        bad = (name for name, part in manifest.parts.items() if self._part(name) != part)
        once = Counter([*manifest.parts, MANIFEST, SIGNATURE])
        too_much = Counter(self._archive.namelist()) - once
        return next(bad, None) or next(iter(too_much), None)

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a part's lines."""
        with self._archive.open(name) as stream:
            yield from stream

    def octets(self, name: str) -> bytes:
        """Return a part's octets."""
        return self._archive.read(name)

    def _part(self, name: str) -> Part | None:
        digest, size = sha256(), 0
        try:
            with self._archive.open(name) as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
        except (KeyError, *_DAMAGED):
            return None
        return Part(size, digest.hexdigest())

    def _small(self, name: str) -> bytes:
        with self._archive.open(name) as stream:
            return stream.read(_LARGEST_MANIFEST)


def _exists(file: Path) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "file-exists",
        Text(f"{file} は既にあります。", f"{file} exists already."),
        Text("別の出力先を指定してください。何も上書きしていません。", "Name another; nothing was overwritten."),
    )


def damaged(part: str) -> JpkiError:
    """Return our error for a backup of which a part is not what was written."""
    return JpkiError(
        Kind.UNPROCESSABLE,
        "backup-damaged",
        Text(f"バックアップの {part} が破損又は改ざんされています。", f"{part} of the backup is damaged or altered."),
        Text("別の写しを使ってください。", "Use another copy of the backup."),
    )


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
