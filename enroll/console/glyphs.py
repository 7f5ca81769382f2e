"""What is conspicuous in how a name or an address is written, for a clerk who compares it with a document.

A document may show another form of a character than the register has. Each such character is named with its code
points, its everyday form where it has one, and why it matters. Text of plain kanji (JIS X 0208, level 1) or of one
kind of kana has none. The forms come from Unicode's own data (UAX #15, UTS #37) and `enroll.console.variants`.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from enroll.console.variants import common_forms
from jpki.text import Text

_VARIANTS: Mapping[str, str] = common_forms()
_DASHES: Mapping[str, Text] = {
    "\u30fc": Text("長音（カタカナの伸ばす音）", "the long-vowel mark of kana"),
    "\uff0d": Text("全角ハイフン", "a full-width hyphen"),
    "\u2015": Text("ダッシュ", "a dash"),
    "\u2014": Text("ダッシュ", "a dash"),
    "\u2212": Text("マイナス", "a minus sign"),
    "\u2010": Text("ハイフン", "a hyphen"),
    "\u2500": Text("罫線", "a line of a box"),
    "\u4e00": Text("漢数字の一", "the kanji for one"),
}
_HYPHEN, _LONG = "\uff0d", "\u30fc"
"""What addresses have between numbers, and kana after a vowel."""
_TWINS: Sequence[tuple[str, str]] = (
    *((katakana, kanji) for katakana, kanji in zip("ニハエカタトロチオ", "二八工力夕卜口千才", strict=True)),
    *((katakana, hiragana) for katakana, hiragana in zip("ヘベペリ", "へべぺり", strict=True)),
)
"""Signs of two kinds that look alike."""
_TWIN: Mapping[str, str] = {each: other for pair in _TWINS for each, other in (pair, pair[::-1])}
_KE: Mapping[str, str] = {"ケ": "ヶ", "ヶ": "ケ", "カ": "ヵ", "ヵ": "カ"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A character with all that belongs to it, and why it is conspicuous: no reason where it is plain.

    `common` is its everyday form, None where it has none.
    """

    written: str
    reasons: tuple[Text, ...] = ()
    common: str | None = None

    @property
    def code_points(self) -> str:
        """As standards write them: `U+9AD9`."""
        return " ".join(f"U+{ord(each):04X}" for each in self.written)


def pieces(text: str, substitutes: str) -> Sequence[Piece]:
    """Return a text in its pieces; a `1` among `substitutes` marks a character that stands for one not encodable."""
    found, place = [], 0
    clusters = list(_clusters(text))
    for index, cluster in enumerate(clusters):
        is_substitute = "1" in substitutes[place : place + len(cluster)]
        place += len(cluster)
        before, after = clusters[index - 1][0] if index else "", "".join(clusters[index + 1 : index + 2])[:1]
        found.append(_piece(cluster, before, after, is_substitute=is_substitute))
    return found


def conspicuous(text: Sequence[Piece]) -> Sequence[Piece]:
    """Return what has to be explained, each once."""
    return list(dict.fromkeys(each for each in text if each.reasons))


def _clusters(text: str) -> Iterator[str]:
    """Yield each character with the marks and selectors that follow it."""
    cluster = ""
    for character in text:
        if cluster and (_is_selector(character) or unicodedata.category(character) in ("Mn", "Mc", "Me")):
            cluster += character
            continue
        if cluster:
            yield cluster
        cluster = character
    if cluster:
        yield cluster


def _piece(cluster: str, before: str, after: str, *, is_substitute: bool) -> Piece:
    base = cluster[0]
    common, reasons = None, []
    if is_substitute:
        reasons.append(_SUBSTITUTE)
    if any(map(_is_selector, cluster)):
        common = _VARIANTS.get(base, base)
        reasons += [_SEQUENCE, *([_VARIANT] if base in _VARIANTS else [])]
    elif len(cluster) > 1:
        common = unicodedata.normalize("NFC", cluster)
        reasons.append(_COMBINING)
    elif base in _VARIANTS:
        common = _VARIANTS[base]
        reasons.append(_VARIANT)
    elif _is_compatible(base):
        common = unicodedata.normalize("NFKC", base)
        reasons.append(_COMPATIBILITY)
    elif _is_narrow(base):
        common = _wide(base)
        reasons.append(_NARROW)
    elif unicodedata.category(base) in ("Cf", "Cc", "Zs") and base != "\u3000":
        reasons.append(_UNSEEN)
    else:
        common, similar = _similar(base, before, after)
        reasons += similar
    if ord(base) > 0xFFFF:
        reasons.append(_BEYOND)
    elif not reasons and not _is_in_jis(base):
        reasons.append(_RARE)
    return Piece(cluster, tuple(reasons), common if common != cluster else None)


# --- what is told apart --------------------------------------------------------------------------------------------


def _is_selector(character: str) -> bool:
    """Tell whether it chooses a form of the character before it (variation selectors)."""
    return 0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF


def _is_compatible(character: str) -> bool:
    """Tell whether it is an ideograph or a radical that Unicode has for the sake of other sets alone."""
    name = unicodedata.name(character, "")
    return name.startswith(("CJK COMPATIBILITY IDEOGRAPH", "KANGXI RADICAL", "CJK RADICAL")) and (
        unicodedata.normalize("NFKC", character) != character
    )


def _is_narrow(character: str) -> bool:
    return unicodedata.east_asian_width(character) in ("Na", "H") and character.isprintable()


def _wide(character: str) -> str:
    if "!" <= character <= "~":
        return chr(ord(character) + 0xFEE0)
    return "\u3000" if character == " " else unicodedata.normalize("NFKC", character)


def _is_in_jis(character: str) -> bool:
    """Tell whether JIS X 0208 has it, so that every machine of an office shows it."""
    try:
        octets = character.encode("iso2022_jp")
    except UnicodeEncodeError:
        return character in _JIS_TODAY
    return octets.startswith(b"\x1b$B")


_JIS_TODAY = "－―∥～−"
"""Signs of JIS X 0208 that the codec maps elsewhere in Unicode than machines do today."""


def _similar(character: str, before: str, after: str) -> tuple[str | None, list[Text]]:
    """Return what a sign was perhaps meant to be, and why; a sign among its own kind is that sign."""
    neighbours = [each for each in (before, after) if each and each != "\u3000"]
    if character in _DASHES:
        return _dash(character, before, neighbours)
    if character in _KE and _kind(before) == _kind(after) == "kanji":
        return None, [_either(character, _KE[character])]
    twin = _TWIN.get(character)
    if twin is not None and {_kind(each) for each in neighbours} - {""} == {_kind(twin)}:
        return twin, [_looks_like(character, twin)]
    return None, []


def _dash(character: str, before: str, neighbours: Sequence[str]) -> tuple[str | None, list[Text]]:
    is_between_numbers = len(neighbours) == 2 and all(map(str.isdecimal, neighbours))
    wanted = _LONG if _kind(before) in ("katakana", "hiragana") or before == _LONG else _HYPHEN
    if character == wanted or (character == "\u4e00" and not is_between_numbers):
        return None, []
    told = _DASHES[character]
    return wanted, [
        Text(
            f"横棒に見える記号です。これは{told.ja}で、ここでは普通「{wanted}」を使います。",
            f"A sign that looks like a dash: this is {told.en}; {wanted} is usual here.",
        )
    ]


def _kind(character: str) -> str:
    name = unicodedata.name(character, "") if character else ""
    if character in ("", *_DASHES):
        return "kanji" if character == "\u4e00" else ""
    for prefix, kind in (("CJK UNIFIED", "kanji"), ("KATAKANA", "katakana"), ("HIRAGANA", "hiragana")):
        if name.startswith(prefix):
            return kind
    return "kanji" if character == "々" else "other"


# --- words ---------------------------------------------------------------------------------------------------------

_SUBSTITUTE = Text(
    "証明書に載せられない文字の代わりに書かれた代替文字です。書類では元の文字が使われています。",
    "A substitute: the certificate cannot hold the character itself, which documents show.",
)
_VARIANT = Text(
    "字体の違う文字です。書類が普通の字体でも、同じ人のことがあります。",
    "A variant form: documents may show the everyday form for the same person.",
)
_SEQUENCE = Text(
    "字形を細かく指定した文字です。機器によっては、指定のない字形で表示・印刷されます。",
    "A form chosen by a variation sequence: some machines show and print the form without it.",
)
_COMBINING = Text(
    "文字と記号の組み合わせで書かれています。1文字に見えても、検索や照合では別の文字になります。",
    "Written as a character and a mark: it looks like one, and is another to who searches or compares.",
)
_COMPATIBILITY = Text(
    "旧字体などのための互換漢字です。書類や機器では普通の字体になることがあります。",
    "A compatibility ideograph for an older form: documents and machines may show the everyday form.",
)
_NARROW = Text(
    "半角の文字です。住民の記録は全角で書かれるため、入力の誤りかもしれません。",
    "A half-width character; registers write full width, so it may be an error of typing.",
)
_UNSEEN = Text(
    "目に見えない文字です。入力の誤りかもしれません。",
    "A character that is not seen; it may be an error of typing.",
)
_BEYOND = Text(
    "古い機器では2文字分に数えられ、「□」や「？」と表示されることがあります（サロゲートペア）。",
    "Older machines count it as two, and may show a box or a question mark (a surrogate pair).",
)
_RARE = Text(
    "JIS第1・第2水準にない文字です。機器によっては表示できません。",
    "A character outside JIS X 0208: some machines cannot show it.",
)


_KINDS: Mapping[str, Text] = {
    "kanji": Text("漢字", "kanji"),
    "katakana": Text("カタカナ", "katakana"),
    "hiragana": Text("ひらがな", "hiragana"),
}


def _looks_like(character: str, twin: str) -> Text:
    here, there = _KINDS[_kind(character)], _KINDS[_kind(twin)]
    return Text(
        f"{here.ja}の「{character}」です。{there.ja}の「{twin}」とよく似ています。",
        f"This is {character} in {here.en}; {twin} in {there.en} looks like it.",
    )


def _either(character: str, other: str) -> Text:
    return Text(
        f"「{character}」は「{other}」とよく似ていて、書類ではどちらも使われます。",
        f"{character} looks like {other}; documents have either.",
    )
