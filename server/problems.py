"""Errors over HTTP: the one table from kinds to statuses, as RFC 9457 problem details in both languages."""

import json
import logging
from collections.abc import Sequence

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from jpki.errors import Fault, JpkiError, Kind
from jpki.text import Text

STATUS = {
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNPROCESSABLE: 422,
    Kind.LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}
_RETRY_AFTER_SECONDS = "5"
_LOCKED_SECONDS = {"locked-out": "60", "too-many-requests": "60"}
"""By code: other limits end when they end, at midnight for instance."""
_HIDDEN = Text("内部でエラーが発生しました。", "Something failed inside.")
_REPORT = Text("時刻を添えて運用者に連絡してください。", "Tell the operator, with the time.")
NO_SUCH = Text("この要求には応じられません。", "This request cannot be served.")
CHECK = Text("URLとメソッドを確認してください。", "Check the URL and the method.")

_log = logging.getLogger(__name__)


def document(status: int, code: str, what: Text, action: Text, faults: Sequence[Fault] = ()) -> bytes:
    """Return a problem document's octets."""
    fields: dict[str, object] = {
        "type": f"urn:jpki:problem:{code}",
        "title": what.en,
        "status": status,
        "code": code,
        "problem": what.as_json(),
        "action": action.as_json(),
    }
    if faults:
        fields["errors"] = [_fault(each) for each in faults]
    return json.dumps(fields, ensure_ascii=False).encode()


def _fault(fault: Fault) -> dict[str, object]:
    where = {} if fault.pointer is None else {"pointer": fault.pointer}
    return {**where, "code": fault.code, "problem": fault.problem.as_json()}


def problem(status: int, code: str, what: Text, action: Text, faults: Sequence[Fault] = ()) -> Response:
    """Return one problem document."""
    response = Response(document(status, code, what, action, faults), status, content_type="application/problem+json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _jpki_error(error: JpkiError) -> Response:
    status = STATUS[error.kind]
    if error.kind is Kind.INTERNAL:
        _log.error("%s", error.code)
        return problem(status, "internal", _HIDDEN, _REPORT)
    response = problem(status, error.code, error.problem, error.action, error.faults)
    if error.kind is Kind.UNAVAILABLE or error.code in _LOCKED_SECONDS:
        response.headers["Retry-After"] = _LOCKED_SECONDS.get(error.code, _RETRY_AFTER_SECONDS)
    return response


def _http_exception(error: HTTPException) -> Response:
    status = error.code or 500
    response = problem(status, (error.name or "http-error").lower().replace(" ", "-"), NO_SUCH, CHECK)
    for name, value in error.get_headers():
        if name in {"Allow", "Content-Range"}:
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    # The exception's own text may hold what a caller sent, so only its type is written down (rule R21).
    _log.error("unexpected %s", type(error).__name__)
    return problem(500, "internal", _HIDDEN, _REPORT)


def register(app: Flask) -> None:
    """Make the app answer every error as a problem document."""
    app.register_error_handler(JpkiError, _jpki_error)
    # Without its own handler, the last one below would turn every 404 into a 500.
    app.register_error_handler(HTTPException, _http_exception)
    app.register_error_handler(Exception, _unexpected)
