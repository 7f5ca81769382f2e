"""The pure HTTP function: how questions arrive, and what caches are told."""

import base64
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from urllib.parse import quote

import pytest
from cryptography.x509.ocsp import OCSPResponseStatus, load_der_ocsp_response
from hypothesis import given
from hypothesis import strategies as st

from jpki.clock import whole_second
from jpki.ids import Serial
from jpki.revocation import Status
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import Answer, Responder
from tests.ocsp.authority import (
    GOOD,
    NOW,
    cert_id,
    issuer,
    ledger,
    make_issuer,
    nonce_extension,
    question,
    root,
    rsa_responder_key,
)

QUESTION = question(cert_id(GOOD))
CACHING = ("ETag", "Last-Modified", "Expires")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def awkward_question() -> bytes:
    """Return a question whose base64 holds `//` and `+`: the nonce is chosen so."""
    for pad in range(3):
        data = question(cert_id(GOOD), extensions=(nonce_extension(b"n" * pad + b"\xff\xfb\xef\xbe" * 8),))
        if "//" in encoded(data) and "+" in encoded(data):
            return data
    raise AssertionError


def get(responder: Responder, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return responder.answer("GET", path, named, b"")


def outcome(answer: Answer) -> OCSPResponseStatus:
    assert answer.status == 200
    return load_der_ocsp_response(answer.body).response_status


# --- GET -------------------------------------------------------------------------------------------------------


WAYS_TO_WRITE: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "escaped": lambda text: quote(text, safe=""),
    "escaped in part": lambda text: text.replace("/", "%2f"),
    "without padding": lambda text: text.rstrip("="),
    "URL-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "address ending in a slash": lambda text: "/" + text,
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_get_reads_base64_however_it_is_written(responder: Responder, way: str) -> None:
    for data in (QUESTION, awkward_question()):
        assert outcome(get(responder, WAYS_TO_WRITE[way](encoded(data)))) is OCSPResponseStatus.SUCCESSFUL


@pytest.mark.parametrize("path", ["", "?", "MA", "M", "MEow!", "%", "%zz", "あ", "\ud800", encoded(b"0" * 20_000)])
def test_get_of_anything_else_is_malformed(responder: Responder, path: str) -> None:
    assert outcome(get(responder, path)) is OCSPResponseStatus.MALFORMED_REQUEST


@given(path=st.text(max_size=50))
def test_no_path_raises(path: str) -> None:
    responder = Responder(lambda: [issuer()], ledger().get, lambda: NOW)
    assert outcome(get(responder, path)) is OCSPResponseStatus.MALFORMED_REQUEST


def test_head_has_the_headers_of_get_and_no_body(steady: Responder) -> None:
    whole, head = (steady.answer(method, encoded(QUESTION), {}, b"") for method in ("GET", "HEAD"))
    assert head.headers == whole.headers
    assert head.headers["Content-Length"] == str(len(whole.body))
    assert head.body == b""


# --- POST and the rest -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/ocsp-request", "text/plain", None])
def test_post_reads_the_body_whatever_it_is_called(responder: Responder, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    assert outcome(responder.answer("POST", "", headers, QUESTION)) is OCSPResponseStatus.SUCCESSFUL


def test_a_body_over_the_cap_is_malformed(responder: Responder) -> None:
    answer = responder.answer("POST", "", {}, b"0" * (MAX_REQUEST_OCTETS + 1))
    assert outcome(answer) is OCSPResponseStatus.MALFORMED_REQUEST


def test_another_method_is_not_allowed(responder: Responder) -> None:
    answer = responder.answer("PUT", "", {}, QUESTION)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


# --- caches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_without_nonce_may_be_kept_for_a_minute(responder: Responder, method: str) -> None:
    answer = responder.answer(method, encoded(QUESTION), {}, QUESTION)
    assert answer.headers["Cache-Control"] == "max-age=60, public, no-transform, must-revalidate"
    assert answer.headers["ETag"] == f'"{sha256(answer.body).hexdigest()}"'
    assert parsedate_to_datetime(answer.headers["Last-Modified"]) == whole_second(NOW)
    assert parsedate_to_datetime(answer.headers["Expires"]) == whole_second(NOW) + timedelta(seconds=60)


def test_r25_no_cache_keeps_an_answer_past_its_end(rows: dict[Serial, Status]) -> None:
    end = whole_second(NOW) + timedelta(seconds=7)
    responder = Responder(lambda: [make_issuer(root("s1"), end=end)], rows.get, lambda: NOW)
    headers = get(responder, encoded(QUESTION)).headers
    assert headers["Cache-Control"].startswith("max-age=7,")
    assert parsedate_to_datetime(headers["Expires"]) == end


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="malformed"),
        pytest.param(question(cert_id(of=root("x1", organization="Elsewhere").generation)), id="unauthorized"),
        pytest.param(question(cert_id(), extensions=(nonce_extension(b"n"),)), id="nonce"),
    ],
)
def test_an_error_or_an_answer_to_a_nonce_is_not_kept(responder: Responder, data: bytes) -> None:
    headers = responder.answer("POST", "", {}, data).headers
    assert headers["Cache-Control"] == "no-store"
    assert not set(CACHING) & set(headers)


@pytest.fixture
def steady(rows: dict[Serial, Status]) -> Responder:
    """Return a responder that signs the same octets within a second, as RSA does."""
    signer = make_issuer(root("s1"), key=rsa_responder_key())
    return Responder(lambda: [signer], rows.get, lambda: NOW)


@pytest.mark.parametrize("write", ["{}", "W/{}", '"other", {}'])
def test_a_known_answer_is_not_sent_again(steady: Responder, write: str) -> None:
    first = get(steady, encoded(QUESTION))
    again = get(steady, encoded(QUESTION), if_none_match=write.format(first.headers["ETag"]))
    assert (again.status, again.body) == (304, b"")
    assert again.headers == {name: first.headers[name] for name in (*CACHING, "Cache-Control")}


def test_another_answer_is_sent(steady: Responder) -> None:
    assert get(steady, encoded(QUESTION), if_none_match='"other"').status == 200


def test_an_error_is_always_sent(steady: Responder) -> None:
    assert get(steady, "", if_none_match='""').status == 200
