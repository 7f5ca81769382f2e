"""The pages as they were looked at and found good, and as they are now: nothing moves or changes colour unseen.

After a change on purpose: `pytest tests/look --accept-screenshots`, and look at every picture that git says is new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from flask import Flask, Response
from playwright.sync_api import Browser, Page

from jpki.look import SCRIPTED_HEADERS, STATIC, STATIC_ADDRESS
from tests.chromium import LARGE, SMALL
from tests.look.conftest import served
from tests.look.picture import Picture, pack
from tests.look.street import LANGUAGES, Album, album_of, street_at

pytestmark = pytest.mark.slow

_ACCEPTED = Path(__file__).parent / "screenshots"
_HOW = "if it should: pytest tests/look --accept-screenshots, and look at what git says is new"


@dataclass(frozen=True, slots=True)
class Shot:
    """A page as wide as a screen, in a language."""

    page: str
    width: int = LARGE
    language: str = "ja"

    def __str__(self) -> str:
        return f"{self.page}-{self.width}-{self.language}"


_CONSOLE = (
    *("login", "home", "home-chief", "search", "certificate", "certificate-held", "case-done", "approvals"),
    *("issue-application", "issue-error", "issue-data", "issue-reader", "issue-kinds", "issue-approval", "issue-pins"),
    *("issue-delivery", "issue-receipt", "revocation", "revocation-preview", "events", "event"),
    *("campaigns", "campaign", "revocations", "revocations-survey", "audit", "people", "authority"),
)
_PUBLIC = (
    *("portal", "verify", "certificate-check", "certificate-answer", "accessibility", "lists"),
    *("holder-entrance", "holder", "holder-suspension"),
)
_NARROW = ("gallery", "home", "issue-data", "certificate", "campaigns", "portal", "holder", "certificate-answer")
SHOTS: Sequence[Shot] = (
    *map(Shot, ("gallery", *_CONSOLE, *_PUBLIC)),
    *(Shot(page, SMALL) for page in _NARROW),
    *(Shot(page, SMALL, "en") for page in ("revocation-preview", "issue-kinds")),
    *(Shot(page, LARGE, "en") for page in ("home", "issue-data", "portal", "certificate")),
)


@pytest.fixture(scope="module")
def album(gallery: Flask, tmp_path_factory: pytest.TempPathFactory) -> Album:
    with street_at(tmp_path_factory.mktemp("street")) as street:
        album = album_of(street)
    for language in LANGUAGES:
        client = gallery.test_client()
        client.set_cookie("lang", language)
        album.keep("gallery", language, client.get("/"))
    return album


@pytest.fixture(scope="module")
def url(album: Album) -> Iterator[str]:
    """Where the pages of the album are shown."""
    app = Flask(__name__, static_folder=STATIC, static_url_path=STATIC_ADDRESS)

    @app.get("/<page>/<language>")
    def shown(page: str, language: str) -> Response:
        return Response(album.shown[page, language], headers=dict(SCRIPTED_HEADERS), mimetype="text/html")

    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="ja-JP", reduced_motion="reduce")
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("shot", SHOTS, ids=str)
def test_a_page_looks_as_it_was_accepted(
    page: Page, url: str, shot: Shot, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    accepted, seen = _ACCEPTED / f"{shot}.webp", tmp_path / f"{shot}.png"
    page.set_viewport_size({"width": shot.width, "height": 900})
    page.goto(f"{url}/{shot.page}/{shot.language}")
    page.wait_for_function("() => document.fonts.status === 'loaded'")
    page.screenshot(path=seen, full_page=True, animations="disabled")
    now = Picture.at(seen)
    where = now.differences(Picture.at(accepted)) if accepted.exists() else np.ones(now.pixels.shape[:2], np.bool_)
    if request.config.getoption("--accept-screenshots", default=False) and where.any():
        pack(seen, accepted)
    elif where.any():
        marked = tmp_path / f"{shot}-differences.png"
        now.marked(where).save(marked)
        pytest.fail(f"{shot} looks otherwise, see {marked}; {_HOW}")


def test_every_page_of_the_album_is_looked_at_and_no_picture_is_left_over(album: Album) -> None:
    assert {name for name, _ in album.shown} == {shot.page for shot in SHOTS}
    assert {file.stem for file in _ACCEPTED.iterdir()} == set(map(str, SHOTS))
