"""What is signed here verifies here, in every format and with every kind of key."""

import logging

import pytest

from jpki.errors import JpkiError
from signing.credential import Credential
from signing.intake import Format
from signing.report import SignedAt, TimeProof
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.verdict import Cause, Decision, Indication
from tests.signing.conftest import Judge
from tests.signing.town import HOLDER_NAME, NOW, Town, make_authentication_certificate, make_certificate

PDF = tax_return_pdf(["Income tax return (sample)", r"with (parentheses) and \ backslashes"])
DOCUMENTS = {
    Format.PDF: PDF,
    Format.PADES: PDF,
    Format.XML: tax_return_xtx(f"{HOLDER_NAME} & <Co>", 2025),
    Format.CMS: b"any content at all",
}
FORMATS = list(DOCUMENTS)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("signer", ["holder", "accountant", "visitor"])
def test_a_signature_is_accepted(town: Town, judge: Judge, form: Format, signer: str) -> None:
    credential: Credential = getattr(town, signer)
    verdict = judge(sign(DOCUMENTS[form], credential, form, NOW), town.validation())
    assert verdict.decision is Decision.ACCEPT, verdict
    (signature,) = verdict.signatures
    assert signature.indication is Indication.TOTAL_PASSED
    assert signature.signed_at == (None if form is Format.XML else SignedAt(NOW, TimeProof.CLAIMED))
    assert signature.signer is not None
    assert signature.signer.trust_domain == "lab"


@pytest.mark.parametrize("form", [Format.PDF, Format.PADES, Format.XML])
def test_several_parallel_signatures_are_all_accepted(town: Town, judge: Judge, form: Format) -> None:
    document = DOCUMENTS[form]
    for credential in (town.holder, town.accountant, town.visitor):
        document = sign(document, credential, form, NOW)
    verdict = judge(document, town.validation())
    assert [signature.decision for signature in verdict.signatures] == [Decision.ACCEPT] * 3


@pytest.mark.parametrize("form", FORMATS)
def test_an_authentication_certificate_does_not_sign_unless_forced_and_is_refused_then(
    town: Town, judge: Judge, form: Format
) -> None:
    misused = town.credential(make_authentication_certificate(town.holder.key, town.root))
    with pytest.raises(JpkiError) as caught:
        sign(DOCUMENTS[form], misused, form, NOW)
    assert caught.value.code == "not-a-signing-certificate"
    verdict = judge(sign(DOCUMENTS[form], misused, form, NOW, force=True), town.validation())
    assert verdict.decision is Decision.REFUSE
    assert {check.cause for check in verdict.signatures[0].checks} >= {Cause.WRONG_KIND, Cause.WRONG_POLICY}
    assert "authentication certificate" in verdict.sentence.en


@pytest.mark.parametrize("form", FORMATS)
def test_r21_no_library_logs_what_a_document_says(
    town: Town, judge: Judge, form: Format, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    signed = sign(DOCUMENTS[form], town.holder, form, NOW)
    judge(signed, town.validation(show=True))
    judge(signed + b"changed", town.validation())
    assert {record.name for record in caplog.records} <= {"asyncio"}


def test_a_key_that_is_not_the_certificates_is_refused(town: Town) -> None:
    with pytest.raises(JpkiError) as caught:
        Credential(certificate=town.holder.certificate, key=town.visitor.key)
    assert caught.value.code == "key-mismatch"


def test_a_signing_policy_of_elsewhere_does_not_sign(town: Town) -> None:
    foreign = town.credential(make_certificate(town.holder.key, town.root, policy="1.2.3.4"))
    with pytest.raises(JpkiError):
        sign(b"", foreign, Format.CMS, NOW)


@pytest.mark.parametrize(
    ("form", "document", "code"),
    [
        (Format.PDF, b"%PDF-1.7 and nothing else", "pdf-unreadable"),
        (Format.PDF, b"", "pdf-unreadable"),
        (Format.XML, b"<DATA>", "xml-unreadable"),
        (Format.XML, b"<DATA/>", "not-an-etax-document"),
        (Format.XML, b"<DATA><RKO0010/></DATA>", "not-an-etax-document"),
        (Format.XML, b'<OTHER><RKO0010 id="a"/></OTHER>', "not-an-etax-document"),
        (Format.XML, b'<DATA><RKO0010 id="a"/><RKO0020 id="b"/></DATA>', "not-an-etax-document"),
        (Format.XML, b'<DATA id="a"><RKO0010 id="a"/></DATA>', "not-an-etax-document"),
        (Format.XML, b'<!DOCTYPE DATA []><DATA><RKO0010 id="a"/></DATA>', "xml-dtd"),
    ],
)
def test_what_cannot_be_signed_is_refused(town: Town, form: Format, document: bytes, code: str) -> None:
    with pytest.raises(JpkiError) as caught:
        sign(document, town.holder, form, NOW)
    assert caught.value.code == code
