"""Receipts and notices as a printer, a reader's program and a person meet them."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont
from pyhanko.pdf_utils.reader import PdfFileReader

from enroll.card.pins import TRIES
from enroll.paper import sheet
from enroll.paper.fonts import BOLD, REGULAR, fonts_of
from enroll.paper.receipt import Receipt, make_ready, receipt
from enroll.paper.renewal_notice import RenewalNotice, renewal_notice
from enroll.paper.sheet import LIBRARIES, require_press
from jpki.case import CaseKind, CaseNumber
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.counter import LONGEST_COUNTER_NAME
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode
from tests.conftest import PROJECT

pytestmark = pytest.mark.slow

CASE = CaseNumber("261127-7KQ4-M2XC")
LAST_DAY = date(2031, 4, 1)
COUNTER = "𠮷野・髙﨑センター"
TELEPHONE = "0120-00-0000"
ISSUING = [kind for kind in CaseKind if kind.issues]


@pytest.fixture(autouse=True)
def _printing() -> None:
    try:
        require_press()
    except JpkiError:
        pytest.skip(f"the libraries that print are not installed: {', '.join(LIBRARIES)}")


def test_a_receipt_is_made_ready_once_and_beside_other_work() -> None:
    fonts_of.cache_clear()
    sheet.make_ready.cache_clear()
    for _ in range(2):
        make_ready()
    assert fonts_of.cache_info().currsize == 0
    until = monotonic() + 60
    while fonts_of.cache_info().currsize == 0:
        assert monotonic() < until
        sleep(0.05)
    plain = Receipt(
        case=CASE,
        kind=CaseKind.NEW,
        counter="",
        opened_on=LAST_DAY,
        done_on=LAST_DAY,
        days={},
        suspension_telephone=None,
        base_url="",
    )
    receipt(plain)
    # Only what this sheet says beside the others' words was made for it.
    assert (fonts_of.cache_info().misses, fonts_of.cache_info().hits) == (2, 1)


@cache
def of_case(
    kind: CaseKind = CaseKind.NEW,
    purposes: tuple[Purpose, ...] = HOLDER_PURPOSES,
    counter: str = COUNTER,
    telephone: str | None = TELEPHONE,
    base_url: str = "https://ca.example.jp",
) -> bytes:
    return receipt(
        Receipt(
            case=CASE,
            kind=kind,
            counter=counter,
            opened_on=date(2026, 11, 25),
            done_on=date(2026, 11, 30),
            days=dict.fromkeys(purposes, LAST_DAY),
            suspension_telephone=telephone,
            base_url=base_url,
        )
    )


@cache
def of_renewal(purposes: tuple[Purpose, ...] = HOLDER_PURPOSES) -> bytes:
    return renewal_notice(
        RenewalNotice(
            holder=HolderCode("H-0001"),
            last_days=dict.fromkeys(purposes, LAST_DAY),
            opens_on=date(2031, 1, 2),
            made_on=date(2030, 12, 27),
        )
    )


Poppler = Callable[..., str]


@pytest.fixture
def poppler(program: Callable[[str], str], tmp_path: Path) -> Poppler:
    """Ask a program of poppler-utils about a PDF; it must complain of nothing."""

    def ask(name: str, pdf: bytes, *words: str) -> str:
        file = tmp_path / "sheet.pdf"
        file.write_bytes(pdf)
        done = subprocess.run(
            [program(name), *words, file, *["-"][: name == "pdftotext"]], capture_output=True, check=True
        )
        assert done.stderr == b""
        return done.stdout.decode()

    return ask


def lines(told: str) -> Mapping[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in told.splitlines())}


def words(poppler: Poppler, pdf: bytes) -> str:
    """All that a sheet says, without spaces and breaks of lines."""
    return "".join(poppler("pdftotext", pdf, "-raw").split())


# --- the form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pdf", "title"),
    [(of_case, f"電子証明書の手続の控え {CASE}"), (of_renewal, "電子証明書の更新のお知らせ")],
    ids=["receipt", "notice"],
)
def test_a_sheet_is_one_page_of_tagged_a4_that_says_its_title_and_language(
    poppler: Poppler, pdf: Callable[[], bytes], title: str
) -> None:
    told = lines(poppler("pdfinfo", pdf()))
    assert (told["Title"], told["Tagged"], told["Pages"], told["JavaScript"]) == (title, "yes", "1", "no")
    assert told["Page size"].endswith("(A4)")
    # PDF/UA-1 (ISO 14289-1) 5, 7.1, 7.2.
    assert re.search(r"pdfuaid:part[^0-9]*1\b", poppler("pdfinfo", pdf(), "-meta"))
    root = PdfFileReader(BytesIO(pdf())).root
    assert root["/Lang"] == "ja"
    assert root["/MarkInfo"]["/Marked"]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert "/StructTreeRoot" in root


def test_the_structure_has_headings_and_tables_whose_heads_name_what_they_head(poppler: Poppler) -> None:
    structure = [line.split()[0] for line in poppler("pdfinfo", of_case(), "-struct").splitlines() if line.strip()]
    assert structure.count("H1") == 1
    assert structure.count("H2") == 4
    assert structure.count("Table") == 2
    assert structure.count("TH") == 5 + 4 + 2


def test_the_english_part_is_marked_as_english() -> None:
    found = [each for each in elements(PdfFileReader(BytesIO(of_case())).root["/StructTreeRoot"]) if "/Lang" in each]
    assert [(each["/S"], each["/Lang"]) for each in found] == [("/Sect", "en")]


def elements(element: Any) -> Iterator[Any]:  # noqa: ANN401 - pyHanko's dictionaries
    yield element
    kids = element.get("/K", [])
    for kid in kids if isinstance(kids, list) else [kids]:
        found = kid.get_object()
        if isinstance(found, dict) and "/S" in found:
            yield from elements(found)


@pytest.mark.parametrize("pdf", [of_case, of_renewal], ids=["receipt", "notice"])
def test_all_fonts_are_embedded_and_of_the_house(poppler: Poppler, pdf: Callable[[], bytes]) -> None:
    _, _, *fonts = poppler("pdffonts", pdf()).splitlines()
    assert 2 <= len(fonts) <= 4
    for line in fonts:
        name, *_, embedded, subset, unicode, _, _ = line.split()
        assert name.partition("+")[2].startswith("Noto-Sans-JP")
        assert (embedded, subset, unicode) == ("yes", "yes", "yes")


def outline(font: TTFont, glyph: str) -> list[tuple[str, Any]]:
    pen = RecordingPen()
    font.getGlyphSet()[glyph].draw(pen)
    drawn: list[tuple[str, Any]] = pen.value
    return drawn


def test_every_character_is_drawn_as_its_own_glyph() -> None:
    # A program that reads the text would not notice: what it is told of a glyph need not be what is drawn.
    page = PdfFileReader(BytesIO(of_case())).root["/Pages"]["/Kids"][0].get_object()
    drawn = set[str]()
    for each in (reference.get_object() for reference in page["/Resources"]["/Font"].values()):
        descriptor = each["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        embedded = TTFont(BytesIO(descriptor["/FontFile2"].data))
        _, _, told = each["/ToUnicode"].data.decode().partition("beginbfchar")
        pairs = re.findall(r"<([0-9A-Fa-f]{4})> <([0-9A-Fa-f]+)>", told)
        characters = {bytes.fromhex(code).decode("utf-16-be"): int(glyph, 16) for glyph, code in pairs}
        assert characters
        weight = BOLD if "Bold" in descriptor["/FontName"] else REGULAR
        own = TTFont(BytesIO(fonts_of(frozenset(characters))[weight]))
        for character, glyph in characters.items():
            name = embedded.getGlyphName(glyph)
            assert outline(embedded, name) == outline(own, own.getBestCmap()[ord(character)]), character
        drawn.update(characters)
    assert set(COUNTER) <= drawn


def test_the_same_facts_make_the_same_octets() -> None:
    assert of_case.__wrapped__() == of_case()


# --- what a receipt says -------------------------------------------------------------------------------------------


def test_a_receipt_tells_what_was_done_where_and_when(poppler: Poppler) -> None:
    told = words(poppler, of_case())
    for each in (
        "電子証明書を発行し、カードに記録しました。",
        f"申請番号{CASE}",
        f"窓口{COUNTER}",
        "受付の日2026年11月25日",
        "交付の日2026年11月30日",
        "署名用電子証明書2031年4月1日英大文字と数字6～16文字続けて5回",
        "利用者証明用電子証明書2031年4月1日数字4桁続けて3回",
        "翌日（2026年12月1日）",
        "https://ca.example.jp/certificate",
        "Signingcertificate:validtotheendof1April2031.PIN:6to16upper-caselettersanddigits,5tries.",
    ):
        assert each in told
    assert TRIES == {Purpose.SIGNING: 5, Purpose.AUTHENTICATION: 3}


@pytest.mark.parametrize("kind", list(CaseKind))
def test_every_kind_of_case_has_a_receipt_of_one_page(poppler: Poppler, kind: CaseKind) -> None:
    pdf = of_case(kind)
    told = words(poppler, pdf)
    assert lines(poppler("pdfinfo", pdf))["Pages"] == "1"
    assert kind.text.ja in told
    assert ("翌日" in told) is ("交付の日" in told) is kind.issues
    assert ("暗証番号の記録はありません" in told) is (kind.issues or kind is CaseKind.PIN_RESET)
    assert (TELEPHONE in told) is (kind not in (CaseKind.REVOCATION, CaseKind.HOLD))
    assert ("一時停止は解除できず" in told) is (kind is not CaseKind.REVOCATION)
    assert ("失効した日" in told) is (kind is CaseKind.REVOCATION)
    assert ("一時停止した日" in told) is (kind is CaseKind.HOLD)


def test_a_receipt_tells_of_the_certificates_of_the_case_alone(poppler: Poppler) -> None:
    told = words(poppler, of_case(purposes=(Purpose.AUTHENTICATION,)))
    assert "英大文字" not in told
    assert "Signing" not in told


def test_without_a_telephone_number_the_counter_is_told_of_a_lost_card(poppler: Poppler) -> None:
    told = words(poppler, of_case(telephone=None))
    assert "すぐに窓口へお届けください。" in told
    assert "None" not in told


def test_the_longest_names_fit_on_the_page_and_are_no_markup(poppler: Poppler) -> None:
    counter = "<b>&amp;" + "髙" * (LONGEST_COUNTER_NAME - 8)
    pdf = of_case(counter=counter, base_url=f"https://{'long.' * 20}example.jp")
    assert lines(poppler("pdfinfo", pdf))["Pages"] == "1"
    assert f"窓口{counter}" in words(poppler, pdf)


def test_r21_a_receipt_says_that_it_names_nobody(poppler: Poppler) -> None:
    assert "氏名・住所・マイナンバーは書かれていません" in words(poppler, of_case())


# --- what a notice says --------------------------------------------------------------------------------------------


def test_a_notice_tells_when_where_and_with_what_to_renew(poppler: Poppler) -> None:
    told = words(poppler, of_renewal())
    for each in (
        "専用コードH-0001マイナンバー（個人番号）ではありません",
        "2031年1月2日から2031年4月1日まで",
        "署名用電子証明書2031年4月1日英大文字と数字6～16文字",
        "利用者証明用電子証明書2031年4月1日数字4桁",
        "住民票のある市区町村の窓口",
        "照会書兼回答書",
        "from2January2031to1April2031",
        "ThecodeH-0001isnotyourMyNumber.",
    ):
        assert each in told
    assert re.search(r"[0-9]{12}", told) is None


def test_a_notice_of_one_certificate_speaks_of_one(poppler: Poppler) -> None:
    told = words(poppler, of_renewal((Purpose.AUTHENTICATION,)))
    assert "英大文字" not in told
    assert "利用者証明用電子証明書2031年4月1日" in told


# --- where nothing can be printed ----------------------------------------------------------------------------------


def test_who_cannot_print_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(JpkiError) as refused:
        of_case.__wrapped__()
    assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "paper-unavailable")
    assert all(library in refused.value.action.ja for library in LIBRARIES)


def test_the_libraries_are_those_that_the_tests_install() -> None:
    script = (PROJECT / "tests" / "debian-packages.sh").read_text("utf-8")
    assert all(f"[{library}]=" in script for library in LIBRARIES)
