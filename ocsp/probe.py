"""A black-box probe of any OCSP responder: what RFC 6960, 9654 and 9919 ask of it, clause by clause (rule R13).

It sends fewer than forty questions to the one responder, and believes nothing that comes back: whatever a responder
answers, each rule ends in one of three outcomes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509

from jpki.clock import Clock
from jpki.randomness import Randomness
from jpki.text import Text
from ocsp.fetch import Fetch, NoReply
from ocsp.interview import Interview
from ocsp.judgement import MALFORMED, UNREADABLE
from ocsp.rules import answers, refusals, transport
from ocsp.rules.rule import Outcome, fails

_RULES = (*transport.RULES, *answers.RULES, *refusals.RULES)


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and what was found; `clause` says where it stands, `why` what it is good for."""

    id: str
    clause: str
    required: bool
    why: Text
    outcome: Outcome
    finding: Text


def holds(checks: Sequence[Check]) -> bool:
    """Tell whether every required rule holds, so far as it applies."""
    return not any(check.required and check.outcome is Outcome.FAILS for check in checks)


def probe(
    fetch: Fetch, issuer: x509.Certificate, certificate: x509.Certificate, clock: Clock, randomness: Randomness
) -> Iterator[Check]:
    """Ask the responder behind `fetch`, and yield each rule as it is judged.

    `certificate` is one that `issuer` issued and that the responder knows, whether alive or revoked.

    Raises:
        NoReply: the first question brought no reply at all.
    """
    interview = Interview(fetch, issuer, certificate, clock, randomness)
    if interview.first.reply is None:
        raise NoReply(hung_up=interview.first.hung_up)
    for rule in _RULES:
        try:
            verdict = rule.judge(interview)
        except UNREADABLE:
            verdict = fails(MALFORMED)
        yield Check(rule.id, rule.clause, rule.required, rule.why, verdict.outcome, verdict.finding)
