"""The report of ETSI TS 119 102-2: it says what the verdict says, and others can read it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree
from pyhanko.generated.etsi import ts_11910202 as etsi
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from jpki.clock import iso
from signing.etsi_report import etsi_report
from signing.intake import Format
from signing.policies import E_TAX_STRICT, GENERAL
from signing.report import FileVerdict, Outcome, Step
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.validation import Validation
from signing.verdict import Cause
from tests.signing.conftest import Judge
from tests.signing.expect import causes
from tests.signing.town import NOW, Town, good, revoked

LATER = NOW + timedelta(hours=1)
FORMS = (Format.PDF, Format.PADES, Format.XML, Format.CMS)
STRICT = ParserConfig(fail_on_unknown_properties=True, fail_on_unknown_attributes=True, fail_on_converter_warnings=True)


def read(octets: bytes | None) -> Any:  # noqa: ANN401 - the bindings leave every element open
    """Return a report as pyHanko's bindings of the schema read it; what the schema does not know is refused."""
    assert octets is not None
    return XmlParser(config=STRICT).from_bytes(octets, etsi.ValidationReport)


def judged(judge: Judge, town: Town, form: Format, validation: Validation) -> FileVerdict:
    plain = tax_return_xtx("見本", 2025) if form is Format.XML else tax_return_pdf(["Income"])
    return judge(sign(plain, town.holder, form, NOW), validation)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", ["good", "revoked", "none"])
def test_it_says_what_the_verdict_says(town: Town, judge: Judge, form: Format, word: str) -> None:
    sources: dict[str, tuple[Any, ...]] = {"good": (good(),), "revoked": (revoked(NOW),), "none": ()}
    validation = replace(town.validation(show=True), revocation=sources[word])
    verdict = judged(judge, town, form, validation)
    octets = etsi_report([verdict], GENERAL, LATER)
    (told,) = read(octets).signature_validation_report
    (signature,) = verdict.signatures
    status = told.signature_validation_status
    assert status.main_indication.rpartition(":")[2] == signature.indication.lower()
    assert [each.rpartition(":")[2] for each in status.sub_indication] == [
        each for each in (signature.sub_indication,) if each
    ]
    assert told.validation_time_info.validation_time.to_datetime() == LATER
    constraints = told.validation_constraints_evaluation_report.validation_constraint
    assert [each.validation_constraint_identifier.rpartition(":")[2] for each in constraints] == list(Step)
    for check, constraint in zip(signature.checks, constraints, strict=True):
        applied = constraint.constraint_status.status.endswith(":applied")
        assert applied is (check.outcome is not Outcome.NOT_APPLICABLE)
        if applied:
            said = constraint.validation_status.main_indication.rpartition(":")[2]
            expected = {"passed": "passed", "failed": "failed", "undecided": "indeterminate"}
            assert said == expected[check.outcome]


def test_certificates_are_named_by_their_digests_and_every_reference_leads_to_one(town: Town, judge: Judge) -> None:
    octets = etsi_report([judged(judge, town, Format.PDF, town.validation(show=True))], GENERAL, LATER)
    assert octets is not None
    document: Any = etree.fromstring(octets)
    ids = document.xpath("//@id")
    assert len(set(ids)) == len(ids)
    references = {each for value in document.xpath("//@VOReference") for each in value.split()}
    assert references == {each for each in ids if each.startswith("certificate-")}
    assert len(references) == 2


def test_r21_it_holds_no_attribute_even_where_the_verdict_shows_them(town: Town, judge: Judge) -> None:
    verdict = judged(judge, town, Format.CMS, town.validation(show=True))
    (signature,) = verdict.signatures
    assert signature.signer is not None
    assert signature.signer.attributes
    told = (etsi_report([verdict], GENERAL, LATER) or b"").decode()
    assert not [value for value in signature.signer.attributes.values() if len(value) > 2 and value in told]


def test_the_time_that_counts_is_given_with_what_it_rests_on(town: Town, judge: Judge) -> None:
    earlier = NOW - timedelta(days=1)
    for at, proof in ((None, "validation"), (earlier, "provided")):
        verdict = judged(judge, town, Format.PDF, town.validation(at=at))
        (told,) = read(etsi_report([verdict], E_TAX_STRICT, LATER)).signature_validation_report
        best = told.validation_time_info.best_signature_time
        assert iso(best.poetime.to_datetime()) == iso(at or NOW)
        assert best.type_of_proof.endswith(f":{proof}")


def test_several_files_and_signatures_are_one_report(town: Town, judge: Judge) -> None:
    twice = sign(sign(tax_return_pdf(["Income"]), town.holder, Format.PDF, NOW), town.holder, Format.PDF, NOW)
    broken = sign(b"content", town.holder, Format.CMS, NOW).replace(b"content", b"another")
    verdicts = [replace(judge(each, town.validation()), path=f"file-{n}") for n, each in enumerate((twice, broken))]
    assert causes(verdicts[1]) == [{Cause.ALTERED}]
    report = read(etsi_report([*verdicts, judge(b"x", town.validation())], GENERAL, LATER))
    told = report.signature_validation_report
    assert [each.signature_identifier.daidentifier for each in told] == ["file-0", "file-0", "file-1"]
    assert len({each.signature_identifier.id for each in told}) == 3


def test_where_nothing_is_signed_there_is_nothing_to_report(town: Town, judge: Judge) -> None:
    assert etsi_report([judge(b"x", town.validation())], GENERAL, LATER) is None
