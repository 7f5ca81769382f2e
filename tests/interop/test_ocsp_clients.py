"""What OpenSSL and curl make of both OCSP doors, the plain one and the fast one."""

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder, load_der_ocsp_response

from jpki.clock import system_clock
from tests.interop.authority import Card, Town
from tests.interop.conftest import OcspDoor
from tests.interop.programs import Done, curl, openssl

pytestmark = pytest.mark.slow

LONGER_THAN_OURS = "0x7f" + "f" * 38
NEVER_ISSUED = ("0x40000000000000000000000000000001", "0x1", LONGER_THAN_OURS)
DIGESTS = pytest.mark.parametrize("digest", [(), ("-sha256",)], ids=["sha1", "sha256"])


def ask(url: str, issuer: Path, digest: tuple[str, ...], *certificate: str | Path) -> Done:
    """Ask with openssl; the digest counts for what follows it."""
    return openssl("ocsp", *digest, "-issuer", issuer, "-CAfile", issuer, *certificate, "-url", url)


def believed(done: Done) -> str:
    """Return what an answer says that openssl believes."""
    assert done.code == 0, done.text
    assert "Response verify OK" in done.err.decode(), done.text
    assert "WARNING" not in done.text
    return done.out.decode()


# --- good, revoked, unknown --------------------------------------------------------------------------------------


@DIGESTS
@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication", "taro.authentication"])
def test_openssl_finds_a_living_certificate_good(
    town: Town, ocsp: OcspDoor, name: str, digest: tuple[str, ...]
) -> None:
    card = town.card(name)
    said = believed(ask(ocsp(card), card.chain, digest, "-cert", card.certificate))
    assert said.startswith(f"{card.certificate}: good\n")


@DIGESTS
def test_openssl_finds_the_revoked_certificate_revoked(town: Town, ocsp: OcspDoor, digest: tuple[str, ...]) -> None:
    card = town.taro.signing
    said = believed(ask(ocsp(card), card.chain, digest, "-cert", card.certificate))
    assert said.startswith(f"{card.certificate}: revoked\n")
    assert "Reason: keyCompromise" in said


@DIGESTS
@pytest.mark.parametrize("serial", NEVER_ISSUED)
@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication"])
def test_r15_a_serial_never_issued_is_unknown(
    town: Town, ocsp: OcspDoor, name: str, serial: str, digest: tuple[str, ...]
) -> None:
    card = town.card(name)
    said = believed(ask(ocsp(card), card.chain, digest, "-serial", serial))
    assert said.startswith(f"{serial}: unknown\n")


@DIGESTS
def test_r15_the_other_ca_does_not_vouch_for_a_certificate(town: Town, ocsp: OcspDoor, digest: tuple[str, ...]) -> None:
    for card, other in (
        (town.hanako.signing, town.hanako.authentication),
        (town.hanako.authentication, town.hanako.signing),
    ):
        said = believed(ask(ocsp(card), other.chain, digest, "-serial", card.serial))
        assert said.startswith(f"{card.serial}: unknown\n")


def impostor(name: x509.Name, key: rsa.RSAPublicKey) -> x509.Certificate:
    """Return a CA certificate with this name and key; nobody we know signed it."""
    signer = rsa.generate_private_key(65537, 2048)
    now = system_clock()
    return (
        x509.CertificateBuilder(name, name, key, 1, now, now.replace(year=now.year + 1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(signer, SHA256())
    )


ANOTHER_NAME = x509.Name.from_rfc4514_string("CN=Another CA,C=JP")
IMPOSTORS: dict[str, Callable[[x509.Certificate], tuple[x509.Name, bool]]] = {
    "a stranger": lambda _: (ANOTHER_NAME, False),
    "our name with another key": lambda ours: (ours.subject, False),
    "our key with another name": lambda _: (ANOTHER_NAME, True),
}


@DIGESTS
@pytest.mark.parametrize("who", IMPOSTORS)
def test_r15_a_foreign_issuer_is_never_good(
    town: Town, ocsp: OcspDoor, tmp_path: Path, who: str, digest: tuple[str, ...]
) -> None:
    card, foreign = town.hanako.signing, tmp_path / "foreign.pem"
    name, our_key = IMPOSTORS[who](card.issuer)
    key = card.issuer.public_key() if our_key else rsa.generate_private_key(65537, 2048).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    foreign.write_bytes(impostor(name, key).public_bytes(Encoding.PEM))
    done = ask(ocsp(card), foreign, digest, "-serial", card.serial)
    assert "Responder Error: unauthorized (6)" in done.text
    assert "good" not in done.text


def test_r25_an_answer_never_outlives_its_responder(town: Town, ocsp: OcspDoor, tmp_path: Path) -> None:
    answer = tmp_path / "answer.der"
    for card in town.cards:
        ask(ocsp(card), card.chain, (), "-cert", card.certificate, "-respout", answer)
        response = load_der_ocsp_response(answer.read_bytes())
        (responder,) = response.certificates
        assert response.next_update_utc is not None
        assert response.this_update_utc < response.next_update_utc <= responder.not_valid_after_utc
        assert responder.not_valid_after_utc <= card.issuer.not_valid_after_utc


def test_r16_every_worker_of_both_doors_says_revoked_within_a_second(
    town: Town, ocsp_doors: Mapping[str, OcspDoor]
) -> None:
    """Twenty connections to each door, of which each worker takes some."""
    authority = town.authority
    card = authority.issue("authentication", {**town.hanako.data, "code": "H-0016"})
    urls = [f"{door(card)}/{quote(encoded(question(card)), safe='')}" for door in ocsp_doors.values()]
    assert {judged(curl(url).body) for url in urls * 20} == {"GOOD"}
    authority.do("revoke", card.serial, "--reason", "cessationOfOperation")
    time.sleep(1)
    assert {judged(curl(url).body) for url in urls * 20} == {"REVOKED"}


# --- GET ---------------------------------------------------------------------------------------------------------


def question(card: Card, nonce: bytes | None = None) -> bytes:
    builder = OCSPRequestBuilder().add_certificate(card.parsed, card.issuer, SHA1())  # noqa: S303 - as clients ask
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def judged(answer: bytes) -> str:
    return load_der_ocsp_response(answer).certificate_status.name


def awkward(card: Card) -> str:
    """Return a question whose base64 holds `//` and `+`: the nonce is chosen so."""
    candidates = (encoded(question(card, b"n" * pad + b"\xff\xfb\xef\xbe" * 6)) for pad in range(3))
    return next(text for text in candidates if "//" in text and "+" in text)


WAYS_TO_WRITE: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "escaped": lambda text: quote(text, safe=""),
    "escaped as Java does": lambda text: text.replace("/", "%2F").replace("+", "%2B"),
    "without padding": lambda text: text.rstrip("="),
}


@pytest.mark.parametrize("way", WAYS_TO_WRITE)
def test_curl_gets_an_answer_that_openssl_believes(town: Town, ocsp: OcspDoor, tmp_path: Path, way: str) -> None:
    card, file = town.hanako.signing, tmp_path / "answer.der"
    reply = curl(f"{ocsp(card)}/{WAYS_TO_WRITE[way](awkward(card))}")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/ocsp-response")
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    file.write_bytes(reply.body)
    # openssl compares the answer's CertID, octet for octet, with the one that it makes itself.
    said = believed(
        openssl(
            "ocsp", "-respin", file, "-issuer", card.chain, "-CAfile", card.chain, "-no_nonce",
            "-cert", card.certificate,
        )
    )  # fmt: skip
    assert said.startswith(f"{card.certificate}: good\n")


def test_an_answer_to_a_nonce_is_not_stored_and_repeats_it(town: Town, ocsp: OcspDoor) -> None:
    card = town.hanako.signing
    reply = curl(f"{ocsp(card)}/{quote(encoded(question(card, b'drawn by one client')), safe='')}")
    assert reply.headers["Cache-Control"] == "no-store"
    nonce = load_der_ocsp_response(reply.body).extensions.get_extension_for_class(x509.OCSPNonce)
    assert nonce.value.nonce == b"drawn by one client"


def test_an_answer_without_a_nonce_is_kept_for_a_minute_at_most(town: Town, ocsp: OcspDoor) -> None:
    card = town.hanako.signing
    url = f"{ocsp(card)}/{quote(encoded(question(card)), safe='')}"
    reply = curl(url)
    assert 0 < reply.max_age <= 60
    assert reply.headers["ETag"].strip('"')
    assert reply.headers["Last-Modified"]
    assert curl(url, "--header", 'If-None-Match: "another"').status == 200


@pytest.mark.parametrize("way", ["GET", "POST"])
def test_garbage_is_a_malformed_request(town: Town, ocsp: OcspDoor, way: str) -> None:
    url = ocsp(town.hanako.signing)
    reply = curl(f"{url}/MAA") if way == "GET" else curl(url, "--data-binary", "garbage")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/ocsp-response")
    assert load_der_ocsp_response(reply.body).response_status.name == "MALFORMED_REQUEST"
    assert reply.headers["Cache-Control"] == "no-store"
