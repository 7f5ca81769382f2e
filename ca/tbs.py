"""The exact octets of a certificate before anyone signs it (RFC 5280 4.1)."""

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from jpki.signature import PrivateKey, PublicKey, algorithm_for


def to_be_signed(builder: x509.CertificateBuilder, issuer_key: PublicKey) -> bytes:
    """Return the DER of the TBSCertificate for an issuer with this key: built with a key that is thrown away."""
    throwaway = _throwaway_key(issuer_key.curve.name if isinstance(issuer_key, ec.EllipticCurvePublicKey) else None)
    return builder.sign(throwaway, algorithm_for(throwaway.public_key()).hash).tbs_certificate_bytes


@cache
def _throwaway_key(curve: str | None) -> PrivateKey:
    """Make, once, a key of the issuer's kind; the kind alone decides the octets, the signature is discarded."""
    if curve is None:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP384R1() if curve == "secp384r1" else ec.SECP256R1())
