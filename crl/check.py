"""The last look at a list before it leaves: what was written is read back as a verifier reads it.

It is independent of all that made the list: builder, register and the last publication's file. It knows what was meant,
and reads with the one reader of the house, the verifiers' own (crl/outline.py, crl/entry_index.py), in which nothing of
a list is written.
"""

from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from crl.builder import Edition
from crl.entries import Entries
from crl.files import disk
from crl.outline import UNREADABLE, Outline, outline, require_algorithm, signed_octets
from jpki import der
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.partition import ARL, DELTA, Partition, crl_url
from jpki.signature import check_digest, hashing
from jpki.text import Text


def check_list(
    file: Path, edition: Edition, generation: Generation, partition: Partition | None, entries: Entries
) -> None:
    """Require that a stranger reads in `file` what was meant; little of a long list is held at a time.

    Every entry is read, and must come after the one before it; the signature covers the very octets that were read.

    Raises:
        JpkiError: INTERNAL `crl-faulty`: it must not be published.
    """
    from crl.entry_index import OrderedEntries

    key = generation.public_key
    try:
        with disk(), file.open("rb", buffering=0) as opened:
            found, listed, hashed = outline(opened), OrderedEntries(), hashing(key)
            for block in signed_octets(opened, found, listed.take):
                hashed.update(block)
        require_algorithm(found, key)
        check_digest(key, hashed.finalize(), found.head.signature)
        as_meant = (
            _is_frame(found, edition, generation, partition)
            and listed.understood
            and (listed.count, listed.first, listed.last) == (entries.count, entries.first, entries.last)
        )
    except (*UNREADABLE, InvalidSignature) as error:
        raise _faulty() from error
    if not as_meant:
        raise _faulty()


def _is_frame(found: Outline, edition: Edition, generation: Generation, partition: Partition | None) -> bool:
    """Tell whether all but the entries is what is meant."""
    head = found.head
    return (
        der.Reader(der.Reader(head.tbs_certlist_bytes).read(der.Tag.SEQUENCE)).peek() == der.Tag.INTEGER  # version 2
        and head.issuer == generation.certificate.subject
        and head.last_update_utc == edition.this_update
        and head.next_update_utc == min(edition.next_update, generation.not_after)
        and [(each.value, each.critical) for each in head.extensions]
        == list(_extensions(edition, generation, partition))
        # Where nothing is revoked the field is absent (RFC 5280 5.1.2.6; rule R11).
        and not found.before.endswith(der.sequence())
    )


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
