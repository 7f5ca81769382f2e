"""Cases that nobody in this project wrote, judged without trust: none is accepted, and each says what was expected.

A case passes where integrity, coverage and changes come out as the suite says; trust is left aside.
"""

import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest

from server.sandbox import open_sandbox
from signing.report import FileVerdict, Outcome, Step
from signing.validation import Validation
from signing.verdict import RULINGS, Decision
from signing.verify import verify
from tests.signing.town import NOW
from tests.soft_cases import our_answers, soft_cases

FOLDER = Path(os.environ.get("JPKI_SHARED", Path(__file__).parents[3] / "shared")) / "conformance"
UNTRUSTING = Validation(anchors=(), revocation=(), clock=lambda: NOW)
SUITES = ("pdf", "xml-bomb", "xades", "xmldsig", "fuzz-cms")


def _cases() -> list[dict[str, str]]:
    index = FOLDER / "expected.csv"
    if not index.exists():
        return []
    with index.open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["suite"] in SUITES]


CASES = _cases()

if not CASES:
    pytest.skip("the outside cases (JPKI_SHARED/conformance) are not here", allow_module_level=True)


def _id(case: dict[str, str]) -> str:
    return f"{case['suite']}/{case['case']}"


HARD = [case for case in CASES if case["hard"] == "yes"]


def _sound(verdict: FileVerdict) -> bool:
    """Tell whether nothing but trust stands in the way of any signature."""
    steps = (Step.INTEGRITY, Step.COVERAGE, Step.CHANGES)
    made = [check.outcome for one in verdict.signatures for check in one.checks if check.name in steps]
    return verdict.decision is Decision.UNDECIDED and set(made) == {Outcome.PASSED}


@pytest.mark.parametrize("case", HARD, ids=_id)
def test_a_hard_case_comes_out_as_expected(case: dict[str, str]) -> None:
    verdict = verify(FOLDER / case["path"], UNTRUSTING)
    match case["expected"]:
        case "accept":
            assert _sound(verdict)
        case "reject" | "reject-cleanly":
            assert verdict.decision in {Decision.REFUSE, Decision.UNREADABLE}
        case "unsigned" | "not-signed":
            assert verdict.decision is Decision.UNREADABLE
        case "indeterminate":
            assert verdict.decision is Decision.UNDECIDED
        case "invalid" | "no-crash":
            assert verdict.decision is not Decision.ACCEPT
        case _:
            # Nobody is trusted, and many forms of XAdES are not supported: a valid one is undecided, never refused.
            assert verdict.decision is Decision.UNDECIDED


def test_every_soft_case_is_listed_with_what_is_expected() -> None:
    listed = {case: expected for case, (expected, _) in our_answers().items()}
    assert listed == {case: row["expected"] for case, row in soft_cases(FOLDER).items()}


@pytest.mark.parametrize("suite", ["pdf", "xades", "xmldsig"])
def test_a_soft_case_is_answered_as_the_list_says(suite: str) -> None:
    causes = {ruling.sentence: cause for cause, ruling in RULINGS.items()}
    for case, row in soft_cases(FOLDER, suite).items():
        verdict = verify(FOLDER / row["path"], UNTRUSTING)
        assert our_answers()[case][1] == f"{verdict.decision}: {causes[verdict.sentence]}", case


@pytest.mark.parametrize("case", [case for case in CASES if case["suite"] == "pdf"], ids=_id)
def test_an_outside_pdfs_time_stamps_are_over_what_they_should_be(case: dict[str, str]) -> None:
    """They are by authorities that nobody here trusts, and hold together in every document that is sound itself."""
    verdict = verify(FOLDER / case["path"], UNTRUSTING)
    stamps = [check for one in verdict.signatures for check in one.checks if check.name is Step.TIME_STAMP]
    if case["expected"] == "accept":
        assert {check.outcome for check in stamps} == {Outcome.NOT_APPLICABLE}
        assert {check.evidence.get("why") for check in stamps} <= {None, "untrusted"}


@pytest.mark.parametrize("case", [case for case in CASES if case["expected"].startswith("valid")], ids=_id)
def test_a_valid_foreign_signature_is_at_most_weak_or_unknown(case: dict[str, str]) -> None:
    verdict = verify(FOLDER / case["path"], UNTRUSTING)
    failed = {check.name for one in verdict.signatures for check in one.checks if check.outcome is Outcome.FAILED}
    assert failed <= {Step.ALGORITHM}


@pytest.mark.slow
def test_each_case_comes_out_the_same_in_the_sandbox() -> None:
    """What a case makes the libraries import, or wish to open, would show here."""
    different = []
    with open_sandbox(2) as sandbox:
        for case in CASES:
            file = FOLDER / case["path"]
            with file.open("rb") as document:
                judged = sandbox.judge(document, UNTRUSTING)
            if replace(judged, path=str(file)) != verify(file, UNTRUSTING):
                different.append((_id(case), judged.sentence.en))
    assert not different
