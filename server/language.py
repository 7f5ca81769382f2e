"""The language of pages: Japanese, English, or both beside each other, as the visitor chose."""

from collections.abc import Collection
from typing import Literal
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, g, request

Language = Literal["ja", "en"]
COOKIE = "lang"
_CHOICES: dict[str, Language | None] = {"ja": "ja", "en": "en", "both": None}
_YEAR = 365 * 24 * 3600


def register(app: Flask, japanese_first: Collection[str]) -> None:
    """Let every page know its language; where nothing was chosen, pages of `japanese_first` are in Japanese.

    Templates call `language()`: "ja", "en", or None for both. A page that is the answer to a form is had in another by
    posting its fields with `?lang=`.
    """

    def language() -> Language | None:
        told = _posted() or request.cookies.get(COOKIE)
        if told in _CHOICES:
            return _CHOICES[told]
        return "ja" if request.blueprint in japanese_first else None

    app.jinja_env.globals["language"] = lambda: g.get("language")
    app.before_request(lambda: setattr(g, "language", language()))

    @app.after_request
    def vary(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.vary.add("Cookie")
            posted = _posted()
            if posted is not None:
                _keep(response, posted)
        return response


def make_blueprint() -> Blueprint:
    """Return the route POST /language: `to` is ja, en or both, `back` the page to show in it."""
    blueprint = Blueprint("language", __name__)

    @blueprint.post("/language")
    def choose() -> Response:
        chosen = request.form.get("to", "")
        back = Response(status=303, headers={"Location": _local(request.form.get("back", "/"))})
        if chosen in _CHOICES:
            _keep(back, chosen)
        return back

    return blueprint


def _posted() -> str | None:
    """Return the language in which a form's answer is wanted, if it is one of ours."""
    told = request.args.get("lang") if request.method == "POST" else None
    return told if told in _CHOICES else None


def _keep(response: Response, chosen: str) -> None:
    response.set_cookie(COOKIE, chosen, max_age=_YEAR, httponly=True, samesite="Lax", secure=request.is_secure)


def _local(address: str) -> str:
    """Return a path of this host, whatever was asked for: nobody is sent elsewhere from here."""
    parts = urlsplit(address)
    is_path = (
        address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    )
    return address if is_path and address.isprintable() else "/"
