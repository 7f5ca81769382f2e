"""CMS files: content inside, DER, BER or PEM; what is missing, posing, or unknown in them."""

import base64
import time
from io import BytesIO

import pytest
from asn1crypto import tsp
from hypothesis import given
from hypothesis import strategies as st

from jpki.errors import JpkiError
from signing.caps import MOST_CERTIFICATES
from signing.cms_writer import write_detached, write_stamped, write_time_stamp
from signing.credential import Credential
from signing.intake import Format
from signing.policies import GENERAL
from signing.report import FileVerdict
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.time_stamper import StampDigest
from signing.validation import Validation
from signing.verdict import Cause, Decision
from signing.verify import judge as judge_open
from tests.signing import odd_cms
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import NOW, Town

CONTENT = b"the signed content"


def test_altered_content_is_refused(town: Town, judge: Judge) -> None:
    signed = sign(CONTENT, town.holder, Format.CMS, NOW)
    verdict = judge(signed.replace(CONTENT, CONTENT.upper()), town.validation())
    assert causes(verdict) == [{Cause.ALTERED}]


def test_altered_attributes_are_refused(town: Town, judge: Judge) -> None:
    signed = sign(CONTENT, town.holder, Format.CMS, NOW)
    verdict = judge(signed.replace(b"261123030000Z", b"251123030000Z"), town.validation())
    assert causes(verdict) == [{Cause.SIGNATURE_WRONG}]


def test_indefinite_lengths_and_pem_are_read(town: Town, judge: Judge) -> None:
    signed = sign(CONTENT, town.holder, Format.CMS, NOW)
    assert judge(odd_cms.indefinite(signed), town.validation()).decision is Decision.ACCEPT
    armoured = b"-----BEGIN CMS-----\n" + base64.encodebytes(signed) + b"-----END CMS-----\n"
    assert judge(armoured, town.validation()).decision is Decision.ACCEPT


@pytest.mark.parametrize("content", [tax_return_pdf(["Income"]), tax_return_xtx("見本", 2025)], ids=["PDF", "XML"])
def test_cms_around_another_format_is_cms(town: Town, judge: Judge, content: bytes) -> None:
    signed = sign(content, town.holder, Format.CMS, NOW)
    assert judge(signed, town.validation()).decision is Decision.ACCEPT
    assert judge(odd_cms.indefinite(signed), town.validation()).decision is Decision.ACCEPT
    assert causes(judge(signed[:-20] + b"." + signed[-19:], town.validation())) != [set()]


def test_detached_cms_is_undecided_as_its_content_is_elsewhere(town: Town, judge: Judge) -> None:
    verdict = judge(write_detached(b"x" * 32, town.holder, NOW), town.validation())
    assert causes(verdict) == [{Cause.CONTENT_ABSENT}]
    assert verdict.decision is Decision.UNDECIDED


def token_of(octets: int, town: Town) -> bytes:
    """Return a time-stamp token that is longer by so many octets, of an extension that nobody knows."""
    said = {"extn_id": "2.25.1", "critical": False, "extn_value": bytes(octets)}
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": bytes(32)}
    info = {"version": "v1", "policy": "2.25.1", "message_imprint": imprint, "serial_number": 1, "gen_time": NOW}
    return write_time_stamp(tsp.TSTInfo(info | {"extensions": [said]}).dump(), town.holder, with_certificate=True)


def with_token(token: bytes) -> StampDigest:
    return lambda _: token


def test_no_length_makes_a_stamped_signature_slow(town: Town) -> None:
    """asn1crypto takes a length that ends in 80 for an indefinite one, and wrote such messages in ten seconds."""
    tokens = [token_of(octets, town) for octets in range(256)]
    assert any(token[3] == 0x80 for token in tokens)
    for token in tokens:
        begun = time.process_time()
        signed = write_stamped(CONTENT, town.holder, NOW, with_token(token), detached=False)
        assert time.process_time() - begun < 1
        assert token in signed


# --- a signature beside its document ---------------------------------------------------------------------------------


def beside(signed: bytes, content: bytes, validation: Validation) -> FileVerdict:
    return judge_open(BytesIO(signed), validation, GENERAL, BytesIO(content))


@pytest.mark.parametrize("size", [0, 1, 3 * 1024 * 1024])
def test_a_signature_beside_its_document_is_over_that_document(town: Town, size: int) -> None:
    content = CONTENT * (size // len(CONTENT)) + b"." * (size % len(CONTENT))
    signed = sign(content, town.holder, Format.CMS, NOW, detached=True)
    assert len(signed) < 10_000
    verdict = beside(signed, content, town.validation())
    assert verdict.decision is Decision.ACCEPT
    assert causes(beside(signed, content + b".", town.validation())) == [{Cause.ALTERED}]


def test_the_document_that_is_given_counts_and_not_the_one_inside(town: Town) -> None:
    signed = sign(CONTENT, town.holder, Format.CMS, NOW)
    assert beside(signed, CONTENT, town.validation()).decision is Decision.ACCEPT
    assert causes(beside(signed, b"another", town.validation())) == [{Cause.ALTERED}]


def test_attributes_that_pose_as_the_document_are_refused(town: Town) -> None:
    """What lies apart may pose as well as what lies inside."""
    forged, content = odd_cms.taken_apart(odd_cms.from_attributes(sign(CONTENT, town.holder, Format.CMS, NOW)))
    assert causes(beside(forged, content, town.validation())) == [{Cause.MALFORMED}]


@pytest.mark.parametrize("form", [Format.PDF, Format.XML])
def test_no_other_format_signs_another_file(town: Town, form: Format) -> None:
    plain = tax_return_pdf(["Income"]) if form is Format.PDF else tax_return_xtx("見本", 2025)
    verdict = beside(sign(plain, town.holder, form, NOW), plain, town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "very file" in verdict.sentence.en
    with pytest.raises(JpkiError, match="detached-of-cms-only"):
        sign(plain, town.holder, form, NOW, detached=True)


# --- odd messages ----------------------------------------------------------------------------------------------------


def test_attributes_that_pose_as_content_are_refused(town: Town, judge: Judge) -> None:
    forged = odd_cms.from_attributes(sign(CONTENT, town.holder, Format.CMS, NOW))
    verdict = judge(forged, town.validation())
    assert causes(verdict) == [{Cause.MALFORMED}]


def test_a_binding_to_another_certificate_is_refused(town: Town, judge: Judge) -> None:
    signed = sign(CONTENT, town.holder, Format.CMS, NOW)
    bound = odd_cms.bound_to(signed, town.holder, town.holder.certificate)
    assert judge(bound, town.validation()).decision is Decision.ACCEPT
    misbound = odd_cms.bound_to(signed, town.holder, town.visitor.certificate)
    verdict = judge(misbound, town.validation())
    assert causes(verdict) == [{Cause.WRONG_BINDING}]
    assert verdict.decision is Decision.REFUSE


def test_sha1_is_weak_and_an_unknown_algorithm_refused(town: Town, judge: Judge) -> None:
    weak = judge(odd_cms.with_sha1(town.holder, CONTENT), town.validation())
    assert causes(weak) == [{Cause.WEAK_ALGORITHM}]
    unknown = judge(odd_cms.with_unknown_algorithm(town.holder, CONTENT), town.validation())
    assert causes(unknown) == [{Cause.UNKNOWN_ALGORITHM}]
    assert unknown.decision is Decision.REFUSE


def test_a_crowd_of_certificates_is_not_read(town: Town, judge: Judge) -> None:
    crowd = (town.root.certificate,) * MOST_CERTIFICATES
    crowded = Credential(certificate=town.holder.certificate, key=town.holder.key, chain=crowd)
    verdict = judge(sign(CONTENT, crowded, Format.CMS, NOW), town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "certificates" in verdict.sentence.en


@given(octets=st.binary(max_size=300))
def test_garbage_is_never_accepted_and_never_raises(town: Town, judge: Judge, octets: bytes) -> None:
    for head in (b"", b"%PDF-1.7\n", b"<DATA>", b"\x30\x82"):
        verdict = judge(head + octets, town.validation())
        assert verdict.decision in {Decision.UNREADABLE, Decision.REFUSE}


@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_never_accepted(town: Town, judge: Judge, cut: float) -> None:
    signed = sign(CONTENT, town.visitor, Format.CMS, NOW)
    verdict = judge(signed[: int(len(signed) * cut)], town.validation())
    assert verdict.decision in {Decision.UNREADABLE, Decision.REFUSE}


def test_deep_nesting_is_refused(town: Town, judge: Judge) -> None:
    nested = b"\x30\x80" * 50_000 + bytes.fromhex("06092a864886f70d010702")
    assert judge(nested, town.validation()).decision is Decision.REFUSE
    deep = b"<DATA>" * 5_000 + b'<x xmlns="http://www.w3.org/2000/09/xmldsig#"/>' + b"</DATA>" * 5_000
    assert judge(deep, town.validation()).decision is not Decision.ACCEPT
    pdf = b"%PDF-1.7\n1 0 obj\n" + b"[" * 50_000 + b"/ByteRange\ntrailer << /Root 1 0 R >>\nstartxref\n9\n%%EOF"
    assert judge(pdf, town.validation()).decision is Decision.REFUSE
