"""The resident's screen as a page on the terminal's own machine: PINs come in by its form, and go into the card."""

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from enroll.card.screen import Screen, Showing
from jpki.certificate import HOLDER_PURPOSES
from jpki.errors import JpkiError
from jpki.look import PAGE_HEADERS

_HEADERS = {"Cache-Control": "no-store", **PAGE_HEADERS}
_LARGEST_FORM = 4096
_AGAIN_SECONDS = "2"


def make_blueprint(screen: Screen) -> Blueprint:
    """Return the blueprint: `/` shows what is to be done, and takes the form that it shows."""
    blueprint = Blueprint("screen", __name__, template_folder="templates")

    @blueprint.get("/")
    def show() -> Response:
        return _page(screen, None)

    @blueprint.post("/")
    def choose() -> Response:
        request.max_content_length = _LARGEST_FORM
        form = request.form
        pins = {purpose: form.get(purpose, "") for purpose in HOLDER_PURPOSES}
        again = {purpose: form.get(f"{purpose}-again", "") for purpose in HOLDER_PURPOSES}
        try:
            screen.choose(form.get("case", ""), pins, again)
        except JpkiError as error:
            return _page(screen, error)
        response = make_response(redirect(url_for("screen.show"), 303))
        response.headers.update(_HEADERS)
        return response

    return blueprint


def _page(screen: Screen, error: JpkiError | None) -> Response:
    showing, choice = screen.shown()
    page = render_template("screen.html", showing=showing, choice=choice, error=error)
    # What asks for nothing looks again by itself; nobody's typing is taken away.
    again = {} if showing is Showing.PINS else {"Refresh": _AGAIN_SECONDS}
    return make_response(page, 200 if error is None else 422, {**_HEADERS, **again})
