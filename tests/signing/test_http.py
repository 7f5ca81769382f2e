"""The upload route: verdicts as 200, errors as ours, nothing left behind."""

from pathlib import Path
from typing import IO, Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from jpki.errors import JpkiError
from signing.caps import LARGEST_UPLOAD
from signing.http import make_blueprint
from signing.intake import Format
from signing.report import FileVerdict
from signing.sign import sign
from signing.verify import judge
from tests.signing.town import NOW, Town
from tests.signing.uploading import upload

ROUTE = "/api/v1/verifications"


@pytest.fixture
def seen() -> list[IO[bytes]]:
    return []


@pytest.fixture
def client(town: Town, seen: list[IO[bytes]]) -> FlaskClient:
    def verify_upload(document: IO[bytes]) -> FileVerdict:
        seen.append(document)
        assert _name_of(document).endswith(" (deleted)")
        return judge(document, town.validation(show=True))

    app = Flask(__name__)
    app.register_blueprint(make_blueprint(verify_upload))

    @app.errorhandler(JpkiError)
    def show(error: JpkiError) -> Response:
        return Response(f"{error.kind} {error.code}", 400)

    return app.test_client()


def _name_of(document: IO[bytes]) -> str:
    return str(Path(f"/proc/self/fd/{document.fileno()}").readlink())


def _post(client: FlaskClient, content: bytes, name: str) -> Any:  # noqa: ANN401 - JSON
    answer = upload(client, ROUTE, content, name)
    assert answer.status_code == 200
    return answer.get_json()


def test_an_upload_is_judged_without_a_name_and_closed(client: FlaskClient, town: Town, seen: list[IO[bytes]]) -> None:
    body = _post(client, sign(b"content", town.holder, Format.CMS, NOW), "return.p7m")
    assert body["decision"] == "accept"
    assert seen[0].closed


def test_r21_attributes_are_masked_whatever_the_wiring_says(client: FlaskClient, town: Town) -> None:
    (file,) = _post(client, sign(b"content", town.holder, Format.CMS, NOW), "return.p7m")["files"]
    assert set(file["signatures"][0]["signer"]) == {"serial", "kind", "identifier", "trust_domain"}


def test_a_failed_verification_is_a_verdict(client: FlaskClient) -> None:
    assert _post(client, b"garbage", "x")["decision"] == "unreadable"


@pytest.mark.parametrize("name", ["return.p7m", "/etc/return.p7m", "..\\..\\return.p7m", "C:\\tax\\return.p7m"])
def test_the_path_is_the_uploads_base_name(client: FlaskClient, name: str) -> None:
    (file,) = _post(client, b"garbage", name)["files"]
    assert file["path"] == "return.p7m"


@pytest.mark.parametrize("data", [{}, {"other": "x"}, {"file": "a field, not a file"}])
def test_no_file_is_malformed(client: FlaskClient, data: dict[str, str]) -> None:
    answer = client.post(ROUTE, data=data, content_type="multipart/form-data")
    assert answer.text == "malformed file-missing"


@pytest.mark.parametrize("excess", [1, 1024 * 1024])
def test_a_file_over_the_cap_is_too_large(client: FlaskClient, seen: list[IO[bytes]], excess: int) -> None:
    answer = upload(client, ROUTE, bytes(LARGEST_UPLOAD + excess), "large.pdf")
    assert answer.text == "too-large upload-too-large"
    assert seen == []
