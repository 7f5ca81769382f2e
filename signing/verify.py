"""Judges signed documents: the door of this room for verifiers.

A signature is judged in thirteen steps, always reported in this order: 1 format, 2 algorithm, 3 integrity,
4 coverage, 5 changes, 6 timestamp, 7 time, 8 path, 9 kind, 10 policy, 11 validity, 12 revocation, 13 holder. The
format's reader makes the first five but the algorithm's; the rest is the same for every format. Table and words:
signing/verdict.py.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.hashes import SHA256

from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.ports import RevocationSource
from jpki.text import Text
from signing import intake
from signing.algorithms import check_strength
from signing.certificate_checks import check_kind, check_policy, check_validity
from signing.holder_check import check_holder
from signing.policies import GENERAL, Basis, ValidationPolicy
from signing.presented import Presented
from signing.report import (
    Check,
    FileVerdict,
    Outcome,
    SignatureVerdict,
    SignedAt,
    Signer,
    Step,
    TimeProof,
    filled,
)
from signing.revocation_check import Moment, check_revocation
from signing.signer import describe
from signing.time_evidence import Proven, weigh
from signing.trust import Chain, find_chain
from signing.validation import ExpectedHolder, Validation
from signing.verdict import (
    ACCEPTED,
    ACCEPTED_AS_GIVEN,
    ACCEPTED_AS_STAMPED,
    ACCEPTED_BEFORE_REVOCATION,
    ACCEPTED_STAMPED_BEFORE_REVOCATION,
    RULINGS,
    Cause,
    Decision,
    Ruling,
    gravest,
    worst,
)

_TOO_DEEP = Text(
    "ファイルの入れ子が深すぎるため、読み取りません。",
    "What the file holds is nested too deeply, and is not read.",
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The file's format, as its content tells it, and what is asked of it."""

    form: intake.Format
    policy: ValidationPolicy


def verify(
    document: Path, validation: Validation, policy: ValidationPolicy = GENERAL, content: Path | None = None
) -> FileVerdict:
    """Judge the file at `document` in this very process: for documents of our own. See `judge`.

    Raises:
        JpkiError: NOT_FOUND `document-missing`.
    """
    with ExitStack() as opened:
        stream = opened.enter_context(intake.opened(document))
        apart = None if content is None else opened.enter_context(intake.opened(content))
        return replace(judge(stream, validation, policy, apart), path=str(document))


def judge(
    document: IO[bytes], validation: Validation, policy: ValidationPolicy = GENERAL, content: IO[bytes] | None = None
) -> FileVerdict:
    """Judge an open file. Whatever it holds, the answer is a verdict, its path left open; nothing is fetched.

    `policy` is what is asked beyond good signatures. `content` is what a CMS file signs where that lies in a file of
    its own (RFC 5652 5.2: an external signature).

    Strangers' files are judged by `signing.sandbox`, in a process that may come to harm.

    Raises:
        MemoryError: the process has no memory left for this file.
    """
    try:
        form = intake.recognise(document)
    except JpkiError as error:
        return _unreadable(error.problem)
    # The one boundary: a hostile document makes the libraries raise anything, AssertionError too.
    try:
        presented = intake.reader_for(form, content)(document)
        return _judge_file(presented, validation, _Asked(form, policy))
    except JpkiError as error:
        return _unreadable(error.problem)
    except MemoryError:
        raise
    except RecursionError:
        return _unreadable(_TOO_DEEP)
    except Exception as error:  # noqa: BLE001 - see above
        return _judge_broken(document, form, type(error).__name__)


def _judge_file(presented: tuple[Presented, ...], validation: Validation, asked: _Asked) -> FileVerdict:
    if not presented:
        return _unreadable(Text("ファイルに署名がありません。", "The file bears no signature."))
    # What a document holds serves all of its signatures, and is read once.
    read = None if validation.read_stored is None else lru_cache(maxsize=None)(validation.read_stored)
    return _with_signatures(tuple(_judge(one, replace(validation, read_stored=read), asked) for one in presented))


def _with_signatures(verdicts: tuple[SignatureVerdict, ...]) -> FileVerdict:
    decision = worst(verdict.decision for verdict in verdicts)
    sentence = next(verdict.sentence for verdict in verdicts if verdict.decision is decision)
    return FileVerdict(path="", decision=decision, sentence=sentence, signatures=verdicts)


def _judge_broken(document: IO[bytes], form: intake.Format, raised: str) -> FileVerdict:
    if not intake.claims_signature(document, form):
        return _unreadable(
            Text(
                "ファイルが壊れていて読み取れず、署名も見当たりません。",
                "The file is broken, and bears no signature that can be found.",
            ),
        )
    malformed = Check.stopped(Step.FORMAT, Cause.MALFORMED, raised=raised)
    return _with_signatures((_conclude([malformed], None, None),))


def _unreadable(reason: Text) -> FileVerdict:
    return FileVerdict(path="", decision=Decision.UNREADABLE, sentence=reason)


_BASES = {
    Basis.TIME_STAMP: ("署名のタイムスタンプの時刻", "the time that the signature's time-stamp proves"),
    Basis.DOCUMENT_TIME_STAMP: ("文書のタイムスタンプの時刻", "the time that the document's time-stamp proves"),
    Basis.GIVEN: ("指定された時点", "the given time"),
    Basis.NOW: ("現在", "the present"),
}

_NOT_ALWAYS = {Step.CHANGES, Step.TIME_STAMP, Step.HOLDER}
"""Checks for which there may be nothing to check: no revisions in this format, no time-stamps, nobody expected."""


# --- one signature ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Time:
    """The time that counts, and why it does; `now` is the present."""

    at: datetime
    now: datetime
    basis: Basis

    @property
    def is_given(self) -> bool:
        return self.basis is not Basis.NOW


def _judge(presented: Presented, validation: Validation, asked: _Asked) -> SignatureVerdict:
    evidence = weigh(presented, validation)
    counting = _time_that_counts(evidence.proven, validation)
    checks = [*_check_format(presented, asked), evidence.check, _check_time(presented, counting, asked.policy)]
    certificate, chain = presented.certificate, None
    if certificate is not None:
        chain = find_chain(certificate, presented.others, validation.anchors, counting.at)
        checks += _check_trust(chain, counting, evidence.sources, validation.holder)
    elif presented.algorithms is not None:
        checks.append(Check.stopped(Step.PATH, Cause.NO_SIGNER_CERTIFICATE))
    if presented.algorithms is not None:
        own = (certificate,) if certificate else ()
        checks.append(check_strength(presented.algorithms, chain.below_anchor if chain else own))
    domain = chain.anchor.domain if chain else None
    shown = describe(certificate, domain, show_attributes=validation.show_attributes) if certificate else None
    return _conclude(checks, shown, _signed_at(presented, evidence.proven))


def _time_that_counts(proven: Proven | None, validation: Validation) -> _Time:
    """Return the proven time, else the given one, else the present; never the one that the signer claims."""
    now = validation.clock()
    if proven is not None:
        return _Time(proven.at, now, Basis(proven.proof))
    return _Time(validation.at, now, Basis.GIVEN) if validation.at else _Time(now, now, Basis.NOW)


def _signed_at(presented: Presented, proven: Proven | None) -> SignedAt | None:
    if proven is not None:
        return SignedAt(proven.at, proven.proof)
    return SignedAt(presented.claimed_at, TimeProof.CLAIMED) if presented.claimed_at else None


def _check_format(presented: Presented, asked: _Asked) -> Iterator[Check]:
    """Yield the reader's checks; a format that the policy does not take is no flaw of the signature's own."""
    for check in presented.checks:
        is_taken = asked.form in asked.policy.formats or check.name is not Step.FORMAT or check.cause is not None
        yield (
            check
            if is_taken
            else Check.stopped(Step.FORMAT, Cause.FORMAT_NOT_TAKEN, form=asked.form, policy=asked.policy.name)
        )


def _check_time(presented: Presented, counting: _Time, policy: ValidationPolicy) -> Check:
    """Say which time counts (docs/adr/0006), if it rests on what the policy asks for."""
    if counting.basis not in policy.times:
        return Check.stopped(
            Step.TIME, Cause.TIME_UNPROVEN, at=iso(counting.at), basis=counting.basis, policy=policy.name
        )
    ja, en = _BASES[counting.basis]
    return Check.passed(
        Step.TIME,
        f"{ja}で判定します。署名者の申告する時刻は証明になりません。",
        f"Judged at {en}; the time that the signer claims proves nothing.",
        at=iso(counting.at),
        basis=counting.basis,
        claimed=iso(presented.claimed_at) if presented.claimed_at else None,
    )


def _check_trust(
    chain: Chain | None, counting: _Time, sources: Sequence[RevocationSource], holder: ExpectedHolder | None
) -> Iterator[Check]:
    if chain is None:
        yield Check.stopped(Step.PATH, Cause.NO_TRUSTED_CHAIN)
        return
    certificate = chain.certificates[0]
    yield Check.passed(
        Step.PATH,
        "信頼する認証局に至る経路があります。",
        "A chain leads to a trusted authority.",
        trust_domain=chain.anchor.domain,
        length=len(chain.certificates),
        anchor_sha256=chain.anchor.certificate.fingerprint(SHA256()).hex(),
    )
    yield check_kind(certificate)
    yield check_policy(chain, counting.at)
    yield check_validity(chain, counting.at)
    moment = Moment(at=counting.at, now=counting.now, is_given=counting.is_given)
    yield check_revocation(chain, sources, moment)
    yield check_holder(certificate, holder)


def _conclude(checks: Iterable[Check], shown: Signer | None, signed_at: SignedAt | None) -> SignatureVerdict:
    made = {check.name: check for check in checks}
    complete = tuple(made.get(step) or _left_out(step) for step in Step)
    ruling, sentence = _rule(complete)
    return SignatureVerdict(
        decision=ruling.decision,
        indication=ruling.indication,
        sub_indication=ruling.sub_indication,
        signer=shown,
        signed_at=signed_at,
        checks=complete,
        sentence=sentence,
    )


def _left_out(step: Step) -> Check:
    return Check.not_applicable(
        step, "前の検査の結果により、行っていません。", "Not made, because of what an earlier check found."
    )


def _rule(checks: tuple[Check, ...]) -> tuple[Ruling, Text]:
    causes = {check.cause: check for check in checks if check.cause is not None}
    cause = gravest(causes)
    if cause is not None:
        return RULINGS[cause], causes[cause].reason
    # Nothing spoke against it, but acceptance needs every check made that there is something to check for.
    if any(check.outcome is not Outcome.PASSED and check.name not in _NOT_ALWAYS for check in checks):
        return RULINGS[Cause.UNSUPPORTED], RULINGS[Cause.UNSUPPORTED].sentence
    made = {check.name: check.evidence for check in checks}
    evidence = {**made[Step.TIME], **made[Step.REVOCATION]}
    stamped = evidence["basis"] in set(TimeProof)
    if evidence.get("revoked_at"):
        ruling = ACCEPTED_STAMPED_BEFORE_REVOCATION if stamped else ACCEPTED_BEFORE_REVOCATION
    elif evidence["basis"] == Basis.GIVEN:
        ruling = ACCEPTED_AS_GIVEN
    else:
        ruling = ACCEPTED_AS_STAMPED if stamped else ACCEPTED
    return ruling, filled(ruling.sentence, evidence)
