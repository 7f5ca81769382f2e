"""What the public directory of distribution points says of each list, and which of them a person means."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jpki.certificate import Purpose
from jpki.holder import Municipality
from jpki.ids import GenerationId, PartitionId
from jpki.partition import ARL, COMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionPoint:
    """The newest list of one partition, the complete one, its delta or the ARL, as one generation signs it.

    `municipality` is that of the certificates that name it, None where it is not one municipality's; `merged_into` took
    over from it, if it is no more. `base` is the number of the list that a delta is of.
    `issuer_url` is where the generation's certificate is.
    """

    purpose: Purpose
    generation: GenerationId
    partition: PartitionId
    number: int
    base: int | None
    entries: int
    this_update: datetime
    next_update: datetime
    municipality: Municipality | None
    merged_into: Municipality | None
    url: str
    issuer_url: str

    @property
    def is_complete(self) -> bool:
        """Whether it is the list of everything that the CA revoked."""
        return self.partition == COMPLETE

    @property
    def is_arl(self) -> bool:
        """Whether it is the list of the CA's own certificates that are revoked."""
        return self.partition == ARL

    def is_meant_by(self, words: Sequence[str]) -> bool:
        """Tell whether each of these words, as `words_of` gives them, is found in what the list is called."""
        names = [self.purpose, self.generation, self.partition]
        for place in filter(None, (self.municipality, self.merged_into)):
            names += [place.code, place.prefecture + place.name, place.prefecture_romaji, place.name_romaji]
        called = " ".join(map(_plain, names))
        return all(word in called for word in words)


Directory = Callable[[], Sequence[DistributionPoint]]
"""Returns every distribution point, in order.

Raises:
    JpkiError: UNAVAILABLE while the ledger is away.
"""


def words_of(query: str) -> list[str]:
    """Return the words of what a person looks for, without regard to width and case."""
    return _plain(query).split()


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
