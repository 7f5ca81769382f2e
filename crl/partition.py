"""Which partitions there are and what they are called.

A signing certificate belongs to the partition of its municipality, as the real service has it. An authentication
certificate belongs to a numbered bucket, so that it does not tell where its holder lives.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.holder import Municipality
from jpki.ids import PartitionId, Serial
from jpki.partition import ARL, Partition

BUCKETS = 64
_BRANCH = "CRL Distribution Points"

Root = Callable[[Purpose], Sequence[x509.NameAttribute[str]]]
"""Returns the attributes that every name of a CA's world begins with: country, organization, unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSeed:
    """A partition before any certificate names it; `municipality` is the six-digit code, None for a bucket."""

    id: PartitionId
    purpose: Purpose
    name: x509.Name
    municipality: str | None


def partitions(municipalities: Iterable[Municipality], root: Root) -> list[PartitionSeed]:
    """Return the signing partitions in order of municipality code, then the authentication buckets."""
    return [*_of_municipalities(list(municipalities), root), *_buckets(root)]


def later(municipalities: Iterable[Municipality], root: Root) -> list[PartitionSeed]:
    """Return the partitions of municipalities that an authority learns of after its founding (docs/adr/0034).

    Id and name hold the code, whatever other municipalities are called: so each node makes the same, in any order, and
    a restore does (rule R24).
    """
    return [_of_municipality(each, f"p{each.code}", f"{each.name_romaji} {each.code}", root) for each in municipalities]


def authorities(generation: Generation, *base_urls: str) -> Partition:
    """Return a CA's own certificates as a partition: its roots name it by the CA's name (docs/profile.md)."""
    name = generation.certificate.subject
    return Partition(id=ARL, purpose=generation.purpose, name=name, base_urls=base_urls)


def bucket_of(serial: Serial) -> PartitionId:
    """Return the authentication bucket of a serial: the lowest bits are random, so the buckets fill alike."""
    return _bucket_id(serial % BUCKETS + 1)


def _of_municipalities(municipalities: Sequence[Municipality], root: Root) -> Iterable[PartitionSeed]:
    bearers = Counter(map(_romaji, municipalities))
    for number, each in enumerate(sorted(municipalities, key=lambda each: each.code), start=1):
        # Two municipalities of one prefecture may share a romaji name; then the code tells them apart (rule R24).
        label = each.name_romaji if bearers[_romaji(each)] == 1 else f"{each.name_romaji} {each.code}"
        yield _of_municipality(each, f"p{number:04}", label, root)


def _of_municipality(municipality: Municipality, identifier: str, label: str, root: Root) -> PartitionSeed:
    return PartitionSeed(
        id=PartitionId(identifier),
        purpose=Purpose.SIGNING,
        name=_name(root(Purpose.SIGNING), label, municipality.prefecture_romaji),
        municipality=municipality.code,
    )


def _buckets(root: Root) -> Iterable[PartitionSeed]:
    for number in range(1, BUCKETS + 1):
        yield PartitionSeed(
            id=_bucket_id(number),
            purpose=Purpose.AUTHENTICATION,
            name=_name(root(Purpose.AUTHENTICATION), f"Bucket {number:02}"),
            municipality=None,
        )


def _bucket_id(number: int) -> PartitionId:
    return PartitionId(f"b{number:02}")


def _romaji(municipality: Municipality) -> tuple[str, str]:
    """Return what two names are compared by: names that differ in case only are one name (RFC 5280 7.1)."""
    return municipality.prefecture_romaji.casefold(), municipality.name_romaji.casefold()


def _name(root: Sequence[x509.NameAttribute[str]], label: str, *units: str) -> x509.Name:
    return x509.Name(
        [
            *root,
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in (_BRANCH, *units)),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{label} CRLDP"),
        ]
    )
