"""Whether this process lives, and whether it can do its work."""

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, jsonify

from jpki.errors import JpkiError

Check = Callable[[], None]
"""Returns when all is well.

Raises:
    JpkiError: saying what is not.
"""


def make_blueprint(checks: Mapping[str, Check]) -> Blueprint:
    """Return /livez and /readyz; ready is 200 when every check holds, else 503 with the codes of what failed."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/livez")
    def live() -> Response:
        return Response("ok\n", content_type="text/plain")

    @blueprint.get("/readyz")
    def ready() -> tuple[Response, int]:
        outcomes = {name: _outcome(check) for name, check in checks.items()}
        ok = all(outcome == "ok" for outcome in outcomes.values())
        return jsonify({"schema": "jpki.ready/1", "ready": ok, "checks": outcomes}), 200 if ok else 503

    return blueprint


def _outcome(check: Check) -> str:
    try:
        check()
    except JpkiError as error:
        return error.code
    return "ok"
