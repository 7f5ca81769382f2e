"""The language of a page that answers a form: it is had in another with what was typed, and nothing is done twice."""

import re
from html import unescape

import pytest

from tests.console.seats import Browser
from tests.server.api_world import ApiTown
from tests.server.office_world import HANA, Serials

EN = '<html lang="en">'
WISH = {"holder": HANA, "event": "record-wrong", "applicant": "legal-proxy", "which": "signing"}


def fields_of(page: str) -> dict[str, str]:
    """Return what the language switch sends beside the language."""
    switch = page.partition('<form class="languages"')[2].partition("</form>")[0]
    return {unescape(n): unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', switch)}


def address_of(page: str, language: str) -> str | None:
    """Return where the switch asks for the same in a language; None where it asks for the page of an address."""
    found = re.search(rf'formaction="/console([^"]*\?lang={language})"', page)
    return None if found is None else found[1]


@pytest.mark.parametrize(
    ("path", "fields", "kept"),
    [
        ("/search", {"identifier": HANA}, HANA),
        ("/holder", {"holder": HANA}, HANA),
        ("/open/revocation", WISH, "What will happen (nothing has been done yet)"),
        ("/open/revocation", WISH | {"to": "begin"}, f'value="{HANA}"'),
        ("/open/revocation", WISH | {"to": "do"}, "What will happen (nothing has been done yet)"),
        ("/open/new", {"holder": "H?", "applicant": "legal-proxy"}, 'value="H?"'),
    ],
    ids=["search", "holder", "preview", "form", "refused", "application"],
)
def test_an_answer_is_had_in_another_language_with_what_was_typed(
    town: ApiTown, front: Browser, pair: Serials, path: str, fields: dict[str, str], kept: str
) -> None:
    assert pair
    cases = len(town.rooms.store.cases.of_holder(HANA))
    page = front.post(path, fields).text
    address = address_of(page, "en")
    assert address is not None
    answer = front.post(address, fields_of(page))
    assert EN in answer.text
    assert kept in answer.text
    assert len(town.rooms.store.cases.of_holder(HANA)) == cases
    assert EN in front.get("/").text


def test_what_was_done_is_not_done_again_but_its_page_is_shown(town: ApiTown, front: Browser) -> None:
    case = town.office.opened()
    page = front.post(f"/cases/{case.number}/completion").text
    assert address_of(page, "en") is None
    assert fields_of(page) == {"back": f"/console/cases/{case.number}"}
    unknown = front.post("/cases/nonsense/approval").text
    assert fields_of(unknown) == {"back": "/console/"}


def test_a_language_in_the_address_of_a_page_chooses_nothing(front: Browser) -> None:
    answer = front.get("/?lang=en")
    assert EN not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_my_number_is_not_kept_for_another_language(front: Browser) -> None:
    for path, name in (("/search", "identifier"), ("/open/new", "holder"), ("/open/hold", "holder")):
        for typed in ("123456789012", "１２３４５６７８９０１２"):
            page = front.post(path, {name: typed}).text
            assert fields_of(page)[name] == "", path


def test_a_certificate_s_page_begins_a_re_issue_with_its_holder(town: ApiTown, front: Browser, pair: Serials) -> None:
    assert pair
    page = front.post("/open/re-issue", {"holder": HANA, "to": "begin"})
    assert page.status_code == 200
    assert f'value="{HANA}"' in page.text
    assert [each for each in town.rooms.store.cases.of_holder(HANA) if each.kind == "re-issue"] == []
