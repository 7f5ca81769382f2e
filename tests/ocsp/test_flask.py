"""The Flask door: octets arrive as they were sent, whatever the framework does to paths."""

import pytest
from cryptography.x509.ocsp import OCSPResponseStatus, load_der_ocsp_response
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ocsp.http import make_blueprint
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Responder
from tests.ocsp.test_http_semantics import QUESTION, WAYS_TO_WRITE, awkward_question, encoded


@pytest.fixture
def client(responder: Responder) -> FlaskClient:
    app = Flask(__name__)
    app.register_blueprint(make_blueprint(responder, lambda: None))
    return app.test_client()


def outcome(response: TestResponse) -> OCSPResponseStatus:
    assert response.status_code == 200
    assert response.content_type == "application/ocsp-response"
    return load_der_ocsp_response(response.data).response_status


@pytest.mark.parametrize("path", ["/ocsp", "/ocsp/"])
def test_post(client: FlaskClient, path: str) -> None:
    response = client.post(path, data=QUESTION, content_type="application/ocsp-request")
    assert outcome(response) is OCSPResponseStatus.SUCCESSFUL
    assert response.headers["ETag"].strip('"')


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_get(client: FlaskClient, way: str) -> None:
    for data in (QUESTION, awkward_question()):
        response = client.get("/ocsp/" + WAYS_TO_WRITE[way](encoded(data)))
        assert outcome(response) is OCSPResponseStatus.SUCCESSFUL


def test_get_leaves_out_the_query(client: FlaskClient) -> None:
    assert outcome(client.get(f"/ocsp/{encoded(QUESTION)}?a=/ocsp/b")) is OCSPResponseStatus.SUCCESSFUL


def test_head(client: FlaskClient) -> None:
    response = client.head(f"/ocsp/{encoded(QUESTION)}")
    assert (response.status_code, response.data) == (200, b"")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/ocsp", "/ocsp/", "/ocsp/%", "/ocsp/あ", "/ocsp/ocsp/"])
def test_nonsense_is_malformed(client: FlaskClient, path: str) -> None:
    assert outcome(client.get(path)) is OCSPResponseStatus.MALFORMED_REQUEST


def test_no_more_than_the_cap_is_read(client: FlaskClient) -> None:
    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.taken += size
            return b"0" * size

    body = Endless()
    size = 10 * MAX_REQUEST_OCTETS
    response = client.post("/ocsp", environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(size)})
    assert outcome(response) is OCSPResponseStatus.MALFORMED_REQUEST
    assert body.taken <= MAX_REQUEST_OCTETS + 1


def test_other_methods_are_not_allowed(client: FlaskClient) -> None:
    assert client.put("/ocsp").status_code == 405
