"""Whether this process lives, and whether it can do its work."""

from collections.abc import Callable, Mapping
from typing import Any

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
        status, fields = readiness(checks)
        return jsonify(fields), status

    return blueprint


def readiness(checks: Mapping[str, Check]) -> tuple[int, dict[str, Any]]:
    """Return what /readyz says: the HTTP status and the body's fields."""
    outcomes = {name: _outcome(check) for name, check in checks.items()}
    ok = all(outcome == "ok" for outcome in outcomes.values())
    return 200 if ok else 503, {"schema": "jpki.ready/1", "ready": ok, "checks": outcomes}


def _outcome(check: Check) -> str:
    try:
        check()
    except JpkiError as error:
        return error.code
    return "ok"
