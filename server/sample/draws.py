"""Choices that look random and follow from a few words alone, on every machine and for ever."""

from collections.abc import Sequence
from hashlib import shake_256
from typing import TypeVar

Option = TypeVar("Option")


def octets(count: int, *words: object) -> bytes:
    """Return `count` octets that follow from the words."""
    return shake_256("\0".join(map(str, words)).encode()).digest(count)


class Draws:
    """A stream of choices, one after another; 512 bits are enough for some dozens."""

    def __init__(self, *words: object) -> None:
        self._left = int.from_bytes(octets(64, *words))

    def below(self, count: int) -> int:
        """Draw a number from 0 to `count` - 1."""
        self._left, drawn = divmod(self._left, count)
        return drawn

    def one_of(self, options: Sequence[Option]) -> Option:
        """Draw one of the options."""
        return options[self.below(len(options))]

    def one_in(self, count: int) -> bool:
        """Say yes once in `count` times."""
        return self.below(count) == 0
