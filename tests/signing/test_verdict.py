"""The verdict table, row by row and in every combination of two, and the words that it gives."""

import itertools
import string

import pytest

from signing.verdict import RULINGS, Cause, Decision, Indication, gravest, worst

REFUSE = {
    Cause.MALFORMED,
    Cause.ALTERED,
    Cause.SIGNATURE_WRONG,
    Cause.CHANGED_AFTER_SIGNING,
    Cause.NOT_COVERED,
    Cause.WRONG_BINDING,
    Cause.UNKNOWN_ALGORITHM,
    Cause.WRONG_KIND,
    Cause.WRONG_POLICY,
    Cause.REVOKED,
    Cause.REVOKED_UNPROVEN_TIME,
    Cause.TIME_STAMP_BROKEN,
    Cause.TIME_STAMP_MISUSED,
    Cause.OTHER_HOLDER,
}
UNDECIDED = {
    Cause.UNSUPPORTED,
    Cause.FORMAT_NOT_TAKEN,
    Cause.CONTENT_ABSENT,
    Cause.NO_SIGNER_CERTIFICATE,
    Cause.WEAK_ALGORITHM,
    Cause.NO_TRUSTED_CHAIN,
    Cause.EXPIRED,
    Cause.NOT_YET_VALID,
    Cause.TIME_STAMP_ORDER,
    Cause.TIME_UNPROVEN,
    Cause.REVOCATION_STALE,
    Cause.REVOCATION_UNCHECKED,
    Cause.HOLDER_UNTOLD,
}


def test_every_cause_is_decided_as_the_contract_says() -> None:
    assert set(RULINGS) == set(Cause) == REFUSE | UNDECIDED
    assert {cause for cause, ruling in RULINGS.items() if ruling.decision is Decision.REFUSE} == REFUSE
    assert {cause for cause, ruling in RULINGS.items() if ruling.decision is Decision.UNDECIDED} == UNDECIDED


def test_nothing_but_acceptance_is_total_passed_and_only_refusals_are_total_failed() -> None:
    for ruling in RULINGS.values():
        assert ruling.indication is not Indication.TOTAL_PASSED
        if ruling.indication is Indication.TOTAL_FAILED:
            assert ruling.decision is Decision.REFUSE


@pytest.mark.parametrize("pair", list(itertools.combinations(Cause, 2)))
def test_of_two_causes_a_refusing_one_speaks(pair: tuple[Cause, Cause]) -> None:
    speaking = gravest(pair)
    assert speaking is gravest(pair[::-1])
    assert (speaking in REFUSE) == bool(REFUSE & set(pair))


def test_no_cause_is_no_objection() -> None:
    assert gravest(()) is None


@pytest.mark.parametrize("several", list(itertools.product(Decision, repeat=3)))
def test_the_worst_decision_counts(several: tuple[Decision, ...]) -> None:
    order = [Decision.UNREADABLE, Decision.REFUSE, Decision.UNDECIDED, Decision.ACCEPT]
    assert worst(several) is next(decision for decision in order if decision in several)


def test_sentences_are_distinct_and_name_the_same_facts_in_both_languages() -> None:
    sentences = [ruling.sentence for ruling in RULINGS.values()]
    assert len({one.en for one in sentences}) == len({one.ja for one in sentences}) == len(sentences)
    for sentence in sentences:
        fields = [{name for _, name, _, _ in string.Formatter().parse(text)} for text in (sentence.ja, sentence.en)]
        assert fields[0] - {None} == fields[1] - {None}
