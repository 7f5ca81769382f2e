"""What pages load: fonts that hold the characters of names, and a script as its authors published it."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from jpki.look import FACES, STATIC
from tests.conftest import PROJECT

PAPER = (PROJECT / "docs" / "paper.md").read_text("utf-8")
HTMX = "2OatzQy1H+Zd/IIrjr1TcuDGqLXeHhbooAyJY1KdQMKnr4LZ22k31GBLdYKHmVjg"
"""SHA-384 of dist/htmx.min.js, as the README of htmx.org 2.0.11 has it for who loads it from elsewhere."""
RULE = re.compile(r"src: url\(([a-z0-9-]+\.woff2)\).*?unicode-range: ([^;]+);")
KINDS = {"kanji": "CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH", "kana": "(HALFWIDTH )?(HIRAGANA|KATAKANA)"}


@cache
def rules() -> Mapping[Path, str]:
    """Each file, and the ranges that the style sheet gives it."""
    return {FACES.with_name(name): ranges for name, ranges in RULE.findall(FACES.read_text("utf-8"))}


def codes(ranges: str) -> Iterator[int]:
    for each in ranges.split(","):
        first, _, last = each.removeprefix("U+").partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


@cache
def covered() -> Mapping[int, frozenset[int]]:
    """What a browser finds, code points that a rule is for and its file has, with their variation selectors."""
    found: dict[int, frozenset[int]] = {}
    for file, ranges in rules().items():
        with TTFont(file, lazy=True) as font:
            selectors: dict[int, set[int]] = {}
            for table in (each for each in font["cmap"].tables if each.format == 14):
                for selector, bases in table.uvsDict.items():
                    for base, _ in bases:
                        selectors.setdefault(base, set()).add(selector)
            for code in set(codes(ranges)) & font.getBestCmap().keys():
                found[code] = frozenset(selectors.get(code, ()))
    return found


@cache
def of_names() -> str:
    """Every character that a name may have: those of JIS X 0213, or of Windows (enroll/holder_file.py)."""
    return "".join(chr(code) for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xF900 and is_of_names(chr(code)))


def is_of_names(character: str) -> bool:
    for encoding in ("euc_jis_2004", "cp932"):
        try:
            character.encode(encoding)
        except UnicodeEncodeError:
            continue
        return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_the_fonts_have_all_kanji_and_kana_of_names_as_the_documents_say(kind: str) -> None:
    those = [each for each in of_names() if re.match(KINDS[kind], unicodedata.name(each, ""))]
    assert [each for each in those if ord(each) not in covered()] == []
    assert f"{len(those):,} {kind}" in PAPER


def test_the_documents_say_how_many_characters_of_names_the_fonts_lack() -> None:
    lacking = [each for each in of_names() if ord(each) not in covered()]
    assert f"{len(lacking)} of the {len(of_names()):,} characters" in PAPER
    assert {"Α", "Ⅲ", "≒"} <= set(lacking)


@pytest.mark.parametrize("character", "𠮷髙﨑彅鷗神－−〜")
def test_a_character_that_others_often_lack_is_there(character: str) -> None:
    assert ord(character) in covered()


def test_variants_of_kanji_are_there_by_their_sequences() -> None:
    sequences = sum(len(selectors) for selectors in covered().values())
    assert f"{sequences:,} sequences" in PAPER
    assert {0xE0100, 0xE0101} <= covered()[ord("葛")]


def test_each_file_has_one_rule_and_all_of_them_stay_small() -> None:
    files = set(FACES.parent.glob("*.woff2"))
    assert set(rules()) == files
    assert sum(file.stat().st_size for file in FACES.parent.iterdir()) < 6_000_000


def test_the_fonts_licence_lies_beside_them() -> None:
    assert "SIL OPEN FONT LICENSE Version 1.1" in (FACES.parent / "OFL.txt").read_text("utf-8")


def test_the_script_is_the_published_one() -> None:
    script = (STATIC / "htmx.min.js").read_bytes()
    assert base64.b64encode(hashlib.sha384(script).digest()).decode() == HTMX
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE.txt").read_text("utf-8")
