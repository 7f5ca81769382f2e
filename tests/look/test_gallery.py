"""The parts that pages are made of, all on one page: for everyone, in each language, and none that is not shown."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask, render_template
from playwright.sync_api import sync_playwright
from werkzeug.serving import make_server

from jpki.errors import Fault, JpkiError, Kind
from jpki.look import PAGE_HEADERS, STATIC, STATIC_ADDRESS, TEMPLATES
from jpki.text import Text
from server import language
from tests.console.office import LARGE, SMALL, require_for_everyone

_HERE = Path(__file__).parent
_ERROR = JpkiError(
    Kind.UNPROCESSABLE,
    "body-invalid",
    Text("項目に誤りがあります。", "Some fields are wrong."),
    Text("示された項目を直してください。", "Correct the fields that are named."),
    (Fault("too-long", Text("長すぎます。", "This is too long."), "/code"),),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    app = Flask(__name__, static_folder=STATIC, static_url_path=STATIC_ADDRESS, template_folder=TEMPLATES)
    app.jinja_loader.searchpath.append(str(_HERE / "templates"))  # type: ignore[union-attr]
    language.register(app, ())

    @app.get("/")
    def gallery() -> tuple[str, dict[str, str]]:
        return render_template("gallery.html", error=_ERROR), dict(PAGE_HEADERS)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()


def test_every_part_is_in_the_gallery() -> None:
    parts = (TEMPLATES / "look" / "parts.html").read_text("utf-8")
    shown = (_HERE / "templates" / "gallery.html").read_text("utf-8")
    made = {name for name in re.findall(r"macro (\w+)\(", parts) if not name.startswith("_")} - {"to_portal", "text"}
    assert {name for name in made if not re.search(rf"\b{name}\(", shown)} == set()


@pytest.mark.slow
def test_the_gallery_is_for_everyone(url: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("the outside program chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width, chosen in ((SMALL, "both"), (SMALL, "en"), (LARGE, "ja"), (LARGE, "both")):
            context = browser.new_context(viewport={"width": width, "height": 900}, locale="ja-JP")
            context.add_cookies([{"name": "lang", "value": chosen, "url": url}])
            page = context.new_page()
            page.goto(url)
            require_for_everyone(page, width)
            context.close()
        browser.close()
