"""Which responses are believed: each criterion of RFC 6960 3.2 broken by itself, and outside cases."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from jpki import der, oids
from jpki.clock import whole_second
from jpki.errors import JpkiError
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.signature import PrivateKey
from ocsp.cert_id import CertId
from ocsp.client import OcspClient
from ocsp.issuers import Issuer
from ocsp.judgement import SKEW, Unusable, judge
from ocsp.request import parse_request
from ocsp.response import CertStatus, Good, Period, Revoked, SingleAnswer, signed_response
from tests.ocsp.authority import (
    BIRTH,
    END,
    GOOD,
    NOW,
    REVOKED,
    REVOKED_AT,
    Root,
    cert_id,
    cert_id_of,
    holder_certificate,
    issuer,
    question,
    responder_certificate,
    root,
)
from tests.ocsp.servers import replying
from tests.soft_cases import our_answers, soft_cases

NONCE = b"\x05" * 32
CA = root("s1").generation.certificate
SECOND = timedelta(seconds=1)
THIS_UPDATE = whole_second(NOW)
NEXT_UPDATE = THIS_UPDATE + timedelta(minutes=15)


def asked(certificate: x509.Certificate, ca: x509.Certificate = CA) -> ocsp.OCSPRequest:
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, ca, SHA1())  # noqa: S303 - as the client does
    return builder.add_extension(x509.OCSPNonce(NONCE), critical=False).build()


def answer(
    signer: Issuer | None = None,
    *,
    begin: datetime = THIS_UPDATE,
    end: datetime = NEXT_UPDATE,
    nonce: bytes | None = NONCE,
    answers: list[tuple[CertId, CertStatus]] | None = None,
) -> bytes:
    said = [SingleAnswer(*each) for each in answers or [(ours(), Good())]]
    return signed_response(signer or issuer(), Period(begin, end), said, nonce)


def ours(serial: int = GOOD) -> CertId:
    return read(cert_id(serial))


def read(written: bytes) -> CertId:
    return parse_request(question(written)).cert_ids[0]


def of_another_name() -> CertId:
    right = ours()
    return read(cert_id_of(oids.SHA1, b"?" * 20, right.issuer.key, serial=der.integer(GOOD)))


def judged(response: bytes) -> RevocationEvidence:
    return judge(ocsp.load_der_ocsp_response(response), asked(holder_certificate(GOOD)), CA, NOW)


def speaking_for_s1(certificate: x509.Certificate, key: PrivateKey) -> Issuer:
    return Issuer(generation=root("s1").generation, certificate=certificate, key=key)


def delegated(
    by: Root | None = None,
    *,
    begin: datetime = BIRTH,
    end: datetime = END,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.OCSP_SIGNING,
) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    return speaking_for_s1(responder_certificate(by or root("s1"), key, begin=begin, end=end, usage=usage), key)


def direct() -> Issuer:
    return speaking_for_s1(CA, root("s1").key)


UNDER_ANOTHER_NAME = Root(root("x1", organization="Elsewhere").generation, root("s1").key)


def naming_another(signer: Issuer) -> Issuer:
    object.__setattr__(signer, "responder_id_der", der.tlv(der.context(2), der.octet_string(b"?" * 20)))
    return signer


# --- believed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(), id="delegated"),
        pytest.param(answer(direct()), id="the issuer itself"),
        pytest.param(answer(nonce=None), id="without the nonce"),
        pytest.param(answer(begin=whole_second(NOW + SKEW)), id="a clock a minute ahead"),
        pytest.param(answer(begin=BIRTH, end=THIS_UPDATE), id="to its last second"),
        pytest.param(answer(answers=[(ours(REVOKED), Good()), (ours(), Good())]), id="beside another"),
        pytest.param(answer(delegated(end=whole_second(NOW))), id="a responder in its last second"),
    ],
)
def test_believed(response: bytes) -> None:
    assert judged(response).finding is Finding.GOOD


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons(reason: Reason) -> None:
    found = judged(answer(answers=[(ours(), Revoked(REVOKED_AT, reason))]))
    assert found.finding is (Finding.HELD if reason is Reason.CERTIFICATE_HOLD else Finding.REVOKED)
    assert (found.reason, found.revoked_at) == (reason, whole_second(REVOKED_AT))


def by_pyca(
    *,
    next_update: datetime | None = None,
    nonce: bytes | None = NONCE,
    reason: x509.ReasonFlags | None = None,
) -> bytes:
    builder = ocsp.OCSPResponseBuilder().add_response(
        holder_certificate(GOOD),
        CA,
        SHA1(),  # noqa: S303 - as the client asks
        ocsp.OCSPCertStatus.REVOKED if reason else ocsp.OCSPCertStatus.GOOD,
        whole_second(NOW),
        next_update,
        REVOKED_AT if reason else None,
        reason,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer().certificate)
    builder = builder.certificates([issuer().certificate])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(issuer().key, SHA256()).public_bytes(Encoding.DER)


def test_a_responder_named_by_name_is_believed() -> None:
    assert judged(by_pyca(next_update=NEXT_UPDATE)).finding is Finding.GOOD


def test_an_answer_without_end_is_believed_with_the_nonce_only() -> None:
    assert judged(by_pyca()).fresh_until is None
    with pytest.raises(Unusable, match="of any age"):
        judged(by_pyca(nonce=None))


def test_a_reason_without_a_word_in_the_house_is_unspecified() -> None:
    found = judged(by_pyca(reason=x509.ReasonFlags.aa_compromise))
    assert (found.finding, found.reason) == (Finding.REVOKED, Reason.UNSPECIFIED)


# --- not believed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "words"),
    [
        pytest.param(answer(delegated(root("s2"))), "not signed by", id="r23 another generation's responder"),
        pytest.param(answer(delegated(usage=ExtendedKeyUsageOID.CLIENT_AUTH)), "not signed by", id="not a responder"),
        pytest.param(answer(delegated(end=NOW - SECOND)), "not signed by", id="r25 responder expired"),
        pytest.param(answer(delegated(begin=NOW + SECOND)), "not signed by", id="responder not yet valid"),
        pytest.param(answer(speaking_for_s1(CA, issuer().key)), "not signed by", id="another key"),
        pytest.param(answer(naming_another(delegated())), "not signed by", id="names another"),
        pytest.param(answer(naming_another(direct())), "not signed by", id="issuer names another"),
        pytest.param(answer(delegated(UNDER_ANOTHER_NAME)), "not signed by", id="issued under another name"),
        pytest.param(answer(nonce=b"\x06" * 32), "another nonce", id="another nonce"),
        pytest.param(answer(begin=NOW + SKEW + SECOND), "future", id="from the future"),
        pytest.param(answer(begin=BIRTH, end=NOW - SECOND), "passed", id="stale"),
        pytest.param(answer(answers=[(ours(REVOKED), Good())]), "exactly once", id="another serial"),
        pytest.param(answer(answers=[(of_another_name(), Good())]), "exactly once", id="another issuer's name"),
        pytest.param(
            answer(answers=[(read(cert_id(of=root("s2").generation)), Good())]), "exactly once", id="r23 another key"
        ),
        pytest.param(answer(answers=[(ours(), Good())] * 2), "exactly once", id="answered twice"),
    ],
)
def test_not_believed(response: bytes, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        judged(response)


BELIEVED = answer()


@settings(max_examples=300)
@given(st.integers(0, len(BELIEVED) - 1), st.integers(1, 255))
def test_a_changed_octet_changes_nothing_that_is_believed(position: int, change: int) -> None:
    mutated = BELIEVED[:position] + bytes((BELIEVED[position] ^ change,)) + BELIEVED[position + 1 :]
    try:
        found = judged(mutated)
    except (Unusable, ValueError):  # pyca refuses with ValueError what it cannot load
        return
    assert found == judged(BELIEVED)


# --- outside cases ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate path from leaf to root, the responses about its members in that order, and the verdict."""

    certificates: list[x509.Certificate]
    responses: list[bytes]
    moment: datetime
    valid: bool


def _chains(folder: Path) -> dict[str, Chain]:
    cases = json.loads((folder / "openssl-cases.json").read_text())
    return {
        case["name"]: Chain(
            [_pem(folder / "openssl" / name) for name in (case["cert"], *case.get("other_certs", ()), case["root"])],
            [base64.b64decode((folder / "openssl" / name).read_text()) for name in case["ocsps"]],
            datetime.fromisoformat(case["moment"]),
            case["expected"] == "valid",
        )
        for case in cases
    }


def _pem(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _is_believed(chain: Chain) -> bool:
    try:
        for (certificate, ca), response in zip(pairwise(chain.certificates), chain.responses, strict=False):
            judge(ocsp.load_der_ocsp_response(response), asked(certificate, ca), ca, chain.moment)
    except Unusable:
        return False
    return True


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # one of the roots has the serial 0
def test_openssls_cases(shared: Path) -> None:
    chains = _chains(shared / "conformance/ocsp-resp")
    assert {name: _is_believed(chain) for name, chain in chains.items()} == {
        name: chain.valid for name, chain in chains.items()
    }


def _through_client(response: bytes) -> RevocationEvidence | JpkiError | None:
    with replying(lambda _: (200, {}, response)) as url:
        client = OcspClient(url, lambda: NOW, lambda octets: b"\x05" * octets)
        try:
            return client.evidence(holder_certificate(GOOD), CA, NOW)
        except JpkiError as error:
            return error


def test_outside_responses_give_the_houses_own_error(shared: Path) -> None:
    cases = shared / "conformance"
    paths = [*cases.glob("ocsp-resp/pyca/*"), *cases.glob("fuzz/ocsp_resp/*")]
    assert paths
    for path in paths:
        outcome = _through_client(path.read_bytes())
        assert outcome is None or isinstance(outcome, JpkiError), path.name


def test_a_soft_response_is_answered_as_the_list_says(shared: Path) -> None:
    cases = shared / "conformance"
    for case, row in soft_cases(cases, "ocsp-resp").items():
        outcome = _through_client((cases / row["path"]).read_bytes())
        assert our_answers()[case][1] == ("refused" if isinstance(outcome, JpkiError) else "read"), case


def test_sha1_signatures_are_too_weak_for_the_client(shared: Path) -> None:
    response = (shared / "conformance/ocsp-resp/openssl/D1.ors").read_text()
    outcome = _through_client(base64.b64decode(response))
    assert isinstance(outcome, JpkiError)
    assert "weak" in outcome.problem.en
