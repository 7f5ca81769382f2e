"""Which partitions a ledger begins with, and which it takes up with a later release (docs/adr/0034)."""

from collections.abc import Sequence

from ca import names
from crl.partition import PartitionSeed, later, partitions
from enroll.municipalities import municipalities


def of_the_founding() -> Sequence[PartitionSeed]:
    """Return those of a new authority: one for each municipality of this release, and the buckets."""
    return partitions(municipalities().values(), names.root)


def of_this_release() -> Sequence[PartitionSeed]:
    """Return one for each municipality of this release, as an authority takes it up that has none for it yet."""
    return later(municipalities().values(), names.root)
