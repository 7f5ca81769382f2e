"""A report that stands alone: the page of a verdict without the house around it."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from lxml import html

from jpki.text import Text
from signing import words
from signing.intake import Format
from signing.page import report
from signing.policies import ARCHIVE, GENERAL, ValidationPolicy
from signing.report import FileVerdict, Step
from signing.samples import tax_return_pdf
from signing.sign import sign
from signing.signer import ATTRIBUTES
from signing.verdict import Decision
from signing.verify import judge
from tests.signing.town import HOLDER_NAME, NOW, Town, revoked

PLAIN = tax_return_pdf(["Income 3000000"])


@pytest.fixture(scope="module")
def signed(town: Town) -> bytes:
    return sign(PLAIN, town.holder, Format.PADES, NOW)


def judged(town: Town, document: bytes, path: str = "return.pdf", *, show: bool = False) -> FileVerdict:
    return replace(judge(BytesIO(document), town.validation(show=show)), path=path)


def found(page: str, path: str) -> list[Any]:
    matches: list[Any] = html.fromstring(page).xpath(path)  # type: ignore[assignment] # as the path says
    return matches


def texts(page: str, path: str) -> list[str]:
    return [" ".join(each.text_content().split()) for each in found(page, path)]


def of(*verdicts: FileVerdict, policy: ValidationPolicy = GENERAL) -> str:
    return report(verdicts, policy, NOW + timedelta(hours=1))


def test_each_file_has_its_sentence_then_its_checks_then_the_rest(town: Town, signed: bytes) -> None:
    altered = signed.replace(b"3000000", b"9000000")
    page = of(judged(town, signed, "a.pdf"), judged(town, altered, "b.pdf"), judged(town, b"x", "c.pdf"))
    assert texts(page, "//h2") == [
        "署名は有効です。 The signature is valid.",
        "署名された内容が改ざんされています。 The signed content was altered.",
        "PDF、XML、CMSのいずれの形式でもありません。 The file is neither PDF, XML nor CMS.",
    ]
    order = [each.tag for each in found(page, "//main//*[self::h2 or self::table or self::dl]")]
    assert order == ["dl", "h2", "table", "dl", "h2", "table", "dl", "h2"]
    assert len(found(page, "//tbody/tr")) == 2 * len(Step)
    assert texts(page, "//p[@class='file']") == ["a.pdf", "b.pdf", "c.pdf"]


def test_the_head_tells_the_worst_decision_the_moment_and_the_policy(town: Town, signed: bytes) -> None:
    page = of(judged(town, signed), judged(town, b"x"), policy=ARCHIVE)
    (head,) = texts(page, "//main/dl")
    assert "3件" not in head
    for said in ("2件", "読取不能 Unreadable", "2026-11-23T04:00:00Z", ARCHIVE.words.ja, ARCHIVE.words.en):
        assert said in head


def test_a_check_shows_its_reason_and_its_evidence(town: Town, signed: bytes) -> None:
    verdict = judge(BytesIO(signed), town.validation(revoked(NOW - timedelta(days=1))))
    page = of(replace(verdict, path="return.pdf"))
    (row,) = found(page, "//tr[th/span='失効']")
    shown = " ".join(row.text_content().split())
    assert "The signer's certificate was revoked at 2026-11-22T03:00:00Z" in shown
    assert "revoked_at 2026-11-22T03:00:00Z" in shown
    (signature,) = verdict.signatures
    evidence = {name for check in signature.checks for name, value in check.evidence.items() if value is not None}
    assert set(found(page, "//ul[@class='evidence']/li/span/text()")) == evidence
    assert "None" not in page


def test_r21_attributes_are_shown_only_where_the_verdict_holds_them(town: Town, signed: bytes) -> None:
    masked, shown = (of(judged(town, signed, show=show)) for show in (False, True))
    assert HOLDER_NAME not in masked
    assert HOLDER_NAME in shown
    assert "氏名 Name" in texts(shown, "//dt")


def test_it_stands_alone_and_runs_nothing(town: Town, signed: bytes) -> None:
    page = of(judged(town, signed), judged(town, signed))
    assert not found(
        page, "//script | //link | //img | //iframe | //@src | //@href | //@style | //@*[starts-with(name(), 'on')]"
    )
    assert "url(" not in page
    assert "@import" not in page
    (policy,) = found(page, "//meta[@http-equiv='Content-Security-Policy']/@content")
    (style,) = found(page, "//style/text()")
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{hashed}'"
    assert len(found(page, "//h1")) == 1
    assert found(page, "/html/@lang") == ["ja"]


def test_what_a_stranger_wrote_is_escaped(town: Town, signed: bytes) -> None:
    strange = "<script>alert(1)</script>"
    verdict = judged(town, signed, strange, show=True)
    (signature,) = verdict.signatures
    assert signature.signer is not None
    check = replace(signature.checks[0], evidence={"reference": strange}, reason=Text(strange, strange))
    signer = replace(signature.signer, attributes={"name": strange, strange: "x"}, identifier=strange)
    odd = replace(signature, checks=(check, *signature.checks[1:]), signer=signer)
    page = of(replace(verdict, signatures=(odd,)))
    assert "<script" not in page
    assert len(re.findall("&lt;script&gt;", page)) == 7


def test_every_attribute_has_its_words() -> None:
    assert set(words.ATTRIBUTES) == set(ATTRIBUTES.values())


@pytest.mark.parametrize("decision", Decision)
def test_the_title_tells_the_decision(decision: Decision) -> None:
    page = of(FileVerdict(path="x", decision=decision, sentence=Text("文", "sentence")))
    assert texts(page, "//title") == [f"{words.DECISIONS[decision].ja} – 署名の検証報告書"]
