"""The audit's acts on certificates in order of serial: written to a file for each first octet, and sorted from there.

So the audit of a hundred million certificates can be merged with the ledger, in little memory.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Self

from jpki.acts import Act, AuditEvent
from jpki.ids import SERIAL_OCTETS, Serial
from jpki.revocation import Reason
from server.store.audit import damaged
from server.store.audit_log import Recorded

DELEGATE_ACTS = (Act.DELEGATE_WILL_SIGN, Act.DELEGATE_SIGNED)
_ACTS = (
    Act.RESERVED,
    Act.WILL_SIGN,
    Act.SIGNED,
    Act.ACTIVATED,
    Act.VOIDED,
    Act.REVOKED,
    Act.HELD,
    Act.RELEASED,
    Act.RECORD_LOST,
    *DELEGATE_ACTS,
)
_REASONS = (None, *Reason)
_ROW = Struct(f">{SERIAL_OCTETS}sQBB32s")
"""Serial, the act's number in the audit, act, reason, commitment: rows of this form sort by serial and number."""
_NO_COMMITMENT = bytes(32)


@dataclass(frozen=True, slots=True)
class Fact:
    """One act on one certificate, under its number in the audit."""

    serial: Serial
    number: int
    act: Act
    reason: Reason | None
    commitment: bytes | None


@dataclass(slots=True)
class Facts:
    """What the audit tells; it is read once, and lies in files that end with the block."""

    acts: int = 0
    known_from: datetime | None = None
    """The moment of the first act that is left, where bodies before it were erased; None where all are here."""
    published: dict[str, int] = field(default_factory=dict)
    """The highest number under which each list was published."""
    _folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    _files: dict[int, BinaryIO] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self._folder.cleanup()

    def gather(self, acts: Iterable[Recorded]) -> None:
        """Take all acts in.

        Raises:
            JpkiError: CONFLICT `audit-damaged` at one that names no serial where it should.
        """
        erased = False
        for each in acts:
            self.acts += 1
            if each.event is None:
                erased, self.known_from = True, None
            else:
                if erased and self.known_from is None:
                    self.known_from = each.event.at
                self._take(each.number, each.event)

    def in_order(self) -> Iterator[Fact]:
        """Yield the facts by serial, and those of one serial in the order in which they became true."""
        for _, file in sorted(self._files.items()):
            file.flush()
            octets = Path(file.name).read_bytes()
            yield from map(_fact, sorted(octets[at : at + _ROW.size] for at in range(0, len(octets), _ROW.size)))

    def _take(self, number: int, event: AuditEvent) -> None:
        try:
            if event.act is Act.CRL_PUBLISHED:
                (name,) = event.subjects
                self.published[name] = max(self.published.get(name, 0), int(event.details["number"]))
            if event.act in _ACTS:
                for serial, row in _rows(number, event):
                    self._file(serial[0]).write(row)
        except (ValueError, KeyError, OverflowError) as error:
            raise damaged(number) from error

    def _file(self, first_octet: int) -> BinaryIO:
        if first_octet not in self._files:
            self._files[first_octet] = (Path(self._folder.name) / f"{first_octet:02x}").open("wb")
        return self._files[first_octet]


def _rows(number: int, event: AuditEvent) -> Iterator[tuple[bytes, bytes]]:
    act = _ACTS.index(event.act)
    given = event.details.get("reason")
    reason = _REASONS.index(None if given is None else Reason(str(given)))
    told = str(event.details.get("commitments", "")).split()
    commitments = map(bytes.fromhex, told) if told else [_NO_COMMITMENT] * len(event.subjects)
    for subject, commitment in zip(event.subjects, commitments, strict=True):
        serial = int(subject, 16).to_bytes(SERIAL_OCTETS)
        yield serial, _ROW.pack(serial, number, act, reason, commitment)


def _fact(row: bytes) -> Fact:
    serial, number, act, reason, commitment = _ROW.unpack(row)
    told = None if commitment == _NO_COMMITMENT else commitment
    return Fact(Serial(int.from_bytes(serial)), number, _ACTS[act], _REASONS[reason], told)
