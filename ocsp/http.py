"""The OCSP door for Flask: a thin adapter of `Responder`."""

from collections.abc import Callable

from flask import Blueprint, Response, request

from jpki.ids import Serial
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Outcome, Responder

# Base64 may hold `//`: it must be neither merged nor redirected. That the server has undone the URL's escapes does
# no harm, for base64 holds no `%`. The last rule serves clients that add a slash to an address that ends in one.
_RULES = ("/ocsp", "/ocsp/", "/ocsp/<path:encoded>", "/ocsp//<path:encoded>")


class OcspResponse(Response):
    """An answer of the responder, and how it came about."""

    outcome: Outcome | None = None


def make_blueprint(responder: Responder, client: Callable[[], Serial | None]) -> Blueprint:
    """Return the routes POST /ocsp and GET /ocsp/<base64>; `client` tells the serial of the client's certificate."""
    blueprint = Blueprint("ocsp", __name__)

    def answer(encoded: str = "") -> Response:
        headers = {name.lower(): value for name, value in request.headers}
        body = request.stream.read(MAX_REQUEST_OCTETS + 1)
        given = responder.answer(request.method, encoded, headers, body, client())
        # A list, because Flask gives plain octets a Content-Length of their own, and HEAD's says that of GET.
        response = OcspResponse([given.body], given.status, given.headers)
        response.outcome = given.outcome
        return response

    for rule in _RULES:
        blueprint.add_url_rule(rule, view_func=answer, methods=["GET", "POST"], merge_slashes=False)
    return blueprint
