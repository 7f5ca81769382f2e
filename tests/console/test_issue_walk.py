"""The issue wizard in a browser: a clerk at the keyboard, the counter's terminal beside it, the holder at a screen."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page

from ca.key_policy import holder_key
from enroll.case_paths import NOTHING
from enroll.office import Application
from jpki.card import CardFacts, CardMode
from jpki.case import Applicant, CaseKind, CaseNumber, CaseState, Document
from jpki.certificate import HOLDER_PURPOSES
from jpki.clerk import Clerk
from jpki.clock import day_in_japan, end_of_day, years_later
from server.cli.frame import run
from server.sample.holders import sample_code, sample_holder
from server.sample.keys import card_request
from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.console.office import ELSEWHERE, FRONT, OTHER_TOWN, SECOND, TOWN, OfficeServed

pytestmark = pytest.mark.slow

_CARD_ENDS = "2035-12-31T23:59:59+09:00"
_MOST_KEYS = 6
_SECONDS = 180
"""What a clerk has for one issue, and the holder's PINs with it; here it is a machine, which may be busy."""
_CHILD = 33
"""A sample holder under 15, of a hall with the seed `hall`."""


@contextmanager
def terminal_with_new_card(office: OfficeServed, folder: Path) -> Iterator[str]:
    """Run the counter's terminal with a new card in its reader, as a program of its own; yield its screen's address."""
    certified = office.clerks[FRONT][1]
    bundle, password, card = folder / "clerk.p12", folder / "password", folder / "card.json"
    bundle.write_bytes(certified.bundle)
    password.write_bytes(certified.password)
    assert run(["card", "make", "--card", str(card), "--until", _CARD_ENDS, "--without-pins"]) == 0
    line: list[str | Path] = [Path(sys.executable).with_name("jpki"), "card", "terminal", "--card", card]
    line += ["--url", office.url, "--certificate", bundle, "--password-file", password]
    line += ["--root", office.home / "tls" / "root.pem", "--screen-port", "0", "--lang", "en"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(found[0] for said in process.stderr if (found := re.search(r"http://\S+", said)))
        finally:
            process.terminate()
            assert process.wait(20) == 0


def choose_pins(office: OfficeServed, screen: str) -> None:
    """Be the holder: wait until the screen asks, and choose both PINs."""
    context = office.browser.new_context()
    page = context.new_page()
    page.goto(screen)
    page.locator("#signing").wait_for()
    for name, pin in (("signing", "ABC123"), ("authentication", "1234")):
        page.fill(f"#{name}", pin)
        page.fill(f"#{name}-again", pin)
    page.keyboard.press("Enter")
    page.get_by_text("カードの処理が終わりました").wait_for()
    context.close()


@dataclass
class Keyboard:
    """A clerk's hands: keys that type data, and keys that act, which are counted."""

    page: Page
    acts: int = 0

    def act(self, key: str, leads_to: str) -> None:
        """Press a key once the cursor stands somewhere, and wait for what it leads to."""
        self.page.wait_for_selector(":focus")
        self.acts += 1
        self.page.keyboard.press(key)
        self.page.locator(leads_to).wait_for()

    def type(self, text: str) -> None:
        self.page.wait_for_selector("input:focus")
        self.page.keyboard.type(text)


def test_a_clerk_issues_by_the_keyboard_alone_with_six_keys_beside_the_data(
    office: OfficeServed, tmp_path: Path
) -> None:
    with terminal_with_new_card(office, tmp_path) as screen, office.seated(FRONT) as page:
        hands, began = Keyboard(page), time.monotonic()
        hands.act("Enter", "#holder")
        hands.type(sample_code(5))
        hands.act("Enter", ".glyphs")
        assert "髙" in page.inner_text(".glyphs")
        hands.act("Enter", "#purposes-signing")
        hands.act("Enter", ".progress")
        choose_pins(office, screen)
        page.locator("form[action$='delivery']").wait_for()
        hands.act("Enter", ".accept")
        with page.context.expect_event("request", lambda request: "/receipt" in request.url):
            hands.act("Enter", ".accept")
        seconds = time.monotonic() - began
        number = CaseNumber(page.url.partition("/issue/")[2].partition("?")[0])
        assert office.rooms.store.cases.case(number).state is CaseState.DELIVERED
        assert page.locator("tbody tr").count() == 2
    assert hands.acts <= _MOST_KEYS
    assert seconds < _SECONDS
    assert office.said == []


# --- cases that are made without the pages -------------------------------------------------------------------------


@dataclass
class Counter:
    """The other hands at the counter: what the terminal and other clerks do, by the same office."""

    office: OfficeServed
    keys: int = 7000

    def clerk(self, name: str = FRONT) -> Clerk:
        return self.office.rooms.store.clerks.clerk(self.office.clerks[name][0])

    def opened(self, holder: int, applicant: Applicant = Applicant.HOLDER) -> CaseNumber:
        application = Application(
            kind=CaseKind.NEW,
            counter=TOWN,
            holder=sample_code(holder),
            purposes=HOLDER_PURPOSES,
            applicant=applicant,
            documents=frozenset({Document.LEGAL_PROOF}),
        )
        return self.office.rooms.office.open(application, self.clerk()).number

    def presented(self, number: CaseNumber) -> CaseNumber:
        end = end_of_day(years_later(day_in_japan(self.office.rooms.clock()), 9))
        card = CardFacts(number=f"CARD-{number[-4:]}", not_after=end, mode=CardMode.ORDINARY)
        self.office.rooms.office.present_card(number, card, self.clerk())
        return number

    def checked(self, number: CaseNumber) -> CaseNumber:
        self.office.rooms.office.check_identity(self.presented(number), NOTHING, self.clerk())
        return number

    def approved(self, number: CaseNumber, name: str = FRONT) -> CaseNumber:
        self.office.rooms.office.approve(number, self.clerk(name))
        return number

    def issued(self, number: CaseNumber) -> CaseNumber:
        rooms, keys = self.office.rooms, {}
        for purpose in rooms.store.cases.case(number).purposes:
            self.keys += 1
            keys[purpose] = holder_key(card_request(rooms.profile.key, self.keys), rooms.profile.key)
        rooms.office.issue(number, keys, self.clerk())
        return number

    def delivered(self, number: CaseNumber) -> CaseNumber:
        self.office.rooms.office.deliver(number, self.clerk())
        return number


@pytest.fixture(scope="module")
def counter(office: OfficeServed) -> Counter:
    return Counter(office)


def test_without_scripts_a_parent_s_application_goes_on_by_itself_once_another_clerk_approved_it(
    office: OfficeServed, counter: Counter
) -> None:
    child = sample_holder("hall", _CHILD)
    assert years_later(child.birth_date, 15) > day_in_japan(office.rooms.clock())
    with office.seated(FRONT, SMALL, scripts=False, language="en") as page:
        page.goto(f"{office.url}/console/open/new")
        page.fill("#holder", child.code)
        page.check("#applicant-legal-proxy")
        page.check("#documents-legal-proof")
        page.click("main button.main")
        number = CaseNumber(page.url.rpartition("/")[2])
        page.click("main button.main")
        page.get_by_text("The card has not been read yet.").wait_for()
        counter.presented(number)
        page.locator("#purposes-authentication").wait_for()
        assert "No signing certificate is issued to a holder under 15." in page.inner_text("main")
        page.click("main button.main")
        page.get_by_text("The case waits for another clerk's approval.").wait_for()
        counter.approved(number, SECOND)
        page.locator(".progress").wait_for()
        counter.issued(number)
        page.locator("form[action$='delivery'] button").click()
        page.get_by_text("The certificates are valid now.").wait_for()
        assert page.locator("tbody tr").count() == 1


def test_every_page_of_the_wizard_is_for_everyone(office: OfficeServed, counter: Counter) -> None:
    pages = _pages(counter)
    for width, language in ((SMALL, "both"), (LARGE, "ja")):
        with office.seated(FRONT, width, language=language) as page:
            for address, says in pages.items():
                page.goto(f"{office.url}/console{address}")
                assert says in page.inner_text("main"), address
                require_for_everyone(page, width)
            page.goto(f"{office.url}/console/open/re-issue")
            page.fill("#holder", "誤り")
            page.keyboard.press("Enter")
            page.locator("#error").wait_for()
            require_for_everyone(page, width)
    assert [each for each in office.said if "422" not in each] == []


def _pages(counter: Counter) -> Mapping[str, str]:
    """Return a page of each state, waiting ones held still, and what it says."""
    elsewhere = counter.opened(13)
    counter.office.rooms.office.take_over(elsewhere, OTHER_TOWN, counter.clerk(ELSEWHERE))
    cancelled = counter.opened(14)
    counter.office.rooms.office.cancel(cancelled, counter.clerk())
    of_proxy = counter.checked(counter.opened(16, Applicant.LEGAL_PROXY))
    return {
        "/open/new": "新規発行を受け付ける",
        "/open/re-issue": "再発行の理由",
        f"/issue/{counter.opened(9)}": "住民の記録と書類を見比べる",
        f"/issue/{counter.opened(10)}?step=kinds&still=1": "カードを読み取り機に置く",
        f"/issue/{counter.presented(counter.opened(11))}?step=kinds": "発行する証明書を選ぶ",
        f"/issue/{of_proxy}?still=1": "承認を待っています",
        f"/issue/{counter.approved(counter.checked(counter.opened(12)))}?still=1": "暗証番号を決め",
        f"/issue/{counter.issued(counter.approved(counter.checked(counter.opened(15))))}": "確かめて交付する",
        f"/issue/{counter.delivered(counter.issued(counter.approved(counter.checked(counter.opened(17)))))}": "交付",
        f"/issue/{cancelled}": "取り下げられました",
        f"/issue/{elsewhere}": "ほかの窓口の申請です",
    }
