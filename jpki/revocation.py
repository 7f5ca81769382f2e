"""States, reasons and evidence: whether a certificate is alive, since when not, and why."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from jpki.ids import GenerationId, PartitionId, Serial
from jpki.text import Text


class Reason(StrEnum):
    """Why a certificate was revoked: RFC 5280 5.3.1 in JPKI's meanings (docs/profile.md)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"

    @property
    def number(self) -> int:
        """The CRLReason value. 0 is never encoded: the extension is left out instead (rule R10)."""
        return _REASONS[self][0]

    @property
    def text(self) -> Text:
        """The reason in everyday words."""
        return _REASONS[self][1]


_REASONS = {
    Reason.UNSPECIFIED: (0, Text("交付前の廃棄、又は記録の喪失", "discarded before delivery, or its record was lost")),
    Reason.KEY_COMPROMISE: (1, Text("秘密鍵の漏えい等", "the holder's key was compromised")),
    Reason.CA_COMPROMISE: (2, Text("認証局の鍵の漏えい等", "the CA's key was compromised")),
    Reason.AFFILIATION_CHANGED: (
        3,
        Text("記載事項の変更（転居・改氏名など）", "the recorded data changed (move, name …)"),
    ),
    Reason.SUPERSEDED: (4, Text("更新による失効", "replaced by a renewed certificate")),
    Reason.CESSATION_OF_OPERATION: (5, Text("利用の終了", "no longer needed")),
    Reason.CERTIFICATE_HOLD: (6, Text("一時停止", "on hold")),
}


REMOVED_FROM_LIST = 8
"""CRLReason removeFromCRL: what a delta says of a certificate that is on its list no more (RFC 5280 5.3.1)."""


class State(StrEnum):
    """Where a certificate stands in its life (docs/adr/0003). Expiry is not stored: it follows from the clock."""

    RESERVED = "reserved"
    INTENDED = "intended"
    ISSUED = "issued"
    ACTIVE = "active"
    HELD = "held"
    REVOKED = "revoked"
    VOID = "void"


LISTED_STATES = (State.HELD, State.REVOKED)
"""The states that a CRL lists."""
_NEVER_SIGNED = (State.RESERVED, State.VOID)
SIGNED_STATES = tuple(state for state in State if state not in _NEVER_SIGNED)
"""The states from "will sign" on: a signature may exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The narrow row that OCSP and CRL are made of; it holds nothing about a person (docs/adr/0003).

    `revoked_at` and `reason` are given exactly in the states HELD and REVOKED.
    """

    serial: Serial
    generation: GenerationId
    partition: PartitionId
    not_after: datetime
    state: State
    reason: Reason | None = None
    revoked_at: datetime | None = None
    position: int = 0

    def under_compromise(self, since: datetime) -> "Status":
        """Return the status where the key that signed the certificate was compromised at `since`.

        What may have been signed is revoked from then on (RFC 6960 2.7), unless it was revoked before; what was on
        hold, from the hold on.
        """
        if self.state in _NEVER_SIGNED:
            return self
        if self.revoked_at is None or self.revoked_at > since:
            return replace(self, state=State.REVOKED, reason=Reason.CA_COMPROMISE, revoked_at=since)
        if self.state is State.HELD:
            return replace(self, state=State.REVOKED, reason=Reason.CA_COMPROMISE)
        return self


class Finding(StrEnum):
    """What revocation evidence says of a certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationEvidence:
    """One source's word about one certificate.

    `as_of` is the moment for which the source speaks (thisUpdate, or the ledger's present); `fresh_until` is
    the end of its promise (nextUpdate), None where it makes none. `revoked_at` and `reason` come with REVOKED
    and HELD. `source` is a short word such as `ledger`, `crl` or `ocsp`.
    """

    finding: Finding
    source: str
    as_of: datetime
    fresh_until: datetime | None = None
    revoked_at: datetime | None = None
    reason: Reason | None = None
