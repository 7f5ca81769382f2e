"""What the caller brings to a verification: whom it trusts, what it accepts, and at which time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from jpki import oids
from jpki.clock import Clock
from jpki.ports import RevocationSource

SIGNING_POLICIES = frozenset({oids.LAB_SIGNING_POLICY, oids.LAB_MOBILE_SIGNING_POLICY, oids.REAL_SIGNING_POLICY})
"""The policies of certificates that are for signing documents: the lab's, on cards and devices, and the real cards'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A certificate that is trusted as it stands, and the domain that it speaks for: `lab`, `real JPKI`, `configured`.

    Anchors of several generations share one name; the key tells them apart (docs/adr/0004).
    """

    certificate: x509.Certificate
    domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The terms of a verification. `at` is the caller's own statement of the time that counts, None for now.

    Revocation sources are asked in their order. `show_attributes` unmasks the signer (rule R21).
    """

    anchors: Sequence[TrustAnchor]
    revocation: Sequence[RevocationSource]
    clock: Clock
    at: datetime | None = None
    allowed_policies: frozenset[str] = SIGNING_POLICIES
    show_attributes: bool = False
