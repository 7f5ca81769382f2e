"""Room on disk that is kept for revocations: a file of zeros beside the ledger, given up when the disk is full."""

import errno
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from jpki.errors import JpkiError, Kind
from jpki.text import Text

DISK_FULL = "database-full"
_OCTETS = 8 << 20
"""More than SQLite's log takes before it is written back (4 MB); measured: 1,500 revocations in a row go in."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """The file at `path`. It is whole, or it is not there."""

    path: Path

    def keep(self) -> None:
        """See to it that the reserve is whole.

        Raises:
            JpkiError: UNAVAILABLE `database-full` when there is no room for it.
            OSError: when it cannot be made for another reason.
        """
        if self.path.exists():
            return
        waiting = self.path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            with waiting.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _OCTETS)
            waiting.rename(self.path)
        except OSError as error:
            waiting.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise disk_full() from error
            raise

    def give_up(self) -> bool:
        """Give the room to whoever needs it now; tell whether there was any."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def is_needed(self) -> bool:
        """Tell whether the disk has less room than a transaction may take."""
        try:
            disk = os.statvfs(self.path.parent)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize < _OCTETS // 8


def disk_full() -> JpkiError:
    """Return the error of a ledger whose disk is full."""
    return JpkiError(
        Kind.UNAVAILABLE,
        DISK_FULL,
        Text(
            "ディスクに空きがなく、台帳と監査記録を書けないため、署名しません。失効は受け付けます。",
            "The disk is full: without ledger and audit nothing is signed. Revocations are still taken.",
        ),
        Text("ディスクの空きを作って、やり直してください。", "Make room on the disk, then try again."),
    )
