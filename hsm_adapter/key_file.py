"""A key's file: made once, never overwritten, for its owner only, and destroyed for good."""

import os
from pathlib import Path

from jpki.errors import JpkiError, Kind
from jpki.text import Text


def write_key(path: Path, sealed: bytes) -> None:
    """Write a new file, flushed to disk with its name; on failure leave none.

    Raises:
        JpkiError: CONFLICT `key-exists`; UNAVAILABLE `key-unwritable`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _fill(descriptor, sealed)
        except BaseException:
            path.unlink()
            raise
        _flush(path.parent)
    except FileExistsError:
        raise JpkiError(
            Kind.CONFLICT,
            "key-exists",
            Text(f"鍵「{path.stem}」は既に存在します。", f"A key named '{path.stem}' exists already."),
            Text("別の名前を使ってください。鍵は上書きされません。", "Use another name; no key is overwritten."),
        ) from None
    except OSError as error:
        raise JpkiError(
            Kind.UNAVAILABLE,
            "key-unwritable",
            Text(f"鍵を保存できません（{error.strerror}）。", f"The key could not be stored ({error.strerror})."),
            Text("ディスクの空きと権限を確認してください。", "Check the disk's free space and permissions."),
        ) from error


def read_key(path: Path) -> bytes:
    """Return the file's octets.

    Raises:
        JpkiError: UNAVAILABLE `key-not-found` (rule R19).
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise not_found(path, error.strerror) from error


def destroy_key(path: Path) -> None:
    """Overwrite the file in place, and take its name away, each flushed to disk.

    What a copying file system or a disk's own wear levelling kept of it is sealed under the passphrase still.

    Raises:
        JpkiError: UNAVAILABLE `key-not-found`.
    """
    try:
        _fill(os.open(path, os.O_WRONLY), bytes(path.stat().st_size))
        path.unlink()
        _flush(path.parent)
    except OSError as error:
        raise not_found(path, error.strerror) from error


def _fill(descriptor: int, octets: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    """Flush a directory, so that what became of a file's name survives a power cut too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_found(path: Path, why: str | None) -> JpkiError:
    """Return our error for a key that is not where it should be: an outage (rule R19)."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "key-not-found",
        Text(f"鍵「{path.stem}」を読めません（{why}）。", f"The key '{path.stem}' cannot be read ({why})."),
        Text(
            "ホームの keys フォルダーを復旧してください。鍵は自動では作り直されません。",
            "Restore the home's keys folder; no key is ever made anew by itself.",
        ),
    )
