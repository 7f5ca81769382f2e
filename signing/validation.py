"""What the caller brings to a verification: whom it trusts, what it accepts, and at which time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Self

from cryptography import x509

from jpki import oids
from jpki.clock import Clock
from jpki.holder import Gender, Holder
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExpectedHolder:
    """The four attributes of the holder who should have signed; see `jpki.holder.Holder`. It does not print itself."""

    name: str
    name_substitutes: str
    birth_date: date
    gender: Gender
    address: str
    address_substitutes: str

    @classmethod
    def of(cls, holder: Holder) -> Self:
        """Return what a signature of `holder` is compared with."""
        return cls(
            name=holder.name,
            name_substitutes=holder.name_substitutes,
            birth_date=holder.birth_date,
            gender=holder.gender,
            address=holder.address,
            address_substitutes=holder.address_substitutes,
        )

    def __repr__(self) -> str:
        return "ExpectedHolder(attributes withheld)"


ReadStored = Callable[[Stored, datetime], RevocationSource]
"""Reads revocation data that is known to have existed at a moment, at which whoever signed it must have been valid.

Raises:
    JpkiError: UNPROCESSABLE where it cannot be read.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The terms of a verification. `at` is the caller's own statement of the time that counts, None for now.

    A time-stamp goes before it, if it is by an authority under one of `stamp_anchors`. Revocation sources are asked in
    their order, and after them what the document holds, as `read_stored` reads it. Each signature must be the
    `holder`'s, if one is given. `show_attributes` unmasks the signer (rule R21).
    """

    anchors: Sequence[TrustAnchor]
    revocation: Sequence[RevocationSource]
    clock: Clock
    stamp_anchors: Sequence[TrustAnchor] = ()
    read_stored: ReadStored | None = None
    at: datetime | None = None
    holder: ExpectedHolder | None = None
    show_attributes: bool = False
