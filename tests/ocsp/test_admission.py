"""A responder that asks who is there: whom it answers, what it has recorded, and what caches may keep."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus, load_der_ocsp_response

from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.revocation import Finding
from jpki.text import Text
from jpki.verifier import VerifierId
from ocsp.follower import Follower
from ocsp.responder import Answer, Responder
from tests.ocsp.authority import (
    GOOD,
    HELD,
    NEVER_ISSUED,
    REVOKED,
    cert_id,
    issuer,
    nonce_extension,
    question,
)
from tests.ocsp.test_cache import World

BANK, BANKS = VerifierId(1), Serial(11)


@dataclass(slots=True)
class Register:
    """See `jpki.ports.Admission`: it knows the bank."""

    refusal: JpkiError | None = None
    told: list[tuple[VerifierId, Sequence[tuple[Serial, Finding]]]] = field(default_factory=list)

    def admit(self, client: Serial | None) -> VerifierId:
        if self.refusal is not None:
            raise self.refusal
        if client != BANKS:
            raise _refusal(Kind.FORBIDDEN, "verifier-unregistered")
        return BANK

    def note(self, verifier: VerifierId, told: Sequence[tuple[Serial, Finding]]) -> None:
        self.told.append((verifier, told))


def _refusal(kind: Kind, code: str) -> JpkiError:
    return JpkiError(kind, code, Text("", ""), Text("", ""))


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def responder(register: Register) -> Responder:
    world = World()
    follower = Follower(world.journal, world.refresh)
    return Responder(lambda: [issuer()], world.status, world.clock, follower, admission=register)


def read(answer: Answer | None) -> OCSPResponse:
    assert answer is not None
    return load_der_ocsp_response(answer.body)


def test_strangers_are_told_nothing(responder: Responder, register: Register) -> None:
    for client in (None, Serial(12)):
        answer = responder.answer("POST", "", {}, question(cert_id(GOOD)), client)
        assert read(answer).response_status is OCSPResponseStatus.UNAUTHORIZED
        assert answer.headers["Cache-Control"] == "no-store"
    assert register.told == []


def test_each_way_to_an_answer_is_on_record(responder: Responder, register: Register) -> None:
    responder.start()
    asked, path = question(cert_id(GOOD)), base64.b64encode(question(cert_id(GOOD))).decode()
    try:
        signed = responder.answer("POST", "", {}, asked, BANKS)
        kept = responder.answer_at_once("POST", "", {}, asked, BANKS)
        for_one = responder.answer_at_once(
            "POST", "", {}, question(cert_id(GOOD), extensions=(nonce_extension(b"n" * 16),)), BANKS
        )
        known = responder.answer("GET", path, {"if-none-match": signed.headers["ETag"]}, b"", BANKS)
        head = responder.answer("HEAD", path, {}, b"", BANKS)
    finally:
        responder.close()
    assert [read(each).certificate_status for each in (signed, kept, for_one)] == [OCSPCertStatus.GOOD] * 3
    assert (known.status, head.body) == (304, b"")
    assert register.told == [(BANK, ((GOOD, Finding.GOOD),))] * 5


def test_what_was_not_answered_at_once_is_on_record_once(responder: Responder, register: Register) -> None:
    asked = question(cert_id(GOOD))
    assert responder.answer_at_once("POST", "", {}, asked, BANKS) is None
    responder.answer("POST", "", {}, asked, BANKS)
    assert len(register.told) == 1


def test_each_certificate_is_on_record_as_it_was_told(responder: Responder, register: Register) -> None:
    responder.answer("POST", "", {}, question(*map(cert_id, (GOOD, HELD, REVOKED, NEVER_ISSUED))), BANKS)
    findings = (Finding.GOOD, Finding.HELD, Finding.REVOKED, Finding.UNKNOWN)
    assert register.told == [(BANK, tuple(zip((GOOD, HELD, REVOKED, NEVER_ISSUED), findings, strict=True)))]


def test_caches_on_the_way_keep_nothing(responder: Responder) -> None:
    answer = responder.answer("POST", "", {}, question(cert_id(GOOD)), BANKS)
    assert answer.headers["Cache-Control"].split(", ")[1] == "private"


@pytest.mark.parametrize("data", [b"x", b""])
def test_what_is_no_question_is_malformed_to_those_who_may_ask(
    responder: Responder, register: Register, data: bytes
) -> None:
    assert read(responder.answer("POST", "", {}, data, BANKS)).response_status is OCSPResponseStatus.MALFORMED_REQUEST
    assert read(responder.answer("POST", "", {}, data)).response_status is OCSPResponseStatus.UNAUTHORIZED
    assert register.told == []


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.LIMITED, "quota-used-up"), (Kind.UNAVAILABLE, "look-ups-unwritten")], ids=lambda each: each
)
def test_who_must_wait_is_told_to_try_later(responder: Responder, register: Register, kind: Kind, code: str) -> None:
    register.refusal = _refusal(kind, code)
    answer = responder.answer("POST", "", {}, question(cert_id(GOOD)), BANKS)
    assert read(answer).response_status is OCSPResponseStatus.TRY_LATER


def test_a_key_that_is_locked_is_no_strangers_fault(responder: Responder, register: Register) -> None:
    register.refusal = _refusal(Kind.FORBIDDEN, "passphrase-wrong")
    answer = responder.answer("POST", "", {}, question(cert_id(GOOD)), BANKS)
    assert read(answer).response_status is OCSPResponseStatus.INTERNAL_ERROR
