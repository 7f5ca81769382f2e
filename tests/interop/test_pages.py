"""The public pages in a real browser: for everyone, on small screens, without scripts, and from this host alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from jpki.look import FACES
from signing.intake import Format
from signing.page import report
from signing.policies import ARCHIVE, GENERAL
from signing.report import FileVerdict
from signing.samples import tax_return_pdf
from signing.sign import sign
from signing.verify import judge
from tests.chromium import LARGE, SMALL, chromium, require_for_everyone
from tests.interop.authority import Town
from tests.signing.town import NOW, make_town

pytestmark = pytest.mark.slow

PAGES = (
    *("/", "/accessibility", "/certificate", "/verify", "/api/docs", "/holder"),
    *("/crl/", "/crl/?q=Chiyoda&ca=signing", "/crl/?q=nowhere"),
)
NAME = "𠮷野髙﨑葛\U000e0100城"
"""Characters that others often lack, and a variant by its sequence."""
FILES = len(list(FACES.parent.glob("*.woff2")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def opened(browser: Browser, width: int = LARGE, *, scripts: bool = True) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 800}, java_script_enabled=scripts, locale="ja-JP")
    page.set_default_timeout(20_000)
    return page


@pytest.mark.parametrize("width", [SMALL, LARGE])
def test_every_page_is_for_everyone(town: Town, browser: Browser, width: int) -> None:
    page = opened(browser, width)
    asked, said = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    for address in PAGES:
        page.goto(f"{town.authority.url}{address}")
        for summary in page.query_selector_all("summary"):
            summary.click()
        require_for_everyone(page, width)
    assert all(each.startswith(town.authority.url) for each in asked)
    assert said == []
    page.close()


def test_the_pages_are_drawn_in_the_fonts_of_the_house(town: Town, browser: Browser) -> None:
    page = opened(browser)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{town.authority.url}/")
    # Nothing of a page waits for a font: these characters are put in to be drawn.
    page.evaluate("name => document.querySelector('h1').append(name)", NAME)
    page.wait_for_function("name => document.fonts.check('16px \"Noto Sans JP\"', name)", arg=NAME)
    page.wait_for_function("() => document.fonts.status === 'loaded'")
    drawn = [each for selector in ("h1", "main") for each in fonts_of(page, selector)]
    assert drawn
    # The files name themselves by the first of their weights.
    assert {(each["familyName"], each["isCustomFont"]) for each in drawn} == {("Noto Sans JP Thin", True)}
    fonts = [url for url in asked if url.endswith(".woff2")]
    assert 0 < len(fonts) < FILES // 2
    assert all(url.startswith(f"{town.authority.url}/look/fonts/") for url in fonts)
    page.close()


def fonts_of(page: Page, selector: str) -> list[dict[str, Any]]:
    """The fonts that the browser took for what an element and all in it says."""
    session = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    fonts: list[dict[str, Any]] = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    return fonts


@pytest.mark.parametrize(
    ("address", "name", "word"),
    [
        ("/certificate", "hanako.signing", "この証明書は有効です。"),
        ("/certificate", "taro.signing", "この証明書は失効しています。"),
        ("/certificate", "", "証明書として読めるファイルではありません。"),
        ("/verify", "", "ファイルに署名がありません。"),
    ],
    ids=["alive", "revoked", "no certificate", "not signed"],
)
def test_a_file_is_judged_without_scripts(
    town: Town, browser: Browser, tmp_path: Path, address: str, name: str, word: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(town.card(name).certificate.read_bytes() if name else tax_return_pdf(["Income"]))
    plain, judged = opened(browser, SMALL, scripts=False), opened(browser, SMALL)
    for page in (plain, judged):
        page.goto(f"{town.authority.url}{address}")
        page.set_input_files("input[type=file]", file)
        page.focus("button[type=submit]")
        page.keyboard.press("Enter")
        page.wait_for_selector(".sentence")
        assert word in page.inner_text(".sentence")
    require_for_everyone(judged, SMALL)
    for page in (plain, judged):
        page.close()


@pytest.mark.parametrize("width", [SMALL, LARGE])
def test_a_report_is_for_everyone_and_asks_nobody(browser: Browser, tmp_path: Path, width: int) -> None:
    file = tmp_path / "report.html"
    with ThreadPoolExecutor(1) as executor:  # Playwright's loop runs in this thread, and judging needs one of its own.
        file.write_text(report(executor.submit(verdicts).result(), ARCHIVE, NOW), "utf-8")
    page = opened(browser, width)
    asked, said = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    require_for_everyone(page, width)
    assert page.evaluate("getComputedStyle(document.querySelector('.refuse')).backgroundColor") == "rgb(253, 238, 238)"
    assert asked == [file.as_uri()]
    assert said == []
    page.close()


def verdicts() -> list[FileVerdict]:
    """Return verdicts of every kind, on files of long names."""
    town = make_town()
    signed = sign(tax_return_pdf(["Income"]), town.holder, Format.PADES, NOW)
    found = [
        judge(BytesIO(document), town.validation(show=True), policy)
        for document in (signed, signed.replace(b"Income", b"Outgos"), b"x")
        for policy in (GENERAL, ARCHIVE)
    ]
    return [replace(verdict, path="/var/spool/returns/" + "令和七年分の申告書" * 8 + ".pdf") for verdict in found]


def test_by_keyboard_alone_one_gets_from_the_portal_to_a_municipalitys_list(town: Town, browser: Browser) -> None:
    page = opened(browser)
    page.goto(f"{town.authority.url}/")
    follow(page, 'a[href="/crl/"]')
    reach(page, "#q")
    page.keyboard.type("千代田区")
    page.keyboard.press("Enter")
    page.wait_for_url("**/crl/?q=*")
    assert "千代田区" in page.inner_text(".points")
    page.close()


def follow(page: Page, link: str) -> None:
    reach(page, link)
    page.keyboard.press("Enter")
    page.wait_for_url("**/crl/")


def reach(page: Page, wanted: str) -> None:
    """Press the tabulator until the element has the focus, which can be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", wanted):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    pytest.fail(f"{wanted} is out of a keyboard's reach")
