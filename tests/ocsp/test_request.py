"""The parser: what it reads, what it refuses, and that it never raises anything else."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from jpki import der, oids
from jpki.der import Tag, context
from ocsp.cert_id import DIGESTS
from ocsp.request import MAX_CERT_IDS, MAX_REQUEST_OCTETS, MalformedRequest, OcspRequest, parse_request
from tests.ocsp.authority import (
    GOOD,
    HASH_NAMES,
    REVOKED,
    cert_id,
    cert_id_of,
    extension,
    holder_certificate,
    nonce_extension,
    question,
    root,
)

V1 = der.tlv(context(0), der.integer(0))
REQUESTOR = der.tlv(context(1), der.tlv(context(2, constructed=False), b"example.jp"))
SIGNATURE = der.tlv(context(0), der.sequence(der.sequence(der.object_identifier(oids.RSA_SHA256)), der.bit_string(b"")))
LOCATOR = "1.3.6.1.5.5.7.48.1.7"


@pytest.mark.parametrize("algorithm", [SHA1(), SHA256()])  # noqa: S303 - what clients send
def test_reads_what_pyca_writes(algorithm: SHA1 | SHA256) -> None:
    certificate, issuer = holder_certificate(GOOD), root("s1").generation.certificate
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
    written = builder.add_extension(x509.OCSPNonce(b"\x07" * 16), critical=False).build()
    request = parse_request(written.public_bytes(Encoding.DER))
    (read,) = request.cert_ids
    assert read.serial == GOOD
    assert read.issuer.algorithm == der.object_identifier(getattr(oids, algorithm.name.upper()))
    assert (read.issuer.name, read.issuer.key) == (written.issuer_name_hash, written.issuer_key_hash)
    assert request.nonce == b"\x07" * 16


def test_keeps_the_octets_of_each_cert_id() -> None:
    asked = [cert_id(GOOD), cert_id(REVOKED, algorithm=oids.SHA256, parameters=b"")]
    request = parse_request(question(*asked))
    assert [read.raw for read in request.cert_ids] == asked
    assert [read.serial for read in request.cert_ids] == [GOOD, REVOKED]
    assert request.nonce is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(question(cert_id(), before=V1), id="version written out"),
        pytest.param(question(cert_id(), before=REQUESTOR), id="requestor's name"),
        pytest.param(question(cert_id(), before=REQUESTOR, after=SIGNATURE), id="signed"),
        pytest.param(question(cert_id(), extensions=(extension(LOCATOR, b"x"),)), id="unknown extension"),
        pytest.param(
            question(cert_id(), extensions=(extension(LOCATOR, b"x", der.boolean(False)),)), id="not critical"
        ),
        pytest.param(question(cert_id() + der.tlv(context(0), der.sequence(extension(LOCATOR, b"")))), id="single's"),
        pytest.param(question(*[cert_id()] * MAX_CERT_IDS), id="most CertIDs"),
        pytest.param(question(cert_id(2**159 - 1)), id="longest serial"),
        pytest.param(
            question(cert_id_of("1.2.3.4", b"?", b"", serial=der.integer(GOOD))), id="unknown hash, any length"
        ),
    ],
)
def test_accepts(data: bytes) -> None:
    assert parse_request(data).cert_ids


@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_reads_the_nonce(length: int) -> None:
    critical = extension(oids.OCSP_NONCE, der.octet_string(b"n" * length), der.boolean(True))
    for written in (nonce_extension(b"n" * length), critical):
        assert parse_request(question(cert_id(), extensions=(written,))).nonce == b"n" * length


def _with_serial(content: bytes) -> bytes:
    return question(cert_id_of(oids.SHA1, b"n" * 20, b"k" * 20, serial=der.tlv(Tag.INTEGER, content)))


def _with_extension(*written: bytes) -> bytes:
    return question(cert_id(), extensions=written)


def _under(oid: bytes) -> bytes:
    return der.sequence(der.tlv(Tag.OBJECT_IDENTIFIER, oid), der.octet_string(b"x"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(question(cert_id()) + b"\x00", id="trailing octet"),
        pytest.param(question(cert_id(), after=b"\x05\x00"), id="trailing element"),
        pytest.param(question(), id="no CertID"),
        pytest.param(question(*[cert_id()] * (MAX_CERT_IDS + 1)), id="too many CertIDs"),
        pytest.param(question(cert_id(), before=der.tlv(context(0), der.integer(1))), id="version 2"),
        pytest.param(question(cert_id(), before=V1 + V1), id="version twice"),
        pytest.param(question(cert_id(), before=der.tlv(context(0), der.integer(0), b"\x00")), id="version and more"),
        pytest.param(question(cert_id(), after=der.tlv(context(0), b"\x30\x00")), id="signature without fields"),
        pytest.param(question(cert_id() + b"\x05\x00"), id="request with a third field"),
        pytest.param(question(cert_id(parameters=b"\x05\x01\x00")), id="NULL with a content"),
        pytest.param(question(cert_id(parameters=b"\x05\x00\x05\x00")), id="two parameters"),
        pytest.param(question(cert_id(parameters=b"\x30\x00")), id="parameters not NULL"),
        pytest.param(
            question(cert_id_of(oids.SHA1, b"n" * 19, b"k" * 20, serial=der.integer(1))), id="short name hash"
        ),
        pytest.param(
            question(cert_id_of(oids.SHA256, b"n" * 32, b"k" * 20, serial=der.integer(1))), id="short key hash"
        ),
        pytest.param(_with_serial(b""), id="serial empty"),
        pytest.param(_with_serial(b"\x00"), id="serial zero"),
        pytest.param(_with_serial(b"\x80"), id="serial negative"),
        pytest.param(_with_serial(b"\x00\x01"), id="serial not minimal"),
        pytest.param(_with_serial(b"\x00" + b"\x01" * 15), id="serial of our length not minimal"),
        pytest.param(_with_serial(b"\x80" + b"\x01" * 15), id="serial of our length negative"),
        pytest.param(_with_serial(b"\x7f" * 21), id="serial too long"),
        pytest.param(_with_extension(nonce_extension(b"")), id="nonce empty"),
        pytest.param(_with_extension(nonce_extension(b"n" * 129)), id="nonce too long"),
        pytest.param(_with_extension(extension(oids.OCSP_NONCE, b"n" * 16)), id="nonce not wrapped"),
        pytest.param(_with_extension(nonce_extension(b"n"), nonce_extension(b"n")), id="nonce twice"),
        pytest.param(_with_extension(extension(LOCATOR, b"x", der.boolean(True))), id="unknown critical extension"),
        pytest.param(_with_extension(extension(LOCATOR, b"x", b"\x01\x01\x01")), id="sloppy boolean"),
        pytest.param(_with_extension(_under(b"")), id="OID empty"),
        pytest.param(_with_extension(_under(b"\x2b\x80\x01")), id="OID with a padded arc"),
        pytest.param(_with_extension(_under(b"\x80\x01")), id="OID with a padded first arc"),
        pytest.param(_with_extension(_under(b"\x2b\x81")), id="OID cut in an arc"),
        pytest.param(
            question(cert_id().replace(der.object_identifier(oids.SHA1), b"\x06\x05\x2b\x0e\x03\x02\x9a")),
            id="algorithm's OID cut in an arc",
        ),
        pytest.param(question(cert_id() + der.tlv(context(0), b"\x30\x00")), id="extensions empty"),
        pytest.param(
            question(cert_id() + der.tlv(context(0), der.sequence(extension(LOCATOR, b"x", der.boolean(True))))),
            id="single's unknown critical extension",
        ),
    ],
)
def test_refuses(data: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse_request(data)


def test_reads_up_to_its_cap_and_no_further() -> None:
    def of_size(octets: int) -> bytes:
        padding = octets - len(question(cert_id(), before=der.tlv(context(1), b"x" * 9000))) + 9000
        return question(cert_id(), before=der.tlv(context(1), b"x" * padding))

    assert len(of_size(MAX_REQUEST_OCTETS)) == MAX_REQUEST_OCTETS
    assert parse_request(of_size(MAX_REQUEST_OCTETS)).cert_ids
    with pytest.raises(MalformedRequest, match="too large"):
        parse_request(of_size(MAX_REQUEST_OCTETS + 1))


def _attempt(data: bytes) -> OcspRequest | None:
    try:
        return parse_request(data)
    except MalformedRequest:
        return None


FULL = question(
    cert_id(),
    cert_id(REVOKED, algorithm=oids.SHA256),
    extensions=(nonce_extension(b"n" * 16),),
    before=V1 + REQUESTOR,
    after=SIGNATURE,
)


@settings(max_examples=1000)
@given(st.integers(0, len(FULL) - 1), st.integers(0, 255))
def test_a_changed_octet_gives_a_request_or_a_refusal(position: int, octet: int) -> None:
    _attempt(FULL[:position] + bytes((octet,)) + FULL[position + 1 :])


@given(st.integers(0, len(FULL) - 1))
def test_a_cut_request_is_refused(length: int) -> None:
    assert _attempt(FULL[:length]) is None


@given(st.binary(max_size=200))
def test_noise_gives_a_refusal(noise: bytes) -> None:
    assert _attempt(noise) is None


@given(
    st.lists(st.tuples(st.integers(1, 2**159 - 1), st.sampled_from(sorted(HASH_NAMES))), min_size=1, max_size=5),
    st.none() | st.binary(min_size=1, max_size=128),
)
def test_what_is_written_is_read_back(asked: list[tuple[int, str]], nonce: bytes | None) -> None:
    cert_ids = [cert_id(serial, algorithm=algorithm) for serial, algorithm in asked]
    request = parse_request(question(*cert_ids, extensions=() if nonce is None else (nonce_extension(nonce),)))
    assert [(read.raw, read.serial) for read in request.cert_ids] == list(
        zip(cert_ids, (serial for serial, _ in asked), strict=True)
    )
    assert request.nonce == nonce


_USUAL = [
    question(cert_id(serial, algorithm=algorithm), extensions=(nonce_extension(b"n" * octets),))
    for serial in (GOOD, 1, 2**127 + 1)
    for algorithm in (oids.SHA1, oids.SHA256, oids.SHA512)
    for octets in (16, 32, 33)
]
"""What clients ask, and close to it: the first serial is of our length, the last has one octet more."""


@settings(max_examples=1000)
@given(st.sampled_from(_USUAL), st.data())
def test_of_a_changed_question_pyca_reads_the_same(usual: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(usual) - 1))
    changed = usual[:position] + bytes((data.draw(st.integers(0, 255)),)) + usual[position + 1 :]
    request = _attempt(changed)
    if request is None:
        return
    (read,) = request.cert_ids
    try:
        theirs = ocsp.load_der_ocsp_request(changed)
    except ValueError:
        # It knows other parameters of this algorithm, which is none of ours.
        assert read.issuer.algorithm not in DIGESTS
        return
    assert (read.serial, read.issuer.name, read.issuer.key) == (
        theirs.serial_number,
        theirs.issuer_name_hash,
        theirs.issuer_key_hash,
    )
    nonces = [each.value.nonce for each in theirs.extensions if isinstance(each.value, x509.OCSPNonce)]
    assert nonces == ([] if request.nonce is None else [request.nonce])
    assert changed.count(read.raw) == 1


@pytest.mark.parametrize("number", range(len(_USUAL)))
def test_of_a_usual_question_pyca_reads_the_same(number: int) -> None:
    request, theirs = parse_request(_USUAL[number]), ocsp.load_der_ocsp_request(_USUAL[number])
    assert (request.cert_ids[0].serial, request.cert_ids[0].issuer.key) == (
        theirs.serial_number,
        theirs.issuer_key_hash,
    )
    assert request.nonce == theirs.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce


@given(st.sampled_from(_USUAL), st.binary(min_size=1, max_size=40), st.booleans())
def test_nothing_may_stand_before_or_after_a_usual_question(usual: bytes, noise: bytes, before: bool) -> None:  # noqa: FBT001 - drawn
    assert _attempt(noise + usual if before else usual + noise) is None


def test_outside_cases_give_a_request_or_a_refusal(shared: Path) -> None:
    read = {
        path.name for path in (shared / "conformance/ocsp-req").glob("*/*") if _attempt(path.read_bytes()) is not None
    }
    assert {"ocsp-army.valid-req.der", "ocsp-army.inapplicable-req.der"} <= read
    assert "req-duplicate-ext.der" not in read
