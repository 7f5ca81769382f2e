"""The explanation: what it says of each element, and that it objects to what is refused, and for the same reason."""

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

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
from jpki.clock import iso
from jpki.ids import Serial
from jpki.revocation import Reason
from ocsp.cert_id import CertId
from ocsp.explain import Explanation, Kind, explain, explain_url
from ocsp.fetch import Call
from ocsp.issuers import Issuer
from ocsp.judgement import SKEW
from ocsp.request import MAX_CERT_IDS, MalformedRequest, parse_request
from ocsp.response import CertStatus, Good, ResponseStatus, Revoked, refusal
from tests.ocsp.authority import (
    BIRTH,
    END,
    GOOD,
    NEVER_ISSUED,
    NOW,
    REVOKED,
    REVOKED_AT,
    cert_id,
    cert_id_of,
    extension,
    holder_certificate,
    issuer,
    make_issuer,
    nonce_extension,
    question,
    responder_certificate,
    root,
    rsa_responder_key,
)
from tests.ocsp.bad_responders import (
    LIFE,
    THIS_UPDATE,
    MadeOfParts,
    plain_question,
    signed_over_sha1,
    with_certificate,
)
from tests.ocsp.test_request import REQUESTOR, SIGNATURE, V1

CA = root("s1").generation.certificate
LOCATOR = "1.3.6.1.5.5.7.48.1.7"
SECOND = timedelta(seconds=1)


def shown(explanation: Explanation) -> list[str]:
    return [f"{'  ' * each.depth}{each.name}: {each.value}" for each in explanation.elements]


def refusals(explanation: Explanation) -> list[str]:
    return [each.reason.en for each in explanation.objections if each.certain]


def doubts(explanation: Explanation) -> list[str]:
    return [each.reason.en for each in explanation.objections if not each.certain]


# --- requests ------------------------------------------------------------------------------------------------------

FULL = question(
    cert_id() + der.tlv(der.context(0), der.sequence(extension(LOCATOR, b"\x30\x00"))),
    cert_id(REVOKED, algorithm=oids.SHA256),
    extensions=(nonce_extension(b"\x01" * 16), extension("2.999.3", b"x", der.boolean(True))),
    before=V1 + REQUESTOR,
    after=SIGNATURE,
)


def test_a_request_is_told_element_by_element() -> None:
    sha1, sha256 = (parse_request(question(cert_id(algorithm=each))).cert_ids[0].issuer for each in SHA1_SHA256)
    explanation = explain(FULL, NOW)
    assert (explanation.kind, explanation.octets) == (Kind.REQUEST, len(FULL))
    assert shown(explanation) == [
        "version: v1",
        f"requestorName: {der.Reader(REQUESTOR).read(der.context(1)).hex()}",
        "request: 1",
        "  hashAlgorithm: sha1",
        f"  issuerNameHash: {sha1.name.hex()}",
        f"  issuerKeyHash: {sha1.key.hex()}",
        f"  serialNumber: {GOOD:#x}",
        f"  singleRequestExtensions: {LOCATOR} 3000",
        "request: 2",
        "  hashAlgorithm: sha256",
        f"  issuerNameHash: {sha256.name.hex()}",
        f"  issuerKeyHash: {sha256.key.hex()}",
        f"  serialNumber: {REVOKED:#x}",
        f"requestExtensions: nonce 0410{'01' * 16}",
        "requestExtensions: 2.999.3 78",
        "optionalSignature: …",
    ]
    assert explanation.elements[-2].meaning.en == "an extension (critical)"
    assert explanation.elements[7].meaning.en == "an extension"
    assert explanation.elements[-3].meaning.en == "16 octets"


SHA1_SHA256 = (oids.SHA1, oids.SHA256)


def test_a_request_that_is_answered_meets_no_objection() -> None:
    assert explain(plain_question(), NOW).objections == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (FULL, "critical extension is unknown"),
        (b"", "expected tag 0x30"),
        (b"garbage!", "expected tag 0x30"),
        (question(*[cert_id()] * (MAX_CERT_IDS + 1)), "too many CertIDs"),
        (question(cert_id_of(oids.SHA1, b"n" * 19, b"k" * 20, serial=der.integer(1))), "hash has a wrong length"),
        (question(cert_id()) + b"\x00", "octets follow the last element"),
        (question(cert_id())[:-1], "content is cut short"),
        (b"\x30\x81\x05" + question(cert_id())[2:], "length is not minimal"),
        (b"\x30\x80" + question(cert_id())[2:], "length is not minimal and definite"),
        (question(cert_id_of(oids.SHA1, b"n" * 20, b"k" * 20, serial=b"\x02\x00")), "integer is empty or not minimal"),
        (question(cert_id(), extensions=(nonce_extension(b"n" * 129),)), "nonce has a wrong length"),
        (question(cert_id(), before=der.tlv(der.context(0), der.integer(1))), "version is not v1"),
        (question(cert_id(), extensions=(extension(LOCATOR, b"x" * 10_000),)), "request is too large"),
    ],
    ids=range(13),  # the octets hold new keys, and a test's name must be the same in every process
)
def test_a_malformed_request_is_refused_for_the_reason_of_our_own_parser(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse_request(data)
    explanation = explain(data, NOW)
    (objection,) = explanation.objections
    assert objection.certain
    assert objection.reason == caught.value.reason
    assert objection.reason.en == reason
    assert not objection.reason.ja.isascii()
    assert reason not in objection.reason.ja or reason.startswith("expected tag ")


def test_a_broken_request_is_told_up_to_the_break() -> None:
    broken = question(cert_id(), cert_id_of(oids.SHA1, b"n" * 20, b"k" * 20, serial=b"\x02\x00"))
    names = [each.name for each in explain(broken, NOW).elements]
    assert names == ["request", "hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber", "request"]


def test_an_unknown_hash_is_named_by_its_number() -> None:
    asked = question(cert_id_of("1.2.840.113549.2.5", b"n" * 16, b"k" * 16, serial=der.integer(1)))
    assert "  hashAlgorithm: 1.2.840.113549.2.5" in shown(explain(asked, NOW))


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(plain_question()),
        base64.encodebytes(plain_question()),
        b"  " + base64.encodebytes(plain_question()).replace(b"\n", b"\r\n"),
        b"-----BEGIN OCSP REQUEST-----\n" + base64.encodebytes(plain_question()) + b"-----END OCSP REQUEST-----\n",
    ],
)
def test_base64_and_pem_are_read_too(written: bytes) -> None:
    assert explain(written, NOW) == explain(plain_question(), NOW)


# --- URLs ----------------------------------------------------------------------------------------------------------

AWKWARD = question(cert_id(), extensions=(nonce_extension(b"\xff\xfb\xef\xbe" * 6),))
BASE64 = base64.b64encode(AWKWARD).decode()


@pytest.mark.parametrize("address", ["http://ocsp.example", "https://ca.example/ocsp", "http://a.example/b/MA/ocsp/"])
@pytest.mark.parametrize("path", [BASE64, quote(BASE64, safe=""), BASE64.rstrip("=")])
def test_the_request_in_a_url_is_explained(address: str, path: str) -> None:
    assert "//" in BASE64
    assert explain_url(f"{address}/{path}") == explain(AWKWARD, NOW)
    assert explain_url(f"{address}/{path}?a=1") == explain(AWKWARD, NOW)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://a.example/ocsp/~~", "path is not base64"),
        ("http://a.example/ocsp/MA", "no length"),
        ("http://a.example/ocsp/", "expected tag 0x30"),
        ("http://a.example", "expected tag 0x30"),
        ("http://[", "expected tag 0x30"),
    ],
)
def test_a_url_without_a_request_is_refused(url: str, reason: str) -> None:
    assert refusals(explain_url(url)) == [reason]


# --- responses -----------------------------------------------------------------------------------------------------


def answer(responder: MadeOfParts | None = None, *, nonce: bool = True, serials: Sequence[int] = (GOOD,)) -> bytes:
    asked = question(*map(cert_id, serials), extensions=(nonce_extension(b"n" * 16),) if nonce else ())
    return (responder or MadeOfParts())(Call("POST", body=asked)).body


def test_a_response_is_told_element_by_element() -> None:
    def status(serial: Serial) -> CertStatus:
        return Revoked(REVOKED_AT, Reason.KEY_COMPROMISE) if serial == REVOKED else Good()

    signer = issuer()
    begin, end = iso(THIS_UPDATE), iso(THIS_UPDATE + LIFE)
    (asked,) = parse_request(plain_question()).cert_ids
    cert_ids = [f"  issuerNameHash: {asked.issuer.name.hex()}", f"  issuerKeyHash: {asked.issuer.key.hex()}"]
    explanation = explain(answer(MadeOfParts(status=status), serials=(GOOD, REVOKED)), NOW)
    assert explanation.kind is Kind.RESPONSE
    assert explanation.objections == ()
    assert shown(explanation) == [
        "responseStatus: successful",
        f"responderID byKey: {signer.responder_id_der[-20:].hex()}",
        f"producedAt: {begin}",
        "response: 1",
        "  hashAlgorithm: sha1",
        *cert_ids,
        f"  serialNumber: {GOOD:#x}",
        "  certStatus: good",
        f"  thisUpdate: {begin}",
        f"  nextUpdate: {end}",
        "response: 2",
        "  hashAlgorithm: sha1",
        *cert_ids,
        f"  serialNumber: {REVOKED:#x}",
        "  certStatus: revoked",
        f"  revocationTime: {iso(REVOKED_AT)}",
        "  revocationReason: keyCompromise",
        f"  thisUpdate: {begin}",
        f"  nextUpdate: {end}",
        f"responseExtensions: nonce 0410{b'n'.hex() * 16}",
        f"signatureAlgorithm: {oids.ECDSA_SHA256}",
        "certs: CN=responder",
        f"  issuer: {CA.subject.rfc4514_string()}",
        f"  validity: {iso(BIRTH)} – {iso(END)}",
        "  extensions: OCSPSigning nocheck",
    ]


@pytest.mark.parametrize("status", [each for each in ResponseStatus if each is not ResponseStatus.SUCCESSFUL])
def test_a_response_without_an_answer_says_why(status: ResponseStatus) -> None:
    explanation = explain(refusal(status), NOW)
    assert shown(explanation)[0].startswith("responseStatus: ")
    (objection,) = explanation.objections
    assert objection.certain
    assert objection.reason == explanation.elements[0].meaning


def test_a_response_that_cannot_be_read() -> None:
    for broken in (answer()[:-1], answer() + b"\x00", refusal(ResponseStatus.SUCCESSFUL), b"\x30\x03\x0a\x01\x09"):
        explanation = explain(broken, NOW)
        assert explanation.kind is Kind.RESPONSE
        assert refusals(explanation) == ["malformed"]


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        (NOW, []),
        (THIS_UPDATE + LIFE + SECOND * 0.999, []),
        (THIS_UPDATE + LIFE + SECOND, ["response 1: nextUpdate has passed"]),
        (THIS_UPDATE - SKEW, []),
        (THIS_UPDATE - SKEW - SECOND, ["response 1: thisUpdate lies in the future"]),
    ],
)
def test_a_response_out_of_its_time_is_refused(now: datetime, reasons: list[str]) -> None:
    assert refusals(explain(answer(), now)) == reasons


def test_an_unknown_certificate_is_refused() -> None:
    explanation = explain(answer(serials=(GOOD, NEVER_ISSUED)), NOW)
    assert refusals(explanation) == ["response 2: the certificate is unknown to the responder"]


def test_without_a_nonce_some_refuse() -> None:
    explanation = explain(answer(nonce=False), NOW)
    assert refusals(explanation) == []
    assert doubts(explanation) == ["no nonce: who sent one and insists on it refuses"]


def test_a_spoiled_signature_is_refused() -> None:
    body = answer()
    signature = ocsp.load_der_ocsp_response(body).signature
    spoiled = signature[:-1] + bytes((signature[-1] ^ 1,))
    assert refusals(explain(body.replace(signature, spoiled), NOW)) == [
        "the signature is not that of the certificate along"
    ]


def test_a_weak_signature_is_refused() -> None:
    signer = make_issuer(root("s1"), key=rsa_responder_key())
    assert refusals(explain(signed_over_sha1(answer(MadeOfParts(signer=signer))), NOW)) == [
        "a signature is over a weak hash, or unknown"
    ]


def with_usage(usage: x509.ObjectIdentifier, end: datetime = END) -> MadeOfParts:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = responder_certificate(root("s1"), key, usage=usage, end=end)
    return MadeOfParts(signer=Issuer(generation=root("s1").generation, certificate=certificate, key=key))


def test_a_responder_certificate_without_the_right_is_refused() -> None:
    explanation = explain(answer(with_usage(ExtendedKeyUsageOID.CLIENT_AUTH)), NOW)
    assert refusals(explanation) == ["the responder certificate lacks OCSPSigning"]
    assert "  extensions: nocheck" in shown(explanation)


def test_a_responder_certificate_that_has_ended_is_refused() -> None:
    explanation = explain(answer(with_usage(ExtendedKeyUsageOID.OCSP_SIGNING, THIS_UPDATE - SECOND)), NOW)
    assert refusals(explanation) == ["the responder certificate is outside its validity"]
    assert doubts(explanation) == ["nextUpdate lies after the responder certificate's end"]


def test_an_answer_of_the_issuer_itself_is_in_doubt_only() -> None:
    itself = Issuer(generation=root("s1").generation, certificate=CA, key=root("s1").key)
    explanation = explain(answer(MadeOfParts(signer=itself)), NOW)
    assert refusals(explanation) == []
    assert doubts(explanation) == ["the responder certificate lacks OCSPSigning"]


def built(*, by_name: bool, along: Sequence[x509.Certificate], extra: x509.ExtensionType | None = None) -> Explanation:
    """What is said of an answer that pyca writes: without nextUpdate, at the machine's own time."""
    signer = issuer()
    builder = ocsp.OCSPResponseBuilder().add_response(
        holder_certificate(GOOD),
        CA,
        SHA1(),  # noqa: S303 - the CertID of every client
        ocsp.OCSPCertStatus.GOOD,
        THIS_UPDATE,
        None,
        None,
        None,
    )
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = builder.responder_id(encoding, signer.certificate)
    if along:
        builder = builder.certificates(along)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    return explain(builder.sign(signer.key, SHA256()).public_bytes(Encoding.DER), NOW)


NO_END = "response 1: there is no nextUpdate"
NO_NONCE = "no nonce: who sent one and insists on it refuses"
NOT_ALONG = "the signer's certificate is not along: unless the issuer itself signed, nobody can verify it"


def test_a_responder_may_be_named_by_name() -> None:
    explanation = built(by_name=True, along=[issuer().certificate])
    assert "responderID byName: CN=responder" in shown(explanation)
    assert (refusals(explanation), doubts(explanation)) == ([], [NO_END, NO_NONCE])


def test_a_signer_that_is_not_along_leaves_doubt() -> None:
    assert doubts(built(by_name=False, along=[])) == [NOT_ALONG, NO_END, NO_NONCE]
    assert doubts(built(by_name=False, along=[CA])) == [NOT_ALONG, NO_END, NO_NONCE]


def test_a_critical_extension_is_refused() -> None:
    extra = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    explanation = built(by_name=True, along=[issuer().certificate], extra=extra)
    assert refusals(explanation) == ["an unknown extension is critical (1.2.3.4.5)"]
    assert "responseExtensions: 1.2.3.4.5 0500" in shown(explanation)


@pytest.mark.parametrize("critical", [True, False])
def test_the_extensions_of_each_answer_are_told(critical: bool) -> None:  # noqa: FBT001 - a parameter
    body = answer(serials=(GOOD, REVOKED))
    told = extension("1.2.3.4.5", b"\x05\x00", der.boolean(True) if critical else b"")
    explanation = explain(with_single_extensions(body, told), NOW)
    assert shown(explanation).count("  singleExtensions: 1.2.3.4.5 0500") == 1
    reasons = ["an unknown extension is critical (1.2.3.4.5)"] if critical else []
    # What was put in is not signed.
    assert [each for each in refusals(explanation) if "signature" not in each and "response 2" not in each] == reasons


def with_single_extensions(body: bytes, *extensions: bytes) -> bytes:
    """The same response, with extensions in its last answer."""
    responder, produced, answers, rest = parts(body)
    first, last = answers.read_element(der.Tag.SEQUENCE), answers.read(der.Tag.SEQUENCE)
    extended = der.sequence(last, der.tlv(der.context(1), der.sequence(*extensions)))
    return whole(der.sequence(responder, produced, der.sequence(first, extended), rest))


def parts(body: bytes) -> tuple[bytes, bytes, der.Reader, bytes]:
    data = ocsp.load_der_ocsp_response(body).tbs_response_bytes
    fields = der.Reader(der.Reader(data).read(der.Tag.SEQUENCE))
    responder, produced = fields.read_element(der.context(2)), fields.read_element(der.Tag.GENERALIZED_TIME)
    return responder, produced, der.Reader(fields.read(der.Tag.SEQUENCE)), fields.rest()


def whole(data: bytes) -> bytes:
    """A response of these data, signed by nobody."""
    algorithm = der.sequence(der.object_identifier(oids.ECDSA_SHA256))
    basic = der.sequence(data, algorithm, der.bit_string(b""), issuer().certificates_der)
    answer = der.sequence(der.object_identifier(oids.OCSP_BASIC), der.octet_string(basic))
    return der.sequence(der.enumerated(0), der.tlv(der.context(0), answer))


def test_a_response_that_breaks_later_is_told_up_to_the_break() -> None:
    responder, produced, answers, _ = parts(answer())
    twice = der.tlv(der.context(1), der.sequence(nonce_extension(b"n"), nonce_extension(b"n")))
    explanation = explain(whole(der.sequence(responder, produced, der.sequence(answers.rest()), twice)), NOW)
    assert explanation.elements[-1].name == "nextUpdate"
    assert refusals(explanation) == ["malformed"]


def test_an_answer_by_an_unknown_hash_is_told() -> None:
    def named(asked: CertId) -> CertId:
        return asked._replace(raw=cert_id_of("1.2.3.4", b"n", b"k", serial=der.integer(asked.serial)))

    assert "  hashAlgorithm: ?" in shown(explain(answer(MadeOfParts(named=named)), NOW))


def test_no_nocheck_leaves_doubt() -> None:
    signer = with_certificate(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]))
    assert doubts(explain(answer(MadeOfParts(signer=signer)), NOW)) == [
        "without nocheck, the responder certificate's own status has to be asked for"
    ]


# --- anything ------------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(st.sampled_from([FULL, answer(), base64.b64encode(FULL)]), st.integers(0, 2000), st.binary(max_size=3))
def test_no_octets_break_the_explanation(whole: bytes, where: int, put: bytes) -> None:
    position = where % (len(whole) + 1)
    explanation = explain(whole[:position] + put + whole[position + len(put) :], NOW)
    assert all(each.value.isprintable() for each in explanation.elements)


@given(st.binary(max_size=60))
def test_noise_is_a_request_that_is_refused(noise: bytes) -> None:
    assert explain(noise, NOW).objections


@given(st.text(max_size=60))
def test_no_url_breaks_the_explanation(path: str) -> None:
    for url in (f"http://a.example/{path}", f"http://{path}"):
        assert explain_url(url).kind is Kind.REQUEST


def test_outside_cases_are_explained(shared: Path) -> None:
    cases = [*(shared / "conformance/ocsp-req").glob("*/*"), *(shared / "conformance/ocsp-resp/pyca").glob("*")]
    explained = {path.name: explain(path.read_bytes(), NOW) for path in cases}
    assert explained["ocsp-army.valid-req.der"].objections == ()
    assert refusals(explained["req-duplicate-ext.der"]) == ["extension stands twice"]
