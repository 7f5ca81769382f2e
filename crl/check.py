"""The last look at a list before it leaves, with another parser than the one that wrote it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from crl.builder import Edition
from crl.entries import Entries
from crl.files import disk
from crl.outline import Outline, outline, require_signed
from jpki import der
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.partition import ARL, DELTA, Partition, crl_url
from jpki.text import Text

_BLOCK = 1 << 16
_LONGEST_ENTRY = 53


def check_list(
    file: Path, edition: Edition, generation: Generation, partition: Partition | None, entries: Entries
) -> None:
    """Require that a stranger reads in `file` what was meant; little of a long list is held at a time.

    Raises:
        JpkiError: INTERNAL `crl-faulty`: it must not be published.
    """
    try:
        with disk(), file.open("rb", buffering=0) as opened:
            found = outline(opened)
            as_meant = (
                found.frame.issuer == generation.certificate.subject
                and found.frame.last_update_utc == edition.this_update
                and found.frame.next_update_utc == min(edition.next_update, generation.not_after)
                and [(each.value, each.critical) for each in found.frame.extensions]
                == list(_extensions(edition, generation, partition))
                and _entries(opened, found) == (entries.count, entries.first, entries.last)
            )
            require_signed(opened, found, generation.public_key)
    except (ValueError, InvalidSignature) as error:
        raise _faulty() from error
    if not as_meant:
        raise _faulty()


def _extensions(
    edition: Edition, generation: Generation, partition: Partition | None
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield the extensions that are meant, and whether each is critical."""
    yield x509.AuthorityKeyIdentifier(generation.key_identifier, None, None), False
    yield x509.CRLNumber(edition.number), False
    if edition.base is not None:
        yield x509.DeltaCRLIndicator(edition.base), True
    if partition is not None:
        names = partition.distribution_names(generation.id)
        is_arl = partition.id == ARL
        yield x509.IssuingDistributionPoint(names, None, False, is_arl, None, False, False), True
    if edition.freshest is not None:
        url = crl_url(edition.freshest, generation.purpose, generation.id, DELTA)
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
        yield x509.FreshestCRL([place]), False


def _entries(file: BinaryIO, found: Outline) -> tuple[int, int | None, int | None]:
    """Return how many entries there are, and the first and the last serial.

    Raises:
        ValueError: they cannot be read, or those that blocks begin with are not in order of serial.
    """
    count, first, before = 0, None, -1
    at, end = found.entries.start, found.entries.stop
    parsed = found.frame
    while at < end:
        block = os.pread(file.fileno(), min(_BLOCK, end - at), at)
        length, parsed = _whole_ones(found, block, is_last=at + len(block) == end)
        begin = next(iter(parsed)).serial_number
        if begin <= before:
            raise ValueError("the entries are not in order")
        first, before = begin if first is None else first, begin
        count, at = count + len(parsed), at + length
    return count, first, parsed[len(parsed) - 1].serial_number if count else None


def _whole_ones(found: Outline, block: bytes, *, is_last: bool) -> tuple[int, x509.CertificateRevocationList]:
    """Parse the whole entries that a block begins with; return how many octets they take.

    Where the last of them ends is guessed by how an entry begins, a SEQUENCE whose first element is an INTEGER. A
    wrong guess does not parse, for the entry before it would be cut short.
    """
    if is_last:
        return len(block), found.around(block)
    for at in range(len(block) - 3, len(block) - _LONGEST_ENTRY, -1):
        if block[at] == der.Tag.SEQUENCE and block[at + 2] == der.Tag.INTEGER:
            try:
                return at, found.around(block[:at])
            except ValueError:
                continue
    raise ValueError("no entry ends where one must")


def _faulty() -> JpkiError:
    return JpkiError(
        Kind.INTERNAL,
        "crl-faulty",
        Text(
            "署名した失効リストが意図した内容と異なるため、公開しませんでした。",
            "The signed list does not read as it was meant, so it was not published.",
        ),
        Text(
            "公開済みのリストは有効なままです。時刻を添えて開発者に連絡してください。",
            "The published list still holds; tell the developers, with the time.",
        ),
    )
