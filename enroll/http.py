"""The office's door: every route of the table behind one gate, the OpenAPI document, and a page that explains it."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from pydantic import BaseModel

from enroll import openapi
from enroll.messages import LARGEST_BODY, read, read_query
from enroll.routes import PREFIX, Api, Call, Route, require_permitted
from enroll.table import ROUTES
from jpki.clerk import Clerk
from jpki.errors import JpkiError, Kind
from jpki.look import PAGE_HEADERS
from jpki.text import Text

_KEY = re.compile(openapi.KEY_PATTERN)
_OF_THE_CASE = {"not-eligible", "counter-may-not", "counter-closed"}
"""Refusals that tell of the case, and not of a clerk who tries what is not allowed."""


class Gate(Protocol):
    """Who is at the door; see `server.gate.ClerkGate`."""

    def clerk(self) -> Clerk:
        """Return the clerk whose certificate the request came with.

        Raises:
            JpkiError: UNAUTHENTICATED `client-certificate-missing`; FORBIDDEN `clerk-unknown` or `clerk-suspended`;
                LIMITED `locked-out` or `too-many-requests`.
        """
        ...

    def refused(self, clerk: Clerk) -> None:
        """Count a refusal of this clerk."""
        ...


Once = Callable[[Clerk, str, bytes, Callable[[], Response]], Response]
"""Does a request with an Idempotency-Key once: clerk, key, what was asked in octets, and how it is done."""


def make_blueprint(api: Api, gate: Gate, once: Once, base_url: str, routes: Sequence[Route] = ROUTES) -> Blueprint:
    """Return the blueprint with all routes, `/api/v1/openapi.json` and `/api/docs`."""
    blueprint = Blueprint("api", __name__, template_folder="templates")

    @cache
    def document() -> dict[str, Any]:
        return openapi.document(base_url, routes)

    for route in routes:
        blueprint.add_url_rule(PREFIX + route.path, route.name, _view(api, route, gate, once), methods=[route.method])

    @blueprint.get(f"{PREFIX}/openapi.json")
    def described() -> Response:
        return jsonify(document())

    @blueprint.get("/api/docs")
    def docs() -> Response:
        page = render_template("api.html", routes=routes, prefix=PREFIX, schemas=document()["components"]["schemas"])
        return make_response(page, {"Cache-Control": "public, max-age=300", **PAGE_HEADERS})

    return blueprint


def _view(api: Api, route: Route, gate: Gate, once: Once) -> Callable[..., Response]:
    def view(**names: str) -> Response:
        clerk = gate.clerk()
        octets = _body(route)

        def act() -> Response:
            call = Call(clerk, names, _taken(api, route, clerk, octets))
            require_permitted(api, route, call)
            return _answer(route, route.act(api, call))

        try:
            key = _key()
            if route.method != "POST" or key is None:
                return act()
            return once(clerk, key, b"\n".join([request.method.encode(), request.path.encode(), octets]), act)
        except JpkiError as error:
            if counts_as_refusal(error):
                gate.refused(clerk)
            raise

    return view


def counts_as_refusal(error: JpkiError) -> bool:
    """Tell whether an error is of a clerk who tries what is not allowed: too many of them lock the clerk out."""
    return error.kind is Kind.FORBIDDEN and error.code not in _OF_THE_CASE


def _taken(api: Api, route: Route, clerk: Clerk, octets: bytes) -> BaseModel | None:
    """Read what the route takes; a clerk without the role anywhere is told that, and not what was wrong in the body."""
    if not clerk.may(route.permission.roles, None):
        require_permitted(api, route, Call(clerk, {}, None))
    if route.takes is None:
        _require_no_query()
        return None
    if route.method == "GET":
        return read_query(route.takes, dict(request.args.lists()))
    _require_no_query()
    return read(route.takes, octets)


def _require_no_query() -> None:
    if request.args:
        raise JpkiError(
            Kind.MALFORMED,
            "query-unexpected",
            Text("このURLは問い合わせの項目を受け付けません。", "This URL takes no query."),
            Text("個人に関する値をURLに書かないでください。", "Never put anything about a person into a URL."),
        )


def _body(route: Route) -> bytes:
    if route.method != "POST":
        return b""
    if request.mimetype != "application/json":
        raise JpkiError(
            Kind.MALFORMED,
            "json-expected",
            Text("本文は application/json で送ってください。", "Send the body as application/json."),
            Text("Content-Type を確認してください。", "Check the Content-Type."),
        )
    octets = request.stream.read(LARGEST_BODY + 1)
    if len(octets) > LARGEST_BODY:
        raise JpkiError(
            Kind.TOO_LARGE,
            "body-too-large",
            Text("本文が大きすぎます。", "The body is too large."),
            Text(f"{LARGEST_BODY}バイトまでにしてください。", f"Send at most {LARGEST_BODY} octets."),
        )
    return octets


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None or _KEY.fullmatch(key):
        return key
    raise JpkiError(
        Kind.MALFORMED,
        "idempotency-key-malformed",
        Text("Idempotency-Key が正しくありません。", "The Idempotency-Key is malformed."),
        Text("英数字・ハイフン・下線64字以内にしてください。", "Take at most 64 letters, digits, - and _."),
    )


def _answer(route: Route, told: BaseModel) -> Response:
    response = Response(told.model_dump_json(), route.status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
