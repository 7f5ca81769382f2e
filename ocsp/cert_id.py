"""CertID: how a question names an issuer, by hashes, and a certificate, by its serial (RFC 6960 4.1.1)."""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jpki import der, oids
from jpki.der import Tag
from jpki.ids import Serial


def _sha1(data: bytes) -> bytes:
    # SHA-1 only finds the issuer here, as RFC 5019 clients expect; trust rests on the answer's signature.
    return hashlib.sha1(data, usedforsecurity=False).digest()


DIGESTS: Mapping[bytes, Callable[[bytes], bytes]] = {
    der.object_identifier(oids.SHA1): _sha1,
    der.object_identifier(oids.SHA256): lambda data: hashlib.sha256(data).digest(),
    der.object_identifier(oids.SHA384): lambda data: hashlib.sha384(data).digest(),
    der.object_identifier(oids.SHA512): lambda data: hashlib.sha512(data).digest(),
}
"""The hash functions we know, by their OBJECT IDENTIFIER element's DER."""

DIGEST_OCTETS: Mapping[bytes, int] = {algorithm: len(digest(b"")) for algorithm, digest in DIGESTS.items()}
"""How long the hashes of each function are."""

NULL = der.tlv(Tag.NULL)


class IssuerHashes(NamedTuple):
    """One way to name an issuer: the hash function's OID (its element's DER), and the hashes of name and key."""

    algorithm: bytes
    name: bytes
    key: bytes


class CertId(NamedTuple):
    """A CertID, and the octets it was read from: the answer repeats those (rule R15)."""

    raw: bytes
    issuer: IssuerHashes
    serial: Serial


def hashes_of(name_der: bytes, key_bits: bytes) -> frozenset[IssuerHashes]:
    """Return every way to name the issuer with this name and key, one for each hash function we know."""
    return frozenset(IssuerHashes(oid, digest(name_der), digest(key_bits)) for oid, digest in DIGESTS.items())
