"""What verification returns: files, their signatures, and the numbered checks behind each verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from jpki.clock import iso
from jpki.text import Text
from signing.verdict import RULINGS, Cause, Decision, Indication, SubIndication, worst

SCHEMA = "jpki.verify/1"

Evidence = Mapping[str, str | int | None]
"""The facts that a check rests on; never an attribute of a holder."""


class Step(StrEnum):
    """The checks of a signature, in the order in which they are made and reported."""

    FORMAT = "format"
    ALGORITHM = "algorithm"
    INTEGRITY = "integrity"
    COVERAGE = "coverage"
    CHANGES = "changes"
    TIME_STAMP = "timestamp"
    TIME = "time"
    PATH = "path"
    KIND = "kind"
    POLICY = "policy"
    VALIDITY = "validity"
    REVOCATION = "revocation"
    HOLDER = "holder"


class Outcome(StrEnum):
    """How a check came out."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not-applicable"


_OUTCOMES = {Decision.REFUSE: Outcome.FAILED, Decision.UNDECIDED: Outcome.UNDECIDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. `cause` is given exactly where it stands in the way of acceptance."""

    name: Step
    outcome: Outcome
    reason: Text
    evidence: Evidence = field(default_factory=dict)
    cause: Cause | None = None

    @classmethod
    def passed(cls, name: Step, ja: str, en: str, **evidence: str | int | None) -> Self:
        """Return a check that found nothing wrong."""
        return cls(name=name, outcome=Outcome.PASSED, reason=Text(ja, en), evidence=evidence)

    @classmethod
    def stopped(cls, name: Step, cause: Cause, **evidence: str | int | None) -> Self:
        """Return a check that stands in the way of acceptance; the table says how and in which words."""
        ruling = RULINGS[cause]
        reason = filled(ruling.sentence, evidence)
        return cls(name=name, outcome=_OUTCOMES[ruling.decision], reason=reason, evidence=evidence, cause=cause)

    @classmethod
    def not_applicable(cls, name: Step, ja: str, en: str) -> Self:
        """Return a check that had nothing to judge."""
        return cls(name=name, outcome=Outcome.NOT_APPLICABLE, reason=Text(ja, en))

    def as_json(self) -> dict[str, object]:
        """Return the check as the public contract has it (docs/contract.md)."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "reason": self.reason.as_json(),
            "evidence": dict(self.evidence),
        }


def filled(sentence: Text, evidence: Evidence) -> Text:
    """Return `sentence` with the fields that it names in braces filled from `evidence`."""
    return Text(sentence.ja.format_map(evidence), sentence.en.format_map(evidence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed, as far as it may be shown: `attributes` is None unless the caller asked for them (rule R21)."""

    serial: str
    sha256: str
    """Of the certificate's DER, in hexadecimal."""
    kind: str | None
    identifier: str | None
    trust_domain: str | None
    attributes: Mapping[str, str] | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, object]:
        """Return the signer as the public contract has it."""
        shown: dict[str, object] = {
            "serial": self.serial,
            "sha256": self.sha256,
            "kind": self.kind,
            "identifier": self.identifier,
            "trust_domain": self.trust_domain,
        }
        return shown if self.attributes is None else shown | {"attributes": dict(self.attributes)}


class TimeProof(StrEnum):
    """What tells when a signature was made. `CLAIMED` is the signer's own word and proves nothing."""

    TIME_STAMP = "timestamp"
    DOCUMENT_TIME_STAMP = "document-timestamp"
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class SignedAt:
    """When a signature was made: proven by a time-stamp to be no later than `time`, or claimed."""

    time: datetime
    evidence: TimeProof

    def as_json(self) -> dict[str, object]:
        """Return the time as the public contract has it."""
        return {"time": iso(self.time), "evidence": self.evidence}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerdict:
    """The verdict on one signature. `signed_at` is the best that is known of when it was made."""

    decision: Decision
    indication: Indication
    sub_indication: SubIndication | None
    signer: Signer | None
    signed_at: SignedAt | None
    checks: tuple[Check, ...]
    sentence: Text

    def as_json(self) -> dict[str, object]:
        """Return the verdict as the public contract has it."""
        return {
            "indication": self.indication,
            "sub_indication": self.sub_indication,
            "signer": self.signer and self.signer.as_json(),
            "signed_at": self.signed_at and self.signed_at.as_json(),
            "checks": [check.as_json() for check in self.checks],
            "sentence": self.sentence.as_json(),
            "decision": self.decision,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVerdict:
    """The verdict on one file. `sentence` says it in one line; an unreadable file has no signatures."""

    path: str
    decision: Decision
    sentence: Text
    signatures: tuple[SignatureVerdict, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the verdict as the public contract has it; an unreadable file says why under `reason`."""
        shown: dict[str, object] = {
            "path": self.path,
            "decision": self.decision,
            "signatures": [signature.as_json() for signature in self.signatures],
        }
        return shown | {"reason": self.sentence.as_json()} if self.decision is Decision.UNREADABLE else shown


def as_json(verdicts: Sequence[FileVerdict]) -> dict[str, object]:
    """Return the verdicts on one or more files as `jpki verify --json` and the API give them (docs/contract.md)."""
    return {
        "schema": SCHEMA,
        "decision": worst(verdict.decision for verdict in verdicts),
        "files": [verdict.as_json() for verdict in verdicts],
    }
