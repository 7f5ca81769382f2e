"""The pages of administrators and auditors in a browser: for everyone, and by the keyboard alone."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page

from jpki.acts import LOCAL_OPERATOR
from jpki.clock import day_in_japan
from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.console.office import AUDITOR, CHIEF, OfficeServed
from tests.server.many_certificates import with_many

pytestmark = pytest.mark.slow

PAGES = ("", "campaigns", "campaigns/1", "audit", "people", "authority")


@pytest.fixture(scope="module")
def ending(office: OfficeServed) -> str:
    """A day until which many certificates end; a campaign could not do some of those that end first."""
    rooms = office.rooms
    with_many(rooms, 400, weeks=11)
    today = day_in_japan(rooms.clock())
    campaign = rooms.store.campaigns.open(today + timedelta(days=20), LOCAL_OPERATOR, rooms.clock()).id
    taken = rooms.store.campaigns.take(campaign, 50, rooms.clock())
    rooms.store.campaigns.finish(campaign, taken, {}, dict.fromkeys(taken.serials, "request-missing"))
    return (today + timedelta(days=80)).isoformat()


def test_a_campaign_is_opened_and_paused_by_the_keyboard_alone(office: OfficeServed, ending: str) -> None:
    with office.seated(CHIEF, scripts=False) as page:
        page.goto(f"{office.url}/console/campaigns?ending_by={ending}")
        assert page.locator("svg rect.of-signing").count() >= 11
        pressed(page, "一括更新を開始する")
        page.wait_for_url("**/campaigns/*")
        pressed(page, "一時停止する")
        page.get_by_role("button", name="再開する").wait_for()
        assert "一時停止中" in page.inner_text("main")


def pressed(page: Page, name: str) -> None:
    """Go to the button with the Tab key, and press it."""
    button = page.get_by_role("button", name=name)
    for _ in range(60):
        page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("width", "language", "clerk"), [(SMALL, "both", CHIEF), (LARGE, "ja", AUDITOR), (SMALL, "en", AUDITOR)]
)
def test_the_pages_are_for_everyone(office: OfficeServed, ending: str, width: int, language: str, clerk: str) -> None:
    del ending
    with office.seated(clerk, width, language=language) as page:
        for address in (*PAGES, *(("revocations",) if clerk == CHIEF else ())):
            page.goto(f"{office.url}/console/{address}")
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            require_for_everyone(page, width)


def test_the_audit_is_checked_and_taken_away(office: OfficeServed) -> None:
    office.rooms.notary.sign()
    with office.seated(AUDITOR) as page:
        page.goto(f"{office.url}/console/audit")
        page.get_by_role("button", name="全体を検証する").click()
        page.get_by_text("監査記録は完全です。").wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="署名付きの記録をダウンロード").click()
        assert download.value.suggested_filename == "audit.log"
        assert download.value.path().read_bytes().startswith(b"{")
