"""Whose signature is it? The certificate's attributes against those of the holder who is expected."""

import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from io import BytesIO
from typing import Any

import pytest

from jpki import oids
from jpki.holder import Gender
from server.sandbox import open_sandbox
from signing.intake import Format
from signing.page import report
from signing.policies import GENERAL
from signing.report import FileVerdict, Outcome, Step, as_json
from signing.sign import sign
from signing.validation import ExpectedHolder, Validation
from signing.verdict import Cause, Decision, Indication, SubIndication
from signing.verify import judge
from tests.signing.expect import causes
from tests.signing.town import NOW, UNKNOWN_OTHER_NAME, Town, make_certificate, revoked

HANAKO = ExpectedHolder(
    name="見本　花子",
    name_substitutes="00000",
    birth_date=date(1990, 4, 1),
    gender=Gender.FEMALE,
    address="東京都港区一丁目",
    address_substitutes="00000000",
)
CARRIED = {
    oids.NAME: HANAKO.name,
    oids.NAME_SUBSTITUTES: HANAKO.name_substitutes,
    oids.BIRTH_DATE: "419900401",
    oids.GENDER: "2",
    oids.ADDRESS: HANAKO.address,
    oids.ADDRESS_SUBSTITUTES: HANAKO.address_substitutes,
}
"""Hanako's attributes as her certificate carries them."""


def judged(
    town: Town,
    carried: Mapping[str, str],
    expected: ExpectedHolder | None = HANAKO,
    **terms: Any,  # noqa: ANN401
) -> FileVerdict:
    certificate = make_certificate(town.holder.key, town.root, attributes=carried)
    document = sign(b"content", town.credential(certificate), Format.CMS, NOW)
    return judge(BytesIO(document), replace(town.validation(), holder=expected, **terms))


def outcome(verdict: FileVerdict) -> tuple[Outcome, object]:
    (signature,) = verdict.signatures
    assert [check.name for check in signature.checks] == list(Step)
    return signature.checks[-1].outcome, signature.checks[-1].evidence.get("differs")


def test_the_holders_own_signature_is_accepted(town: Town) -> None:
    verdict = judged(town, CARRIED)
    assert verdict.decision is Decision.ACCEPT
    assert outcome(verdict) == (Outcome.PASSED, None)


def test_where_nobody_is_expected_there_is_nothing_to_compare(town: Town) -> None:
    verdict = judged(town, CARRIED, None)
    assert verdict.decision is Decision.ACCEPT
    assert outcome(verdict) == (Outcome.NOT_APPLICABLE, None)


OTHERS = {
    "name": ({"name": "見本　花代"}, "name"),
    "name that goes on": ({"name": "見本　花子子", "name_substitutes": "000000"}, "name"),
    "space of another width": ({"name": "見本 花子"}, "name"),
    "address": ({"address": "東京都港区二丁目"}, "address"),
    "birth date": ({"birth_date": date(1990, 4, 2)}, "birth_date"),
    "gender": ({"gender": Gender.MALE}, "gender"),
    "all": (
        {"name": "見本　太郎", "address": "東京都北区一丁目", "birth_date": date(1980, 1, 1), "gender": Gender.MALE},
        "name address birth_date gender",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_persons_signature_is_refused_and_says_what_differs(town: Town, case: str) -> None:
    changed, differs = OTHERS[case]
    verdict = judged(town, CARRIED, replace(HANAKO, **changed))  # type: ignore[arg-type]
    assert causes(verdict) == [{Cause.OTHER_HOLDER}]
    assert outcome(verdict) == (Outcome.FAILED, differs)
    (signature,) = verdict.signatures
    assert (signature.decision, signature.indication) == (Decision.REFUSE, Indication.INDETERMINATE)
    assert signature.sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE


SUBSTITUTES = {
    "in the certificate": ({oids.NAME: "見本　花〓", oids.NAME_SUBSTITUTES: "00001"}, {}, None),
    "in holder.json": ({}, {"name": "見本　花〓", "name_substitutes": "00001"}, None),
    "in both, another stand-in": (
        {oids.NAME: "見本　花〓", oids.NAME_SUBSTITUTES: "00001"},
        {"name": "見本　花＊", "name_substitutes": "00001"},
        None,
    ),
    "elsewhere": ({oids.NAME: "見本　花〓", oids.NAME_SUBSTITUTES: "00010"}, {}, "name"),
    "beside another character": ({oids.NAME: "見木　花〓", oids.NAME_SUBSTITUTES: "00001"}, {}, "name"),
    "flags of another length": ({oids.NAME: "見本　花〓", oids.NAME_SUBSTITUTES: "1111"}, {}, "name"),
    "of the address": ({oids.ADDRESS: "東京都港区〓丁目", oids.ADDRESS_SUBSTITUTES: "00000100"}, {}, None),
    "of the address, of the name": ({oids.ADDRESS: "東京都港区〓丁目", oids.NAME_SUBSTITUTES: "11111"}, {}, "address"),
}


@pytest.mark.parametrize("case", SUBSTITUTES)
def test_a_character_that_stands_for_another_agrees_with_any(town: Town, case: str) -> None:
    carried, changed, differs = SUBSTITUTES[case]
    verdict = judged(town, CARRIED | carried, replace(HANAKO, **changed))  # type: ignore[arg-type]
    assert outcome(verdict) == (Outcome.FAILED if differs else Outcome.PASSED, differs)


@pytest.mark.parametrize(
    ("code", "gender"), [("1", "male"), ("2", "female"), ("3", "unspecified"), ("9", "unspecified")]
)
def test_each_gender_is_read(town: Town, code: str, gender: str) -> None:
    expected = replace(HANAKO, gender=Gender(gender))
    assert judged(town, CARRIED | {oids.GENDER: code}, expected).decision is Decision.ACCEPT


@pytest.mark.parametrize(
    ("oid", "value", "differs"),
    [
        (oids.BIRTH_DATE, "4199004", "birth_date"),
        (oids.BIRTH_DATE, "", "birth_date"),
        (oids.GENDER, "female", "gender"),
        (oids.GENDER, None, "gender"),
        (oids.NAME, None, "name"),
        (oids.ADDRESS, "", "address"),
    ],
)
def test_an_attribute_that_is_missing_or_odd_differs(town: Town, oid: str, value: str | None, differs: str) -> None:
    carried = {name: text for name, text in (CARRIED | {oid: value}).items() if text is not None}
    assert outcome(judged(town, carried)) == (Outcome.FAILED, differs)


def test_a_certificate_that_names_nobody_is_not_accepted_for_the_holder(town: Town) -> None:
    verdict = judged(town, {UNKNOWN_OTHER_NAME: "x"})
    assert verdict.decision is Decision.UNDECIDED
    assert causes(verdict) == [{Cause.HOLDER_UNTOLD}]
    assert outcome(verdict) == (Outcome.NOT_APPLICABLE, None)
    assert judged(town, {UNKNOWN_OTHER_NAME: "x"}, None).decision is Decision.ACCEPT


def test_what_an_untrusted_certificate_says_of_its_holder_counts_for_nothing(town: Town) -> None:
    for expected in (HANAKO, replace(HANAKO, name="見本　太郎")):
        verdict = judged(town, CARRIED, expected, anchors=())
        assert causes(verdict) == [{Cause.NO_TRUSTED_CHAIN}]
        assert outcome(verdict) == (Outcome.NOT_APPLICABLE, None)


def test_a_revoked_certificate_is_told_before_the_holder(town: Town) -> None:
    verdict = judged(town, CARRIED, replace(HANAKO, name="見本　太郎"), revocation=[revoked(NOW)])
    assert causes(verdict) == [{Cause.REVOKED_UNPROVEN_TIME, Cause.OTHER_HOLDER}]
    assert "revoked" in verdict.sentence.en


def test_r21_no_attribute_is_ever_told(town: Town) -> None:
    expected = replace(HANAKO, name="見本　太郎", address="大阪府大阪市北区", birth_date=date(1980, 1, 1))
    told = [repr(expected), repr(replace(town.validation(), holder=expected))]
    for verdict in (judged(town, CARRIED), judged(town, CARRIED, expected)):
        told += [str(as_json([verdict])), repr(verdict), report([verdict], GENERAL, NOW)]
    for each in (HANAKO, expected):
        for value in (each.name, each.address, each.birth_date.isoformat(), f"{each.birth_date:%Y%m%d}"):
            assert not [text for text in told if value in text]


def test_it_is_the_same_in_the_sandbox(town: Town) -> None:
    certificate = make_certificate(town.holder.key, town.root, attributes=CARRIED)
    document = sign(b"content", town.credential(certificate), Format.CMS, NOW)
    with open_sandbox(1) as sandbox, tempfile.TemporaryFile() as file:
        file.write(document)
        file.flush()
        for field in fields(ExpectedHolder):
            odd = {"birth_date": date(1980, 1, 1), "gender": Gender.UNSPECIFIED}.get(field.name, "11111111")
            validation: Validation = replace(town.validation(), holder=replace(HANAKO, **{field.name: odd}))  # type: ignore[arg-type]
            if not field.name.endswith("substitutes"):
                assert judge(BytesIO(document), validation).decision is Decision.REFUSE
                assert sandbox.judge(file, validation) == judge(BytesIO(document), validation)
        assert sandbox.judge(file, replace(town.validation(), holder=HANAKO)).decision is Decision.ACCEPT
