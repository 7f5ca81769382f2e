"""What a rule is, and the three ways in which it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from jpki.text import Text, shown
from ocsp.interview import Interview


class Outcome(StrEnum):
    """Whether a rule holds."""

    OK = "ok"
    FAILS = "fails"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a rule ended, and what was found."""

    outcome: Outcome
    finding: Text


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: `clause` says where it stands, `why` what it is good for; `required` ones decide."""

    id: str
    clause: str
    why: Text
    judge: Callable[[Interview], Verdict]
    required: bool = True


def ok(finding: Text) -> Verdict:
    """Return that the rule holds."""
    return Verdict(Outcome.OK, finding)


def fails(finding: Text) -> Verdict:
    """Return that the rule is broken."""
    return Verdict(Outcome.FAILS, finding)


def not_applicable(finding: Text) -> Verdict:
    """Return that the rule has nothing to say here."""
    return Verdict(Outcome.NOT_APPLICABLE, finding)


NO_ANSWER = not_applicable(Text("判定できる回答がない", "there is no answer to judge"))
ANSWERED = Text("回答", "answered")
REFUSED = Text("拒否", "refused")


def both(begin: Text, words: Text) -> Text:
    """Return two texts as one."""
    return Text(f"{begin.ja}：{words.ja}", f"{begin.en}: {words.en}")


def foreign_words(words: str) -> Text:
    """Return what the responder wrote as a text."""
    return Text(shown(words), shown(words))
