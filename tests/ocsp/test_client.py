"""The client against real servers: what it believes, what it does not, and what it never does."""

import socket
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.ocsp import load_der_ocsp_request

from jpki.clock import whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.ports import RevocationSource
from jpki.revocation import Finding, Reason, RevocationEvidence
from ocsp.client import OcspClient
from ocsp.fetch import MAX_RESPONSE_OCTETS
from ocsp.responder import Responder
from ocsp.response import ResponseStatus, refusal
from tests.ocsp.authority import (
    GOOD,
    HELD,
    NEVER_ISSUED,
    NOW,
    REVOKED,
    REVOKED_AT,
    holder_certificate,
    issuer,
    ledger,
    root,
)
from tests.ocsp.servers import replying, serving

Reply = Callable[[bytes], tuple[int, dict[str, str], bytes]]


def client(url: str, timeout: float = 5.0) -> RevocationSource:
    return OcspClient(url, lambda: NOW, lambda octets: b"\x05" * octets, timeout)


def evidence(url: str, serial: Serial = GOOD, timeout: float = 5.0) -> RevocationEvidence | None:
    ca = root("s1").generation.certificate
    return client(url, timeout).evidence(holder_certificate(serial), ca, NOW)


def refused(url: str, timeout: float = 5.0) -> tuple[Kind, str]:
    with pytest.raises(JpkiError) as caught:
        evidence(url, timeout=timeout)
    return caught.value.kind, caught.value.code


def always(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return lambda _: (status, headers or {}, body)


UNREACHABLE = (Kind.UNAVAILABLE, "ocsp-unreachable")
UNUSABLE = (Kind.UNPROCESSABLE, "ocsp-unusable")


@pytest.mark.parametrize(
    ("serial", "finding", "reason"),
    [
        (GOOD, Finding.GOOD, None),
        (REVOKED, Finding.REVOKED, Reason.KEY_COMPROMISE),
        (HELD, Finding.HELD, Reason.CERTIFICATE_HOLD),
        (NEVER_ISSUED, Finding.UNKNOWN, None),
    ],
)
def test_reads_our_own_responder(responder: Responder, serial: Serial, finding: Finding, reason: Reason | None) -> None:
    with serving(responder) as url:
        found = evidence(url, serial)
    assert found == RevocationEvidence(
        finding=finding,
        source="ocsp",
        as_of=whole_second(NOW),
        fresh_until=whole_second(NOW) + timedelta(minutes=15),
        revoked_at=None if reason is None else whole_second(REVOKED_AT),
        reason=reason,
    )


def test_asks_with_sha1_and_a_nonce_of_32_octets(responder: Responder) -> None:
    asked: list[bytes] = []

    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked.append(body)
        return 200, {}, responder.answer("POST", "", {}, body).body

    with replying(reply) as url:
        evidence(url)
    (request,) = map(load_der_ocsp_request, asked)
    assert (request.serial_number, request.hash_algorithm.name) == (GOOD, "sha1")
    assert request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x05" * 32


def test_unauthorized_is_no_word_at_all() -> None:
    with serving(Responder(lambda: [issuer("s2")], ledger().get, lambda: NOW)) as url:
        assert evidence(url) is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ResponseStatus.TRY_LATER, UNREACHABLE),
        (ResponseStatus.INTERNAL_ERROR, UNREACHABLE),
        (ResponseStatus.MALFORMED_REQUEST, UNUSABLE),
        (ResponseStatus.SUCCESSFUL, UNUSABLE),
    ],
)
def test_a_response_without_an_answer(status: ResponseStatus, expected: tuple[Kind, str]) -> None:
    with replying(always(refusal(status))) as url:
        assert refused(url) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(always(b""), UNUSABLE, id="nothing"),
        pytest.param(always(b"<html>"), UNUSABLE, id="a web page"),
        pytest.param(always(b"\x30" * (MAX_RESPONSE_OCTETS + 1)), UNUSABLE, id="too large"),
        pytest.param(always(b"", 404), UNREACHABLE, id="not found"),
        pytest.param(always(b"", 503), UNREACHABLE, id="outage"),
        pytest.param(always(b"", headers={"Content-Length": "9"}), UNUSABLE, id="cut short"),
    ],
)
def test_what_is_no_response(reply: Reply, expected: tuple[Kind, str]) -> None:
    with replying(reply) as url:
        assert refused(url) == expected


def test_redirects_are_not_followed(responder: Responder) -> None:
    with serving(responder) as target, replying(always(b"", 302, {"Location": target})) as url:
        assert refused(url) == UNREACHABLE


def test_proxies_are_not_used(responder: Responder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(responder) as url:
        assert evidence(url) is not None


def test_a_server_that_hangs_or_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert refused(url, timeout=0.05) == UNREACHABLE
    assert refused(url) == UNREACHABLE
    assert refused(f"http://{'a' * 70}.example/") == UNREACHABLE


@pytest.mark.parametrize(
    "url", ["", "file:///etc/hostname", "ftp://example.jp/", "http://", "http://[", "http://a:b@c/", "http://例.jp/"]
)
def test_only_http_and_https_are_asked(url: str) -> None:
    with pytest.raises(JpkiError, match="ocsp-url-malformed"):
        client(url)
