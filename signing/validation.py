"""What the caller brings to a verification: whom it trusts, what it accepts, and at which time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from jpki import oids
from jpki.clock import Clock
from jpki.ports import RevocationSource

LAB_POLICIES = frozenset({oids.LAB_SIGNING_POLICY, oids.LAB_MOBILE_SIGNING_POLICY})
"""The policies of the lab's certificates that are for signing documents, on cards and devices."""
SIGNING_POLICIES = LAB_POLICIES | {oids.REAL_SIGNING_POLICY}
"""Those, and the policy of the real cards' certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A certificate that is trusted as it stands, and the domain that it speaks for: `lab`, `jpki`, `configured`.

    Anchors of several generations share one name; the key tells them apart (docs/adr/0004). What hangs below it must
    bear one of the `policies`: a lab's certificate never passes for a real one, nor the other way round.
    """

    certificate: x509.Certificate
    domain: str
    policies: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The terms of a verification. `at` is the caller's own statement of the time that counts, None for now.

    Revocation sources are asked in their order. `show_attributes` unmasks the signer (rule R21).
    """

    anchors: Sequence[TrustAnchor]
    revocation: Sequence[RevocationSource]
    clock: Clock
    at: datetime | None = None
    show_attributes: bool = False
