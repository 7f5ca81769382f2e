"""What the responder answers: statuses, times, echoes, and the DER they are written in."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus
from hypothesis import given, settings
from hypothesis import strategies as st

from jpki import der, oids
from jpki.certificate import Purpose
from jpki.clock import whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.ports import StatusSource
from jpki.revocation import Reason, State, Status
from jpki.signature import PrivateKey, check
from jpki.text import Text
from ocsp.issuers import Issuer
from ocsp.responder import Responder
from ocsp.response import NotIssued
from tests.ocsp.authority import (
    BIRTH,
    GOOD,
    HASH_NAMES,
    HELD,
    NEVER_ISSUED,
    NOW,
    REVOKED,
    REVOKED_AT,
    cert_id,
    cert_id_of,
    issuer,
    ledger,
    make_issuer,
    nonce_extension,
    question,
    root,
    rsa_responder_key,
    status,
)

SECOND = timedelta(seconds=1)


def ask(responder: Responder, data: bytes) -> ocsp.OCSPResponse:
    answer = responder.answer("POST", "", {"content-type": "application/ocsp-request"}, data)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/ocsp-response"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    return ocsp.load_der_ocsp_response(answer.body)


def single(responder: Responder, asked: bytes) -> ocsp.OCSPSingleResponse:
    (answer,) = ask(responder, question(asked)).responses
    return answer


def responder_of(rows: StatusSource, *issuers: Issuer, now: datetime = NOW) -> Responder:
    return Responder(lambda: issuers, rows, lambda: now)


# --- statuses --------------------------------------------------------------------------------------------------


def test_active_is_good(responder: Responder) -> None:
    answer = single(responder, cert_id(GOOD))
    assert answer.certificate_status is OCSPCertStatus.GOOD
    assert answer.serial_number == GOOD


def test_active_stays_good_past_its_end() -> None:
    expired = replace(status(GOOD, State.ACTIVE), not_after=NOW - timedelta(days=1))
    assert single(responder_of({GOOD: expired}.get, issuer()), cert_id(GOOD)).certificate_status is OCSPCertStatus.GOOD


def test_revoked_comes_with_time_and_reason(responder: Responder) -> None:
    answer = single(responder, cert_id(REVOKED))
    assert answer.certificate_status is OCSPCertStatus.REVOKED
    assert answer.revocation_time_utc == whole_second(REVOKED_AT)
    assert answer.revocation_reason is x509.ReasonFlags.key_compromise


def test_held_is_revoked_for_now(responder: Responder) -> None:
    answer = single(responder, cert_id(HELD))
    assert answer.certificate_status is OCSPCertStatus.REVOKED
    assert answer.revocation_reason is x509.ReasonFlags.certificate_hold


@pytest.mark.parametrize("reason", list(Reason))
def test_r10_every_reason_is_written_but_unspecified(reason: Reason) -> None:
    responder = responder_of(lambda serial: status(serial, State.REVOKED, reason), issuer())
    answer = single(responder, cert_id(REVOKED))
    if reason is Reason.UNSPECIFIED:
        assert answer.revocation_reason is None
    else:
        assert answer.revocation_reason == x509.ReasonFlags(reason.value)


@pytest.mark.parametrize("serial", [GOOD, HELD, NEVER_ISSUED])
def test_all_that_a_compromised_key_may_have_signed_is_revoked(rows: dict[Serial, Status], serial: Serial) -> None:
    """A serial that was never issued too: whoever has the key may have signed it (RFC 6960 2.7)."""
    since = NOW - timedelta(minutes=1)
    dead = replace(issuer(), generation=replace(root("s1").generation, compromised_at=since))
    # As the ledger tells them: it counts the compromise in.
    answer = single(responder_of(under(rows, since).get, dead), cert_id(serial))
    assert answer.certificate_status is OCSPCertStatus.REVOKED
    assert answer.revocation_reason is x509.ReasonFlags.ca_compromise
    assert answer.revocation_time_utc == whole_second(REVOKED_AT if serial == HELD else since)


def test_what_was_revoked_before_the_compromise_keeps_its_reason(rows: dict[Serial, Status]) -> None:
    dead = replace(issuer(), generation=replace(root("s1").generation, compromised_at=NOW))
    answer = single(responder_of(under(rows, NOW).get, dead), cert_id(REVOKED))
    assert answer.revocation_reason is x509.ReasonFlags.key_compromise
    assert answer.revocation_time_utc == whole_second(REVOKED_AT)


def under(rows: dict[Serial, Status], since: datetime) -> dict[Serial, Status]:
    return {serial: row.under_compromise(since) for serial, row in rows.items()}


# --- rule R15: no "good" on doubt ------------------------------------------------------------------------------


def test_r15_never_issued_is_unknown(responder: Responder) -> None:
    assert single(responder, cert_id(NEVER_ISSUED)).certificate_status is OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("state", [State.RESERVED, State.INTENDED, State.ISSUED, State.VOID])
def test_r15_not_yet_or_never_active_is_unknown(state: State) -> None:
    responder = responder_of(lambda serial: status(serial, state), issuer())
    assert single(responder, cert_id(GOOD)).certificate_status is OCSPCertStatus.UNKNOWN


@pytest.mark.parametrize("algorithm", list(HASH_NAMES))
@pytest.mark.parametrize("wrong", ["name", "key"])
def test_r15_a_wrong_issuer_hash_with_a_right_serial_is_unauthorized(
    responder: Responder, algorithm: str, wrong: str
) -> None:
    right = cert_id(GOOD, algorithm=algorithm)
    assert single(responder, right).certificate_status is OCSPCertStatus.GOOD
    read = _hashes(right)
    read[wrong] = bytes((read[wrong][0] ^ 1,)) + read[wrong][1:]
    foreign = cert_id_of(algorithm, read["name"], read["key"], serial=der.integer(GOOD))
    assert ask(responder, question(foreign)).response_status is OCSPResponseStatus.UNAUTHORIZED


def _hashes(written: bytes) -> dict[str, bytes]:
    fields = der.Reader(der.Reader(written).read(der.Tag.SEQUENCE))
    fields.read(der.Tag.SEQUENCE)
    return {"name": fields.read(der.Tag.OCTET_STRING), "key": fields.read(der.Tag.OCTET_STRING)}


def test_r15_the_name_of_one_ca_and_the_key_of_another_are_unauthorized(responder: Responder) -> None:
    name = _hashes(cert_id(GOOD))["name"]
    other_key = _hashes(cert_id(GOOD, of=root("a1", Purpose.AUTHENTICATION).generation))["key"]
    mixed = cert_id_of(oids.SHA1, name, other_key, serial=der.integer(GOOD))
    assert ask(responder, question(mixed)).response_status is OCSPResponseStatus.UNAUTHORIZED


def test_r15_an_unknown_hash_function_is_unauthorized(responder: Responder) -> None:
    asked = cert_id_of("1.2.840.113549.2.5", b"n" * 16, b"k" * 16, serial=der.integer(GOOD))
    assert ask(responder, question(asked)).response_status is OCSPResponseStatus.UNAUTHORIZED


def test_r15_one_foreign_cert_id_makes_the_whole_answer_unauthorized(responder: Responder) -> None:
    foreign = cert_id(GOOD, of=root("x1", organization="Elsewhere").generation)
    assert ask(responder, question(cert_id(GOOD), foreign)).response_status is OCSPResponseStatus.UNAUTHORIZED


@pytest.mark.parametrize("algorithm", list(HASH_NAMES))
@pytest.mark.parametrize("parameters", [b"", b"\x05\x00"])
def test_r15_the_answer_repeats_the_question(responder: Responder, algorithm: str, parameters: bytes) -> None:
    asked = cert_id(GOOD, algorithm=algorithm, parameters=parameters)
    body = responder.answer("POST", "", {}, question(asked)).body
    assert asked in body
    answer = ocsp.load_der_ocsp_response(body)
    assert (answer.hash_algorithm.name, answer.serial_number) == (HASH_NAMES[algorithm], GOOD)


def _failing(kind: Kind) -> StatusSource:
    def source(_serial: Serial) -> Status | None:
        raise JpkiError(kind, "ledger-away", Text("", ""), Text("", ""))

    return source


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Kind.UNAVAILABLE, OCSPResponseStatus.TRY_LATER), (Kind.INTERNAL, OCSPResponseStatus.INTERNAL_ERROR)],
)
def test_r15_a_ledger_that_fails_gives_no_answer(kind: Kind, expected: OCSPResponseStatus) -> None:
    assert ask(responder_of(_failing(kind), issuer()), question(cert_id(GOOD))).response_status is expected


def test_r15_r21_a_defect_gives_no_answer_and_the_log_has_its_kind_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Serial) -> Status | None:
        raise ZeroDivisionError("東京都千代田区")

    asked = question(cert_id(GOOD))
    assert ask(responder_of(broken, issuer()), asked).response_status is OCSPResponseStatus.INTERNAL_ERROR
    assert [record.getMessage() for record in caplog.records] == ["no OCSP answer: unexpected ZeroDivisionError"]
    assert "千代田" not in caplog.text


@pytest.mark.parametrize("state", [State.HELD, State.REVOKED])
def test_r15_a_revocation_without_a_time_gives_no_answer(state: State) -> None:
    broken = replace(status(GOOD, state, Reason.SUPERSEDED), revoked_at=None)
    answer = ask(responder_of({GOOD: broken}.get, issuer()), question(cert_id(GOOD)))
    assert answer.response_status is OCSPResponseStatus.INTERNAL_ERROR


# --- rule R23: generations -------------------------------------------------------------------------------------


def test_r23_one_generation_does_not_vouch_for_another(responder: Responder) -> None:
    other = root("s2").generation
    assert other.name_der == root("s1").generation.name_der
    for serial in (GOOD, REVOKED):
        assert single(responder, cert_id(serial, of=other)).certificate_status is OCSPCertStatus.UNKNOWN


def test_r23_two_generations_in_one_question_are_refused(responder: Responder) -> None:
    asked = question(cert_id(GOOD), cert_id(GOOD, of=root("s2").generation))
    assert ask(responder, asked).response_status is OCSPResponseStatus.MALFORMED_REQUEST


def test_each_generation_answers_by_its_own_responder(issuers: list[Issuer], responder: Responder) -> None:
    for one in issuers:
        answer = ask(responder, question(cert_id(GOOD, of=one.generation)))
        assert answer.certificates == [one.certificate]


# --- what was never issued, by setting -------------------------------------------------------------------------


def test_what_was_never_issued_can_be_said_to_be_revoked(rows: dict[Serial, Status]) -> None:
    """RFC 6960 2.2: on hold since 1970, and the response says that this is its way."""
    responder = Responder(lambda: [issuer()], rows.get, lambda: NOW, not_issued=NotIssued())
    never = ask(responder, question(cert_id(NEVER_ISSUED), extensions=(nonce_extension(b"n"),)))
    assert never.certificate_status is OCSPCertStatus.REVOKED
    assert never.revocation_time_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert never.revocation_reason is x509.ReasonFlags.certificate_hold
    assert EXTENDED_REVOKE in never.public_bytes(Encoding.DER)
    assert [each.oid.dotted_string for each in never.extensions] == [oids.OCSP_NONCE, oids.OCSP_EXTENDED_REVOKE]
    for serial in (GOOD, REVOKED):
        assert EXTENDED_REVOKE not in ask(responder, question(cert_id(serial))).public_bytes(Encoding.DER)


@pytest.mark.parametrize("state", [State.RESERVED, State.INTENDED, State.ISSUED, State.VOID])
def test_what_was_not_delivered_counts_as_never_issued(state: State) -> None:
    rows = {GOOD: status(GOOD, state)}
    revoking = Responder(lambda: [issuer()], rows.get, lambda: NOW, not_issued=NotIssued())
    assert single(revoking, cert_id(GOOD)).certificate_status is OCSPCertStatus.REVOKED
    assert single(responder_of(rows.get, issuer()), cert_id(GOOD)).certificate_status is OCSPCertStatus.UNKNOWN


EXTENDED_REVOKE = bytes.fromhex("300f06092b060105050730010904020500")


# --- the archive -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("past", "told"), [(timedelta(0), False), (SECOND, True), (timedelta(days=900), True)])
def test_of_what_expired_the_archive_tells_from_the_generations_beginning(past: timedelta, *, told: bool) -> None:
    expired = replace(status(GOOD, State.ACTIVE), not_after=whole_second(NOW) - past)
    answer = ask(responder_of({GOOD: expired}.get, issuer()), question(cert_id(GOOD)))
    assert len(answer.single_extensions) == (1 if told else 0)
    if told:
        (cutoff,) = answer.single_extensions
        assert (cutoff.oid.dotted_string, cutoff.critical) == (oids.OCSP_ARCHIVE_CUTOFF, False)
        assert isinstance(cutoff.value, x509.UnrecognizedExtension)
        assert cutoff.value.value == der.generalized_time(BIRTH)


# --- times -----------------------------------------------------------------------------------------------------


def test_times_are_whole_seconds_and_a_quarter_of_an_hour_apart(responder: Responder) -> None:
    answer = ask(responder, question(cert_id(GOOD)))
    assert answer.produced_at_utc == answer.this_update_utc == whole_second(NOW)
    assert answer.next_update_utc == whole_second(NOW) + timedelta(minutes=15)


def test_r25_an_answer_never_outlives_its_responder(rows: dict[Serial, Status]) -> None:
    end = whole_second(NOW) + timedelta(minutes=5)
    ending = make_issuer(root("s1"), end=end)
    answer = ask(responder_of(rows.get, ending), question(cert_id(GOOD)))
    assert answer.next_update_utc == end


def test_r25_a_responder_signs_to_its_last_second_and_no_longer(rows: dict[Serial, Status]) -> None:
    end = whole_second(NOW)
    ending = make_issuer(root("s1"), end=end)
    last = ask(responder_of(rows.get, ending, now=NOW), question(cert_id(GOOD)))
    assert last.next_update_utc == end
    after = ask(responder_of(rows.get, ending, now=NOW + SECOND), question(cert_id(GOOD)))
    assert after.response_status is OCSPResponseStatus.TRY_LATER


def test_r25_a_responder_does_not_sign_before_its_first_second(rows: dict[Serial, Status]) -> None:
    starting = make_issuer(root("s1"), begin=whole_second(NOW) + SECOND)
    answer = ask(responder_of(rows.get, starting), question(cert_id(GOOD)))
    assert answer.response_status is OCSPResponseStatus.TRY_LATER


# --- form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["p-256", "rsa-2048"])
def test_the_response_is_signed_by_the_delegated_responder(key: str, rows: dict[Serial, Status]) -> None:
    signer = issuer() if key == "p-256" else make_issuer(root("s1"), key=rsa_responder_key())
    answer = ask(responder_of(rows.get, signer), question(cert_id(GOOD)))
    check(signer.key.public_key(), answer.tbs_response_bytes, answer.signature)
    assert answer.certificates == [signer.certificate]
    identifier = x509.SubjectKeyIdentifier.from_public_key(signer.certificate.public_key())
    assert answer.responder_key_hash == identifier.digest
    assert answer.responder_name is None


@dataclass(frozen=True)
class FaultyKey:
    """Signs something else."""

    sound: ec.EllipticCurvePrivateKey

    @property
    def curve(self) -> ec.EllipticCurve:
        return self.sound.curve

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self.sound.public_key()

    def sign(self, message: bytes, algorithm: ec.ECDSA) -> bytes:
        return self.sound.sign(message + b"!", algorithm)


def test_a_faulty_signature_is_no_answer_and_by_sample_where_a_client_drew_a_nonce(rows: dict[Serial, Status]) -> None:
    sound = ec.generate_private_key(ec.SECP256R1())
    certificate = make_issuer(root("s1"), key=sound).certificate
    faulty = Issuer(generation=root("s1").generation, certificate=certificate, key=cast("PrivateKey", FaultyKey(sound)))
    responder = responder_of(rows.get, faulty)
    assert ask(responder, question(cert_id(GOOD))).response_status is OCSPResponseStatus.INTERNAL_ERROR
    asked = question(cert_id(GOOD), extensions=(nonce_extension(b"n" * 16),))
    refused = [ask(responder, asked).response_status is OCSPResponseStatus.INTERNAL_ERROR for _ in range(64)]
    assert refused.count(True) == 64 / 16


@pytest.mark.parametrize("nonce", [b"\x09" * 16, b"\x09" * 32, b"\x09" * 128])
@pytest.mark.parametrize("algorithm", [oids.SHA1, oids.SHA512])
@pytest.mark.parametrize("serial", [GOOD, REVOKED], ids=["good", "revoked"])
def test_pyca_writes_the_same_octets(rows: dict[Serial, Status], serial: Serial, algorithm: str, nonce: bytes) -> None:
    signer = make_issuer(root("s1"), key=rsa_responder_key())
    asked = question(cert_id(serial, algorithm=algorithm), extensions=(nonce_extension(nonce),))
    answer = ask(responder_of(rows.get, signer), asked)
    said = (OCSPCertStatus.REVOKED, REVOKED_AT, x509.ReasonFlags.key_compromise)
    status, revoked_at, reason = (OCSPCertStatus.GOOD, None, None) if serial == GOOD else said
    written = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            answer.issuer_name_hash,
            answer.issuer_key_hash,
            serial,
            answer.hash_algorithm,
            status,
            whole_second(NOW),
            whole_second(NOW) + timedelta(minutes=15),
            revoked_at,
            reason,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        .certificates([signer.certificate])
        .add_extension(x509.OCSPNonce(nonce), critical=False)
        .sign(signer.key, answer.signature_hash_algorithm)
    )
    # pyca takes producedAt from the machine's clock: it is the one field that may differ.
    ours, theirs = answer.public_bytes(Encoding.DER), written.public_bytes(Encoding.DER)
    assert len(ours) == len(theirs)
    assert _without_produced_at(answer) == _without_produced_at(written)


def _without_produced_at(response: ocsp.OCSPResponse) -> bytes:
    return response.tbs_response_bytes.replace(der.generalized_time(response.produced_at_utc), b"", 1)


def test_several_cert_ids_are_answered_in_their_order(responder: Responder) -> None:
    answers = list(ask(responder, question(*map(cert_id, (REVOKED, NEVER_ISSUED, GOOD)))).responses)
    assert [answer.serial_number for answer in answers] == [REVOKED, NEVER_ISSUED, GOOD]
    assert [answer.certificate_status for answer in answers] == [
        OCSPCertStatus.REVOKED,
        OCSPCertStatus.UNKNOWN,
        OCSPCertStatus.GOOD,
    ]


@pytest.mark.parametrize("length", [1, 16, 128])
def test_the_nonce_comes_back(responder: Responder, length: int) -> None:
    answer = ask(responder, question(cert_id(GOOD), extensions=(nonce_extension(b"n" * length),)))
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * length


def test_without_a_nonce_there_are_no_extensions(responder: Responder) -> None:
    assert list(ask(responder, question(cert_id(GOOD))).extensions) == []


def test_the_errors_of_the_room_are_logged_without_a_serial(caplog: pytest.LogCaptureFixture) -> None:
    ask(responder_of(_failing(Kind.UNAVAILABLE), issuer()), question(cert_id(GOOD)))
    assert [record.getMessage() for record in caplog.records] == ["no OCSP answer: ledger-away"]


# --- whatever comes in -----------------------------------------------------------------------------------------

VALID = question(cert_id(GOOD), extensions=(nonce_extension(b"n" * 16),))
_HASHES = range(VALID.index(_hashes(cert_id(GOOD))["name"]), VALID.index(der.integer(GOOD)))


@settings(max_examples=300)
@given(st.integers(0, len(VALID) - 1), st.integers(1, 255))
def test_r15_a_changed_octet_never_makes_another_certificate_good(position: int, change: int) -> None:
    mutated = VALID[:position] + bytes((VALID[position] ^ change,)) + VALID[position + 1 :]
    answer = ask(responder_of(ledger().get, issuer()), mutated)
    good = answer.response_status is OCSPResponseStatus.SUCCESSFUL and answer.certificate_status is OCSPCertStatus.GOOD
    assert not good or (answer.serial_number == GOOD and position not in _HASHES)


def test_outside_cases_are_never_good(responder: Responder, shared: Path) -> None:
    for path in sorted((shared / "conformance/ocsp-req").glob("*/*")):
        answer = ask(responder, path.read_bytes())
        refused = {OCSPResponseStatus.MALFORMED_REQUEST, OCSPResponseStatus.UNAUTHORIZED}
        assert answer.response_status in refused, path.name
