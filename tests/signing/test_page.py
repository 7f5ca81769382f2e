"""The page /verify: the same verdicts as the API's, for people, without scripts and without anything from elsewhere."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html
from werkzeug.test import TestResponse

from jpki.errors import JpkiError, Kind
from jpki.look import FACES, STATIC, STATIC_ADDRESS, TEMPLATES
from jpki.text import Text
from server import language
from signing import words
from signing.caps import LARGEST_UPLOAD
from signing.http import VerifyUpload, make_blueprint
from signing.intake import Format
from signing.policies import POLICIES
from signing.report import FileVerdict, Outcome, Step
from signing.samples import tax_return_pdf
from signing.sign import sign
from signing.verdict import Decision
from signing.verify import judge
from tests.signing.town import HOLDER_NAME, NOW, Town, revoked
from tests.signing.uploading import upload

PLAIN = tax_return_pdf(["Income 3000000"])


def _client(verify_upload: VerifyUpload, prepare: Callable[[], object] = lambda: None) -> FlaskClient:
    app = Flask(__name__, static_folder=STATIC, static_url_path=STATIC_ADDRESS, template_folder=TEMPLATES)
    language.register(app, ())
    app.register_blueprint(make_blueprint(verify_upload, prepare))
    app.testing = True
    return app.test_client()


@pytest.fixture
def client(town: Town) -> FlaskClient:
    return _client(lambda sent: judge(sent.document, town.validation(show=True, at=sent.received_at), sent.policy))


def test_what_judges_is_prepared_while_the_file_is_chosen(town: Town) -> None:
    prepared = list[bool]()
    client = _client(
        lambda sent: judge(sent.document, town.validation(at=sent.received_at), sent.policy),
        lambda: prepared.append(True),
    )
    assert client.get("/verify").status_code == 200
    assert prepared == [True]


@pytest.fixture(scope="session")
def signed(town: Town) -> bytes:
    return sign(PLAIN, town.holder, Format.PADES, NOW)


def _post(client: FlaskClient, content: bytes, name: str = "return.pdf", **fields: str) -> TestResponse:
    return upload(client, "/verify", content, name, **fields)


def _found(page: TestResponse, path: str) -> Any:  # noqa: ANN401 - elements or texts, as the path says
    return html.fromstring(page.text).xpath(path)


def _texts(page: TestResponse, path: str) -> list[str]:
    return [" ".join(found.text_content().split()) for found in _found(page, path)]


def _words(page: TestResponse, path: str) -> list[str]:
    return [word for value in _found(page, path) for word in value.split()]


def test_the_form_asks_for_one_labelled_file(client: FlaskClient) -> None:
    page = client.get("/verify")
    (form,) = _found(page, "//main//form")
    assert (form.get("method"), form.get("action"), form.get("enctype")) == ("post", "/verify", "multipart/form-data")
    fields = _found(page, "//main//input | //main//select")
    assert [(field.get("type"), field.get("name")) for field in fields] == [
        ("file", "file"),
        ("file", "content"),
        (None, "policy"),
        ("datetime-local", "received_at"),
    ]
    assert _found(page, "//label/@for") == [field.get("id") for field in fields]
    assert _found(page, "//option/@value") == list(POLICIES)
    assert _found(page, "/html/@lang") == ["ja"]
    assert not _found(page, "//table")


def test_a_page_has_one_first_heading_and_every_id_that_it_refers_to(client: FlaskClient, signed: bytes) -> None:
    for page in (client.get("/verify"), _post(client, signed), client.post("/verify", data={})):
        ids = _words(page, "//@id")
        assert len(ids) == len(set(ids))
        assert set(_words(page, "//@aria-describedby | //@aria-labelledby")) <= set(ids)
        assert len(_found(page, "//h1")) == 1


def test_a_verdict_is_one_sentence_first_and_then_a_table_of_checks(client: FlaskClient, signed: bytes) -> None:
    page = _post(client, signed)
    assert page.status_code == 200
    assert _texts(page, "//main//*[self::h1 or self::p]")[0] == "署名は有効です。 The signature is valid."
    assert _texts(page, "//caption") == ["署名1の検査 Checks of signature 1"]
    assert len(_texts(page, "//tbody/tr")) == len(Step)
    # A signature need not be time-stamped.
    assert {*_texts(page, "//td[@class='outcome']")} == {"✓ 合格 Passed", "– 対象外 Not applicable"}
    assert "return.pdf" in page.text


@pytest.mark.parametrize(
    ("old", "new", "decision", "outcome"),
    [
        (b"Income 3000000", b"Income 1000000", "拒否 Refused", "✗ 不合格 Failed"),
        (b"/ETSI.CAdES.detached", b"/ETSI.CAdES.uncommon", "判定不能 Undecided", "? 判定不能 Undecided"),
        (b"%PDF", b"%FDP", "読取不能 Unreadable", None),
    ],
)
def test_a_failed_verification_is_shown(
    client: FlaskClient, signed: bytes, old: bytes, new: bytes, decision: str, outcome: str | None
) -> None:
    page = _post(client, signed.replace(old, new))
    assert page.status_code == 200
    assert _texts(page, "//p[@class='decision']") == [decision]
    assert outcome is None or outcome in _texts(page, "//td[@class='outcome']")


def test_a_revoked_certificate_is_shown_with_its_time(town: Town, signed: bytes) -> None:
    client = _client(lambda sent: judge(sent.document, town.validation(revoked(NOW), at=sent.received_at), sent.policy))
    assert "2026-11-23T03:00:00Z" in _texts(_post(client, signed), "//h1")[0]


def test_the_first_sentence_tells_that_the_time_was_given(client: FlaskClient, signed: bytes) -> None:
    page = _post(client, signed, received_at="2026-11-22T12:00", policy="e-tax-strict")
    assert "valid at 2026-11-22T03:00:00Z, the time that its verifier gave" in _texts(page, "//h1")[0]
    assert "The signature is valid." not in page.text


@pytest.mark.parametrize(("field", "told"), [("policy", "There is no such policy."), ("received_at", "cannot be read")])
def test_what_cannot_be_asked_is_told_on_the_page(client: FlaskClient, signed: bytes, field: str, told: str) -> None:
    page = _post(client, signed, **{field: "x"})
    assert page.status_code == 400
    assert told in " ".join(_texts(page, "//*[@role='alert']"))


def test_r21_the_page_holds_no_attribute_of_the_signer(client: FlaskClient, town: Town, signed: bytes) -> None:
    page = _post(client, signed)
    assert f"{town.holder.certificate.serial_number:x}" in page.text
    assert HOLDER_NAME not in page.text


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_what_a_client_calls_its_file_is_escaped(client: FlaskClient, content: bytes) -> None:
    page = _post(client, content, "<script>alert(1)<b>.pdf")
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;b&gt;.pdf" in page.text


@pytest.mark.parametrize("data", [{}, {"other": "x"}, {"file": "a field, not a file"}])
def test_no_file_is_told_on_the_page(client: FlaskClient, data: dict[str, str]) -> None:
    page = client.post("/verify", data=data, content_type="multipart/form-data")
    assert page.status_code == 400
    (told,) = _texts(page, "//*[@role='alert']")
    assert "検証するファイルがありません。 There is no file to verify." in told
    assert _texts(page, "//form")


@pytest.mark.parametrize("excess", [1, 1024 * 1024])
def test_a_file_over_the_cap_is_told_on_the_page(client: FlaskClient, excess: int) -> None:
    page = _post(client, bytes(LARGEST_UPLOAD + excess))
    assert page.status_code == 413
    assert "20 MiB" in " ".join(_texts(page, "//*[@role='alert']"))


def _failing(kind: Kind) -> FlaskClient:
    def fail(*_: object) -> FileVerdict:
        raise JpkiError(kind, "away", Text("接続できません。", "Away."), Text("再試行", "Try again."))

    return _client(fail)


def test_an_error_of_the_house_is_left_to_the_server() -> None:
    with pytest.raises(JpkiError):
        _post(_failing(Kind.CONFLICT), b"x")


def test_who_finds_no_place_is_told_when_to_come_again() -> None:
    page = _post(_failing(Kind.UNAVAILABLE), b"x")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "Away." in " ".join(_texts(page, "//*[@role='alert']"))


def test_nothing_is_run_or_loaded_but_style_sheets_and_fonts(client: FlaskClient, signed: bytes) -> None:
    for page in (client.get("/verify"), _post(client, signed), client.post("/verify", data={})):
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert not _found(page, "//script | //style | //@style | //img | //@*[starts-with(name(), 'on')]")
        assert _found(page, "//link/@href | //@src") == [f"/look/{FACES.relative_to(STATIC)}", "/look/style.css"]
    with client.get("/look/style.css") as sheet:
        assert sheet.mimetype == "text/css"
        assert b"url(" not in sheet.data
    with client.get(f"/look/{FACES.relative_to(STATIC)}") as sheet:
        assert sheet.mimetype == "text/css"
        assert set(re.findall(rb"url\(([^)]*)\)", sheet.data)) == {
            file.name.encode() for file in FACES.parent.glob("*.woff2")
        }


@pytest.mark.parametrize("path", ["/look/", "/look/none.css", "/look/../http.py", "/look/%2e%2e/http.py"])
def test_the_style_sheets_folder_holds_nothing_else(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_decision_check_and_outcome_has_its_words() -> None:
    assert set(words.DECISIONS) == set(Decision)
    assert set(words.STEPS) == set(Step)
    assert set(words.OUTCOMES) == set(words.MARKS) == set(Outcome)
