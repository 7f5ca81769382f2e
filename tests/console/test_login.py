"""Log-in, the session, and the page that a clerk begins the day with."""

import pytest

from tests.console.office import CHIEF, FRONT, LARGE, SMALL, OfficeServed, require_for_everyone

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [SMALL, LARGE])
@pytest.mark.parametrize("language", ["ja", "en", "both"])
def test_the_first_pages_are_for_everyone(office: OfficeServed, width: int, language: str) -> None:
    with office.visited(FRONT, width, language=language) as page:
        page.goto(f"{office.url}/console/")
        assert page.url.endswith("/console/login")
        require_for_everyone(page, width)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/")
        require_for_everyone(page, width)
    assert office.said == []


def test_a_clerk_sees_by_name_who_the_certificate_says_it_is(office: OfficeServed) -> None:
    with office.visited(FRONT) as page:
        page.goto(f"{office.url}/console/login")
        assert FRONT in page.inner_text("main")
    with office.seated(CHIEF, scripts=False) as page:
        assert CHIEF in page.inner_text("header")
