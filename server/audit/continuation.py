"""What auditors kept of a chain whose store is gone: the log that goes on from a backup's tip, and every head."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.audit.chain import Entry, Signer, Tip
from server.audit.file import read_lines
from server.audit.lines import records
from server.audit.trust import Trust
from server.audit.verify import Fault, Heads, keep_heads, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The longest log that goes on from the backup, None where there is none; heads and signers of all files."""

    log: Path | None
    heads: Heads
    signers: dict[bytes, Signer]

    @property
    def last_head(self) -> int:
        """The number of the newest head that anybody kept, 0 where nobody kept one."""
        return max((number for number, _ in self.heads), default=0)

    def entries(self, after: int) -> Iterator[Entry]:
        """Yield the log's entries with higher numbers."""
        if self.log is not None:
            yield from _entries(self.log, after)


def gather(tip: Tip, logs: Sequence[Path], anchors: Sequence[Path], trust: Trust) -> Evidence:
    """Check what auditors kept, file by file, and choose the log that tells most of what followed `tip`.

    Raises:
        JpkiError: CONFLICT `audit-log-altered`, `audit-log-foreign` or `audit-logs-differ`, naming the file.
    """
    heads: Heads = {}
    signers: dict[bytes, Signer] = {}
    ends: dict[Path, int] = {}
    for file in logs:
        report = verify(records(read_lines(file)), trust, {})
        _require_none(file, report.fault)
        ends[file] = report.entries
    for file in (*logs, *anchors):
        _require_none(file, keep_heads(heads, records(read_lines(file)), trust))
        for record in records(read_lines(file)):
            if isinstance(record, Signer):
                signers[record.fingerprint] = record
    longest = max(ends, key=lambda file: ends[file], default=None)
    if longest is not None:
        _require_same(tip, longest, ends)
    goes_on = longest is not None and ends[longest] > tip.number
    return Evidence(log=longest if goes_on else None, heads=heads, signers=signers)


def _require_same(tip: Tip, longest: Path, ends: dict[Path, int]) -> None:
    """Require that every log, and the backup, is a part of the longest one or the other way round."""
    wanted = {tip.number, *ends.values()}
    known = _hashes(longest, wanted)
    if known.get(tip.number, tip.hash) != tip.hash:
        raise _foreign(longest, tip.number)
    for file, end in ends.items():
        if _hashes(file, {end}) != {number: digest for number, digest in known.items() if number == end}:
            raise _different(file, longest)


def _hashes(file: Path, numbers: Collection[int]) -> dict[int, bytes]:
    return {entry.number: entry.hash for entry in _entries(file, 0) if entry.number in numbers}


def _entries(file: Path, after: int) -> Iterator[Entry]:
    for record in records(read_lines(file)):
        if isinstance(record, Entry) and record.number > after:
            yield record


def _require_none(file: Path, fault: Fault | None) -> None:
    if fault is not None:
        raise JpkiError(
            Kind.CONFLICT,
            "audit-log-altered",
            Text(
                f"{file} は第{fault.number}号の付近で改ざん又は破損しています（{fault.flaw}）。",
                f"{file} was altered or damaged near number {fault.number} ({fault.flaw}).",
            ),
            Text(
                "別の写し、又はその前までを切り出した写しを指定してください。",
                "Name another copy, or a copy cut off before that number: the beginning of a log is a log.",
            ),
        )


def _foreign(file: Path, number: int) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "audit-log-foreign",
        Text(
            f"{file} の第{number}号はバックアップの監査記録と異なります。",
            f"Number {number} of {file} is not that of the backup's audit.",
        ),
        Text("同じ認証局の監査記録を指定してください。", "Name a log of this authority, or leave it out."),
    )


def _different(file: Path, longest: Path) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "audit-logs-differ",
        Text(f"{file} と {longest} は互いに矛盾します。", f"{file} and {longest} contradict each other."),
        Text("信頼できる方だけを指定してください。", "Find out which one is true, and name that one alone."),
    )
