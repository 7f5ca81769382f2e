"""holder.json: what is taken, what is refused, and that no value is ever repeated (rule R21)."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll.holder_file import read_holder
from jpki.errors import JpkiError
from jpki.holder import Gender
from jpki.text import Language
from tests.mergers import merged

TODAY = date(2026, 10, 1)
GOOD = {
    "code": "H-0001",
    "name": "日本　花子",
    "name_substitutes": "00000",
    "birth_date": "1990-04-01",
    "gender": "female",
    "address": "東京都千代田区霞が関一丁目１−１",
    "address_substitutes": "0" * 16,
    "municipality": "131016",
}


def refusal(fields: object) -> JpkiError:
    with pytest.raises(JpkiError) as refused:
        read_holder(json.dumps(fields).encode(), TODAY)
    return refused.value


def test_a_good_file_is_read() -> None:
    holder = read_holder(json.dumps(GOOD).encode(), TODAY)
    assert holder.gender is Gender.FEMALE
    assert holder.municipality.name_romaji == "Chiyoda-ku"
    assert "花子" not in repr(holder)


@pytest.mark.parametrize("field", GOOD)
def test_each_missing_field_is_named(field: str) -> None:
    error = refusal({name: value for name, value in GOOD.items() if name != field})
    assert error.code == "holder-invalid"
    assert f"{field} is missing" in error.problem.en
    assert f"{field} がありません" in error.problem.ja


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("code", "123456789012", "My Number"),
        ("code", "H 1", "letters, digits"),
        ("name", "Nippon Hanako", "full-width"),
        ("name", "ﾆｯﾎﾟﾝ　花子", "full-width"),
        ("name", "日本 花子", "full-width"),
        ("name", "日本　　花", "superfluous"),
        ("name", "　日本花子", "superfluous"),
        ("name", "日本　𠮷子", "repertoire"),
        ("name", "日本　花\u0007", "repertoire"),
        ("name_substitutes", "0000", "one 0 or 1"),
        ("name_substitutes", "00002", "one 0 or 1"),
        ("birth_date", "1990-02-30", "date that exists"),
        ("birth_date", "19900401", "date that exists"),
        ("birth_date", "2030-01-01", "date of birth"),
        ("birth_date", "1801-01-01", "date of birth"),
        ("gender", "other", "male, female"),
        ("address", "1-1 Kasumigaseki", "full-width"),
        ("municipality", "131017", "check digit"),
        ("municipality", "13101", "six-digit"),
        ("municipality", "011011", "no municipality"),
    ],
)
def test_each_mistake_is_named_without_its_value(field: str, value: str, why: str) -> None:
    error = refusal(GOOD | {field: value})
    assert error.code == "holder-invalid"
    assert f"{field} " in error.problem.en
    assert why in error.problem.en
    assert value not in error.to(Language.EN) + error.to(Language.JA)


def test_a_municipality_of_before_a_merger_is_refused_and_the_one_of_now_is_named() -> None:
    with merged({GOOD["municipality"]: "131024"}):
        error = refusal(GOOD)
    assert error.code == "holder-invalid"
    assert "municipality は合併前の市区町村です（今は東京都中央区、131024）" in error.to(Language.JA)
    assert "municipality is of before a merger: it is Chuo-ku, 131024, now" in error.to(Language.EN)


def test_all_mistakes_are_named_at_once() -> None:
    error = refusal(GOOD | {"name": "x", "gender": "?", "municipality": "1"})
    assert all(field in error.problem.en for field in ("name", "gender", "municipality"))


@pytest.mark.parametrize("octets", [b"", b"[]", b"null", b"{", b"\xff", b'"name"', b"[" * 100_000])
def test_what_is_no_object_is_refused(octets: bytes) -> None:
    with pytest.raises(JpkiError) as refused:
        read_holder(octets, TODAY)
    assert refused.value.code == "holder-malformed"


@given(
    st.dictionaries(st.sampled_from(list(GOOD)), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
)
def test_any_field_of_any_type_gives_a_holder_or_our_error(fields: dict[str, object]) -> None:
    try:
        read_holder(json.dumps(GOOD | fields).encode(), TODAY)
    except JpkiError as error:
        assert error.code in {"holder-invalid", "holder-malformed"}  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("name", ["髙橋　﨑子", "𡈽屋　花子", "東京都１−１", "東京都１－１", "ジョン・スミス"])
def test_names_of_both_repertoires_are_taken_and_never_rewritten(name: str) -> None:
    holder = read_holder(json.dumps(GOOD | {"name": name, "name_substitutes": "0" * len(name)}).encode(), TODAY)
    assert holder.name == name
