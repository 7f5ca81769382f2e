"""A sheet of paper: a page of HTML becomes a tagged PDF (PDF/UA-1, ISO 14289-1).

All that it is made of lies in the house, and nothing is fetched. WeasyPrint is imported with the first sheet: it needs
libraries of the system that only who prints has to have.
"""

from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from datetime import date
from functools import cache
from io import StringIO
from pathlib import Path
from string import printable
from threading import Lock, Thread
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from enroll.paper.fonts import fonts_of
from jpki.errors import JpkiError, Kind
from jpki.text import Text

if TYPE_CHECKING:
    from pydyf import PDF
    from weasyprint.document import Document

LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")
"""The Debian packages that WeasyPrint needs."""

_TEMPLATES = Path(__file__).parent / "templates"
_ALWAYS, _BESIDE = "Noto Sans JP", "Noto Sans JP beside"
"""The families of the two fonts that paper.css names first."""
_press = Lock()
"""Pango's font maps are no thread's own: one sheet is printed at a time."""


def printed(template: str, facts: Mapping[str, object]) -> bytes:
    """Return the sheet that `template` makes of `facts`, as PDF; of the same facts the same octets.

    Raises:
        JpkiError: UNAVAILABLE `paper-unavailable` where WeasyPrint, or a library that it needs, is not installed.
    """
    page = _templates().get_template(template).render(facts)
    with _press:
        require_press()
        # What every sheet of a kind says is made into fonts once, what only this one says beside it.
        always = _characters(template)
        fonts = {_ALWAYS: fonts_of(always), _BESIDE: fonts_of(frozenset(page) - always)}
        return _printed(page, fonts)


@cache
def make_ready(template: str) -> None:
    """Begin, once in this process, to load what prints, and to make what all sheets of `template` have in common.

    It takes seconds, in which others are served; the first sheet waits for it.
    """
    Thread(target=_make_ready, args=(template,), daemon=True).start()


def _make_ready(template: str) -> None:
    # Where nothing can be printed, whoever prints is told.
    with suppress(JpkiError), _press:
        require_press()
        fonts_of(_characters(template))


def require_press() -> None:
    """Require that sheets can be printed here.

    Raises:
        JpkiError: UNAVAILABLE `paper-unavailable`.
    """
    try:
        # Where a library is missing it says so on stdout, which is ours.
        with redirect_stdout(StringIO()):
            import weasyprint  # noqa: F401 - to know whether it can be
    except (ImportError, OSError) as error:
        raise JpkiError(
            Kind.UNAVAILABLE,
            "paper-unavailable",
            Text("PDFを作る部品が入っていません。", "What makes PDFs is not installed."),
            Text(
                f"make paper と apt-get install {' '.join(LIBRARIES)} を実行してください。",
                f"Run `make paper` and `apt-get install {' '.join(LIBRARIES)}`.",
            ),
        ) from error


def _printed(page: str, fonts: Mapping[str, Mapping[int, bytes]]) -> bytes:
    """Return the page as PDF, with these fonts by family and weight."""
    from weasyprint import CSS, HTML
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcherResponse

    files, rules = dict[str, bytes](), ""
    for family, weights in fonts.items():
        for weight, octets in weights.items():
            address = f"font:{len(files)}"
            files[address] = octets
            rules += f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url({address}) }}'

    def fetch(url: str) -> URLFetcherResponse:
        return URLFetcherResponse(url, files[url])

    there = FontConfiguration()
    style = CSS(string=rules + (_TEMPLATES / "paper.css").read_text("utf-8"), font_config=there, url_fetcher=fetch)
    pdf: bytes = HTML(string=page, url_fetcher=fetch).write_pdf(
        stylesheets=[style], font_config=there, pdf_variant="pdf/ua-1", finisher=_mark_english
    )
    return pdf


def _mark_english(_document: "Document", pdf: "PDF") -> None:
    """Say of the one section of a sheet that it is English (ISO 14289-1, 7.2): WeasyPrint keeps the page's language."""
    from pydyf import Dictionary, String

    for each in pdf.objects:
        if isinstance(each, Dictionary) and each.get("S") == "/Sect":
            each["Lang"] = String("en")


@cache
def _characters(template: str) -> frozenset[str]:
    """Return what a keyboard types and the templates' own characters."""
    sources = [(_TEMPLATES / name).read_text("utf-8") for name in (template, "sheet.html", "paper.css")]
    return frozenset(printable).union(*sources)


# --- words ---------------------------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    templates = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    templates.filters.update(ja=_in_japanese, en=_in_english)
    return templates


def _in_japanese(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _in_english(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
