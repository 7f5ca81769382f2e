"""`jpki ocsp probe` and `jpki ocsp explain` as a person or a program meets them."""

import base64
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from jpki.clock import system_clock
from ocsp.responder import Responder
from ocsp.response import ResponseStatus, refusal
from tests.ocsp.authority import GOOD, holder_certificate, issuer, ledger, root
from tests.ocsp.servers import replying
from tests.ocsp.servers import serving as serving_responder
from tests.server.conftest import Town, certificate_in, serial_in
from tests.server.console import Jpki, Word
from tests.server.test_cli_serve import serving

HOLDS, FAILS, USAGE, TRY_AGAIN = 0, 1, 64, 75


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Word, ...]:
    """The options that name a certificate and its issuer."""
    issuer_file, certificate_file = tmp_path / "issuer.pem", tmp_path / "certificate.pem"
    others = root("s2").generation.certificate.public_bytes(Encoding.PEM)
    issuer_file.write_bytes(others + root("s1").generation.certificate.public_bytes(Encoding.PEM))
    certificate_file.write_bytes(holder_certificate(GOOD).public_bytes(Encoding.PEM))
    return ("--issuer", issuer_file, "--certificate", certificate_file)


@pytest.fixture
def address() -> Iterator[str]:
    """A responder of ours that lives in the present."""
    with serving_responder(Responder(lambda: [issuer("s1")], ledger().get, system_clock)) as url:
        yield url


# --- probe ---------------------------------------------------------------------------------------------------------


def test_r13_a_responder_that_holds_all_rules_is_exit_0(jpki: Jpki, address: str, pair: tuple[Word, ...]) -> None:
    found = jpki.judged(HOLDS, "ocsp", "probe", address, *pair)
    assert (found["schema"], found["url"], found["holds"]) == ("jpki.ocsp-probe/1", address, True)
    first = found["checks"][0]
    assert set(first) == {"id", "clause", "required", "outcome", "finding", "why"}
    assert (first["id"], first["clause"], first["required"], first["outcome"]) == ("post", "RFC 6960 A.1", True, "ok")
    assert first["finding"] == {"ja": "回答：good", "en": "answered: good"}


def test_a_responder_that_breaks_one_is_exit_1(jpki: Jpki, pair: tuple[Word, ...]) -> None:
    with replying(lambda _: (500, {}, b"")) as url:
        found = jpki.judged(FAILS, "ocsp", "probe", url, *pair)
    assert not found["holds"]
    assert found["checks"][0]["outcome"] == "fails"
    assert found["checks"][0]["finding"]["en"] == "HTTP 500"


@pytest.mark.parametrize(
    ("language", "first", "last"),
    [
        ("en", "answered: good", r"(\d+) of \1 required rules hold; 0 recommendations are not followed\."),
        ("ja", "回答：good", r"必須 (\d+) 件中 \1 件を満たす。推奨のうち 0 件を満たさない。"),
    ],
)
def test_people_read_a_table(
    jpki: Jpki, address: str, pair: tuple[Word, ...], language: str, first: str, last: str
) -> None:
    answer = jpki("ocsp", "probe", address, *pair, "--lang", language)
    assert (answer.code, answer.err) == (HOLDS, "")
    lines = answer.out.splitlines()
    assert lines[0] == f"✓ post                 RFC 6960 A.1      {first}"
    assert re.fullmatch(last, lines[-1])


def test_people_read_why_a_failure_matters(jpki: Jpki, pair: tuple[Word, ...]) -> None:
    with replying(lambda _: (200, {}, refusal(ResponseStatus.UNAUTHORIZED))) as url:
        answer = jpki("ocsp", "probe", url, *pair, "--lang", "en")
    assert answer.code == FAILS
    lines = answer.out.splitlines()
    assert lines[0] == "✗ post                 RFC 6960 A.1      unauthorized"
    assert lines[1] == "    → Everything else rests on it."
    assert any(line.startswith("! head ") for line in lines)
    assert any(line.startswith("- delegate ") for line in lines)


def test_nobody_there_is_exit_75(jpki: Jpki, pair: tuple[Word, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/ocsp"
    refused = jpki.refused("ocsp", "probe", url, *pair)
    assert (refused.exit, refused.code) == (TRY_AGAIN, "ocsp-unreachable")


@pytest.mark.parametrize("url", ["ftp://a.example/", "a.example", "http://user@a.example/"])
def test_what_is_no_address_is_a_mistake_of_usage(jpki: Jpki, pair: tuple[Word, ...], url: str) -> None:
    refused = jpki.refused("ocsp", "probe", url, *pair)
    assert (refused.exit, refused.code) == (USAGE, "ocsp-url-malformed")


def test_a_missing_file_is_a_mistake_of_usage(jpki: Jpki, pair: tuple[Word, ...], tmp_path: Path) -> None:
    words = ("ocsp", "probe", "http://a.example/", *pair[:3], tmp_path / "nowhere.pem")
    assert jpki.refused(*words).exit == USAGE


def test_another_issuer_is_refused_before_anybody_is_asked(jpki: Jpki, pair: tuple[Word, ...], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(root("s2").generation.certificate.public_bytes(Encoding.PEM))
    refused = jpki.refused("ocsp", "probe", "http://127.0.0.1:9/", "--issuer", other, *pair[2:])
    assert (refused.exit, refused.code) == (FAILS, "issuer-mismatch")


def test_a_file_without_a_certificate_is_refused(jpki: Jpki, pair: tuple[Word, ...], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no certificate")
    refused = jpki.refused("ocsp", "probe", "http://127.0.0.1:9/", *pair[:3], other)
    assert (refused.exit, refused.code) == (FAILS, "certificate-unreadable")


@pytest.mark.slow
def test_r13_a_served_home_holds_all_rules(issued_town: Path, installed: Path, jpki: Jpki, tmp_path: Path) -> None:
    town = Town(shutil.copytree(issued_town, tmp_path / "town"))
    pair = {
        folder: ("--issuer", folder / "chain.pem", "--certificate", folder / "certificate.pem")
        for folder in (town.signing, town.authentication)
    }
    with serving(installed, town.home, "--door", "ocsp") as served:
        for words in pair.values():
            found = jpki.judged(HOLDS, "ocsp", "probe", f"{served.url}/ocsp", *words)
            assert {check["outcome"] for check in found["checks"]} == {"ok"}
        jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
        time.sleep(1)  # rule R16: a revocation shows within a second
        found = jpki.judged(HOLDS, "ocsp", "probe", f"{served.url}/ocsp", *pair[town.signing])
    assert found["checks"][0]["finding"]["en"] == "answered: revoked"


# --- explain -------------------------------------------------------------------------------------------------------


@pytest.fixture
def question(issued_town: Path) -> bytes:
    """A question about the town's signing certificate."""
    folder = Town(issued_town).signing
    ca = x509.load_pem_x509_certificate((folder / "chain.pem").read_bytes())
    builder = OCSPRequestBuilder().add_certificate(certificate_in(folder), ca, SHA256())
    return builder.build().public_bytes(Encoding.DER)


def test_a_request_is_explained(jpki: Jpki, issued_town: Path, question: bytes, tmp_path: Path) -> None:
    file = tmp_path / "question.der"
    file.write_bytes(question)
    found = jpki.done("ocsp", "explain", file)
    assert (found["schema"], found["kind"], found["octets"]) == ("jpki.ocsp-explain/1", "request", len(question))
    assert found["objections"] == []
    assert found["elements"][-1] == {
        "depth": 1,
        "name": "serialNumber",
        "value": f"0x{serial_in(Town(issued_town).signing)}",
        "meaning": {"ja": "証明書のシリアル番号", "en": "the certificate's serial"},
    }


def test_the_url_of_a_get_is_explained_and_not_fetched(jpki: Jpki, question: bytes, tmp_path: Path) -> None:
    file = tmp_path / "question.b64"
    file.write_bytes(base64.encodebytes(question))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/ocsp/{base64.b64encode(question).decode()}"
        assert jpki.done("ocsp", "explain", url) == jpki.done("ocsp", "explain", file)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ["OCSP request (7 octets)", "✗ Answered malformedRequest: expected tag 0x30"]),
        ("ja", ["OCSP要求（7オクテット）", "✗ malformedRequest と答えられる：期待した要素がない（expected tag 0x30）"]),
    ],
)
def test_a_malformed_request_is_explained(jpki: Jpki, tmp_path: Path, language: str, lines: list[str]) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(b"garbage")
    answer = jpki("ocsp", "explain", file, "--lang", language)
    assert (answer.code, answer.out.splitlines()) == (0, lines)


def test_a_response_is_explained(jpki: Jpki, tmp_path: Path) -> None:
    file = tmp_path / "answer.der"
    file.write_bytes(refusal(ResponseStatus.UNAUTHORIZED))
    answer = jpki("ocsp", "explain", file, "--lang", "en")
    reason = "the responder cannot speak for this issuer or certificate"
    assert answer.out.splitlines() == [
        "OCSP response (5 octets)",
        f"  responseStatus: unauthorized  - {reason}",
        f"✗ Refused: {reason}",
    ]


def test_an_answer_is_explained_with_doubts(jpki: Jpki, tmp_path: Path) -> None:
    responder = Responder(lambda: [issuer("s1")], ledger().get, system_clock)
    asked = OCSPRequestBuilder().add_certificate(holder_certificate(GOOD), root("s1").generation.certificate, SHA256())
    file = tmp_path / "answer.der"
    file.write_bytes(responder.answer("POST", "", {}, asked.build().public_bytes(Encoding.DER)).body)
    out = jpki("ocsp", "explain", file, "--lang", "en").out
    assert "    certStatus: good  - not revoked" in out.splitlines()
    assert "! May be refused: no nonce: who sent one and insists on it refuses" in out.splitlines()


def test_nothing_to_object_to_is_said(jpki: Jpki, question: bytes, tmp_path: Path) -> None:
    file = tmp_path / "question.der"
    file.write_bytes(question)
    assert jpki("ocsp", "explain", file, "--lang", "en").out.endswith("✓ No reason to refuse it was found.\n")


def test_a_file_that_is_not_there_is_a_mistake_of_usage(jpki: Jpki, tmp_path: Path) -> None:
    assert jpki.refused("ocsp", "explain", tmp_path / "nowhere").exit == USAGE
