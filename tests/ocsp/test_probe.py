"""The probe: ours holds every rule, and each bad responder is caught by the rules that it breaks and by no other."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from jpki import der, oids
from jpki.clock import system_clock
from jpki.ids import Serial
from jpki.randomness import system_randomness
from jpki.revocation import Reason
from ocsp.cert_id import NULL, CertId, IssuerHashes
from ocsp.fetch import Call, Fetch, NoReply, Reply, fetcher
from ocsp.issuers import Issuer
from ocsp.judgement import SKEW
from ocsp.probe import Check, holds, probe
from ocsp.request import parse_request
from ocsp.responder import Responder
from ocsp.response import Good, Period, ResponseStatus, Revoked, refusal
from ocsp.rules.rule import Outcome
from tests.ocsp.authority import (
    BIRTH,
    END,
    GOOD,
    HELD,
    NEVER_ISSUED,
    NOW,
    REVOKED,
    REVOKED_AT,
    holder_certificate,
    issuer,
    ledger,
    make_issuer,
    responder_certificate,
    root,
    rsa_responder_key,
)
from tests.ocsp.bad_responders import (
    HEADERS,
    LIFE,
    THIS_UPDATE,
    MadeOfParts,
    behind,
    ours,
    ours_but,
    ours_but_for_the_plain_question,
    plain_question,
    read,
    refused,
    signed_over_sha1,
    with_certificate,
)
from tests.ocsp.servers import replying, serving, talking

CA = root("s1").generation.certificate
SECOND = timedelta(seconds=1)

NONCES = {"nonce-1", "nonce-16", "nonce-32", "nonce-128"}
GETS = {"get", "get-slashes", "get-raw", "get-raw-slashes", "get-unpadded"}
FOREIGN = {"issuer-name", "issuer-key", "issuer-both"}
MALFORMED = {f"malformed-{kind}" for kind in ("empty", "cut", "trailing", "garbage", "version", "get")} | {"oversized"}
UNCACHED = {"cache-headers"}
"""What a responder made of parts lacks by itself."""
REVOKED_OF_OLD = Revoked(BIRTH, Reason.CERTIFICATE_HOLD)
"""What RFC 6960 4.4.8 says of serials that were never issued."""


def probed(fetch: Fetch, serial: Serial = GOOD, now: datetime = NOW) -> dict[str, Check]:
    checks = list(probe(fetch, CA, holder_certificate(serial), lambda: now, system_randomness))
    found = {check.id: check for check in checks}
    assert len(found) == len(checks)
    assert all(check.finding.ja and check.finding.en and check.why.ja and check.why.en for check in checks)
    return found


def failing(fetch: Fetch, serial: Serial = GOOD, now: datetime = NOW) -> set[str]:
    return named(probed(fetch, serial, now), Outcome.FAILS)


def named(found: Mapping[str, Check], outcome: Outcome) -> set[str]:
    return {check.id for check in found.values() if check.outcome is outcome}


# --- ours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serial", [GOOD, REVOKED, HELD])
def test_r13_our_responder_holds_every_rule(serial: Serial) -> None:
    found = probed(behind(ours()), serial)
    assert named(found, Outcome.OK) == set(found)
    assert holds(list(found.values()))


def test_r13_our_responder_holds_every_rule_over_http() -> None:
    with serving(ours(make_issuer(root("s1"), key=rsa_responder_key()))) as url:
        found = probed(fetcher(url))
    assert named(found, Outcome.OK) == set(found)


def test_fewer_than_forty_questions_are_asked() -> None:
    calls: list[Call] = []

    def fetch(call: Call) -> Reply:
        calls.append(call)
        return behind(ours())(call)

    probed(fetch)
    assert len(calls) < 40


def test_an_issuer_that_signs_by_itself_needs_no_delegate() -> None:
    itself = Issuer(generation=root("s1").generation, certificate=CA, key=root("s1").key)
    found = probed(behind(ours(itself)))
    assert named(found, Outcome.NOT_APPLICABLE) == {"delegate", "delegate-nocheck"}
    assert named(found, Outcome.FAILS) == set()


def test_a_rule_that_is_only_recommended_does_not_count() -> None:
    checks = list(probed(behind(ours())).values())
    fails = [replace(check, outcome=Outcome.FAILS) for check in checks]
    assert not holds(fails)
    assert holds([check for check in fails if not check.required])
    assert holds([replace(check, outcome=Outcome.NOT_APPLICABLE) for check in checks])


# --- who says too much ---------------------------------------------------------------------------------------------


def test_a_responder_made_of_parts_is_sound_but_for_caches() -> None:
    assert failing(MadeOfParts()) == UNCACHED


def test_r15_good_to_every_serial() -> None:
    assert failing(MadeOfParts(status=lambda _: Good())) == {"never-issued", "several"} | UNCACHED


@pytest.mark.parametrize("serial", [GOOD, REVOKED])
def test_r15_an_issuer_that_is_not_compared(serial: Serial) -> None:
    revoked = Revoked(REVOKED_AT, Reason.KEY_COMPROMISE)
    responder = MadeOfParts(
        speaks_for=lambda _: True,
        status=lambda asked: Good() if asked == GOOD else revoked if asked == REVOKED else REVOKED_OF_OLD,
    )
    assert failing(responder, serial) == FOREIGN | {"unknown-hash"} | UNCACHED


def same_name(hashes: IssuerHashes) -> bool:
    return (hashes.algorithm, hashes.name) in {(known.algorithm, known.name) for known in issuer().hashes}


def same_key(hashes: IssuerHashes) -> bool:
    return (hashes.algorithm, hashes.key) in {(known.algorithm, known.key) for known in issuer().hashes}


def same_beginnings(hashes: IssuerHashes) -> bool:
    return any(hashes.name[:8] == known.name[:8] and hashes.key[:8] == known.key[:8] for known in issuer().hashes)


@pytest.mark.parametrize(
    ("compares", "rules"),
    [
        (same_name, {"issuer-key"}),
        (same_key, {"issuer-name"}),
        (lambda hashes: same_name(hashes) or same_key(hashes), {"issuer-name", "issuer-key"}),
        (same_beginnings, FOREIGN | {"unknown-hash"}),
    ],
)
def test_r15_an_issuer_that_is_compared_in_part(compares: Callable[[IssuerHashes], bool], rules: set[str]) -> None:
    assert failing(MadeOfParts(speaks_for=compares)) == rules | UNCACHED


@pytest.mark.parametrize("algorithm", [oids.SHA1, oids.SHA256])
def test_r15_an_issuer_that_is_not_compared_by_one_hash(algorithm: str) -> None:
    def speaks_for(hashes: IssuerHashes) -> bool:
        return hashes in issuer().hashes or hashes.algorithm == der.object_identifier(algorithm)

    assert failing(MadeOfParts(speaks_for=speaks_for)) == FOREIGN | UNCACHED


def test_one_answer_to_whatever_is_asked() -> None:
    answer = behind(ours())(Call("POST", body=plain_question()))
    found = probed(lambda _: answer)
    by_hash = {"certid-sha256", "certid-sha384", "certid-sha512"}
    too_much = {"never-issued", "unknown-hash", "several", "extension-critical"}
    assert named(found, Outcome.FAILS) == by_hash | too_much | FOREIGN | MALFORMED
    assert named(found, Outcome.NOT_APPLICABLE) == NONCES | {"cache-nonce"}


# --- who breaks ----------------------------------------------------------------------------------------------------


def test_nothing_but_500() -> None:
    found = probed(lambda _: Reply(500, {}, b"oops"))
    assert named(found, Outcome.OK) == set()
    too_much = {"never-issued", "unknown-hash", "extension-critical"}
    assert named(found, Outcome.FAILS) >= {"post", "head", "nonce-129"} | too_much | FOREIGN | MALFORMED | NONCES
    assert not holds(list(found.values()))


def test_an_outage_is_no_answer() -> None:
    found = probed(lambda _: refused(ResponseStatus.TRY_LATER))
    assert "post" in named(found, Outcome.FAILS)
    assert found["post"].finding.en == "tryLater"


def test_a_redirect_is_no_answer() -> None:
    assert "post" in failing(lambda _: Reply(302, {"location": "http://elsewhere.example/"}, b""))


def test_500_at_what_is_malformed() -> None:
    def change(_: Call, reply: Reply) -> Reply:
        return Reply(500, {}, b"") if reply.body == refusal(ResponseStatus.MALFORMED_REQUEST) else reply

    assert failing(ours_but(change)) == MALFORMED | {"nonce-129", "extension-critical"}


def test_another_status_at_what_is_malformed() -> None:
    def change(_: Call, reply: Reply) -> Reply:
        malformed = reply.body == refusal(ResponseStatus.MALFORMED_REQUEST)
        return refused(ResponseStatus.INTERNAL_ERROR) if malformed else reply

    assert failing(ours_but(change)) == MALFORMED


def test_http_400_at_what_is_malformed_will_do() -> None:
    def change(_: Call, reply: Reply) -> Reply:
        return Reply(400, {}, b"") if reply.body == refusal(ResponseStatus.MALFORMED_REQUEST) else reply

    assert failing(ours_but(change)) == set()


def test_500_at_an_issuer_of_others() -> None:
    def change(_: Call, reply: Reply) -> Reply:
        return Reply(500, {}, b"") if reply.body == refusal(ResponseStatus.UNAUTHORIZED) else reply

    assert failing(ours_but(change)) == FOREIGN | {"unknown-hash"}


def test_who_dies_of_a_question() -> None:
    dead: list[Call] = []

    def fetch(call: Call) -> Reply:
        if dead:
            raise NoReply(hung_up=False)
        if call.body == b"garbage":
            dead.append(call)
        return behind(ours())(call)

    later = {"malformed-version", "malformed-get", "oversized", "extension-critical", "extension-unknown", "alive"}
    assert failing(fetch) == later


@pytest.mark.parametrize(("hung_up", "rules"), [(True, set()), (False, {"oversized"})])
def test_a_flood_may_be_cut_off_but_not_swallowed(hung_up: bool, rules: set[str]) -> None:  # noqa: FBT001 - a parameter
    def fetch(call: Call) -> Reply:
        if len(call.body or b"") > 10_000:
            raise NoReply(hung_up=hung_up)
        return behind(ours())(call)

    assert failing(fetch) == rules


def test_who_hangs_up_on_anything_else_breaks() -> None:
    def fetch(call: Call) -> Reply:
        if call.body == b"garbage":
            raise NoReply(hung_up=True)
        return behind(ours())(call)

    assert failing(fetch) == {"malformed-garbage"}


def test_no_reply_at_all_is_no_verdict() -> None:
    def fetch(_: Call) -> Reply:
        raise NoReply(hung_up=False)

    with pytest.raises(NoReply):
        probed(fetch)


# --- who reads wrongly ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lets_through", "rule"),
    [
        (lambda body: body == b"", "malformed-empty"),
        (lambda body: body == plain_question()[:-1], "malformed-cut"),
        (lambda body: body == plain_question() + b"\x00", "malformed-trailing"),
        (lambda body: body == b"garbage", "malformed-garbage"),
        (lambda body: der.tlv(der.context(0), der.integer(1)) in body, "malformed-version"),
        (lambda body: der.boolean(True) in body, "extension-critical"),
        (lambda body: len(body) > 10_000, "oversized"),
    ],
)
def test_a_parser_that_lets_something_through(lets_through: Callable[[bytes], bool], rule: str) -> None:
    def fetch(call: Call) -> Reply:
        lenient = call.body is not None and lets_through(call.body)
        return behind(ours())(replace(call, body=plain_question()) if lenient else call)

    assert failing(fetch) == {rule}


def test_a_certificate_that_the_responder_does_not_know() -> None:
    assert failing(behind(ours()), NEVER_ISSUED) == {"post"}


def test_who_does_not_speak_for_the_issuer() -> None:
    found = probed(behind(Responder(lambda: [issuer("s2")], ledger().get, lambda: NOW)))
    assert found["post"].finding.en == "unauthorized"
    assert not holds(list(found.values()))


def test_the_first_of_several_questions_only() -> None:
    assert failing(MadeOfParts(answers_at_most=1)) == {"several"} | UNCACHED


def test_another_answer_to_several_questions() -> None:
    def change(call: Call, reply: Reply) -> Reply:
        request = read(call)
        several = request is not None and len(request.cert_ids) > 1
        return MadeOfParts(status=lambda _: REVOKED_OF_OLD)(call) if several else reply

    assert failing(ours_but(change)) == {"several"}


def test_two_answers_to_one_question_are_none() -> None:
    request = parse_request(plain_question())
    twice = MadeOfParts().signed(request._replace(cert_ids=request.cert_ids * 2))
    found = probed(ours_but_for_the_plain_question(twice))
    assert found["post"].outcome is Outcome.FAILS
    assert found["post"].finding.en == "not an answer about the certificate asked for"


def test_an_answer_that_comes_as_an_error_is_none() -> None:
    found = probed(ours_but(lambda _, reply: replace(reply, status=404)))
    assert found["post"].outcome is Outcome.FAILS
    assert found["post"].finding.en == "HTTP 404"


def test_who_refuses_several_questions_may() -> None:
    def change(call: Call, reply: Reply) -> Reply:
        request = read(call)
        return refused(ResponseStatus.UNAUTHORIZED) if request and len(request.cert_ids) > 1 else reply

    found = probed(ours_but(change))
    assert (named(found, Outcome.FAILS), named(found, Outcome.NOT_APPLICABLE)) == (set(), {"several"})


def test_unknown_extensions_that_are_refused() -> None:
    def change(call: Call, reply: Reply) -> Reply:
        unknown = der.object_identifier("1.2.3.4.5") in (call.body or b"") and read(call)
        ours = unknown and unknown.cert_ids[0].issuer in issuer().hashes
        return refused(ResponseStatus.MALFORMED_REQUEST) if ours else reply

    assert failing(ours_but(change)) == {"extension-unknown"}


# --- CertIDs and nonces --------------------------------------------------------------------------------------------

OPTIONAL = {oids.SHA384: "certid-sha384", oids.SHA512: "certid-sha512"}


def knows_not(algorithm: str) -> Callable[[IssuerHashes], bool]:
    return lambda hashes: hashes in issuer().hashes and hashes.algorithm != der.object_identifier(algorithm)


def test_sha256_has_to_be_known() -> None:
    assert failing(MadeOfParts(speaks_for=knows_not(oids.SHA256))) == {"certid-sha256"} | UNCACHED


@pytest.mark.parametrize("algorithm", OPTIONAL)
def test_longer_hashes_need_not_be_known(algorithm: str) -> None:
    found = probed(MadeOfParts(speaks_for=knows_not(algorithm)))
    assert named(found, Outcome.FAILS) == UNCACHED
    assert OPTIONAL[algorithm] in named(found, Outcome.NOT_APPLICABLE)


def test_r15_an_answer_that_names_the_certificate_by_another_hash() -> None:
    by_sha1 = parse_request(plain_question()).cert_ids[0]
    responder = MadeOfParts(named=lambda asked: by_sha1 if asked.serial == GOOD else asked)
    assert failing(responder) == {"certid-sha256", "certid-sha384", "certid-sha512"} | UNCACHED


def test_r15_an_answer_that_writes_the_cert_id_otherwise() -> None:
    def without_null(asked: CertId) -> CertId:
        return replace_octets(asked, der.sequence(asked.issuer.algorithm, NULL), der.sequence(asked.issuer.algorithm))

    rules = {"certid-sha1", "certid-sha256", "certid-sha384", "certid-sha512"}
    assert failing(MadeOfParts(named=without_null)) == rules | UNCACHED


def replace_octets(asked: CertId, old: bytes, new: bytes) -> CertId:
    content = der.Reader(asked.raw).read(der.Tag.SEQUENCE)
    return asked._replace(raw=der.sequence(content.replace(old, new)))


def test_an_answer_that_is_another_by_another_hash() -> None:
    def change(call: Call, reply: Reply) -> Reply:
        request = read(call)
        by_sha256 = request and request.cert_ids[0].issuer.algorithm == der.object_identifier(oids.SHA256)
        return MadeOfParts(status=lambda _: REVOKED_OF_OLD)(call) if by_sha256 and request_is_ours(call) else reply

    assert failing(ours_but(change)) == {"certid-sha256"}


def request_is_ours(call: Call) -> bool:
    request = read(call)
    return request is not None and all(each.issuer in issuer().hashes for each in request.cert_ids)


def test_nonces_that_are_ignored() -> None:
    found = probed(MadeOfParts(nonce=lambda _: None))
    assert named(found, Outcome.FAILS) == UNCACHED
    assert named(found, Outcome.NOT_APPLICABLE) >= NONCES | {"cache-nonce"}
    assert holds(list(found.values()))


def test_nonces_that_are_changed() -> None:
    assert failing(MadeOfParts(nonce=lambda sent: sent + b"!")) == NONCES | UNCACHED


@pytest.mark.parametrize(
    ("echoes", "rules"),
    [
        (lambda length: 16 <= length <= 32, set()),
        (lambda length: length >= 32, {"nonce-16"}),
        (lambda length: length <= 16, set()),
    ],
)
def test_some_nonces_that_are_ignored(echoes: Callable[[int], bool], rules: set[str]) -> None:
    responder = MadeOfParts(nonce=lambda sent: sent if echoes(len(sent)) else None)
    assert failing(responder) == rules | UNCACHED


@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_nonces_that_are_refused(length: int) -> None:
    def change(call: Call, reply: Reply) -> Reply:
        request = read(call)
        bad = request is not None and request.nonce is not None and len(request.nonce) == length
        return refused(ResponseStatus.MALFORMED_REQUEST) if bad else reply

    assert failing(ours_but(change)) == {f"nonce-{length}"}


@pytest.mark.parametrize(("echoed", "rules"), [(True, {"nonce-129"}), (False, set())])
def test_a_nonce_over_the_limit_may_be_ignored_but_not_repeated(echoed: bool, rules: set[str]) -> None:  # noqa: FBT001 - a parameter
    def change(call: Call, reply: Reply) -> Reply:
        if der.octet_string(der.octet_string((call.body or b"")[-129:])) not in (call.body or b""):
            return reply
        request = parse_request(plain_question())._replace(nonce=(call.body or b"")[-129:] if echoed else None)
        return Reply(200, HEADERS, MadeOfParts().signed(request))

    assert failing(ours_but(change)) == rules


# --- who signs -----------------------------------------------------------------------------------------------------


OCSP_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
NOCHECK = x509.OCSPNoCheck()


def test_a_wrong_signature() -> None:
    body = behind(ours())(Call("POST", body=plain_question())).body
    response = ocsp.load_der_ocsp_response(body)
    spoiled = response.signature[:-1] + bytes((response.signature[-1] ^ 1,))
    found = probed(ours_but_for_the_plain_question(body.replace(response.signature, spoiled)))
    assert named(found, Outcome.FAILS) == {"signature"}
    assert named(found, Outcome.NOT_APPLICABLE) == {"delegate", "delegate-nocheck", "next-update-in-life"}


@pytest.mark.parametrize(
    ("signer", "words"),
    [
        (with_certificate(NOCHECK), "lacks OCSPSigning"),
        (with_certificate(OCSP_SIGNING, NOCHECK, x509.BasicConstraints(True, None)), "is a CA certificate"),
        (
            with_certificate(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), NOCHECK),
            "lacks OCSPSigning",
        ),
    ],
)
def test_r14_a_delegate_without_the_right(signer: Issuer, words: str) -> None:
    found = probed(behind(ours(signer)))
    assert named(found, Outcome.FAILS) == {"delegate"}
    assert found["delegate"].finding.en == words


def test_r14_a_delegate_of_another_issuer_under_the_same_name() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    stranger = responder_certificate(root("s2"), key)
    found = probed(behind(ours(Issuer(generation=root("s1").generation, certificate=stranger, key=key))))
    assert named(found, Outcome.FAILS) == {"delegate"}
    assert found["delegate"].finding.en == "not issued by the issuer"


def test_r14_a_delegate_without_nocheck() -> None:
    found = probed(behind(ours(with_certificate(OCSP_SIGNING))))
    assert named(found, Outcome.FAILS) == {"delegate-nocheck"}
    assert holds(list(found.values()))


def test_r05_a_delegate_that_has_ended() -> None:
    signer = make_issuer(root("s1"), end=THIS_UPDATE - SECOND)
    assert failing(MadeOfParts(signer=signer)) == {"delegate", "next-update-in-life"} | UNCACHED


def test_r05_an_answer_that_outlives_its_signer() -> None:
    end = THIS_UPDATE + LIFE
    assert failing(MadeOfParts(signer=make_issuer(root("s1"), end=end))) == UNCACHED
    early = make_issuer(root("s1"), end=end - SECOND)
    assert failing(MadeOfParts(signer=early)) == {"next-update-in-life"} | UNCACHED


def test_a_weak_hash() -> None:
    signer = make_issuer(root("s1"), key=rsa_responder_key())
    body = behind(ours(signer))(Call("POST", body=plain_question())).body
    assert failing(ours_but_for_the_plain_question(signed_over_sha1(body))) == {"signature-hash"}


# --- times and caches ----------------------------------------------------------------------------------------------


def by_pyca(this_update: datetime, next_update: datetime | None, named: x509.Certificate | None = None) -> bytes:
    """An answer that pyca writes, at the machine's own time."""
    signer, asked = issuer(), holder_certificate(GOOD)
    builder = ocsp.OCSPResponseBuilder().add_response(
        asked,
        CA,
        SHA1(),  # noqa: S303 - the CertID of every client
        ocsp.OCSPCertStatus.GOOD,
        this_update,
        next_update,
        None,
        None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, named or signer.certificate)
    return builder.certificates([signer.certificate]).sign(signer.key, SHA256()).public_bytes(Encoding.DER)


def in_the_present(body: bytes) -> Fetch:
    """The way to a responder of ours in the present, which answers the plain question by other octets."""
    responder, plain = behind(Responder(lambda: [issuer()], ledger().get, system_clock)), plain_question()
    return lambda call: replace(responder(call), body=body) if call.body == plain else responder(call)


def test_an_answer_without_an_end() -> None:
    found = probed(in_the_present(by_pyca(system_clock() - SECOND, None)), now=system_clock())
    assert named(found, Outcome.FAILS) == {"next-update"}
    assert found["next-update-in-life"].outcome is Outcome.NOT_APPLICABLE
    assert not found["next-update"].required


@pytest.mark.parametrize(
    ("begin", "clock", "outcome"),
    [
        (0, 0, Outcome.OK),
        (45, 0, Outcome.OK),
        (45, -45, Outcome.FAILS),
        (-100, -90, Outcome.FAILS),
        (90, 60, Outcome.FAILS),
    ],
    ids=["now", "clocks differ", "begins in the future", "produced in the future", "begins after it was produced"],
)
def test_what_is_produced_now_but_begins_elsewhen(begin: int, clock: int, outcome: Outcome) -> None:
    now = system_clock()
    fetch = in_the_present(by_pyca(now + begin * SECOND, now + LIFE))
    assert probed(fetch, now=now + clock * SECOND)["times"].outcome is outcome


def test_a_signer_whom_the_answer_does_not_name() -> None:
    now = system_clock()
    namesake = x509.CertificateBuilder(CA.subject, ANOTHER_NAME, issuer().key.public_key(), 9, BIRTH, END)
    body = by_pyca(now - SECOND, now + LIFE, namesake.sign(root("s1").key, SHA256()))
    assert named(probed(in_the_present(body), now=now), Outcome.FAILS) == {"signature"}


ANOTHER_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another responder")])


@pytest.mark.parametrize(
    ("begin", "end", "rules"),
    [
        (SKEW, LIFE, set()),
        (SKEW + 2 * SECOND, LIFE, {"times"}),
        (-LIFE, -SKEW, set()),
        (-LIFE, -SKEW - 2 * SECOND, {"times"}),
        (timedelta(0), -SECOND, {"times"}),
    ],
)
def test_answers_from_the_future_and_the_past(begin: timedelta, end: timedelta, rules: set[str]) -> None:
    period = Period(THIS_UPDATE + begin, THIS_UPDATE + end)
    assert failing(MadeOfParts(period=period)) == rules | UNCACHED


def told(**headers: str) -> Fetch:
    """The way to our responder, whose answers by GET tell caches something else."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def change(call: Call, reply: Reply) -> Reply:
        return replace(reply, headers={**reply.headers, **named}) if call.method == "GET" else reply

    return ours_but(change)


@pytest.mark.parametrize(
    ("headers", "rules"),
    [
        ({"cache_control": "max-age=900"}, {"cache-nonce"}),
        ({"cache_control": "max-age=999"}, {"cache-life", "cache-nonce"}),
        ({"cache_control": "max-age=60, s-maxage=999"}, {"cache-life", "cache-nonce"}),
        ({"cache_control": 'Max-Age="999"'}, {"cache-headers", "cache-life", "cache-nonce"}),
        ({"cache_control": "no-store"}, {"cache-headers"}),
        ({"cache_control": "max-age=0"}, set()),
        ({"cache_control": "private, max-age=60"}, set()),
        ({"cache_control": "max-age=" + "9" * 5000}, {"cache-life", "cache-nonce"}),
        ({"cache_control": "no-store, max-age=999"}, set()),
        ({"cache_control": "no-store", "expires": format_datetime(THIS_UPDATE + 2 * LIFE)}, {"cache-headers"}),
        ({"cache_control": "-", "expires": "Fri, 31 Dec 9999 23:59:59 -1200"}, set()),
        ({"cache_control": "-", "expires": format_datetime(THIS_UPDATE + 2 * LIFE, usegmt=True)}, {"cache-life"}),
        ({"cache_control": "-", "expires": "Mon, 32 Foo 99999"}, set()),
        ({"cache_control": "-", "expires": "Mon, 23 Nov 2026 03:04:05 -0000"}, set()),
        ({"cache_control": "\x1b[2J, max-age=60"}, {"cache-nonce"}),
    ],
)
def test_what_caches_are_told(headers: Mapping[str, str], rules: set[str]) -> None:
    lacking = {"cache-headers", "cache-nonce"} if headers["cache_control"] == "-" else set()
    found = probed(told(**headers))
    assert named(found, Outcome.FAILS) == rules | lacking
    assert all(check.finding.en.isprintable() for check in found.values())


@pytest.mark.parametrize("name", ["etag", "last-modified", "expires", "cache-control"])
def test_what_caches_are_not_told(name: str) -> None:
    def change(call: Call, reply: Reply) -> Reply:
        nonce = (request := read(call)) is not None and request.nonce is not None
        kept = {key: value for key, value in reply.headers.items() if key != name or nonce}
        return replace(reply, headers=kept)

    assert failing(ours_but(change)) == {"cache-headers"}


@pytest.mark.parametrize(
    ("told", "outcome", "words"),
    [("max-age=1", Outcome.FAILS, "caches keep it until "), ("-", Outcome.NOT_APPLICABLE, "caches are told no end")],
)
def test_an_answer_without_an_end_is_not_for_caches(told: str, outcome: Outcome, words: str) -> None:
    now = system_clock()
    responder = behind(Responder(lambda: [issuer()], ledger().get, system_clock))

    def fetch(call: Call) -> Reply:
        if call.method == "GET":
            return Reply(200, {**HEADERS, "cache-control": told}, by_pyca(now - SECOND, None))
        return responder(call)

    check = probed(fetch, now=now)["cache-life"]
    assert check.outcome is outcome
    assert check.finding.en.startswith(words)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("told", ["text/html", ""])
def test_an_answer_of_another_type(method: str, told: str) -> None:
    def change(call: Call, reply: Reply) -> Reply:
        return replace(reply, headers={**reply.headers, "content-type": told}) if call.method == method else reply

    assert failing(ours_but(change)) == {"content-type"}


@pytest.mark.parametrize("told", ["Application/OCSP-Response", "application/ocsp-response; charset=binary"])
def test_a_type_written_otherwise_will_do(told: str) -> None:
    fetch = ours_but(lambda _, reply: replace(reply, headers={**reply.headers, "content-type": told}))
    assert failing(fetch) == set()


# --- GET -----------------------------------------------------------------------------------------------------------


def is_awkward(call: Call) -> bool:
    """Whether it is the question that is made to hold slashes; any other may hold some by chance."""
    request = read(call)
    return request is not None and request.nonce is not None and request.nonce.startswith(b"\xff")


@pytest.mark.parametrize(
    ("spoils", "rules"),
    [
        (lambda call: call.method == "GET", GETS | {"malformed-get"}),
        (lambda call: call.method == "HEAD", {"head"}),
        (lambda call: is_awkward(call) and "%2F%2F" in call.path and "%2B" in call.path, {"get-slashes"}),
        (lambda call: is_awkward(call) and "//" in call.path and "+" in call.path, {"get-raw-slashes"}),
        (lambda call: len(unquote(call.path)) % 4 != 0, {"get-unpadded"}),
    ],
)
def test_gets_that_are_spoiled(spoils: Callable[[Call], bool], rules: set[str]) -> None:
    found = failing(ours_but(lambda call, reply: Reply(500, {}, b"") if spoils(call) else reply))
    assert found == rules


def test_a_get_that_answers_something_else() -> None:
    other = MadeOfParts(status=lambda _: REVOKED_OF_OLD)

    def change(call: Call, reply: Reply) -> Reply:
        return reply if call.method == "POST" or read(call) is None else replace(reply, body=other(call).body)

    assert failing(ours_but(change)) == GETS


# --- hostile ones --------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.integers(0, 2000), st.binary(max_size=2))
def test_no_octets_break_the_probe(where: int, put: bytes) -> None:
    def change(_: Call, reply: Reply) -> Reply:
        position = where % (len(reply.body) + 1)
        return replace(reply, body=reply.body[:position] + put + reply.body[position + len(put) :])

    assert set(probed(ours_but(change))) == set(probed(behind(ours())))


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"\x30" * 4096)


def test_an_endless_body_is_no_response() -> None:
    with talking(endless) as url:
        found = probed(fetcher(url, 1))
    assert found["post"].finding.en == "not a readable OCSP response"


def test_drops_that_never_end_are_no_reply() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"\x30")
            time.sleep(0.02)

    with talking(drip) as url, pytest.raises(NoReply):
        probed(fetcher(url, 0.2))


# --- others --------------------------------------------------------------------------------------------------------


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@pytest.fixture
def openssl(program: Callable[[str], str], tmp_path: Path) -> Iterator[str]:
    """`openssl ocsp` as a responder. It can only listen on all addresses of the machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = responder_certificate(root("s1"), key)
    (tmp_path / "index").write_text(f"V\t301231235959Z\t\t{GOOD:X}\tunknown\t/CN=leaf\n")
    (tmp_path / "ca.pem").write_bytes(pem(CA))
    (tmp_path / "responder.pem").write_bytes(
        pem(signer) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    words = ["-index", "index", "-CA", "ca.pem", "-rsigner", "responder.pem", "-port", "0", "-nmin", "15"]
    command = [program("openssl"), "ocsp", "-ignore_err", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            accepting = re.match(rb"ACCEPT .*:(\d+) ", server.stdout.readline())
            assert accepting is not None
            yield f"http://127.0.0.1:{int(accepting[1])}/"
        finally:
            server.terminate()
            server.wait(10)


@pytest.mark.slow
def test_r13_openssl_answers_well_and_reads_too_much(openssl: str) -> None:
    found = probed(fetcher(openssl, 1), now=system_clock())
    well = {
        "post",
        "get",
        "get-slashes",
        "certid-sha1",
        "certid-sha256",
        "signature",
        "delegate",
        "times",
        "never-issued",
    }
    assert named(found, Outcome.OK) >= well | FOREIGN | {"alive", "several", "extension-unknown"}
    assert named(found, Outcome.FAILS) >= {"malformed-version", "extension-critical", "cache-headers"}
    assert not holds(list(found.values()))


def test_what_is_served_by_a_real_server_is_judged_alike() -> None:
    with replying(lambda _: (500, {}, b"")) as url:
        found = probed(fetcher(url, 5))
    assert found["post"].finding.en == "HTTP 500"
