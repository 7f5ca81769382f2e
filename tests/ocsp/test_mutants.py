"""Whatever one changes in a question, the answer is of what is then asked, or a refusal: read by a parser not ours."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice

import pytest
from asn1crypto import ocsp, parser
from asn1crypto.algos import DigestAlgorithmId
from asn1crypto.core import OctetString
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask

from jpki import oids
from jpki.certificate import Purpose
from jpki.ids import Serial
from jpki.ports import JournalChanges
from jpki.revocation import Status
from ocsp.follower import Follower
from ocsp.http import make_blueprint
from ocsp.issuers import Issuer
from ocsp.responder import Answer, Responder
from tests.ocsp.authority import GOOD, HELD, NOW, REVOKED, Root, cert_id, nonce_extension, question, root

NONCE = (nonce_extension(b"n" * 16),)
SHA1, SHA256 = cert_id(GOOD), cert_id(GOOD, algorithm=oids.SHA256)
QUESTIONS = {
    "SHA-1": question(SHA1),
    "SHA-1 and a nonce": question(SHA1, extensions=NONCE),
    "SHA-256": question(SHA256),
    "SHA-256 and a nonce": question(SHA256, extensions=NONCE),
    "two CertIDs": question(SHA256, cert_id(HELD)),
    "two CertIDs and a nonce": question(SHA1, cert_id(GOOD, algorithm=oids.SHA256, parameters=b""), extensions=NONCE),
}

WORDS = {GOOD: "good", HELD: "revoked", REVOKED: "revoked"}
"""What the authority's ledger says of the serials of s1; all else is unknown."""
MALFORMED, UNAUTHORIZED = b"\x30\x03\x0a\x01\x01", b"\x30\x03\x0a\x01\x06"
"""The two refusals, octet by octet (RFC 6960 4.2.1)."""

every_question = pytest.mark.parametrize("asked", QUESTIONS.values(), ids=QUESTIONS)


# --- what is true, by asn1crypto and hashlib alone -----------------------------------------------------------------


@cache
def issuers() -> dict[tuple[str, bytes, bytes], str]:
    """Our generations, by hash function and hashes."""
    return {
        (name, hashlib.new(name, subject).digest(), hashlib.new(name, key).digest()): each.generation.id
        for each in (root("s1"), root("s2"), root("a1", Purpose.AUTHENTICATION))
        for subject, key in [name_and_key(each)]
        for name in ("sha1", "sha256", "sha384", "sha512")
    }


def name_and_key(of: Root) -> tuple[bytes, bytes]:
    """The issuer's name, and its key as the BIT STRING holds it: for RSA that is PKCS #1's own form (RFC 8017)."""
    certificate = of.generation.certificate
    return certificate.subject.public_bytes(), certificate.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)


def check(body: bytes, mutant: bytes) -> bool:
    """Require that `body` refuses the mutant or answers exactly what it asks; tell whether it says "good"."""
    if body in {MALFORMED, UNAUTHORIZED}:
        return False
    response = ocsp.OCSPResponse.load(body, strict=True)
    assert response["response_status"].native == "successful"
    request = ocsp.OCSPRequest.load(mutant, strict=True)
    # Written anew it is the same: no octet of it was passed over.
    assert request.dump(force=True) == mutant
    assert request["tbs_request"]["version"].native == "v1"
    asked = [each["req_cert"] for each in request["tbs_request"]["request_list"]]
    told = response.response_data["responses"]
    assert {issuer_of(each) for each in asked} == {"s1"}
    assert [each["cert_id"].dump() for each in told] == [each.dump() for each in asked]
    assert all(each["serial_number"].native > 0 for each in asked)
    words = [WORDS.get(each["serial_number"].native, "unknown") for each in asked]
    assert [each["cert_status"].name for each in told] == words
    return "good" in words


def issuer_of(asked: ocsp.CertId) -> str | None:
    algorithm = asked["hash_algorithm"]["algorithm"].native
    return issuers().get((algorithm, asked["issuer_name_hash"].native, asked["issuer_key_hash"].native))


Ask = Callable[[bytes], bytes]


@pytest.fixture(params=["live", "at once"])
def ask(request: pytest.FixtureRequest, responder: Responder, keeper: Responder) -> Ask:
    """How a question comes to its answer: from the ledger, or from what is known and kept, as the fast door does it."""

    def live(mutant: bytes) -> bytes:
        return body_of(responder.answer("POST", "", {}, mutant))

    def at_once(mutant: bytes) -> bytes:
        return body_of(answered_at_once(keeper, "POST", "", mutant))

    return live if request.param == "live" else at_once


@pytest.fixture
def keeper(issuers: Sequence[Issuer], rows: Mapping[Serial, Status]) -> Iterator[Responder]:
    """A responder that was asked each question before, and keeps its answer."""
    follower = Follower(lambda _position, _at_most: JournalChanges(1, 0, []), lambda: False)
    keeper = Responder(lambda: issuers, rows.get, lambda: NOW, follower)
    keeper.start()
    for asked in QUESTIONS.values():
        keeper.answer("POST", "", {}, asked)
    yield keeper
    keeper.close()


def answered_at_once(keeper: Responder, method: str, path: str, mutant: bytes) -> Answer:
    """Answer as the fast door does: from the ledger only what is not known."""
    return keeper.answer_at_once(method, path, {}, mutant) or keeper.answer(method, path, {}, mutant)


def body_of(answer: Answer) -> bytes:
    assert answer.status == 200
    return answer.body


# --- mutants -------------------------------------------------------------------------------------------------------


def replaced(data: bytes, at: int) -> Iterator[bytes]:
    """The octet there with each of its bits turned, and by some that DER has a meaning for."""
    octets = {data[at] ^ 1 << bit for bit in range(8)} | {0x00, 0x01, 0x05, 0x30, 0x7F, 0x80, 0xFF} - {data[at]}
    return (data[:at] + bytes((octet,)) + data[at + 1 :] for octet in sorted(octets))


def moved(data: bytes, at: int) -> Iterator[bytes]:
    """What stands behind comes nearer, goes away, or is cut off."""
    yield data[:at] + data[at + 1 :]
    yield data[:at]
    for octet in (data[at], 0x00, 0x30, 0xFF):
        yield data[:at] + bytes((octet,)) + data[at:]


def extended(data: bytes) -> Iterator[bytes]:
    for tail in (b"\x00", b"\x00\x00", b"\x05\x00", b"\xff", data, b"\x00" * 9000, b"\x00" * 20_000):
        yield data + tail


def mislaid(data: bytes) -> Iterator[bytes]:
    """All four lengths around a request's only CertID are wrong alike, so that they fit each other."""
    for by in (-2, -1, 1, 2):
        octets = bytearray(data)
        for at in (1, 3, 5, 7):
            octets[at] = (octets[at] + by) % 256
        yield bytes(octets)


def mended(element: bytes) -> Iterator[bytes]:
    """An element within left out, doubled, exchanged with the next, or its content changed; all lengths are right.

    Or a length is one of BER's: too long, or left open.
    """
    kind, constructed, tag, _, content, _ = parser.parse(element)
    long = len(content).to_bytes(1 if len(content) < 0x80 else 2)
    yield element[:1] + bytes((0x80 | len(long),)) + long + content
    yield element[:1] + b"\x80" + content + b"\x00\x00"
    if not constructed:
        for other in (content[:-1], content[1:], content + b"\x00", b"\x00" + content, content + content, b""):
            yield parser.emit(kind, constructed, tag, other)
        yield parser.emit(kind, constructed, tag ^ 1, content)
        return
    parts = list(elements(content))
    for at, part in enumerate(parts):
        behind = parts[at + 1 :]
        exchanged = [*behind[:1], part, *behind[1:]]
        for changed in (*([each, *behind] for each in mended(part)), behind, [part, part, *behind], exchanged):
            yield parser.emit(kind, constructed, tag, b"".join([*parts[:at], *changed]))


def elements(content: bytes) -> Iterator[bytes]:
    while content:
        length = parser.peek(content)
        yield content[:length]
        content = content[length:]


def mutants(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield from replaced(data, at)
        yield from moved(data, at)
    yield from extended(data)
    yield from mislaid(data)
    yield from mended(data)


# --- proofs --------------------------------------------------------------------------------------------------------


@every_question
def test_the_question_itself_is_answered(ask: Ask, asked: bytes) -> None:
    assert check(ask(asked), asked)


@every_question
def test_the_question_itself_is_answered_at_once(keeper: Responder, asked: bytes) -> None:
    answered = keeper.answer_at_once("POST", "", {}, asked)
    assert answered is not None
    assert check(answered.body, asked)


@every_question
def test_r15_a_mutant_is_refused_or_its_own_question_is_answered(ask: Ask, asked: bytes) -> None:
    good = [mutant for mutant in mutants(asked) if check(ask(mutant), mutant)]
    # Some ask the same in other words (an octet of the nonce, no NULL): to refuse them all would prove nothing.
    assert set(good) - {asked}


@every_question
def test_r15_no_mutant_of_the_algorithm_or_of_an_issuer_hash_is_answered(ask: Ask, asked: bytes) -> None:
    """Here no parser is believed: the octets stand where they stand."""
    for at in issuer_octets(asked):
        for mutant in (*replaced(asked, at), *moved(asked, at)):
            assert ask(mutant) in {MALFORMED, UNAUTHORIZED}, mutant.hex()


def issuer_octets(asked: bytes) -> Iterator[int]:
    """Where the algorithms' OIDs and the issuer's hashes stand, tags and lengths included."""
    hashes = {OctetString(each).dump() for _, *both in issuers() for each in both}
    for each in hashes | {DigestAlgorithmId(name).dump() for name in ("sha1", "sha256")}:
        for found in re.finditer(re.escape(each), asked):
            yield from range(*found.span())


@every_question
def test_the_flask_door_takes_mutants_as_the_responder_does(responder: Responder, asked: bytes) -> None:
    app = Flask(__name__)
    app.register_blueprint(make_blueprint(responder, lambda: None))
    client = app.test_client()
    for mutant in islice(mutants(asked), 0, None, 40):
        for given in (client.post("/ocsp", data=mutant), client.get("/ocsp/" + base64.b64encode(mutant).decode())):
            assert given.status_code == 200, mutant.hex()
            check(given.data, mutant)


@every_question
def test_a_mutant_in_a_path_is_answered_at_once_as_one_in_a_body(keeper: Responder, asked: bytes) -> None:
    for mutant in islice(mutants(asked), 0, None, 20):
        path = base64.b64encode(mutant).decode()
        check(body_of(answered_at_once(keeper, "GET", path, b"")), mutant)
