"""Errors and health over HTTP: one problem document for each kind, and nothing that a stranger should not read."""

import logging
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server import health, problems

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


def failure(kind: Kind) -> JpkiError:
    return JpkiError(kind, "some-code", Text("問題です。", "A problem."), Text("直してください。", "Mend it."))


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    problems.register(app)

    @app.get("/raise/<kind>")
    def fail(kind: str) -> NoReturn:
        raise failure(Kind(kind))

    @app.get("/crash")
    def crash() -> NoReturn:
        raise ZeroDivisionError("canary 花子")

    return app.test_client()


def problem_in(response: TestResponse) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.get_json(force=True)
    assert body["status"] == response.status_code
    assert {"ja", "en"} == set(body["problem"]) == set(body["action"])
    return body


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.INTERNAL])
def test_each_kind_has_its_status_and_says_what_to_do(client: FlaskClient, kind: Kind) -> None:
    response = client.get(f"/raise/{kind}")
    body = problem_in(response)
    assert response.status_code == STATUS[kind]
    assert (body["code"], body["title"]) == ("some-code", "A problem.")
    assert body["action"]["ja"] == "直してください。"
    assert ("Retry-After" in response.headers) is (kind is Kind.UNAVAILABLE)


def test_no_kind_is_without_a_status() -> None:
    assert set(problems.STATUS) == set(Kind)


def test_an_inner_failure_tells_a_stranger_nothing(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    response = client.get(f"/raise/{Kind.INTERNAL}")
    body = problem_in(response)
    assert (response.status_code, body["code"]) == (500, "internal")
    assert "A problem" not in response.text
    assert [record.getMessage() for record in caplog.records] == ["some-code"]


def test_r21_an_unexpected_exception_is_a_500_without_detail(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = client.get("/crash")
    assert (response.status_code, problem_in(response)["code"]) == (500, "internal")
    for text in (response.text, caplog.text):
        assert "canary" not in text
        assert "花子" not in text
    assert "ZeroDivisionError" not in response.text
    assert "ZeroDivisionError" in caplog.text


def test_a_path_that_is_none_stays_a_404(client: FlaskClient) -> None:
    response = client.get("/nowhere")
    assert (response.status_code, problem_in(response)["code"]) == (404, "not-found")


def test_a_method_that_is_wrong_stays_a_405_with_the_right_ones(client: FlaskClient) -> None:
    response = client.post("/crash")
    assert (response.status_code, problem_in(response)["code"]) == (405, "method-not-allowed")
    assert "GET" in response.headers["Allow"]


# --- health --------------------------------------------------------------------------------------------------------


def healthy(**checks: health.Check) -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(health.make_blueprint(checks))
    return app.test_client()


def fine() -> None:
    """Find nothing wrong."""


def broken() -> NoReturn:
    raise failure(Kind.UNAVAILABLE)


def test_ready_when_every_check_holds() -> None:
    response = healthy(database=fine, crl=fine).get("/readyz")
    assert response.status_code == 200
    assert response.get_json() == {
        "schema": "jpki.ready/1",
        "ready": True,
        "checks": {"database": "ok", "crl": "ok"},
        "warnings": {},
    }


def test_a_warning_is_told_and_takes_nobody_out_of_service() -> None:
    response = healthy(database=fine, crl=lambda: failure(Kind.CONFLICT)).get("/readyz")
    assert response.status_code == 200
    assert response.get_json()["checks"] == {"database": "ok", "crl": "ok"}
    assert response.get_json()["warnings"] == {"crl": "some-code"}


def test_not_ready_when_one_does_not_and_it_says_which() -> None:
    response = healthy(database=fine, crl=broken).get("/readyz")
    assert response.status_code == 503
    assert response.get_json() == {
        "schema": "jpki.ready/1",
        "ready": False,
        "checks": {"database": "ok", "crl": "some-code"},
        "warnings": {},
    }


def test_alive_even_when_not_ready() -> None:
    assert healthy(database=broken).get("/livez").status_code == 200
