"""What the workers count: exact, in the right place, and never less than before."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocsp.responder import Outcome
from server.tally import BOUNDS, HEALTH, ONE_IN, OTHER, Board, Kind, Tally, Total

TWO_DOORS = ["ocsp", "crl"]


def found(board: Board) -> dict[Kind, Total]:
    """What was counted at all."""
    return {kind: total for kind, total in board.totals() if total.count}


def test_an_answer_is_counted_where_its_door_status_and_outcome_are() -> None:
    board = Board(TWO_DOORS, rows=1)
    tally = Tally(board)
    for door, status, outcome in (("ocsp", 200, Outcome.KEPT), ("ocsp", 304, Outcome.KEPT), ("crl", 200, None)):
        tally.count(door, status, outcome, 0.5)
    tally.count("crl", 200, None, 0.25)
    assert {kind: (total.count, total.seconds) for kind, total in found(board).items()} == {
        ("ocsp", 200, Outcome.KEPT): (1, 0.5),
        ("ocsp", 304, Outcome.KEPT): (1, 0.5),
        ("crl", 200, None): (2, 0.75),
    }


@pytest.mark.parametrize("bucket", range(len(BOUNDS) + 1))
def test_a_bucket_holds_what_does_not_pass_its_bound(bucket: int) -> None:
    board = Board([], rows=1)
    Tally(board).count(OTHER, 404, None, [*BOUNDS, 60.0][bucket])
    (total,) = found(board).values()
    assert total.at_most == [0] * bucket + [1] * (len(BOUNDS) + 1 - bucket)


@pytest.mark.parametrize(("status", "counted"), [(308, 300), (418, 400), (502, 500), (206, 200)])
def test_a_status_that_we_do_not_know_counts_as_the_first_of_its_class(status: int, counted: int) -> None:
    board = Board([], rows=1)
    Tally(board).count(HEALTH, status, None, 0.0)
    assert found(board).keys() == {(HEALTH, counted, None)}


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Outcome), st.floats(0, 10)), max_size=50))
def test_the_sum_of_the_rows_is_what_was_counted(answers: list[tuple[int, Outcome, float]]) -> None:
    board = Board(TWO_DOORS, rows=5)
    tallies = [Tally(board, number) for number in (0, 1, 4)]
    for number, outcome, seconds in answers:
        tallies[number].count("ocsp", 200, outcome, seconds)
    totals = found(board)
    assert {kind[2]: total.count for kind, total in totals.items()} == {
        outcome: count for outcome in Outcome if (count := sum(each[1] is outcome for each in answers))
    }
    assert sum(total.seconds for total in totals.values()) == pytest.approx(sum(each[2] for each in answers))


def test_every_failure_is_told_of_and_one_in_a_hundred_of_all_else() -> None:
    tally = Tally(Board([], rows=1))
    told = [tally.count(OTHER, status, None, 0.0) for _, status in product(range(ONE_IN), (200, 404, 500, 503))]
    assert all(told[2::4])
    assert all(told[3::4])
    assert sum(told[0::4]) + sum(told[1::4]) == 2


def test_the_next_worker_goes_on_with_a_row_but_for_what_is_true_of_the_living_only() -> None:
    board = Board(TWO_DOORS)
    other, old = Tally(board, 0), Tally(board, 7)
    for tally in (other, old):
        tally.count("crl", 503, None, 1.0)
    other.connections(2)
    old.connections(5)
    old.heard(3, 10.0)
    assert (board.connections(), board.heard()) == (7, (3, 10.0))
    board.close(7)
    assert (board.connections(), board.heard()) == (2, None)
    Tally(board, 7).count("crl", 503, None, 1.0)
    assert found(board) == {("crl", 503, None): Total(3.0, [0] * 8 + [3] * 3)}


def test_of_the_journal_that_worker_is_told_of_which_is_behind() -> None:
    board = Board(["ocsp"])
    for number, (position, at) in enumerate([(20, 7.5), (11, 8.0), (20, 8.0)]):
        Tally(board, number).heard(position, at)
    Tally(board, 3).count("ocsp", 200, Outcome.SIGNED, 0.0)
    assert board.heard() == (11, 7.5)
