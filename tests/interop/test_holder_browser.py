"""The holder's page in a real browser, over TLS, with the authentication certificate that the holder chooses there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.interop.authority import JPKI, Card, Resident, enrol, found
from tests.interop.conftest import HANAKO, TARO
from tests.interop.test_pages import browser, reach
from tests.server.test_registered import serving

pytestmark = pytest.mark.slow
__all__ = ["browser"]

TELEPHONE = "0120-000-000"


@dataclass(frozen=True, slots=True)
class House:
    """A home that speaks TLS, and two holders."""

    url: str
    hanako: Resident
    taro: Resident


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    authority = found(tmp_path_factory.mktemp("holders"))
    settings = authority.home / "jpki.toml"
    settings.write_text(f'suspension_telephone = "{TELEPHONE}"\n{settings.read_text("utf-8")}', "utf-8")
    hanako, taro = enrol(authority, HANAKO), enrol(authority, TARO)
    authority.issue("authentication", TARO, "mobile:phone-1")
    authority.do("tls", "certify", "--host", "localhost")
    with serving(JPKI, authority.home) as door:
        yield House(f"https://localhost:{door.port}", hanako, taro)


def coming(browser: Browser, house: House, card: Card | None, width: int = SMALL, *, scripts: bool = True) -> Page:
    """Return a page of a browser in which the holder has chosen this certificate."""
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": 800},
        java_script_enabled=scripts,
        locale="ja-JP",
        ignore_https_errors=True,
        client_certificates=[]
        if card is None
        else [{"origin": house.url, "certPath": card.certificate, "keyPath": card.key}],
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    return page


@pytest.mark.parametrize("width", [SMALL, LARGE])
def test_every_page_of_the_holder_is_for_everyone(browser: Browser, house: House, width: int) -> None:
    asked, said = list[str](), list[str]()
    for card, addresses in (
        (None, ["/holder", "/holder/suspension"]),
        (house.hanako.authentication, ["/holder", "/holder?before=1", "/holder/suspension"]),
    ):
        page = coming(browser, house, card, width)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        for address in addresses:
            page.goto(f"{house.url}{address}")
            require_for_everyone(page, width)
        page.context.close()
    assert all(each.startswith(house.url) for each in asked)
    # The one refusal, of who has no certificate, is told by the browser, too.
    assert [each for each in said if "401" not in each] == []


def test_by_keyboard_and_without_scripts_a_holder_suspends_a_lost_card_and_is_out(
    browser: Browser, house: House
) -> None:
    page = coming(browser, house, house.taro.authentication, scripts=False)
    page.goto(f"{house.url}/")
    for link, arrived in (("a[href='/holder']", "**/holder"), ("a[href='/holder/suspension']", "**/suspension")):
        reach(page, link)
        page.keyboard.press("Enter")
        page.wait_for_url(arrived)
    assert "署名用電子証明書の一時停止は解除できません" in page.inner_text("main")
    reach(page, "button[type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".sentence")
    assert "カードの証明書を一時停止しました。" in page.inner_text(".sentence")
    page.goto(f"{house.url}/holder")
    assert "一時停止中のため" in page.inner_text("[role=alert]")
    assert TELEPHONE in page.inner_text("main")
    page.context.close()
    seen = coming(browser, house, house.taro.authentication)
    seen.goto(f"{house.url}/holder")
    require_for_everyone(seen, SMALL)
    seen.context.close()


def test_who_thinks_again_goes_back_and_nothing_has_changed(browser: Browser, house: House) -> None:
    page = coming(browser, house, house.hanako.authentication)
    page.goto(f"{house.url}/holder/suspension")
    reach(page, "a[href='/holder']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/holder")
    assert [each.partition("。")[0] for each in page.locator(".sentence .ja").all_inner_texts()] == ["有効です"] * 2
    page.context.close()


def test_another_sites_form_suspends_nothing(browser: Browser, house: House, tmp_path: Path) -> None:
    """The browser sends the holder's certificate along with another site's form, and says that it is another's."""
    trap = tmp_path / "trap.html"
    trap.write_text(f'<form method="post" action="{house.url}/holder/suspension"><button>Win</button></form>', "utf-8")
    page = coming(browser, house, house.hanako.authentication)
    page.goto(trap.as_uri())
    page.click("button")
    page.wait_for_url(f"{house.url}/**")
    assert page.locator("[role=alert]").count() == 1
    page.goto(f"{house.url}/holder")
    assert page.locator(".accept").count() == 2
    page.context.close()
