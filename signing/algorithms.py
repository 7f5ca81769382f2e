"""Which algorithms and keys this room knows, and which of them it no longer relies on."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from signing.presented import Algorithms
from signing.report import Check, Step
from signing.verdict import Cause

MECHANISMS = frozenset({"rsa", "rsa-pss", "ecdsa"})
STRONG_DIGESTS = frozenset({"sha256", "sha384", "sha512"})
WEAK_DIGESTS = frozenset({"md5", "sha1", "sha224"})

LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 256


def are_known(algorithms: Algorithms) -> bool:
    """Tell whether this room can compute the signature at all."""
    return algorithms.mechanism in MECHANISMS and algorithms.digests <= STRONG_DIGESTS | WEAK_DIGESTS


def check_strength(algorithms: Algorithms, certificates: Sequence[x509.Certificate]) -> Check:
    """Judge the signature's algorithms, the keys of `certificates`, and the signatures that these bear.

    `certificates` are the signer's and its issuers' without the anchor, which is trusted as it stands.
    """
    named = f"{algorithms.mechanism} {' '.join(sorted(algorithms.digests))}"
    if not are_known(algorithms):
        return Check.stopped(Step.ALGORITHM, Cause.UNKNOWN_ALGORITHM, algorithm=named)
    if algorithms.digests & WEAK_DIGESTS:
        return Check.stopped(Step.ALGORITHM, Cause.WEAK_ALGORITHM, algorithm=named)
    for certificate in certificates:
        if weakness := _weakness(certificate):
            return Check.stopped(Step.ALGORITHM, Cause.WEAK_ALGORITHM, algorithm=weakness)
    return Check.passed(
        Step.ALGORITHM, "アルゴリズムと鍵は十分な強度です。", "Algorithms and keys are strong enough.", algorithm=named
    )


def _weakness(certificate: x509.Certificate) -> str | None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        return f"rsa key of {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < LEAST_CURVE_BITS:
        return f"elliptic curve key of {key.curve.key_size} bits"
    digest = certificate.signature_hash_algorithm
    return f"certificate signed with {digest.name}" if digest and digest.name in WEAK_DIGESTS else None
