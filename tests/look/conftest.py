"""One browser for all that is looked at, the gallery, and the option that takes what is seen for what should be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask, render_template
from playwright.sync_api import Browser
from werkzeug.serving import make_server

from jpki.errors import Fault, JpkiError, Kind
from jpki.look import PAGE_HEADERS, STATIC, STATIC_ADDRESS, TEMPLATES
from jpki.text import Text
from server import language
from tests.chromium import chromium

TEMPLATES_HERE = Path(__file__).parent / "templates"
_ERROR = JpkiError(
    Kind.UNPROCESSABLE,
    "body-invalid",
    Text("項目に誤りがあります。", "Some fields are wrong."),
    Text("示された項目を直してください。", "Correct the fields that are named."),
    (Fault("too-long", Text("長すぎます。", "This is too long."), "/code"),),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --accept-screenshots."""
    parser.addoption(
        "--accept-screenshots",
        action="store_true",
        help="write the pictures in tests/look/screenshots anew; look at each of them before the commit",
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="package")
def gallery() -> Flask:
    """The parts that pages are made of, all on one page."""
    app = Flask(__name__, static_folder=STATIC, static_url_path=STATIC_ADDRESS, template_folder=TEMPLATES)
    app.jinja_loader.searchpath.append(str(TEMPLATES_HERE))  # type: ignore[union-attr]
    language.register(app, ())

    @app.get("/")
    def parts() -> tuple[str, dict[str, str]]:
        return render_template("gallery.html", error=_ERROR), dict(PAGE_HEADERS)

    return app


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application, and yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
