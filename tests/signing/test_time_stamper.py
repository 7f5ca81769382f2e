"""Asking a time-stamp authority: whatever it answers is a sound time-stamp of this request, or an error and no file."""

import contextlib
import hashlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from jpki import der
from jpki.der import Tag
from jpki.errors import JpkiError, Kind
from jpki.randomness import system_randomness
from signing.intake import Format
from signing.sign import sign
from signing.time_stamp import read_token
from signing.time_stamper import LARGEST_TOKEN, Ask, Level, Stamping, TimeStamper
from tests.signing.stamps import DAY, DOCUMENTS, STAMPED_FORMATS, Clockhouse, make_clockhouse
from tests.signing.test_preservation import nothing
from tests.signing.town import NOW, Town

DIGEST = hashlib.sha256(b"a signature value").digest()


@pytest.fixture(scope="session")
def house() -> Clockhouse:
    return make_clockhouse()


def asked(house: Clockhouse, ask: Ask) -> TimeStamper:
    return TimeStamper(ask, system_randomness, (house.root.anchor,))


def failure(stamper: TimeStamper) -> JpkiError:
    with pytest.raises(JpkiError) as caught:
        stamper.stamp(DIGEST)
    assert caught.value.problem.ja != caught.value.problem.en
    assert caught.value.action.ja != caught.value.action.en
    return caught.value


def granted(token: bytes, status: int = 0) -> bytes:
    return der.sequence(der.sequence(der.integer(status)), token)


def refused(*bits: int, status: int = 2) -> bytes:
    """Return a rejection whose PKIFailureInfo sets these bits (RFC 3161 2.4.2)."""
    value = bytearray(4)
    for bit in bits:
        value[bit // 8] |= 0x80 >> bit % 8
    return der.sequence(der.sequence(der.integer(status), der.bit_string(bytes(value))))


def test_a_token_is_over_the_digest_and_brings_its_certificate(house: Clockhouse) -> None:
    token = read_token(house.stamper().stamp(DIGEST))
    assert (token.digest_name, token.digest, token.made_at) == ("sha256", DIGEST, NOW)
    assert token.signer == house.unit.certificate
    assert house.stamper(trusted=False).stamp(DIGEST)


def test_each_request_has_a_nonce_of_its_own(house: Clockhouse) -> None:
    stamper = house.stamper()
    nonces = {read_token(stamper.stamp(DIGEST)).nonce for _ in range(20)}
    assert len(nonces) == 20
    assert None not in nonces


def odd_answers() -> dict[str, tuple[Callable[[Clockhouse], Ask], str]]:
    client = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])

    def replayed(house: Clockhouse) -> Ask:
        return lambda _: granted(house.token(NOW, DIGEST))

    def of_other_content(house: Clockhouse) -> Ask:
        def ask(request: bytes) -> bytes:
            return house.answer(NOW)(request.replace(DIGEST, b"x" * 32))

        return ask

    def without_certificate(house: Clockhouse) -> Ask:
        return lambda request: house.answer(NOW)(_without_certificate(request))

    return {
        "nothing": (lambda _: lambda _: b"", "tsa-answer-malformed"),
        "garbage": (lambda _: lambda _: b"<html>", "tsa-answer-malformed"),
        "no token": (lambda _: lambda _: granted(b""), "tsa-answer-malformed"),
        "garbage for a token": (lambda _: lambda _: granted(b"\x30\x03abc"), "tsa-answer-malformed"),
        "octets behind": (lambda house: lambda request: house.answer(NOW)(request) + b"\0", "tsa-answer-malformed"),
        "a flipped octet": (lambda house: lambda request: _flipped(house.answer(NOW)(request)), "tsa-answer-malformed"),
        "too large": (lambda _: lambda _: granted(der.octet_string(bytes(LARGEST_TOKEN))), "tsa-answer-too-large"),
        "another nonce": (replayed, "tsa-answer-mismatched"),
        "other content": (of_other_content, "tsa-answer-mismatched"),
        "no certificate": (without_certificate, "tsa-untrusted"),
        "another usage": (lambda house: house.with_unit(usage=client).answer(NOW), "tsa-untrusted"),
        "an ended certificate": (lambda house: house.with_unit(not_after=NOW - DAY).answer(NOW), "tsa-untrusted"),
        "another root": (lambda _: make_clockhouse().answer(NOW), "tsa-untrusted"),
        "a rejection": (lambda _: lambda _: refused(0), "tsa-refused"),
        "a rejection without a reason": (lambda _: lambda _: granted(b"", status=2), "tsa-refused"),
        "waiting": (lambda _: lambda _: granted(b"", status=3), "tsa-refused"),
    }


def _flipped(answer: bytes) -> bytes:
    return answer[:-1] + bytes((answer[-1] ^ 1,))


def _without_certificate(request: bytes) -> bytes:
    """Leave certReq out, as if it had not been asked for."""
    content = der.Reader(request).read(Tag.SEQUENCE)
    return der.sequence(content.removesuffix(der.boolean(True)))


ODD = odd_answers()


@pytest.mark.parametrize("name", list(ODD))
def test_an_odd_answer_is_an_error_that_names_it(house: Clockhouse, name: str) -> None:
    make, code = ODD[name]
    error = failure(asked(house, make(house)))
    kind = Kind.TOO_LARGE if name == "too large" else Kind.UNPROCESSABLE
    assert (error.code, error.kind) == (code, kind)


@pytest.mark.parametrize(("bit", "named"), [(14, "time-not-available"), (25, "system-failure")])
def test_a_failure_that_passes_is_worth_another_try(house: Clockhouse, bit: int, named: str) -> None:
    error = failure(asked(house, lambda _: refused(bit)))
    assert (error.code, error.kind) == ("tsa-refused", Kind.UNAVAILABLE)
    assert named in error.problem.en
    assert named in error.problem.ja


def test_a_refusal_names_every_reason(house: Clockhouse) -> None:
    assert "bad-alg unaccepted-policy" in failure(asked(house, lambda _: refused(0, 15))).problem.en
    assert "(3)" in failure(asked(house, lambda _: refused(3))).problem.en


@given(changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
def test_octets_changed_anywhere_are_found_or_change_nothing(
    house: Clockhouse, changes: list[tuple[float, int]]
) -> None:
    def ask(request: bytes) -> bytes:
        answer = bytearray(house.answer(NOW)(request))
        for place, octet in changes:
            answer[int(place * len(answer))] ^= octet
        return bytes(answer)

    with contextlib.suppress(JpkiError):
        token = read_token(asked(house, ask).stamp(DIGEST))
        assert (token.digest, token.made_at) == (DIGEST, NOW)


@pytest.mark.parametrize("form", [Format.PDF, *STAMPED_FORMATS])
def test_what_cannot_be_stamped_is_not_signed(town: Town, house: Clockhouse, form: Format) -> None:
    document = DOCUMENTS[Format.PADES if form is Format.PDF else form]
    for ask, code in ((ODD["garbage"][0](house), "tsa-answer-malformed"), (lambda _: refused(25), "tsa-refused")):
        stamping = Stamping(stamper=asked(house, ask), collect=nothing, level=Level.T)
        with pytest.raises(JpkiError) as caught:
            sign(document, town.holder, form, NOW, stamping=stamping)
        assert caught.value.code == code
