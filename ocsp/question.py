"""Writing OCSPRequests (RFC 6960 4.1.1), the ill-formed ones of a probe among them."""

from collections.abc import Sequence

from jpki import der, oids
from jpki.der import context
from ocsp.cert_id import NULL, IssuerHashes

_V1 = 0


def cert_id(issuer: IssuerHashes, serial: int) -> bytes:
    """Return a CertID's DER."""
    algorithm = der.sequence(issuer.algorithm, NULL)
    return der.sequence(algorithm, der.octet_string(issuer.name), der.octet_string(issuer.key), der.integer(serial))


def question(*cert_ids: bytes, extensions: Sequence[bytes] = (), version: int = _V1) -> bytes:
    """Return an OCSPRequest's DER; version 1 is said by leaving it out (X.690 11.5)."""
    return der.sequence(
        der.sequence(
            b"" if version == _V1 else der.tlv(context(0), der.integer(version)),
            der.sequence(*(der.sequence(each) for each in cert_ids)),
            der.tlv(context(2), der.sequence(*extensions)) if extensions else b"",
        )
    )


def extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return an Extension's DER; `critical` is left out where it is false."""
    return der.sequence(
        der.object_identifier(oid), der.boolean(value=True) if critical else b"", der.octet_string(value)
    )


def nonce(octets: bytes) -> bytes:
    """Return the nonce extension's DER (RFC 9654 2.1)."""
    return extension(oids.OCSP_NONCE, der.octet_string(octets))
