"""What the caller brings to a verification: whom it trusts, what it accepts, and at which time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

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

    Anchors of several generations share one name; the key tells them apart (docs/adr/0004). A signer's certificate
    below it must bear one of the `policies`: a lab's never passes for a real one, nor the other way round. To an anchor
    of time-stamps they are nothing.
    """

    certificate: x509.Certificate
    domain: str
    policies: frozenset[str] = frozenset()


class StoredKind(StrEnum):
    """The kinds of revocation data that a document can hold."""

    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A list, or an OCSP response, that a document holds, in DER; `layer` is the revision in which it stands."""

    kind: StoredKind
    octets: bytes
    layer: int = 0


ReadStored = Callable[[Stored, datetime], RevocationSource]
"""Reads revocation data that is known to have existed at a moment, at which whoever signed it must have been valid.

Raises:
    JpkiError: UNPROCESSABLE where it cannot be read.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The terms of a verification. `at` is the caller's own statement of the time that counts, None for now.

    A time-stamp goes before it, if it is by an authority under one of `stamp_anchors`. Revocation sources are asked in
    their order, and after them what the document holds, as `read_stored` reads it. `show_attributes` unmasks the
    signer (rule R21).
    """

    anchors: Sequence[TrustAnchor]
    revocation: Sequence[RevocationSource]
    clock: Clock
    stamp_anchors: Sequence[TrustAnchor] = ()
    read_stored: ReadStored | None = None
    at: datetime | None = None
    show_attributes: bool = False
