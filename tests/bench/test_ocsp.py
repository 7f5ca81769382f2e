"""The bench of OCSP notices wrong answers and failed loads, and asks what it says it asks."""

import json
from base64 import b64decode
from datetime import timedelta
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus
from cryptography.x509.oid import ExtendedKeyUsageOID

from bench.answers import ALLOWED_SECONDS, Revocation, WrongAnswer, require_right, said
from bench.ocsp import nearest_rank
from bench.questions import NONCE_OCTETS, Question, got, posted, posted_and_got
from bench.wrk import LoadFailed, answer_octets, told
from jpki.clock import system_clock, whole_second
from jpki.revocation import Reason
from ocsp.issuers import Issuer
from ocsp.request import parse_request
from ocsp.response import CertStatus, Good, Period, ResponseStatus, Revoked, SingleAnswer, refusal, signed_response
from tests.ocsp.authority import GOOD, REVOKED, REVOKED_AT, issuer, make_issuer, responder_certificate, root
from tests.ocsp.servers import replying

NONCE = bytes(range(NONCE_OCTETS))
ASKED = Question(root("s1").generation, GOOD)


def answer(
    *,
    about: Question = ASKED,
    by: Issuer | None = None,
    status: CertStatus = Good(),  # noqa: B008 - it is frozen
    nonce: bytes | None = None,
    age: timedelta = timedelta(0),
) -> bytes:
    cert_id = parse_request(about.der()).cert_ids[0]
    begin = whole_second(system_clock()) - age
    period = Period(begin, begin + timedelta(minutes=15))
    return signed_response(by or issuer(), period, [SingleAnswer(cert_id, status)], nonce)


# --- questions -----------------------------------------------------------------------------------------------------


def test_a_question_names_the_certificate_and_ends_in_its_nonce() -> None:
    request = parse_request(ASKED.der(NONCE))
    assert [(each.serial, each.issuer in issuer().hashes) for each in request.cert_ids] == [(GOOD, True)]
    assert request.nonce == NONCE
    assert ASKED.der(NONCE).endswith(NONCE)
    assert parse_request(ASKED.der()).nonce is None


def test_questions_are_posted_and_got() -> None:
    der = ASKED.der()
    head, body = posted(der).split(b"\r\n\r\n", 1)
    assert body == der
    assert f"Content-Length: {len(der)}".encode() in head.split(b"\r\n")
    path = got(der).split(b" ")[1].decode()
    assert b64decode(unquote(path.removeprefix("/ocsp/"))) == der
    assert got(b"\xff\xef\xbe").split(b" ")[1] == b"/ocsp/%2F%2B%2B%2B"
    methods = [each.split(b" ")[0] for each in posted_and_got([ASKED] * 4)]
    assert methods == [b"POST", b"POST", b"GET", b"GET"]


# --- answers -------------------------------------------------------------------------------------------------------


def test_right_answers_are_read() -> None:
    assert said(answer(), ASKED) is OCSPCertStatus.GOOD
    revoked = Revoked(REVOKED_AT, Reason.KEY_COMPROMISE)
    assert said(answer(status=revoked, nonce=NONCE), ASKED, NONCE) is OCSPCertStatus.REVOKED


@pytest.mark.parametrize(
    "wrong",
    [
        refusal(ResponseStatus.TRY_LATER),
        answer(about=Question(root("s1").generation, REVOKED)),
        answer(age=timedelta(minutes=16)),
        answer(age=timedelta(hours=-1)),
        answer(nonce=NONCE[::-1]),
    ],
    ids=["refusal", "another serial", "ended", "not yet begun", "another nonce"],
)
def test_wrong_answers_are_noticed(wrong: bytes) -> None:
    with pytest.raises(WrongAnswer):
        said(wrong, ASKED, NONCE)


def test_an_answer_without_the_nonce_is_noticed() -> None:
    with pytest.raises(x509.ExtensionNotFound):
        said(answer(), ASKED, NONCE)


def test_a_signature_that_does_not_fit_is_noticed() -> None:
    right = answer()
    at = right.index(ocsp.load_der_ocsp_response(right).signature) + 40
    with pytest.raises(InvalidSignature):
        said(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :], ASKED)


def test_a_responder_of_another_authority_is_noticed() -> None:
    with pytest.raises((InvalidSignature, ValueError)):
        said(answer(by=make_issuer(root("s2"))), ASKED)


def test_a_certificate_that_is_no_responder_s_is_noticed() -> None:
    signer, key = root("s1"), ec.generate_private_key(ec.SECP256R1())
    certificate = responder_certificate(signer, key, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    with pytest.raises(WrongAnswer):
        said(answer(by=Issuer(generation=signer.generation, certificate=certificate, key=key)), ASKED)


SENT, RECEIVED = 100.0, 100.1
LONG_AGO = Revocation(90.0, 90.1)
JUST_NOW = Revocation(SENT - ALLOWED_SECONDS, SENT - ALLOWED_SECONDS / 2)
MEANWHILE = Revocation(SENT + 0.05)
LATER = Revocation(RECEIVED + 0.1)
RIGHT = {
    None: {OCSPCertStatus.GOOD},
    LONG_AGO: {OCSPCertStatus.REVOKED},
    JUST_NOW: {OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED},
    MEANWHILE: {OCSPCertStatus.GOOD, OCSPCertStatus.REVOKED},
    LATER: {OCSPCertStatus.GOOD},
}


@pytest.mark.parametrize("revocation", RIGHT, ids=["never", "long ago", "just now", "meanwhile", "later"])
@pytest.mark.parametrize("status", OCSPCertStatus)
def test_an_answer_is_right_when_the_ledger_said_so_then(status: OCSPCertStatus, revocation: Revocation | None) -> None:
    if status in RIGHT[revocation]:
        require_right(status, SENT, RECEIVED, revocation)
    else:
        with pytest.raises(WrongAnswer):
            require_right(status, SENT, RECEIVED, revocation)


# --- load ----------------------------------------------------------------------------------------------------------


def output(*, requests: int = 1000, octets: int = 1_400_000, errors: int = 0) -> str:
    figures = {"requests": requests, "microseconds": 2_000_000, "octets": octets, "errors": errors, "p99": 12_500}
    return f"Running 2s test\n{json.dumps(figures)}\n"


def test_a_load_is_read() -> None:
    load = told(output(), 1400)
    assert (load.rate, load.octets, load.p99_ms) == (500, 1400, 12.5)


@pytest.mark.parametrize(
    "failed",
    [output(errors=1), output(requests=0, octets=0), output(octets=1_370_000)],
    ids=["an error", "no answer", "one refusal in fifty"],
)
def test_a_failed_load_is_noticed(failed: str) -> None:
    with pytest.raises(LoadFailed):
        told(failed, 1400)


def test_an_answer_is_measured_with_its_headers() -> None:
    with replying(lambda _: (200, {"Content-Length": "700"}, bytes(700))) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        assert 740 < answer_octets(port, posted(ASKED.der())) < 1000


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert nearest_rank([float(n) for n in range(1, 101)], 0.99) == 99
    assert nearest_rank([3.0, 1.0, 2.0], 0.99) == 3
