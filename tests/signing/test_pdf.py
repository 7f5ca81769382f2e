"""PDF: what may follow a signature and what may not, and the forms in which real signers write theirs."""

# mypy: allow-untyped-calls
# pyHanko's PDF layer bears no types.

from io import BytesIO
from time import perf_counter

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import NumberObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from jpki.errors import JpkiError
from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf
from signing.sign import sign
from signing.verdict import Cause, Decision, SubIndication
from tests.signing import odd_cms
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import NOW, Town

PLAIN = tax_return_pdf(["Income tax return (sample)", "Income 3000000"])


@pytest.fixture(scope="session")
def signed(town: Town) -> bytes:
    return sign(PLAIN, town.holder, Format.PDF, NOW)


def test_an_altered_page_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    verdict = judge(signed.replace(b"Income 3000000", b"Income 1000000"), town.validation())
    assert verdict.decision is Decision.REFUSE
    assert verdict.signatures[0].sub_indication is SubIndication.HASH_FAILURE
    assert "altered" in verdict.sentence.en


@pytest.mark.parametrize(
    "appended",
    [
        b"junk",
        b"9 0 obj << /Evil true >> endobj",
        b"9 0 obj << /Evil true >> endobj\nstartxref\n%START%\n%%EOF\n",
    ],
)
def test_octets_behind_the_last_revision_are_refused(town: Town, judge: Judge, signed: bytes, appended: bytes) -> None:
    start = signed.rsplit(b"startxref", 1)[1].split()[0]
    verdict = judge(signed + appended.replace(b"%START%", start), town.validation())
    assert verdict.decision is Decision.REFUSE


def test_octets_behind_an_allowed_later_revision_are_refused(town: Town, judge: Judge, signed: bytes) -> None:
    twice = sign(signed, town.accountant, Format.PDF, NOW)
    start = twice.rsplit(b"startxref", 1)[1].split()[0]
    for evil in (b"9 0 obj << /Evil true >> endobj", b"9 0 obj << /Evil true >>"):
        verdict = judge(twice + evil + b"\nstartxref\n" + start + b"\n%%EOF\n", town.validation())
        assert [Cause.CHANGED_AFTER_SIGNING in found for found in causes(verdict)] == [True, True]


def test_a_page_changed_in_an_update_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    writer = IncrementalPdfFileWriter(BytesIO(signed))
    page = writer.root["/Pages"]["/Kids"][0]
    page[pdf_name("/Rotate")] = NumberObject(180)
    writer.update_container(page)
    target = BytesIO()
    writer.write(target)
    verdict = judge(target.getvalue(), town.validation())
    assert causes(verdict) == [{Cause.CHANGED_AFTER_SIGNING}]


def test_the_worst_of_several_signatures_counts(town: Town, judge: Judge, signed: bytes) -> None:
    broken = signed.replace(b"Income 3000000", b"Income 1000000")
    verdict = judge(sign(broken, town.accountant, Format.PDF, NOW), town.validation())
    assert [one.decision for one in verdict.signatures] == [Decision.REFUSE, Decision.ACCEPT]
    assert verdict.decision is Decision.REFUSE


def test_an_end_that_nobody_signed_is_refused(town: Town, judge: Judge, signed: bytes) -> None:
    def make_cms(digest: bytes) -> bytes:
        return odd_cms.without_attributes(town.holder, SHA256(), digest, None)

    whole = odd_cms.leave_out_the_end(signed, 0, make_cms)
    assert judge(whole, town.validation()).decision is Decision.ACCEPT
    verdict = judge(odd_cms.leave_out_the_end(signed, 6, make_cms), town.validation())
    assert Cause.NOT_COVERED in causes(verdict)[0]


def test_a_certified_document_permits_no_further_signature(town: Town, judge: Judge) -> None:
    certified = odd_cms.embed(
        PLAIN, SHA256(), lambda digest: odd_cms.without_attributes(town.holder, SHA256(), digest, None), certify=True
    )
    assert judge(certified, town.validation()).decision is Decision.ACCEPT
    verdict = judge(sign(certified, town.accountant, Format.PDF, NOW), town.validation())
    assert causes(verdict) == [{Cause.CHANGED_AFTER_SIGNING}, set()]


def test_a_long_tail_is_not_searched_through(town: Town, judge: Judge, signed: bytes) -> None:
    begin = perf_counter()
    verdict = judge(signed + b"x" * 8 * 1024 * 1024, town.validation())
    assert verdict.decision is Decision.REFUSE
    assert perf_counter() - begin < 2


@pytest.mark.parametrize("wrap", [bytes, odd_cms.indefinite], ids=["der", "ber"])
def test_a_signature_without_attributes_is_accepted(town: Town, judge: Judge, wrap: type[bytes]) -> None:
    document = odd_cms.embed(
        PLAIN, SHA256(), lambda digest: wrap(odd_cms.without_attributes(town.holder, SHA256(), digest, None))
    )
    verdict = judge(document, town.validation())
    assert verdict.decision is Decision.ACCEPT, verdict
    assert verdict.signatures[0].signed_at is None
    altered = document.replace(b"Income 3000000", b"Income 1000000")
    assert judge(altered, town.validation()).decision is Decision.REFUSE


def test_content_inside_a_detached_signature_is_refused(town: Town, judge: Judge) -> None:
    document = odd_cms.embed(
        PLAIN, SHA256(), lambda digest: odd_cms.without_attributes(town.holder, SHA256(), digest, b"x")
    )
    assert causes(judge(document, town.validation())) == [{Cause.MALFORMED}]


def test_an_unknown_sub_filter_is_undecided_and_never_passed_over(town: Town, judge: Judge, signed: bytes) -> None:
    foreign = signed.replace(b"/adbe.pkcs7.detached", b"/adbe.pkcs7.exotic00")
    verdict = judge(sign(foreign, town.accountant, Format.PDF, NOW), town.validation())
    assert [one.decision for one in verdict.signatures] == [Decision.UNDECIDED, Decision.ACCEPT]


def test_an_unsigned_pdf_has_no_verdict(town: Town, judge: Judge) -> None:
    verdict = judge(PLAIN, town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert verdict.signatures == ()


def test_an_encrypted_pdf_is_neither_read_nor_signed(town: Town, judge: Judge) -> None:
    sealed = copy_into_new_writer(PdfFileReader(BytesIO(PLAIN)))
    sealed.encrypt("owner", "user")
    target = BytesIO()
    sealed.write(target)
    verdict = judge(target.getvalue(), town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "encrypted" in verdict.sentence.en
    with pytest.raises(JpkiError) as caught:
        sign(target.getvalue(), town.holder, Format.PDF, NOW)
    assert caught.value.code == "pdf-unreadable"


def test_a_chain_comes_along_and_the_signers_certificate_is_told_apart(town: Town, judge: Judge) -> None:
    chained = Credential(certificate=town.holder.certificate, key=town.holder.key, chain=(town.root.certificate,))
    verdict = judge(sign(PLAIN, chained, Format.PDF, NOW), town.validation())
    assert verdict.decision is Decision.ACCEPT


@settings(max_examples=40, deadline=None)
@given(position=st.floats(0, 1), octet=st.integers(1, 255))
def test_no_flipped_octet_is_accepted_unless_it_carries_no_meaning(
    town: Town, judge: Judge, signed: bytes, position: float, octet: int
) -> None:
    at = int(position * (len(signed) - 1))
    start = signed.rindex(b"/Contents <") + len(b"/Contents ")
    end = signed.index(b">", start)
    flipped = bytearray(signed)
    flipped[at] ^= octet
    # Within the value itself, letters may change case and the padding may change: neither touches what is signed.
    if not start <= at <= end:
        assert judge(bytes(flipped), town.validation()).decision is not Decision.ACCEPT
