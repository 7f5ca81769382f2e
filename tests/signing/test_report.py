"""The JSON that scripts rely on, and what makes a file unreadable."""

import json
from pathlib import Path

import pytest

from jpki.errors import JpkiError
from signing.caps import LARGEST_DOCUMENT
from signing.intake import Format
from signing.report import Outcome, Step, as_json
from signing.sign import sign
from signing.verdict import Decision
from signing.verify import verify
from tests.signing.conftest import Judge
from tests.signing.town import NOW, Town


def test_the_json_is_as_the_contract_says(town: Town, judge: Judge) -> None:
    verdict = judge(sign(b"content", town.holder, Format.CMS, NOW), town.validation())
    report = json.loads(json.dumps(as_json([verdict])))
    assert report["schema"] == "jpki.verify/1"
    assert report["decision"] == "accept"
    (file,) = report["files"]
    assert set(file) == {"path", "decision", "signatures"}
    (signature,) = file["signatures"]
    assert set(signature) == {
        "indication",
        "sub_indication",
        "signer",
        "signed_at",
        "checks",
        "sentence",
        "decision",
    }
    assert signature["indication"] == "TOTAL-PASSED"
    assert signature["sub_indication"] is None
    assert signature["signed_at"] == {"time": "2026-11-23T03:00:00Z", "evidence": "claimed"}
    assert set(signature["sentence"]) == {"ja", "en"}
    assert [check["name"] for check in signature["checks"]] == list(Step)
    for check in signature["checks"]:
        assert set(check) == {"name", "outcome", "reason", "evidence"}
        assert set(check["reason"]) == {"ja", "en"}


def test_several_files_take_the_worst_decision(town: Town, judge: Judge) -> None:
    accepted = judge(sign(b"content", town.holder, Format.CMS, NOW), town.validation())
    unreadable = judge(b"garbage", town.validation())
    report = as_json([accepted, unreadable])
    assert report["decision"] == "unreadable"
    file = unreadable.as_json()
    assert file["signatures"] == []
    assert set(file) == {"path", "decision", "signatures", "reason"}


def test_every_step_is_reported_even_when_the_first_one_fails(town: Town, judge: Judge) -> None:
    broken = bytes.fromhex("308006092a864886f70d010702") + b"broken"
    (signature,) = judge(broken, town.validation()).signatures
    assert [check.name for check in signature.checks] == list(Step)
    assert [check.outcome for check in signature.checks[:2]] == [Outcome.FAILED, Outcome.NOT_APPLICABLE]


def test_a_file_that_is_not_there_is_an_error_not_a_verdict(town: Town, tmp_path: Path) -> None:
    with pytest.raises(JpkiError) as caught:
        verify(tmp_path / "none.pdf", town.validation())
    assert caught.value.code == "document-missing"


def test_a_file_over_the_cap_is_unreadable(town: Town, tmp_path: Path) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as stream:
        stream.truncate(LARGEST_DOCUMENT + 1)
    verdict = verify(large, town.validation())
    assert verdict.decision is Decision.UNREADABLE
    assert "100 MiB" in verdict.sentence.en


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff", b"PK\x03\x04", b"<DATA/>", b"\x30\x00"])
def test_what_is_no_signed_document_is_unreadable(town: Town, judge: Judge, content: bytes) -> None:
    assert judge(content, town.validation()).decision is Decision.UNREADABLE
