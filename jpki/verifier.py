"""Verifiers (署名検証者・利用者証明検証者): who may ask in `registered` mode, for what, and what each asked."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from jpki.ids import Serial
from jpki.revocation import Finding

VerifierId = NewType("VerifierId", int)
"""A registered verifier: a small number, never reused."""

LONGEST_NAME, LONGEST_PURPOSE = 128, 256
"""Characters of a verifier's name, and of the purpose for which it asks."""


class VerifierState(StrEnum):
    """Whether a registered verifier may ask now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A registered verifier, an organisation; `quota` is how many certificates it may ask about in a day in Japan.

    `used` is how many it has asked about today, `certificates` the serials of the client certificates it may bear.
    """

    id: VerifierId
    name: str
    purpose: str
    quota: int | None
    state: VerifierState
    used: int
    certificates: tuple[Serial, ...]


@dataclass(frozen=True, slots=True)
class Admitted:
    """What must be known of a verifier to let it ask: see `Verifier`."""

    verifier: VerifierId
    quota: int | None
    used: int


@dataclass(frozen=True, slots=True)
class LookUp:
    """One row of a holder's history: a verifier was told at a moment how a certificate of ours stands."""

    at: datetime
    verifier: VerifierId
    serial: Serial
    finding: Finding
