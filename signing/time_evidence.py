"""When was it signed? What the time-stamps of a signature prove, one by one (ETSI EN 319 102-1, 5.4 to 5.6).

Time-stamps of a document cover each other: the last one is judged at the present, or at the given time, and each
earlier one at the time that the next later one proves it to have existed. So it stands on although its authority's
certificate has ended since, or was revoked.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509

from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.ports import RevocationSource
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.text import Text
from signing.certificate_checks import check_validity
from signing.presented import Presented, Stamp
from signing.report import Check, Outcome, Step, TimeProof
from signing.revocation_check import ask, speaks_for
from signing.trust import Chain, find_chain
from signing.validation import Validation
from signing.verdict import Cause

_SKEW = timedelta(seconds=60)
"""How far an authority's clock may run before ours."""
_DISORDER = timedelta(seconds=2)
"""How much earlier a later stamp may be: authorities name whole seconds, each by its own clock."""

_KEY_KEPT = {Reason.AFFILIATION_CHANGED, Reason.SUPERSEDED, Reason.CESSATION_OF_OPERATION}
"""Reasons that leave standing what was stamped before (RFC 3161 4, item 1). Where none is told, the key may be lost."""


class Doubt(StrEnum):
    """Why a time-stamp that holds together does not count. Nothing is known to be wrong with the signature then."""

    UNTRUSTED = "untrusted"
    WEAK = "weak"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    FROM_THE_FUTURE = "from-the-future"
    REVOKED = "revoked"
    REVOCATION_UNCHECKED = "revocation-unchecked"


_DOUBTS = {
    Doubt.UNTRUSTED: Text("信頼するタイムスタンプ局のものではない", "it is not by a trusted authority"),
    Doubt.WEAK: Text("弱いアルゴリズムまたは鍵によるもの", "it rests on a weak algorithm or key"),
    Doubt.EXPIRED: Text("作成した証明書の有効期間が終わっている", "the certificate that made it has expired"),
    Doubt.NOT_YET_VALID: Text("作成した証明書の有効期間より前の時刻", "it is older than the certificate that made it"),
    Doubt.FROM_THE_FUTURE: Text("未来の時刻", "it tells a time in the future"),
    Doubt.REVOKED: Text("作成した証明書が失効している", "the certificate that made it was revoked"),
    Doubt.REVOCATION_UNCHECKED: Text(
        "作成した証明書の失効の有無を確認できない", "the revocation of the certificate that made it is unchecked"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A signature existed at this moment, as a trusted time-stamp says."""

    at: datetime
    proof: TimeProof


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEvidence:
    """What the time-stamps prove: `proven` is the earliest moment, None where none counts.

    `sources` are what the document holds about revocation, for the moment that its time-stamps prove it to be of.
    """

    check: Check
    proven: Proven | None
    sources: Sequence[RevocationSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """How one time-stamp came out: `cause` and `doubt` say why it proves nothing."""

    stamp: Stamp
    made_at: datetime | None = None
    cause: Cause | None = None
    doubt: Doubt | None = None
    fault: str | None = None
    trust_domain: str | None = None

    @property
    def is_of_document(self) -> bool:
        """Whether it covers the document, and not one signature alone."""
        return self.stamp.proof is TimeProof.DOCUMENT_TIME_STAMP

    @property
    def proven(self) -> Proven | None:
        """What it proves, None where it does not count."""
        if self.cause is not None or self.doubt is not None or self.made_at is None:
            return None
        return Proven(at=self.made_at, proof=self.stamp.proof)


def weigh(presented: Presented, validation: Validation) -> TimeEvidence:
    """Judge each time-stamp, the latest first, and say which time they prove."""
    history = _History(presented, validation)
    for stamp in sorted(presented.stamps, key=_place, reverse=True):
        history.judge(stamp)
    proofs = [each.proven for each in history.standings if each.proven is not None]
    proven = min(proofs, key=lambda each: (each.at, each.proof is TimeProof.DOCUMENT_TIME_STAMP), default=None)
    return TimeEvidence(check=_check(history.standings), proven=proven, sources=history.sources())


def _place(stamp: Stamp) -> tuple[int, bool]:
    return stamp.layer, stamp.proof is TimeProof.DOCUMENT_TIME_STAMP


class _History:
    """The time-stamps of one signature that were judged so far, and so what is proven of the rest."""

    def __init__(self, presented: Presented, validation: Validation) -> None:
        self._presented = presented
        self._validation = validation
        self.now = validation.clock()
        self.standings: list[_Standing] = []

    def judge(self, stamp: Stamp) -> None:
        """Judge the next earlier time-stamp."""
        self.standings.append(_judge(stamp, self._presented.others, self._validation, self))

    def existed_at(self, layer: int) -> datetime:
        """Return the earliest moment at which what stands in revision `layer` is known to have existed.

        So far: time-stamps of documents in that revision or later cover it, but for one that is just being judged.
        """
        later = [each for each in self.standings if each.is_of_document and each.stamp.layer >= layer]
        proofs = [each.proven.at for each in later if each.proven is not None]
        return min([self._validation.at or self.now, *proofs])

    def sources(self) -> Sequence[RevocationSource]:
        """Return all that tells of revocation: what the caller brought, and then what the document holds."""
        return [*self._validation.revocation, *self._stored()]

    def of_the_future(self, made_at: datetime) -> bool:
        """Tell whether no clock could have told this time yet."""
        return made_at > self.now + _SKEW

    def _stored(self) -> Iterator[RevocationSource]:
        read = self._validation.read_stored
        if read is None:
            return
        for stored in self._presented.stored:
            # What cannot be read has no say.
            with suppress(JpkiError):
                yield _AsStored(read(stored, self.existed_at(stored.layer)))


@dataclass(frozen=True, slots=True)
class _AsStored:
    """Revocation data that a document holds: whoever made the document chose it, so its promise counts for nothing.

    A thief would store the last list from before the revocation.
    """

    source: RevocationSource

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the source's word, good for the moment for which it speaks and not a second longer."""
        found = self.source.evidence(certificate, issuer, at)
        return found and replace(found, fresh_until=None)


# --- one time-stamp --------------------------------------------------------------------------------------------------


def _judge(stamp: Stamp, more: tuple[x509.Certificate, ...], validation: Validation, history: _History) -> _Standing:
    from signing.time_stamp import BrokenTimeStamp, is_weak, may_stamp, read_token

    try:
        token = read_token(stamp.token, more)
        token.require_imprint(stamp.imprint)
    except BrokenTimeStamp as broken:
        return _Standing(stamp=stamp, cause=Cause.TIME_STAMP_BROKEN, fault=str(broken))
    standing = _Standing(stamp=stamp, made_at=token.made_at)
    if token.signer is None:
        return replace(standing, doubt=Doubt.UNTRUSTED)
    chain = find_chain(token.signer, (*token.others, *more), validation.stamp_anchors, token.made_at)
    if chain is None:
        return replace(standing, doubt=Doubt.UNTRUSTED)
    standing = replace(standing, trust_domain=chain.anchor.domain)
    if not may_stamp(token.signer):
        return replace(standing, cause=Cause.TIME_STAMP_MISUSED)
    if is_weak(token, chain):
        return replace(standing, doubt=Doubt.WEAK)
    return replace(standing, doubt=_doubt_in_time(chain, token.made_at, stamp.layer, history))


def _doubt_in_time(chain: Chain, made_at: datetime, layer: int, history: _History) -> Doubt | None:
    """Return what speaks against the authority's certificates when they stamped, or when that is first known of."""
    if history.of_the_future(made_at):
        return Doubt.FROM_THE_FUTURE
    known_at = max(history.existed_at(layer), made_at)
    for moment in (made_at, known_at):
        cause = check_validity(chain, moment).cause
        if cause is not None:
            return Doubt.EXPIRED if cause is Cause.EXPIRED else Doubt.NOT_YET_VALID
    sources = history.sources()
    doubts = (_doubt_of(*link, sources, made_at, known_at, history.now) for link in chain.links())
    return next((doubt for doubt in doubts if doubt is not None), None)


def _doubt_of(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    sources: Sequence[RevocationSource],
    made_at: datetime,
    known_at: datetime,
    now: datetime,
) -> Doubt | None:
    from signing.time_stamp import names_revocation_data

    for source in sources:
        evidence = ask(source, certificate, issuer, known_at)
        if evidence is None:
            continue
        if evidence.finding in {Finding.REVOKED, Finding.HELD}:
            since = evidence.revoked_at or certificate.not_valid_before_utc
            # Whoever has a lost key writes any time, so the stamp must be known to be from before the loss.
            limit = made_at if evidence.reason in _KEY_KEPT else known_at
            return Doubt.REVOKED if since <= limit else None
        if evidence.finding is Finding.UNKNOWN:
            return Doubt.REVOCATION_UNCHECKED
        if speaks_for(evidence, certificate, made_at, now):
            return None
    return Doubt.REVOCATION_UNCHECKED if names_revocation_data(certificate) else None


# --- all of them -----------------------------------------------------------------------------------------------------


def _check(standings: Sequence[_Standing]) -> Check:
    if not standings:
        return Check.not_applicable(Step.TIME_STAMP, "タイムスタンプはありません。", "There is no time-stamp.")
    for cause in (Cause.TIME_STAMP_BROKEN, Cause.TIME_STAMP_MISUSED):
        for standing in standings:
            if standing.cause is cause:
                return Check.stopped(Step.TIME_STAMP, cause, **_shown(standing, standings))
    counting = [each for each in standings if each.proven is not None]
    if not counting:
        return _discounted(standings)
    if any(_contradicts(later, earlier) for later in counting for earlier in counting):
        return Check.stopped(Step.TIME_STAMP, Cause.TIME_STAMP_ORDER, **_shown(counting[-1], standings))
    return Check.passed(
        Step.TIME_STAMP,
        "信頼するタイムスタンプ局のタイムスタンプがあります。",
        "There is a time-stamp by a trusted authority.",
        **_shown(counting[-1], standings),
    )


def _contradicts(later: _Standing, earlier: _Standing) -> bool:
    """Tell whether a document's time-stamp is older than what it covers."""
    covers = later.is_of_document and later.stamp.layer > earlier.stamp.layer
    if not covers or later.made_at is None or earlier.made_at is None:
        return False
    return later.made_at < earlier.made_at - _DISORDER


def _discounted(standings: Sequence[_Standing]) -> Check:
    """Return the check where no time-stamp counts: the signature is judged as if it bore none."""
    why = next(_DOUBTS[each.doubt] for each in reversed(standings) if each.doubt is not None)
    return Check(
        name=Step.TIME_STAMP,
        outcome=Outcome.NOT_APPLICABLE,
        reason=Text(f"タイムスタンプは証明になりません（{why.ja}）。", f"The time-stamp proves nothing, for {why.en}."),
        evidence=_shown(standings[-1], standings),
    )


def _shown(standing: _Standing, standings: Sequence[_Standing]) -> dict[str, str | int | None]:
    return {
        "made_at": iso(standing.made_at) if standing.made_at else None,
        "kind": standing.stamp.proof,
        "trust_domain": standing.trust_domain,
        "why": standing.fault or standing.doubt,
        "stamps": len(standings),
        "counting": sum(each.proven is not None for each in standings),
    }
