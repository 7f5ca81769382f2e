"""Was the certificate revoked at the time that counts? The sources' words, weighed (RFC 5280 6.3; docs/adr/0006)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from jpki.clock import iso, whole_second
from jpki.errors import JpkiError
from jpki.ports import RevocationSource
from jpki.revocation import Finding, RevocationEvidence
from signing.report import Check, Step
from signing.trust import Chain
from signing.verdict import Cause

_LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The time that counts, and the present; `is_given` tells that the former is more than merely the latter."""

    at: datetime
    now: datetime
    is_given: bool


def check_revocation(chain: Chain, sources: Sequence[RevocationSource], moment: Moment) -> Check:
    """Check every certificate below the anchor; the first that is not known to be good decides."""
    checks = [_check(certificate, issuer, sources, moment) for certificate, issuer in chain.links()]
    return next((check for check in checks if check.cause is not None), checks[0])


def _check(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    sources: Sequence[RevocationSource],
    moment: Moment,
) -> Check:
    stale: RevocationEvidence | None = None
    for source in sources:
        evidence = ask(source, certificate, issuer, moment.at)
        if evidence is None:
            continue
        if evidence.finding in {Finding.REVOKED, Finding.HELD}:
            return _judge_revoked(evidence, certificate, moment)
        if evidence.finding is Finding.UNKNOWN:
            return Check.stopped(Step.REVOCATION, Cause.REVOCATION_UNCHECKED, **_shown(evidence))
        if speaks_for(evidence, certificate, moment.at, moment.now):
            return Check.passed(Step.REVOCATION, "失効していません。", "Not revoked.", **_shown(evidence))
        stale = stale or evidence
    if stale is not None:
        return Check.stopped(Step.REVOCATION, Cause.REVOCATION_STALE, **_shown(stale))
    return Check.stopped(Step.REVOCATION, Cause.REVOCATION_UNCHECKED)


def ask(
    source: RevocationSource, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> RevocationEvidence | None:
    """Return the source's word, None where it has none.

    A source that cannot be reached or read has no say, and the next one is asked.
    """
    try:
        return source.evidence(certificate, issuer, at)
    except JpkiError:
        return None


def _judge_revoked(evidence: RevocationEvidence, certificate: x509.Certificate, moment: Moment) -> Check:
    # A revocation that bears no time counts from the certificate's first second.
    since = evidence.revoked_at or certificate.not_valid_before_utc
    shown = _shown(evidence) | {"revoked_at": iso(since)}
    # Whoever says so of a moment that counts knows it: a date after that is of a clock that had run ahead.
    if min(since, evidence.as_of) <= moment.at:
        cause = Cause.REVOKED if moment.is_given else Cause.REVOKED_UNPROVEN_TIME
        return Check.stopped(Step.REVOCATION, cause, **shown)
    return Check.passed(
        Step.REVOCATION,
        f"判定の時点より後の{iso(since)}に失効しました。",
        f"Revoked after the time that counts, at {iso(since)}.",
        at=iso(moment.at),
        **shown,
    )


def speaks_for(evidence: RevocationEvidence, certificate: x509.Certificate, at: datetime, now: datetime) -> bool:
    """Tell whether "good" holds at `at`: the word is of then or later, or it is the latest that can be had yet.

    An older word that has ended by `now` proves nothing: there are newer ones, which would tell of a revocation
    between the two (ETSI EN 319 102-1 5.2.5: freshness is judged at the present). A list made after the certificate's
    end may have dropped it (RFC 5280 3.3), so it says nothing; the ledger forgets nothing.
    """
    if evidence.as_of > certificate.not_valid_after_utc and evidence.source != _LEDGER:
        return False
    promised = evidence.fresh_until
    return evidence.as_of >= whole_second(at) or (promised is not None and promised >= max(at, now))


def _shown(evidence: RevocationEvidence) -> dict[str, str | None]:
    return {
        "source": evidence.source,
        "finding": evidence.finding,
        "as_of": iso(evidence.as_of),
        "reason": evidence.reason,
    }
