"""A record as one line of the exported log, and back: JSON in one canonical form: no octet changes unseen."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from jpki.clock import iso
from server.audit.chain import SALT_OCTETS, Entry, Head, Opening, Record, Signer

_BEYOND = 1 << 63
"""No number is as large, in any database."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for the n-th line, which is no record: changed, or torn."""

    line: int


def to_line(record: Record) -> bytes:
    """Return the record's line, its newline included."""
    return json.dumps(_fields(record), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> Record | None:
    """Return the record of a line, None where the line is not exactly what `to_line` writes."""
    try:
        record = _record(json.loads(line))
        return record if to_line(record) == line else None
    # What a changed line may hold, and the library's words for it.
    except (ValueError, KeyError, TypeError, RecursionError, x509.InvalidVersion):
        return None


def records(lines: Iterable[bytes]) -> Iterator[Record | Unreadable]:
    """Return the records of a log."""
    for number, line in enumerate(lines, 1):
        yield from_line(line) or Unreadable(number)


def _fields(record: Record) -> dict[str, Any]:
    match record:
        case Entry():
            opening = record.opening
            return {
                "number": record.number,
                "commitment": record.commitment.hex(),
                "hash": record.hash.hex(),
                "salt": None if opening is None else opening.salt.hex(),
                "body": None if opening is None else opening.body,
            }
        case Head():
            return {
                "head": record.number,
                "hash": record.hash.hex(),
                "after": record.after,
                "at": iso(record.at),
                "signer": record.signer.hex(),
                "signature": record.signature.hex(),
            }
        case Signer():
            return {"certificate": b64encode(record.certificate.public_bytes(Encoding.DER)).decode()}


def _record(fields: dict[str, Any]) -> Record:
    if "number" in fields:
        return Entry(
            _number(fields["number"]), _digest(fields["commitment"]), _digest(fields["hash"]), _opening(fields)
        )
    if "head" in fields:
        return Head(
            number=_number(fields["head"]),
            hash=_digest(fields["hash"]),
            after=_number(fields["after"]),
            at=datetime.strptime(fields["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
            signer=_digest(fields["signer"]),
            signature=bytes.fromhex(fields["signature"]),
        )
    return Signer(x509.load_der_x509_certificate(b64decode(fields["certificate"], validate=True)))


def _opening(fields: dict[str, Any]) -> Opening | None:
    if fields["salt"] is None:
        return None
    salt, body = bytes.fromhex(fields["salt"]), fields["body"]
    if len(salt) != SALT_OCTETS or not isinstance(body, str):
        raise ValueError("no opening")
    body.encode()
    return Opening(salt, body)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < _BEYOND:
        raise ValueError("no number")
    return value


def _digest(value: str) -> bytes:
    digest = bytes.fromhex(value)
    if len(digest) != 32:
        raise ValueError("no digest")
    return digest
