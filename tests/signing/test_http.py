"""The upload route: verdicts as 200, errors as ours, nothing left behind."""

from pathlib import Path
from typing import IO, Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from jpki.errors import JpkiError
from signing.caps import LARGEST_UPLOAD
from signing.http import Upload, make_blueprint
from signing.intake import Format
from signing.report import FileVerdict
from signing.sign import sign
from signing.verify import judge
from tests.signing.town import NOW, Town, revoked
from tests.signing.uploading import upload

ROUTE = "/api/v1/verifications"


@pytest.fixture
def seen() -> list[IO[bytes]]:
    return []


@pytest.fixture
def client(town: Town, seen: list[IO[bytes]]) -> FlaskClient:
    def verify_upload(sent: Upload) -> FileVerdict:
        for file in (sent.document, sent.content):
            if file is not None:
                seen.append(file)
                assert _name_of(file).endswith(" (deleted)")
        validation = town.validation(revoked(NOW), at=sent.received_at, show=True)
        return judge(sent.document, validation, sent.policy, sent.content)

    app = Flask(__name__)
    app.register_blueprint(make_blueprint(verify_upload, lambda: None))

    @app.errorhandler(JpkiError)
    def show(error: JpkiError) -> Response:
        return Response(f"{error.kind} {error.code}", 400)

    return app.test_client()


def _name_of(document: IO[bytes]) -> str:
    return str(Path(f"/proc/self/fd/{document.fileno()}").readlink())


def _post(client: FlaskClient, content: bytes, name: str, **fields: str) -> Any:  # noqa: ANN401 - JSON
    answer = upload(client, ROUTE, content, name, **fields)
    assert answer.status_code == 200
    return answer.get_json()


def test_an_upload_is_judged_without_a_name_and_closed(client: FlaskClient, town: Town, seen: list[IO[bytes]]) -> None:
    body = _post(client, sign(b"content", town.holder, Format.CMS, NOW), "return.p7m", received_at="2026-11-23")
    assert body["decision"] == "refuse"
    assert seen[0].closed


def test_r21_attributes_are_masked_whatever_the_wiring_says(client: FlaskClient, town: Town) -> None:
    (file,) = _post(client, sign(b"content", town.holder, Format.CMS, NOW), "return.p7m")["files"]
    assert set(file["signatures"][0]["signer"]) == {"serial", "sha256", "kind", "identifier", "trust_domain"}


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


# --- what is asked besides -------------------------------------------------------------------------------------------

BEFORE = "2026-11-22T23:59:59+09:00"
"""The certificate was revoked at noon of the next day."""


def time_of(body: Any) -> Any:  # noqa: ANN401 - JSON
    (signature,) = body["files"][0]["signatures"]
    return next(check["evidence"] for check in signature["checks"] if check["name"] == "time")


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (BEFORE, "2026-11-22T14:59:59Z"),
        ("2026-11-22T12:00", "2026-11-22T03:00:00Z"),
        ("2026-11-22", "2026-11-22T14:59:59Z"),
    ],
)
def test_a_time_of_receipt_is_the_callers_word_and_says_so(
    client: FlaskClient, town: Town, written: str, at: str
) -> None:
    document = sign(b"content", town.holder, Format.CMS, NOW)
    assert _post(client, document, "x")["decision"] == "refuse"
    body = _post(client, document, "x", received_at=written)
    assert (body["decision"], time_of(body)["basis"], time_of(body)["at"]) == ("accept", "given", at)
    assert body["files"][0]["signatures"][0]["sentence"]["en"].startswith(f"The signature was valid at {at}")


def test_a_policy_is_asked_by_name(client: FlaskClient, town: Town) -> None:
    document = sign(b"content", town.holder, Format.CMS, NOW)
    assert _post(client, document, "x", received_at=BEFORE, policy="archive")["decision"] == "undecided"
    assert _post(client, document, "x", received_at=BEFORE, policy="general")["decision"] == "accept"
    assert _post(client, document, "x", received_at="", policy="")["decision"] == "refuse"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"policy": "lenient"}, "policy-unknown"),
        ({"received_at": "yesterday"}, "moment-malformed"),
        ({"received_at": "0001-01-01T00:00:00+09:00"}, "moment-malformed"),
    ],
    ids=["policy", "moment", "too early"],
)
def test_what_cannot_be_asked_is_malformed_and_nothing_is_judged(
    client: FlaskClient, seen: list[IO[bytes]], fields: dict[str, str], code: str
) -> None:
    assert upload(client, ROUTE, b"x", "x", **fields).text == f"malformed {code}"
    assert seen == []


def test_what_a_signature_beside_its_document_signs_is_sent_with_it(
    client: FlaskClient, town: Town, seen: list[IO[bytes]]
) -> None:
    beside = sign(b"content", town.holder, Format.CMS, NOW, detached=True)
    both = {"content": b"content", "file": beside}
    assert _sent(client, both)["decision"] == "accept"
    assert len(seen) == 2
    assert all(file.closed for file in seen)
    assert _sent(client, both | {"content": b"Content"})["decision"] == "refuse"
    assert _sent(client, {"file": beside})["decision"] == "undecided"


def _sent(client: FlaskClient, files: dict[str, bytes]) -> Any:  # noqa: ANN401 - JSON
    parts = [
        f'--X\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in files.items()
    ]
    parts.append(f'--X\r\nContent-Disposition: form-data; name="received_at"\r\n\r\n{BEFORE}\r\n'.encode())
    answer = client.post(ROUTE, data=b"".join(parts) + b"--X--\r\n", content_type="multipart/form-data; boundary=X")
    assert answer.status_code == 200
    return answer.get_json()
