"""Two pictures of one page, compared as eyes do: how a browser smooths letters is let be, what moved is not."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FINE, _MOST_FINE = 4, 36
"""Squares of so many pixels a side, whose mean colour may be so many levels (of 255) off.

A letter drawn half a pixel aside stays below; an edge that moved by a pixel does not, nor a line of text by two.
"""
_COARSE, _MOST_COARSE = 32, 2
"""The same for squares in which letters even out: a surface of another colour is seen here, however faint."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture; `pixels` are rows of columns of red, green and blue, from 0 to 255."""

    pixels: Pixels

    @classmethod
    def at(cls, file: Path) -> Self:
        """Read a picture."""
        with Image.open(file) as image:
            return cls(np.asarray(image.convert("RGB"), dtype=np.float32))

    def differences(self, other: Self) -> NDArray[np.bool_]:
        """Return which pixels lie where the two are not the same, for eyes; all, where they are not as large."""
        if self.pixels.shape != other.pixels.shape:
            return np.ones(self.pixels.shape[:2], np.bool_)
        fine = _off(self.pixels, other.pixels, _FINE) > _MOST_FINE
        coarse = _off(self.pixels, other.pixels, _COARSE) > _MOST_COARSE
        return fine | coarse

    def marked(self, where: NDArray[np.bool_]) -> Image.Image:
        """Return the picture, pale but for where it is marked, in red."""
        shown = 255 - (255 - self.pixels) * 0.35
        shown[where] = self.pixels[where] * [1, 0.5, 0.5]
        return Image.fromarray(shown.astype(np.uint8))


def _off(one: Pixels, other: Pixels, side: int) -> Pixels:
    """Return, for each pixel, how far the means of the square that it lies in are apart, in the colour that is most."""
    far = np.abs(_means(one, side) - _means(other, side)).max(axis=2)
    wide: Pixels = np.repeat(np.repeat(far, side, axis=0), side, axis=1)[: one.shape[0], : one.shape[1]]
    return wide


def _means(pixels: Pixels, side: int) -> Pixels:
    height, width, colours = pixels.shape
    # What the last squares lack is what the edge is.
    more = ((0, -height % side), (0, -width % side), (0, 0))
    whole = np.pad(pixels, more, mode="edge")
    squares = whole.reshape(whole.shape[0] // side, side, whole.shape[1] // side, side, colours)
    means: Pixels = squares.mean(axis=(1, 3))
    return means


def pack(png: Path, to: Path) -> None:
    """Write a picture without loss; to make it a quarter smaller would take forty times as long."""
    with Image.open(png) as image:
        image.convert("RGB").save(to, "WEBP", lossless=True, quality=50, method=4)
