"""Judges signed documents: the door of this room for verifiers.

A signature is judged in eleven steps, always reported in this order: 1 format, 2 algorithm, 3 integrity,
4 coverage, 5 changes, 6 time, 7 path, 8 kind, 9 policy, 10 validity, 11 revocation. The format's reader makes the
first five but the algorithm's; the rest is the same for every format. Table and words: signing/verdict.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.hashes import SHA256

from jpki.clock import iso
from jpki.errors import JpkiError
from jpki.text import Text
from signing import intake
from signing.algorithms import check_strength
from signing.certificate_checks import check_kind, check_policy, check_validity
from signing.presented import Presented
from signing.report import Check, FileVerdict, Outcome, SignatureVerdict, Signer, Step, filled
from signing.revocation_check import check_revocation
from signing.signer import describe
from signing.trust import Chain, find_chain
from signing.validation import Validation
from signing.verdict import ACCEPTED, ACCEPTED_BEFORE_REVOCATION, RULINGS, Cause, Decision, Ruling, gravest, worst

_TOO_DEEP = Text(
    "ファイルの入れ子が深すぎるため、読み取りません。",
    "What the file holds is nested too deeply, and is not read.",
)


def verify(document: Path, validation: Validation) -> FileVerdict:
    """Judge the file at `document` in this very process: for documents of our own. See `judge`.

    Raises:
        JpkiError: NOT_FOUND `document-missing`.
    """
    with intake.opened(document) as stream:
        return replace(judge(stream, validation), path=str(document))


def judge(document: IO[bytes], validation: Validation) -> FileVerdict:
    """Judge an open file. Whatever it holds, the answer is a verdict, its path left open; nothing is fetched.

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
        presented = intake.reader_for(form)(document)
        return _judge_file(presented, validation)
    except JpkiError as error:
        return _unreadable(error.problem)
    except MemoryError:
        raise
    except RecursionError:
        return _unreadable(_TOO_DEEP)
    except Exception as error:  # noqa: BLE001 - see above
        return _judge_broken(document, form, type(error).__name__)


def _judge_file(presented: tuple[Presented, ...], validation: Validation) -> FileVerdict:
    if not presented:
        return _unreadable(Text("ファイルに署名がありません。", "The file bears no signature."))
    at = validation.at or validation.clock()
    return _with_signatures(tuple(_judge(one, validation, at) for one in presented))


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


# --- one signature ---------------------------------------------------------------------------------------------


def _judge(presented: Presented, validation: Validation, at: datetime) -> SignatureVerdict:
    checks = [*presented.checks, _note_time(presented, validation, at)]
    certificate, chain = presented.certificate, None
    if certificate is not None:
        chain = find_chain(certificate, presented.others, validation.anchors, at)
        checks += _check_trust(chain, validation, at)
    elif presented.algorithms is not None:
        checks.append(Check.stopped(Step.PATH, Cause.NO_SIGNER_CERTIFICATE))
    if presented.algorithms is not None:
        own = (certificate,) if certificate else ()
        checks.append(check_strength(presented.algorithms, chain.below_anchor if chain else own))
    domain = chain.anchor.domain if chain else None
    shown = describe(certificate, domain, show_attributes=validation.show_attributes) if certificate else None
    return _conclude(checks, shown, presented.claimed_at)


def _note_time(presented: Presented, validation: Validation, at: datetime) -> Check:
    """Say which time counts. The signer's own clock is only a claim and never does (docs/adr/0006)."""
    basis = ("指定された時点", "the given time") if validation.at else ("現在", "the present")
    return Check.passed(
        Step.TIME,
        f"{basis[0]}で判定します。署名者の申告する時刻は証明になりません。",
        f"Judged at {basis[1]}; the time that the signer claims proves nothing.",
        at=iso(at),
        basis="given" if validation.at else "now",
        claimed=iso(presented.claimed_at) if presented.claimed_at else None,
    )


def _check_trust(chain: Chain | None, validation: Validation, at: datetime) -> Iterator[Check]:
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
    yield check_policy(chain, validation.allowed_policies, at)
    yield check_validity(chain, at)
    yield check_revocation(chain, validation.revocation, at, time_is_given=validation.at is not None)


def _conclude(checks: Iterable[Check], shown: Signer | None, claimed_at: datetime | None) -> SignatureVerdict:
    made = {check.name: check for check in checks}
    complete = tuple(made.get(step) or _left_out(step) for step in Step)
    ruling, sentence = _rule(complete)
    return SignatureVerdict(
        decision=ruling.decision,
        indication=ruling.indication,
        sub_indication=ruling.sub_indication,
        signer=shown,
        claimed_at=claimed_at,
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
    # Nothing spoke against it, but acceptance needs every check made; only a format without revisions has no changes.
    if any(check.outcome is not Outcome.PASSED and check.name is not Step.CHANGES for check in checks):
        return RULINGS[Cause.UNSUPPORTED], RULINGS[Cause.UNSUPPORTED].sentence
    evidence = checks[-1].evidence
    ruling = ACCEPTED_BEFORE_REVOCATION if evidence.get("revoked_at") else ACCEPTED
    return ruling, filled(ruling.sentence, evidence)
