"""Log-in, the session, and the page that a clerk begins the day with."""

import pytest

from enroll.office import Application
from jpki.case import CaseKind, CaseNumber
from jpki.certificate import HOLDER_PURPOSES
from server.sample.holders import sample_code
from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.console.office import CHIEF, FRONT, TOWN, OfficeServed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def waiting(office: OfficeServed) -> CaseNumber:
    """A case that is open at the counter."""
    clerk = office.rooms.store.clerks.clerk(office.clerks[FRONT][0])
    wish = Application(kind=CaseKind.NEW, counter=TOWN, holder=sample_code(150), purposes=HOLDER_PURPOSES)
    return office.rooms.office.open(wish, clerk).number


@pytest.mark.parametrize(
    ("width", "language"), [(SMALL, "both"), (SMALL, "en"), (LARGE, "ja"), (LARGE, "both")], ids=str
)
def test_the_first_pages_are_for_everyone(office: OfficeServed, waiting: CaseNumber, width: int, language: str) -> None:
    with office.visited(FRONT, width, language=language) as page:
        page.goto(f"{office.url}/console/")
        assert page.url.endswith("/console/login")
        require_for_everyone(page, width)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/")
        assert waiting in page.inner_text("main")
        require_for_everyone(page, width)
        # Enlarged to 200 %, half as much fits onto the screen (WCAG 2.1, 1.4.10).
        page.set_viewport_size({"width": width // 2 if width == LARGE else width, "height": 450})
        require_for_everyone(page, width // 2 if width == LARGE else width)
    assert office.said == []


def test_a_clerk_sees_by_name_who_the_certificate_says_it_is(office: OfficeServed) -> None:
    with office.visited(FRONT) as page:
        page.goto(f"{office.url}/console/login")
        assert FRONT in page.inner_text("main")
    with office.seated(CHIEF, scripts=False) as page:
        assert CHIEF in page.inner_text("header")
