"""Writing a CertificateList (RFC 5280 5.1).

The entries are encoded once and reused for every generation: the lists of all generations hold the same entries
and differ in their extensions, issuer's key and signature only (rule R23).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from jpki import der, oids
from jpki.generation import Generation
from jpki.partition import Partition
from jpki.ports import RevokedEntry
from jpki.revocation import Reason
from jpki.signature import PrivateKey, algorithm_for, signed

_VERSION_2 = der.integer(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What the lists of all generations have in common; `revoked` is what `encode_entries` returned."""

    number: int
    this_update: datetime
    next_update: datetime
    revoked: bytes


def encode_entries(entries: Iterable[RevokedEntry]) -> bytes:
    """Return the revokedCertificates field; it is absent where nothing is revoked (RFC 5280 5.1.2.6; rule R11)."""
    encoded = b"".join(map(_entry, entries))
    return der.tlv(der.Tag.SEQUENCE, encoded) if encoded else b""


def certificate_list(edition: Edition, generation: Generation, partition: Partition | None, key: PrivateKey) -> bytes:
    """Return the DER of a list as `generation`, whose private key is `key`, signs it.

    Without a `partition` it is the complete list, which needs no IssuingDistributionPoint. A nextUpdate past the
    end of the generation is cut to that end: no promise outlives its signer (rule R25).

    Raises:
        JpkiError: of the key: UNAVAILABLE, or INTERNAL `signature-faulty`.
    """
    to_be_signed = der.sequence(
        _VERSION_2,
        algorithm_for(generation.public_key).identifier,
        generation.name_der,
        der.time(edition.this_update),
        der.time(min(edition.next_update, generation.not_after)),
        edition.revoked,
        der.tlv(der.context(0), der.sequence(*_extensions(edition.number, generation, partition))),
    )
    return signed(key, to_be_signed)


def _extensions(number: int, generation: Generation, partition: Partition | None) -> Iterable[bytes]:
    key_identifier = der.tlv(der.context(0, constructed=False), generation.key_identifier)
    yield _extension(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(key_identifier))
    yield _extension(oids.CRL_NUMBER, der.integer(number))
    if partition is not None:
        point = _distribution_point(generation, partition)
        yield _extension(oids.ISSUING_DISTRIBUTION_POINT, point, critical=True)


def _distribution_point(generation: Generation, partition: Partition) -> bytes:
    return x509.IssuingDistributionPoint(
        full_name=partition.distribution_names(generation.id),
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    ).public_bytes()


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return der.sequence(
        der.object_identifier(oid), der.boolean(value=True) if critical else b"", der.octet_string(value)
    )


def _entry(entry: RevokedEntry) -> bytes:
    return der.sequence(der.integer(entry.serial), der.time(entry.revoked_at), _REASONS[entry.reason])


def _entry_extensions(reason: Reason) -> bytes:
    """Return crlEntryExtensions; `unspecified` is said by leaving it out (RFC 5280 5.3.1; rule R10)."""
    if reason is Reason.UNSPECIFIED:
        return b""
    return der.sequence(_extension(oids.CRL_REASON, der.enumerated(reason.number)))


_REASONS = {reason: _entry_extensions(reason) for reason in Reason}
