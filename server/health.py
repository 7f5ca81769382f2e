"""Whether this process lives, and whether it can do its work."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify

from jpki.errors import JpkiError

Check = Callable[[], JpkiError | None]
"""Returns when the work can be done: None when all is well, or what will keep it from being done before long.

Raises:
    JpkiError: saying why it cannot be done.
"""


def make_blueprint(checks: Mapping[str, Check]) -> Blueprint:
    """Return /livez and /readyz; ready is 200 when every check holds, else 503 with the codes of what failed.

    A warning takes nobody out of service: what is published still holds.
    """
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
    outcomes = dict[str, str]()
    warnings = dict[str, str]()
    for name, check in checks.items():
        try:
            warning = check()
        except JpkiError as error:
            outcomes[name] = error.code
        else:
            outcomes[name] = "ok"
            if warning is not None:
                warnings[name] = warning.code
    ok = all(outcome == "ok" for outcome in outcomes.values())
    return 200 if ok else 503, {"schema": "jpki.ready/1", "ready": ok, "checks": outcomes, "warnings": warnings}
