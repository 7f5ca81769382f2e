"""Characters that a clerk has to look at twice, and those that need no look."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll.console.glyphs import Piece, conspicuous, pieces
from enroll.console.variants import common_forms


def _of_level_1() -> str:
    """Return all kanji of JIS X 0208's level 1: rows 16 to 47."""
    found = ""
    for row in range(16, 48):
        for cell in range(1, 95):
            try:
                found += bytes([0x1B, 0x24, 0x42, row + 0x20, cell + 0x20, 0x1B, 0x28, 0x42]).decode("iso2022_jp")
            except UnicodeDecodeError:
                continue
    return found


LEVEL_1 = _of_level_1()
HIRAGANA = "".join(map(chr, range(0x3041, 0x3094)))
KATAKANA = "".join(map(chr, range(0x30A1, 0x30F5))) + "ー"


def explained(text: str, substitutes: str = "") -> list[Piece]:
    return list(conspicuous(pieces(text, substitutes or "0" * len(text))))


def test_level_1_is_whole() -> None:
    assert len(LEVEL_1) == 2965


@given(st.sampled_from((LEVEL_1, HIRAGANA, KATAKANA)).flatmap(lambda letters: st.text(letters, max_size=30)))
def test_plain_text_of_one_script_explains_nothing(text: str) -> None:
    # A long-vowel mark that follows nothing is no plain kana.
    assert explained(text if not text.startswith("ー") else f"ア{text}") == []


def test_a_long_vowel_may_be_longer_still() -> None:
    assert explained("アーー") == []
    assert [each.written for each in explained("ーー")] == ["ー"]


def test_a_plain_address_explains_nothing() -> None:
    assert explained("東京都千代田区霞が関一丁目２番３－４５号　ハイツ口木タワー１０１号室") == []
    assert explained("ＳＡＭＰＬＥ　ＡＮＮＡ　佐々木") == []


@pytest.mark.parametrize("variant", list(common_forms()), ids=lambda each: f"U+{ord(each):04X}")
def test_every_listed_variant_is_explained_with_its_common_form(variant: str) -> None:
    (found,) = explained(f"山{variant}　子")
    assert (found.written, found.common) == (variant, common_forms()[variant])
    assert found.common != variant
    assert found.code_points == f"U+{ord(variant):04X}"


def test_no_variant_is_of_the_everyday_repertoire_or_decomposed_by_unicode() -> None:
    assert not set(common_forms()) & set(LEVEL_1)
    assert not [each for each in common_forms() if unicodedata.decomposition(each)]


@given(st.sampled_from([chr(each) for each in (*range(0xF900, 0xFAFF), *range(0x2F800, 0x2FA1E))]))
def test_every_compatibility_ideograph_is_explained(character: str) -> None:
    if unicodedata.decomposition(character):
        (found,) = explained(character)
        assert found.common == unicodedata.normalize("NFKC", character)


@given(st.text(st.characters(min_codepoint=0x20000, max_codepoint=0x323AF), min_size=1, max_size=5))
def test_whatever_old_machines_count_as_two_is_explained(text: str) -> None:
    assert {each.written for each in explained(text)} == set(text)


@given(st.text() | st.text("山髙か𠮷a\u3099\U000e0101\ufe00"), st.data())
def test_the_pieces_are_the_text_and_every_substitute_is_explained(text: str, data: st.DataObject) -> None:
    flags = "".join(data.draw(st.lists(st.sampled_from("01"), min_size=len(text), max_size=len(text))))
    found = pieces(text, flags)
    assert "".join(each.written for each in found) == text
    place = 0
    for each in found:
        said = any("代替文字" in reason.ja for reason in each.reasons)
        assert said is ("1" in flags[place : place + len(each.written)])
        place += len(each.written)


@pytest.mark.parametrize(
    ("text", "written", "common", "says"),
    [
        ("辻\U000e0100本", "辻\U000e0100", "辻", "字形を細かく指定"),
        ("渡邊\U000e0101", "邊\U000e0101", "辺", "字体の違う"),
        ("か\u3099ん", "か\u3099", "が", "組み合わせ"),
        ("\u2f00郎", "\u2f00", "一", "互換漢字"),
        ("ｱイ", "ｱ", "ア", "半角"),
        ("山a川", "a", "ａ", "半角"),
        ("山 川", " ", "\u3000", "半角"),
        ("山\u200b川", "\u200b", None, "目に見えない"),
        ("彅", "彅", None, "第2水準にない"),
        ("１−２", "−", "－", "マイナス"),
        ("１―２", "―", "－", "ダッシュ"),
        ("１ー２", "ー", "－", "長音"),
        ("１一２", "一", "－", "漢数字"),
        ("サ－ビス", "－", "ー", "全角ハイフン"),
        ("ニ郎", "ニ", "二", "カタカナの「ニ」"),
        ("アニ二メ", "二", "ニ", "漢字の「二」"),
        ("アへア", "へ", "ヘ", "ひらがなの「へ」"),
        ("ねヘね", "ヘ", "へ", "カタカナの「ヘ」"),
        ("茅ヶ崎", "ヶ", None, "「ケ」とよく似て"),
        ("三ケ島", "ケ", None, "「ヶ」とよく似て"),
    ],
)
def test_what_is_easily_taken_for_another(text: str, written: str, common: str | None, says: str) -> None:
    (found,) = explained(text)
    assert (found.written, found.common) == (written, common)
    assert any(says in each.ja for each in found.reasons)
    assert all(each.en for each in found.reasons)


def test_one_character_is_explained_once_and_with_all_its_reasons() -> None:
    (found,) = explained("𠮷田𠮷", "101")
    assert found.common == "吉"
    assert [each.ja[:4] for each in found.reasons] == ["証明書に", "字体の違", "古い機器"]
