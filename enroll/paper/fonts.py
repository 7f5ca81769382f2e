"""Fonts of a sheet's characters alone, made of the house's own files (docs/paper.md).

A browser takes each character from the file whose @font-face names it (CSS Fonts 4, 4.5). What prints tells fonts apart
by their names and not by their files, so here the characters are gathered into one font for each weight.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from jpki.look import FACES

REGULAR, BOLD = 400, 700
"""The weights that sheets are set in."""

_FACE = re.compile(r"src: url\((?P<file>[a-z0-9-]+\.woff2)\).*?unicode-range: (?P<ranges>[^;]+);")
_RANGE = re.compile(r"U\+(?P<first>[0-9a-fA-F]+)(?:-(?P<last>[0-9a-fA-F]+))?")
_LAYOUT = ["BASE", "GDEF", "GPOS", "GSUB"]
"""Tables that say how characters stand beside each other: they are of one file and cannot be gathered."""


@dataclass(frozen=True, slots=True)
class Face:
    """A font file (WOFF2, of variable weight), and the code points that it is for."""

    file: Path
    codes: frozenset[int]


@cache
def faces() -> Sequence[Face]:
    """Return all files, in the order of the style sheet."""
    found = _FACE.finditer(FACES.read_text("utf-8"))
    return [Face(FACES.with_name(each["file"]), frozenset(_codes(each["ranges"]))) for each in found]


@lru_cache(maxsize=32)
def fonts_of(characters: frozenset[str]) -> Mapping[int, bytes]:
    """Return by weight a font (TrueType) of these characters, none if no file of ours has any of them."""
    from fontTools.merge import Merger

    parts: dict[int, list[BytesIO]] = {}
    for file, codes in _shares(set(map(ord, characters))):
        for weight, font in _cut(file, codes).items():
            parts.setdefault(weight, []).append(font)
    fonts = {}
    for weight, those in parts.items():
        octets = BytesIO()
        Merger().merge(those).save(octets)
        fonts[weight] = octets.getvalue()
    return fonts


def _shares(codes: set[int]) -> Iterator[tuple[Path, set[int]]]:
    """Yield files and the code points to take from each."""
    from fontTools.ttLib import TTFont

    for face in faces():
        share = codes & face.codes
        if share:
            with TTFont(face.file, lazy=True) as font:
                share.intersection_update(font.getBestCmap())
        if share:
            codes -= share
            yield face.file, share


def _cut(file: Path, codes: set[int]) -> Mapping[int, BytesIO]:
    """Return by weight a font with these code points of a file alone."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont
    from fontTools.varLib.instancer import instantiateVariableFont

    fonts = {}
    with TTFont(file) as font:
        font.flavor = None
        options = Options(layout_features=[], hinting=False, notdef_outline=True)
        options.drop_tables = [*options.drop_tables, *_LAYOUT]
        cutter = Subsetter(options)
        cutter.populate(unicodes=codes)
        cutter.subset(font)
        for weight, is_last in ((BOLD, False), (REGULAR, True)):
            fonts[weight] = BytesIO()
            instantiateVariableFont(font, {"wght": weight}, inplace=is_last).save(fonts[weight])
    return fonts


def _codes(ranges: str) -> Iterator[int]:
    for found in _RANGE.finditer(ranges):
        first = int(found["first"], 16)
        yield from range(first, int(found["last"] or found["first"], 16) + 1)
