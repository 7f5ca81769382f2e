"""The table of municipalities: whole, as the outside has it, and each merger with an end."""

import csv
from pathlib import Path

import pytest

from enroll.municipalities import check_digit, municipalities, read_table, successor
from tests.mergers import SHIPPED, lines_of, merged

CHIYODA, CHUO, MINATO = "131016", "131024", "131032"


def test_the_municipalities_are_all_there_with_right_check_digits() -> None:
    assert len(municipalities()) >= 1741
    assert all(check_digit(code) == code[5] for code in municipalities())


def test_no_municipality_of_the_first_release_was_ever_taken_out(shared: Path) -> None:
    first = (shared / "municipalities.csv").read_text("utf-8").splitlines()
    assert {row["code"] for row in csv.DictReader(first)} <= municipalities().keys()
    rows = list(csv.DictReader(SHIPPED.read_text("utf-8").splitlines()))
    assert len(rows) == len(municipalities()), "no code twice"
    assert [row["code"] for row in rows] == sorted(municipalities())


def test_whoever_took_over_at_last_is_told() -> None:
    with merged({CHIYODA: CHUO, CHUO: MINATO}):
        assert successor(CHIYODA) == successor(CHUO) == municipalities()[MINATO]
        assert successor(MINATO) is None
        assert municipalities()[CHIYODA].name == "千代田区"
    assert successor(CHIYODA) is None


@pytest.mark.parametrize(
    "mergers",
    [{CHIYODA: CHIYODA}, {CHIYODA: CHUO, CHUO: CHIYODA}, {CHIYODA: CHUO, CHUO: MINATO, MINATO: CHUO}, {CHIYODA: "0"}],
    ids=["itself", "each other", "a circle beyond", "unknown"],
)
def test_a_merger_without_end_is_no_table(mergers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="has no end"):
        read_table(lines_of(mergers))
