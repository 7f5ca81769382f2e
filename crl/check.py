"""The last look at a list before it leaves, with another parser than the one that wrote it."""

from collections.abc import Sequence

from cryptography import x509

from crl.builder import Edition
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ports import RevokedEntry
from jpki.text import Text


def check_list(encoded: bytes, edition: Edition, generation: Generation, entries: Sequence[RevokedEntry]) -> None:
    """Require that a stranger reads in `encoded` what was meant.

    Raises:
        JpkiError: INTERNAL `crl-faulty`: it must not be published.
    """
    try:
        parsed = x509.load_der_x509_crl(encoded)
        as_meant = (
            parsed.is_signature_valid(generation.public_key)
            and parsed.issuer == generation.certificate.subject
            and parsed.last_update_utc == edition.this_update
            and number_of(parsed) == edition.number
            and len(parsed) == len(entries)
            and _ends(parsed) == [entry.serial for entry in (*entries[:1], *entries[-1:])]
        )
    except ValueError as error:
        raise _faulty() from error
    if not as_meant:
        raise _faulty()


def number_of(parsed: x509.CertificateRevocationList) -> int:
    """Return the cRLNumber (RFC 5280 5.2.3).

    Raises:
        ValueError: there is none, or the extensions cannot be read.
    """
    try:
        return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound as error:
        raise ValueError("no cRLNumber") from error


def _ends(parsed: x509.CertificateRevocationList) -> list[int]:
    """Return the first and the last serial, nothing for an empty list."""
    return [parsed[0].serial_number, parsed[len(parsed) - 1].serial_number] if len(parsed) else []


def _faulty() -> JpkiError:
    return JpkiError(
        Kind.INTERNAL,
        "crl-faulty",
        Text(
            "署名した失効リストが意図した内容と異なるため、公開しませんでした。",
            "The signed list does not read as it was meant, so it was not published.",
        ),
        Text(
            "公開済みのリストは有効なままです。時刻を添えて開発者に連絡してください。",
            "The published list still holds; tell the developers, with the time.",
        ),
    )
