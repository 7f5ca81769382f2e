"""The parts that pages are made of, all on one page: for everyone, in each language, and none that is not shown."""

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser

from jpki.look import TEMPLATES
from tests.chromium import LARGE, SMALL, require_for_everyone
from tests.look.conftest import TEMPLATES_HERE, served


@pytest.fixture(scope="module")
def url(gallery: Flask) -> Iterator[str]:
    with served(gallery) as address:
        yield f"{address}/"


def test_every_part_is_in_the_gallery() -> None:
    parts = (TEMPLATES / "look" / "parts.html").read_text("utf-8")
    shown = (TEMPLATES_HERE / "gallery.html").read_text("utf-8")
    made = {name for name in re.findall(r"macro (\w+)\(", parts) if not name.startswith("_")} - {"to_portal", "text"}
    assert {name for name in made if not re.search(rf"\b{name}\(", shown)} == set()


@pytest.mark.slow
def test_the_gallery_is_for_everyone(browser: Browser, url: str) -> None:
    for width, chosen in ((SMALL, "both"), (SMALL, "en"), (LARGE, "ja"), (LARGE, "both")):
        context = browser.new_context(viewport={"width": width, "height": 900}, locale="ja-JP")
        context.add_cookies([{"name": "lang", "value": chosen, "url": url}])
        page = context.new_page()
        page.goto(url)
        require_for_everyone(page, width)
        context.close()
