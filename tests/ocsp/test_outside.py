"""What the outside world makes of our answers: OpenSSL, curl and pkilint."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPCertStatus, load_der_ocsp_response

from jpki.clock import system_clock
from jpki.ids import Serial
from jpki.revocation import Reason, State, Status
from jpki.signature import PrivateKey
from ocsp.responder import Responder
from tests.ocsp.authority import (
    GOOD,
    HELD,
    NEVER_ISSUED,
    REVOKED,
    cert_id,
    issuer,
    make_issuer,
    nonce_extension,
    question,
    root,
    rsa_responder_key,
    status,
)
from tests.ocsp.servers import serving
from tests.ocsp.test_http_semantics import WAYS_TO_WRITE, awkward_question, encoded

pytestmark = pytest.mark.slow


Finder = Callable[[str], str]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def live_responder(rows: dict[Serial, Status]) -> Responder:
    """Return a responder that lives in the present, as outside programs do."""
    return Responder(lambda: [issuer("s2"), issuer("s1")], rows.get, system_clock)


@pytest.fixture
def address(live_responder: Responder) -> Iterator[str]:
    with serving(live_responder) as url:
        yield url


@pytest.mark.parametrize(
    ("serial", "expected"),
    [
        (GOOD, [": good"]),
        (REVOKED, [": revoked", "Reason: keyCompromise", "Revocation Time: Nov 22 01:02:03 2026 GMT"]),
        (HELD, [": revoked", "Reason: certificateHold"]),
        (NEVER_ISSUED, [": unknown"]),
    ],
)
@pytest.mark.parametrize("options", [(), ("-no_nonce",), ("-sha256",)])
def test_openssl_believes_the_answer(
    address: str, program: Finder, tmp_path: Path, serial: Serial, expected: list[str], options: tuple[str, ...]
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(root("s1").generation.certificate.public_bytes(Encoding.PEM))
    # openssl applies the digest to the serials that follow it.
    asked = (*options, "-issuer", str(ca), "-serial", hex(serial))
    text = run(program("openssl"), "ocsp", "-url", address, "-CAfile", str(ca), *asked)
    assert "Response verify OK" in text
    assert "WARNING" not in text
    for words in expected:
        assert words in text


def test_r23_openssl_does_not_take_one_generation_for_another(address: str, program: Finder, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(root("s2").generation.certificate.public_bytes(Encoding.PEM))
    text = run(
        program("openssl"), "ocsp", "-url", address, "-CAfile", str(ca), "-issuer", str(ca), "-serial", hex(REVOKED)
    )
    assert "Response verify OK" in text
    assert ": unknown" in text


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_curl_gets_the_answer(address: str, program: Finder, tmp_path: Path, way: str) -> None:
    body = tmp_path / "answer.der"
    path = WAYS_TO_WRITE[way](encoded(awkward_question()))
    told = run(
        program("curl"), "--silent", "--fail", "--noproxy", "*", "--path-as-is", "--output", str(body), "--write-out",
        "%{http_code} %{content_type} %{num_redirects}", f"{address}/{path}",
    )  # fmt: skip
    assert told == "200 application/ocsp-response 0"
    assert load_der_ocsp_response(body.read_bytes()).certificate_status is OCSPCertStatus.GOOD


@pytest.mark.parametrize("key", [None, "rsa-2048"])
@pytest.mark.parametrize("nonce", [(), (nonce_extension(b"n" * 32),)])
def test_pkilint_finds_nothing(tmp_path: Path, key: str | None, nonce: tuple[bytes, ...]) -> None:
    lint = Path(sys.executable).with_name("lint_ocsp_response")
    signing_key: PrivateKey | None = rsa_responder_key() if key else None
    signer = make_issuer(root("s1"), key=signing_key)
    states = {
        serial: status(serial, state, reason)
        for serial, state, reason in [
            (GOOD, State.ACTIVE, None),
            (HELD, State.HELD, Reason.CERTIFICATE_HOLD),
            (REVOKED, State.REVOKED, Reason.UNSPECIFIED),
        ]
    }
    responder = Responder(lambda: [signer], states.get, system_clock)
    asked = question(*map(cert_id, (GOOD, HELD, REVOKED, NEVER_ISSUED)), extensions=nonce)
    path = tmp_path / "answer.der"
    path.write_bytes(responder.answer("POST", "", {}, asked).body)
    assert run(str(lint), "lint", "-s", "WARNING", str(path)).strip() == ""
