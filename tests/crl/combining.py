"""A delta applied to a complete list, by RFC 5280 5.2.4 and nothing of the house's: what a verifier must end with."""

from collections.abc import Mapping
from datetime import datetime

from cryptography import x509

Entry = tuple[datetime, x509.ReasonFlags | None]


def number_of(parsed: x509.CertificateRevocationList) -> int:
    return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def base_of(parsed: x509.CertificateRevocationList) -> int:
    """The number of the complete list that a delta is of; the extension must be critical."""
    extension = parsed.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert extension.critical
    return extension.value.crl_number


def entries_of(parsed: x509.CertificateRevocationList) -> Mapping[int, Entry]:
    entries = {each.serial_number: (each.revocation_date_utc, _reason(each)) for each in parsed}
    assert list(entries) == sorted(entries)
    assert len(entries) == len(parsed)
    return entries


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    return next((each.value.reason for each in entry.extensions if isinstance(each.value, x509.CRLReason)), None)


def combined(complete: x509.CertificateRevocationList, delta: x509.CertificateRevocationList) -> Mapping[int, Entry]:
    """The entries of the list that a verifier makes of both, which the four conditions must allow."""
    assert delta.issuer == complete.issuer
    assert _extension(delta, x509.AuthorityKeyIdentifier) == _extension(complete, x509.AuthorityKeyIdentifier)
    assert _extension(delta, x509.IssuingDistributionPoint) == _extension(complete, x509.IssuingDistributionPoint)
    assert base_of(delta) <= number_of(complete) < number_of(delta)
    changes = entries_of(delta)
    kept = {serial: entry for serial, entry in entries_of(complete).items() if serial not in changes}
    gone = x509.ReasonFlags.remove_from_crl
    return dict(sorted((kept | {serial: each for serial, each in changes.items() if each[1] is not gone}).items()))


def _extension(parsed: x509.CertificateRevocationList, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    return next((each.value for each in parsed.extensions if isinstance(each.value, kind)), None)
