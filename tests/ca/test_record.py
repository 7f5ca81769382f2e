"""Records of ceremonies: an auditor finds every change, with the certificates in the record alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ca.record import canonical, check_record, fingerprint, sign_record, signed_by
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from tests.ca.world import authority

ROOTS = [authority(purpose) for purpose in Purpose]
GENERATIONS = [generation for generation, _ in ROOTS]
BODY = {
    "ceremony": 1,
    "plan": {"place": "鍵室"},
    "generations": [{"generation": each.id, "sha256": fingerprint(each.certificate)} for each in GENERATIONS[:2]],
    "signed_by": signed_by(GENERATIONS[:2]),
}


def record(body: dict[str, Any] = BODY, count: int = 2) -> str:
    return sign_record(canonical(body), [(each, keys.signer(each.key)) for each, keys in ROOTS[:count]])


def test_a_record_is_signed_by_every_key_that_was_made() -> None:
    checked = check_record(record())
    assert checked.body == BODY
    assert list(checked.signers) == [each.certificate for each in GENERATIONS[:2]]


def test_the_layout_of_the_file_is_not_what_was_signed() -> None:
    assert check_record(json.dumps(json.loads(record()), sort_keys=True)).body == BODY


def _reorder(altered: dict[str, Any]) -> None:
    first, second = altered["signatures"]
    first["signature"], second["signature"] = second["signature"], first["signature"]


@pytest.mark.parametrize(
    "alter",
    [
        lambda altered: altered["record"].update(ceremony=2),
        lambda altered: altered["record"]["plan"].update(place="鍵室２"),
        lambda altered: altered["record"]["signed_by"].pop(),
        lambda altered: altered["signatures"].pop(),
        lambda altered: altered.update(signatures=[]),
        _reorder,
    ],
    ids=["number", "place", "named signer", "signature", "all signatures", "swapped"],
)
def test_a_change_is_found(alter: Callable[[dict[str, Any]], None]) -> None:
    altered = json.loads(record())
    alter(altered)
    with pytest.raises(JpkiError) as refused:
        check_record(json.dumps(altered))
    assert (refused.value.kind, refused.value.code) == (Kind.UNPROCESSABLE, "record-altered")


def test_a_key_that_was_made_and_did_not_sign_is_found() -> None:
    body = {**BODY, "signed_by": signed_by(GENERATIONS[:1])}
    with pytest.raises(JpkiError) as refused:
        check_record(record(body, count=1))
    assert refused.value.code == "record-altered"


def test_nobody_signs_a_record_of_nothing() -> None:
    with pytest.raises(JpkiError) as refused:
        check_record(record({"generations": [], "signed_by": []}, count=0))
    assert refused.value.code == "record-altered"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"record": 1, "signatures": []}',
        record().replace("jpki.ceremony-record/1", "jpki.other/1"),
        record().replace("BEGIN CERTIFICATE", "BEGIN NOTHING"),
        record().replace('"signature": "', '"signature": "*'),
    ],
    ids=["empty", "list", "no fields", "no body", "schema", "certificate", "base64"],
)
def test_what_is_no_record_is_said_to_be_none(text: str) -> None:
    with pytest.raises(JpkiError) as refused:
        check_record(text)
    assert refused.value.code == "record-unreadable"
