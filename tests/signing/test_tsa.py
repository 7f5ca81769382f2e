"""The time-stamp authority alone: what a token holds, read by parsers not ours, and what is refused and how."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from asn1crypto import tsp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from jpki import der, oids, signature
from jpki.der import Tag
from jpki.errors import JpkiError, Kind
from jpki.randomness import system_randomness
from jpki.text import Text
from signing.credential import Credential
from signing.http import make_time_stamp_blueprint
from signing.tsa import MAX_REQUEST_OCTETS, TimeStampAuthority
from tests.conftest import SteppingClock
from tests.ocsp.test_mutants import mutants
from tests.signing.town import Town

GRANTED = {"status": "granted", "status_string": None, "fail_info": None}
DIGESTS = ("sha256", "sha384", "sha512")
IMPRINT = {name: hashlib.new(name, b"a tax return").digest() for name in (*DIGESTS, "sha1", "sha224")}
OIDS = {"sha256": oids.SHA256, "sha384": oids.SHA384, "sha512": oids.SHA512, "sha1": oids.SHA1}
SIGNERS = pytest.mark.parametrize("who", ["holder", "accountant", "visitor"], ids=["RSA-2048", "P-256", "P-384"])


def imprint(name: str = "sha256", *, parameters: bytes = b"\x05\x00", digest: bytes | None = None) -> bytes:
    algorithm = der.sequence(der.object_identifier(OIDS.get(name, name)), parameters)
    return der.sequence(algorithm, der.octet_string(IMPRINT[name] if digest is None else digest))


def query(
    imprint: bytes = imprint(),
    *,
    version: int = 1,
    policy: str | None = None,
    nonce: bytes = b"",
    wants_certificate: bool = False,
    extensions: bytes = b"",
) -> bytes:
    return der.sequence(
        der.integer(version),
        imprint,
        b"" if policy is None else der.object_identifier(policy),
        nonce,
        der.boolean(True) if wants_certificate else b"",
        extensions,
    )


@dataclass
class House:
    """An authority, and what it is told by the rest of the house."""

    credential: Credential
    clock: SteppingClock
    latest: datetime
    away: JpkiError | None = None
    authority: TimeStampAuthority = field(init=False)

    def __post_init__(self) -> None:
        self.authority = TimeStampAuthority(self.stamping, self.recorded, self.clock, system_randomness)

    def stamping(self, at: datetime) -> Credential:
        assert at.microsecond == 0
        if self.away is not None:
            raise self.away
        return self.credential

    def recorded(self) -> datetime:
        return self.latest

    def token(self, octets: bytes) -> tsp.TimeStampResp:
        """Ask for what must be granted."""
        response: tsp.TimeStampResp = tsp.TimeStampResp.load(self.authority.answer(octets), strict=True)
        assert response["status"].native == GRANTED
        return response

    def info(self, octets: bytes) -> dict[str, Any]:
        content = self.token(octets)["time_stamp_token"]["content"]["encap_content_info"]["content"]
        found: dict[str, Any] = content.parsed.native
        return found

    def refusal(self, octets: bytes) -> str:
        """Ask for what must be refused, and return the one PKIFailureInfo."""
        return refusal_in(self.authority.answer(octets))


def refusal_in(answer: bytes) -> str:
    """Read a TimeStampResp that holds a rejection and nothing else."""
    reader = der.Reader(answer)
    content = reader.read(Tag.SEQUENCE)
    reader.finish()
    status = tsp.PKIStatusInfo.load(content, strict=True)
    assert status.native["status"] == "rejection"
    assert status.dump(force=True) == content
    (said,) = status.native["status_string"]
    assert said
    (failure,) = status.native["fail_info"]
    return str(failure)


@pytest.fixture
def house(town: Town, clock: SteppingClock) -> House:
    return House(town.accountant, clock, clock())


# --- the token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIGESTS)
@pytest.mark.parametrize("parameters", [b"", b"\x05\x00"], ids=["without parameters", "with NULL"])
def test_what_is_stamped_is_told_as_it_was_sent(house: House, name: str, parameters: bytes) -> None:
    asked = imprint(name, parameters=parameters)
    content = house.token(query(asked))["time_stamp_token"]["content"]["encap_content_info"]["content"]
    info = content.parsed
    assert info["message_imprint"].dump() == asked
    assert info["version"].native == "v1"
    assert info["policy"].dotted == oids.LAB_TIMESTAMP_POLICY
    assert info["accuracy"].native == {"seconds": 1, "millis": None, "micros": None}
    assert info["serial_number"].native >> 126 == 1
    assert {each for each in ("ordering", "nonce", "tsa", "extensions") if info[each].native} == set()
    # Written anew it is the same: DER, with every default left out.
    assert info.dump(force=True) == content.contents


def test_the_time_is_the_whole_second_in_utc(house: House) -> None:
    house.clock.advance(milliseconds=999)
    answer = house.authority.answer(query())
    assert b"\x18\x0f20261001030000Z" in answer


@pytest.mark.parametrize(
    "content",
    ["00", "01", "7f", "0080", "ff7f", "80", "ff", "7f" + "ff" * 19, "80" + "00" * 31],
)
def test_the_nonce_comes_back_octet_by_octet(house: House, content: str) -> None:
    nonce = der.tlv(Tag.INTEGER, bytes.fromhex(content))
    content_info = house.token(query(nonce=nonce))["time_stamp_token"]["content"]["encap_content_info"]["content"]
    assert content_info.parsed["nonce"].dump() == nonce


@pytest.mark.parametrize("wants", [True, False])
def test_the_certificate_comes_if_it_is_wanted_and_alone(house: House, town: Town, *, wants: bool) -> None:
    house.credential = replace(town.accountant, chain=(town.root.certificate,))
    signed = house.token(query(wants_certificate=wants))["time_stamp_token"]["content"]
    inside = [each.chosen.dump() for each in signed["certificates"] or ()]
    assert inside == ([town.accountant.certificate.public_bytes(Encoding.DER)] if wants else [])


@SIGNERS
def test_the_token_is_signed_and_bound_to_its_certificate(house: House, town: Town, who: str) -> None:
    signer: Credential = getattr(town, who)
    house.credential = signer
    token = house.token(query(wants_certificate=True))["time_stamp_token"]
    assert token["content_type"].native == "signed_data"
    signed = token["content"]
    assert (signed["version"].native, signed["encap_content_info"]["content_type"].native) == ("v3", "tst_info")
    (info,) = signed["signer_infos"]
    assert (info["version"].native, info["unsigned_attrs"].native) == ("v1", None)
    assert info["sid"].chosen["serial_number"].native == signer.certificate.serial_number
    attributes = {each["type"].native: each["values"] for each in info["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    assert [each.native for each in attributes["content_type"]] == ["tst_info"]
    algorithm = signature.algorithm_for(signer.key).hash
    content = signed["encap_content_info"]["content"].contents
    assert attributes["message_digest"][0].native == hashlib.new(algorithm.name, content).digest()
    (named,) = attributes["signing_certificate_v2"][0]["certs"]
    assert named["hash_algorithm"]["algorithm"].native == algorithm.name
    assert named["cert_hash"].native == signer.certificate.fingerprint(algorithm)
    signature.check(signer.key.public_key(), info["signed_attrs"].untag().dump(), info["signature"].native)


def test_a_key_that_signs_wrongly_gives_no_stamp(house: House, town: Town) -> None:
    class Broken(ec.EllipticCurvePrivateKey):
        """Signs with another key than it names."""

        def __init__(self, named: ec.EllipticCurvePublicKey) -> None:
            self._named = named
            self._other = ec.generate_private_key(ec.SECP256R1())

        def public_key(self) -> ec.EllipticCurvePublicKey:
            return self._named

        def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ANN401
            return self._other.sign(data, signature_algorithm)

        key_size = 256
        curve = ec.SECP256R1()
        exchange = private_bytes = private_numbers = __copy__ = __deepcopy__ = None  # type: ignore[assignment]

    public = town.accountant.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    house.credential = Credential(certificate=town.accountant.certificate, key=Broken(public))
    assert house.refusal(query()) == "system_failure"


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        imprint("sha1"),
        imprint("2.16.840.1.101.3.4.2.4", digest=IMPRINT["sha224"]),
        imprint("1.2.3", digest=b"x" * 32),
        imprint(parameters=b"\x05\x01\x00"),
        imprint(parameters=b"\x30\x00"),
    ],
    ids=["SHA-1", "SHA-224", "unknown", "a NULL with a content", "other parameters"],
)
def test_a_hash_that_is_weak_or_unknown_is_refused(house: House, asked: bytes) -> None:
    assert house.refusal(query(asked)) == "bad_alg"


@pytest.mark.parametrize("name", DIGESTS)
@pytest.mark.parametrize("octets", [0, 20, 31, 33, 47, 49, 63, 65])
def test_a_digest_of_another_length_is_refused(house: House, name: str, octets: int) -> None:
    assert house.refusal(query(imprint(name, digest=b"x" * octets))) == "bad_data_format"


def test_our_policy_may_be_asked_for_and_no_other(house: House) -> None:
    assert house.info(query(policy=oids.LAB_TIMESTAMP_POLICY))["policy"] == oids.LAB_TIMESTAMP_POLICY
    for other in (oids.LAB_SIGNING_POLICY, oids.LAB_INFRASTRUCTURE_POLICY, "1.2.3"):
        assert house.refusal(query(policy=other)) == "unaccepted_policy"


@pytest.mark.parametrize("critical", [b"", der.boolean(True)], ids=["not critical", "critical"])
def test_no_extension_is_supported(house: House, critical: bytes) -> None:
    extension = der.sequence(der.object_identifier("1.2.3.4"), critical, der.octet_string(b"x"))
    assert house.refusal(query(extensions=der.tlv(der.context(0), extension))) == "unaccepted_extensions"


@pytest.mark.parametrize("version", [0, 2, 256])
def test_another_version_is_refused(house: House, version: int) -> None:
    assert house.refusal(query(version=version)) == "bad_request"


MALFORMED = {
    "nothing": b"",
    "one octet": b"\x30",
    "an empty sequence": b"\x30\x00",
    "octets behind": query() + b"\x00",
    "an indefinite length": b"\x30\x80" + query()[2:] + b"\x00\x00",
    "a long length": b"\x30\x81" + query()[1:],
    "FALSE written out": der.sequence(der.integer(1), imprint(), der.boolean(False)),
    "a TRUE of BER": der.sequence(der.integer(1), imprint(), b"\x01\x01\x01"),
    "a padded nonce": query(nonce=b"\x02\x02\x00\x01"),
    "an empty nonce": query(nonce=b"\x02\x00"),
    "a padded version": der.sequence(b"\x02\x02\x00\x01", imprint()),
    "fields exchanged": der.sequence(der.integer(1), imprint(), der.boolean(True), der.integer(5)),
    "something behind the digest": query(der.sequence(imprint()[2:], der.integer(1))),
    "a request in itself": der.sequence(query()),
    "text": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_der_of_a_request_is_refused(house: House, octets: bytes) -> None:
    assert house.refusal(octets) == "bad_data_format"


def test_a_request_of_the_largest_size_is_answered_and_a_larger_one_is_not(house: House) -> None:
    room = MAX_REQUEST_OCTETS - len(query(nonce=der.integer(1 << 8 * 300))) + 301
    largest = query(nonce=der.tlv(Tag.INTEGER, b"\x01" * room))
    assert len(largest) == MAX_REQUEST_OCTETS
    assert house.info(largest)["nonce"] == int.from_bytes(b"\x01" * room)
    assert house.refusal(query(nonce=der.tlv(Tag.INTEGER, b"\x01" * (room + 1)))) == "bad_data_format"


FULL = query(policy=oids.LAB_TIMESTAMP_POLICY, nonce=der.integer(2**63 + 5), wants_certificate=True)
QUERIES = {"the least": query(), "SHA-512": query(imprint("sha512", parameters=b"")), "all fields": FULL}


def is_granted(answer: bytes) -> bool:
    status = der.Reader(der.Reader(answer).read(Tag.SEQUENCE)).read_element(Tag.SEQUENCE)
    return bool(tsp.PKIStatusInfo.load(status, strict=True).native == GRANTED)


def check(answer: bytes, asked: bytes) -> bool:
    """Require that what is granted is what asn1crypto reads in the request, and else a rejection; tell which."""
    if not is_granted(answer):
        refusal_in(answer)
        return False
    request = tsp.TimeStampReq.load(asked, strict=True)
    # Written anew it is the same: no octet of it was passed over.
    assert request.dump(force=True) == asked
    response = tsp.TimeStampResp.load(answer, strict=True)
    assert response["status"].native == GRANTED
    signed = response["time_stamp_token"]["content"]
    info = signed["encap_content_info"]["content"].parsed
    assert request["version"].native == "v1"
    assert info["message_imprint"].dump() == request["message_imprint"].dump()
    algorithm = request["message_imprint"]["hash_algorithm"]["algorithm"].native
    assert len(request["message_imprint"]["hashed_message"].native) == hashlib.new(algorithm).digest_size
    assert algorithm in DIGESTS
    assert info["nonce"].native == request["nonce"].native
    assert request["req_policy"].native in {None, oids.LAB_TIMESTAMP_POLICY}
    assert request["extensions"].native is None
    assert bool(signed["certificates"]) == request["cert_req"].native
    return True


@pytest.mark.slow
@pytest.mark.parametrize("asked", QUERIES.values(), ids=QUERIES)
def test_a_mutant_is_refused_or_its_own_request_is_granted(house: House, asked: bytes, *, at_length: bool) -> None:
    """In `make test` every fifth mutant."""
    some = list(mutants(asked))[:: 1 if at_length else 5]
    granted = [mutant for mutant in some if check(house.authority.answer(mutant), mutant)]
    # Some ask for another digest or with another nonce: to refuse them all would prove nothing.
    assert granted


@given(data=st.data())
def test_octets_changed_in_several_places_never_raise(town: Town, data: st.DataObject) -> None:
    house = _house_of(town)
    octets = bytearray(data.draw(st.sampled_from(list(QUERIES.values()))))
    places = data.draw(st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(0, 255)), max_size=6))
    for at, octet in places:
        octets[at] = octet
    cut = data.draw(st.integers(0, len(octets)))
    for mutant in (bytes(octets), bytes(octets[:cut]), bytes(octets[cut:])):
        check(house.authority.answer(mutant), mutant)


@given(octets=st.binary(max_size=200))
def test_garbage_never_raises_and_is_never_granted(town: Town, octets: bytes) -> None:
    house = _house_of(town)
    for garbage in (octets, der.sequence(octets), der.sequence(der.integer(1), octets)):
        house.refusal(garbage)


def _house_of(town: Town) -> House:
    clock = SteppingClock(datetime.fromisoformat("2026-10-01T03:00:00Z"))
    return House(town.accountant, clock, clock())


# --- the clock, the key and the ledger -----------------------------------------------------------------------------


def test_r22_a_clock_behind_the_ledger_stops_time_stamping(house: House) -> None:
    house.latest = house.clock() + timedelta(seconds=2)
    house.token(query())
    house.latest += timedelta(milliseconds=1)
    assert house.refusal(query()) == "time_not_available"
    with pytest.raises(JpkiError) as refused:
        house.authority.require_ready()
    assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "clock-went-back")
    house.clock.advance(seconds=1)
    house.token(query())


def test_r22_a_clock_that_goes_back_between_stamps_stops_time_stamping(house: House) -> None:
    house.clock.advance(hours=1)
    house.token(query())
    house.clock.advance(seconds=-2)
    house.token(query())
    house.clock.advance(milliseconds=-1)
    assert house.refusal(query()) == "time_not_available"
    # What was refused moved nothing: the clock must come back to where the last stamp was.
    house.clock.advance(milliseconds=1)
    house.token(query())


@pytest.mark.parametrize("kind", [Kind.UNAVAILABLE, Kind.FORBIDDEN, Kind.INTERNAL])
def test_a_key_or_a_ledger_that_is_away_is_a_system_failure(house: House, kind: Kind) -> None:
    house.away = JpkiError(kind, "some-outage", Text("見本　花子", "Hanako"), Text("-", "-"))
    answer = house.authority.answer(query())
    assert refusal_in(answer) == "system_failure"
    assert b"Hanako" not in answer
    house.away = None
    house.token(query())


def test_an_outage_is_logged_by_its_code_alone(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.away = JpkiError(Kind.UNAVAILABLE, "some-outage", Text("見本　花子", "Hanako"), Text("-", "-"))
    house.refusal(query())
    assert [record.getMessage() for record in caplog.records] == ["no time-stamp: some-outage"]


def test_serials_are_unique_and_random_across_threads(house: House) -> None:
    with ThreadPoolExecutor(4) as pool:
        serials = list(pool.map(lambda _: house.info(query())["serial_number"], range(300)))
    assert len(set(serials)) == 300
    ones = sum((serial & ((1 << 126) - 1)).bit_count() for serial in serials)
    assert abs(ones - 300 * 63) < 6 * (300 * 126) ** 0.5 / 2


# --- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def post(house: House) -> Callable[..., Any]:
    app = Flask(__name__)
    app.register_blueprint(make_time_stamp_blueprint(house.authority))
    client = app.test_client()
    return lambda octets, **options: client.post("/tsa", data=octets, **options)


@pytest.mark.parametrize("content_type", ["application/timestamp-query", "text/plain", None])
def test_the_octets_decide_whatever_the_content_type(post: Callable[..., Any], content_type: str | None) -> None:
    given = post(FULL, content_type=content_type)
    assert (given.status_code, given.headers["Content-Type"]) == (200, "application/timestamp-reply")
    assert given.headers["Cache-Control"] == "no-store"
    assert check(given.data, FULL)


def test_a_rejection_is_a_reply_like_any_other(post: Callable[..., Any]) -> None:
    for octets in (b"", b"garbage", FULL[:-1], bytes(10 * MAX_REQUEST_OCTETS)):
        given = post(octets)
        assert (given.status_code, given.headers["Content-Type"]) == (200, "application/timestamp-reply")
        assert refusal_in(given.data) == "bad_data_format"


def test_a_body_is_read_no_further_than_the_cap(post: Callable[..., Any]) -> None:
    class Body:
        """A body without an end."""

        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.taken += size
            return b"\x30" * size

        def readline(self, size: int = -1) -> bytes:
            return self.read(size)

        def close(self) -> None:
            """Nothing is open."""

    body = Body()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    given = post(None, environ_overrides=environ)
    assert refusal_in(given.data) == "bad_data_format"
    assert body.taken <= 2 * MAX_REQUEST_OCTETS
