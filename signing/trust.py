"""The chain from a signer's certificate to a trust anchor: found by keys, then validated after RFC 5280 6.1."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from signing.caps import MOST_NAMES_COMPARED
from signing.validation import TrustAnchor

_SHORTEST = 2
"""A certificate and the anchor's."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The signer's certificate, its issuers in order, and last the anchor's own certificate."""

    certificates: tuple[x509.Certificate, ...]
    anchor: TrustAnchor

    @property
    def below_anchor(self) -> tuple[x509.Certificate, ...]:
        """The certificates that someone had to issue: all but the anchor's."""
        return self.certificates[:-1]

    def links(self) -> Iterator[tuple[x509.Certificate, x509.Certificate]]:
        """Yield each certificate below the anchor with its issuer, the signer's first."""
        return zip(self.certificates[:-1], self.certificates[1:], strict=True)


def find_chain(
    certificate: x509.Certificate, others: Sequence[x509.Certificate], anchors: Sequence[TrustAnchor], at: datetime
) -> Chain | None:
    """Return the shortest valid chain to an anchor, None where there is none.

    An issuer is who signed, never who bears the name: generations of one CA share theirs. Every certificate is
    looked at once, so that a crowd of cross-certificates costs little. Validity periods are the caller's to judge:
    the chain is validated at the moment closest to `at` in the signer's own period.
    """
    moment = _within(certificate, at)
    waiting: deque[tuple[x509.Certificate, ...]] = deque([(certificate,)])
    unseen = list(others)
    while waiting:
        climbed = waiting.popleft()
        for anchor in anchors:
            if _issued(anchor.certificate, climbed[-1]):
                chain = Chain((*climbed, anchor.certificate), anchor)
                if _is_valid(chain, moment):
                    return chain
        issuers = [other for other in unseen if _issued(other, climbed[-1])]
        unseen = [other for other in unseen if other not in issuers]
        waiting.extend((*climbed, issuer) for issuer in issuers)
    return None


def permits(chain: Chain, policies: frozenset[str], at: datetime) -> bool:
    """Tell whether a valid chain is of one of these policies as a whole, and not by the signer's word alone.

    An intermediate may leave a policy out, or map it to another (RFC 5280 6.1); where the anchor itself issued the
    signer's certificate there is none.
    """
    return len(chain.certificates) <= _SHORTEST or _is_valid(chain, _within(chain.certificates[0], at), policies)


def _within(certificate: x509.Certificate, at: datetime) -> datetime:
    return min(max(at, certificate.not_valid_before_utc), certificate.not_valid_after_utc)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _is_valid(chain: Chain, moment: datetime, policies: frozenset[str] | None = None) -> bool:
    """Validate the chain but for revocation and algorithms, which have checks of their own.

    What the anchor's certificate says of names and of its chain's length binds those below it. `policies`, where they
    are given, are the ones of which the chain must be.
    """
    from asn1crypto.x509 import Certificate
    from pyhanko_certvalidator import ValidationContext
    from pyhanko_certvalidator.authority import CertTrustAnchor
    from pyhanko_certvalidator.errors import PathValidationError
    from pyhanko_certvalidator.path import ValidationPath
    from pyhanko_certvalidator.policy_decl import AcceptAllAlgorithms, PKIXValidationParams
    from pyhanko_certvalidator.validate import async_validate_path

    if not _are_comparable(chain):
        return False
    leaf, *issuers, root = (Certificate.load(one.public_bytes(Encoding.DER)) for one in chain.certificates)
    context = ValidationContext(
        trust_roots=[root],
        moment=moment,
        allow_fetching=False,
        revocation_mode="soft-fail",
        time_tolerance=timedelta(0),
        algorithm_usage_policy=AcceptAllAlgorithms(),
    )
    anchor = CertTrustAnchor(root, derive_default_quals_from_cert=True)
    # Without terms of ours, the library takes a kind of name that the anchor does not mention for a forbidden one.
    terms = PKIXValidationParams()
    if policies is not None:
        terms = PKIXValidationParams(user_initial_policy_set=policies, initial_explicit_policy=True)
    try:
        asyncio.run(async_validate_path(context, ValidationPath(anchor, issuers[::-1], leaf), terms))
    except (PathValidationError, NotImplementedError, TypeError, ValueError):
        # The latter three are of a name, or of a constraint upon names, that the library cannot compare.
        return False
    return True


def _are_comparable(chain: Chain) -> bool:
    """Tell whether the names can be compared with all constraints upon names, and in bearable time."""
    constraints = names = 0
    try:
        for certificate in chain.certificates:
            names += len(certificate.subject)
            for extension in certificate.extensions:
                match extension.value:
                    case x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded):
                        constraints += len(permitted or ()) + len(excluded or ())
                    case x509.SubjectAlternativeName() as alternatives:
                        names += len(list(alternatives))
    except (TypeError, ValueError, x509.DuplicateExtension):
        return False
    return constraints * names <= MOST_NAMES_COMPARED
