"""Resident events as they are told: one JSON object each, a line of a file or an item of a request (docs/registry.md).

Nothing in them says what a person's data are now, and nothing of a wrong one is ever repeated (rule R21).
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from jpki.errors import JpkiError
from jpki.errors import Kind as ErrorKind
from jpki.ids import HolderCode
from jpki.resident_event import LONGEST_SOURCE, Kind, ResidentEvent, SourceName
from jpki.text import Text

LONGEST_LINE = 4096
"""Octets; an honest line has about 150."""
_FIELDS = ("source", "sequence", "kind", "holder", "effective_at")
_HIGHEST = (1 << 63) - 1
_EARLIEST = datetime(2003, 8, 25, tzinfo=UTC)
"""The day on which the register's network began to serve residents (住民基本台帳ネットワーク)."""
_FURTHEST = timedelta(days=366)


def events_in(stream: BinaryIO, now: datetime) -> Iterator[tuple[int, ResidentEvent | JpkiError]]:
    """Yield each line's number, from 1 on, and its event or what is wrong with it; empty lines are none.

    It holds one line at a time, however long the file or the line is.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            line = b"too long"
        if line.strip():
            yield number, _event_or_error(line, now)


def events_of(items: Iterable[object], now: datetime) -> Iterator[tuple[int, ResidentEvent | JpkiError]]:
    """Yield the number, from 1 on, of each item of a request, as JSON made it, and its event or what is wrong."""
    for number, fields in enumerate(items, 1):
        yield number, _read_or_error(fields, now)


def _event_or_error(line: bytes, now: datetime) -> ResidentEvent | JpkiError:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        fields = None
    return _read_or_error(fields, now)


def _read_or_error(fields: object, now: datetime) -> ResidentEvent | JpkiError:
    try:
        return read_event(fields, now)
    except JpkiError as error:
        return error


def read_event(fields: object, now: datetime) -> ResidentEvent:
    """Read an event from what JSON made of it.

    Raises:
        JpkiError: MALFORMED `event-malformed` when it is no object of these fields and no others; UNPROCESSABLE
            `event-invalid`, naming the fields that are wrong.
    """
    if not isinstance(fields, dict) or set(fields) != set(_FIELDS):
        raise JpkiError(
            ErrorKind.MALFORMED,
            "event-malformed",
            Text(
                f"異動は {', '.join(_FIELDS)} だけを持つJSONのオブジェクトで書いてください。",
                f"An event is a JSON object with {', '.join(_FIELDS)} and nothing else.",
            ),
            _ACTION,
        )
    wrong = [name for name in _FIELDS if not _CHECKS[name](fields[name], now)]
    if wrong:
        raise JpkiError(
            ErrorKind.UNPROCESSABLE,
            "event-invalid",
            Text(f"異動の {', '.join(wrong)} が正しくありません。", f"Wrong in the event: {', '.join(wrong)}."),
            _ACTION,
        )
    return _read(fields)


_ACTION = Text(
    "docs/registry.md の形式に直して、もう一度送ってください。", "Write it as docs/registry.md says, and send it again."
)


def as_line(event: ResidentEvent) -> bytes:
    """Return the event as a line of a file."""
    fields = {
        "source": event.source,
        "sequence": event.sequence,
        "kind": event.kind,
        "holder": event.holder,
        "effective_at": event.effective_at.isoformat(),
    }
    return json.dumps(fields).encode() + b"\n"


def _read(fields: Mapping[str, Any]) -> ResidentEvent:
    return ResidentEvent(
        source=SourceName(fields["source"]),
        sequence=fields["sequence"],
        kind=Kind(fields["kind"]),
        holder=HolderCode(fields["holder"]),
        effective_at=datetime.fromisoformat(fields["effective_at"]),
    )


def _is_moment(value: object, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment is not None and moment.tzinfo is not None and _EARLIEST <= moment <= now + _FURTHEST
    except (ValueError, OverflowError):
        return False


_CHECKS = {
    "source": lambda value, _: _is_word(value, LONGEST_SOURCE),
    "sequence": lambda value, _: type(value) is int and 0 < value <= _HIGHEST,
    "kind": lambda value, _: isinstance(value, str) and value in set(Kind),
    "holder": lambda value, _: _is_word(value, 64) and re.fullmatch(r"[0-9]{12}", value) is None,
    "effective_at": _is_moment,
}
"""A holder's code of twelve digits could be somebody's My Number, which has no place here."""


def _is_word(value: object, longest: int) -> bool:
    return isinstance(value, str) and re.fullmatch(rf"[A-Za-z0-9_-]{{1,{longest}}}", value) is not None
