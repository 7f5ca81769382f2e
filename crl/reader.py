"""Reading a list that came as a file, ours or a stranger's, as evidence about a certificate (RFC 5280 6.3.3).

A list that does not surely speak for a certificate has no say: the verdict is then undecided, never "good".
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from jpki.errors import JpkiError, Kind
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.text import Text

_LIST_EXTENSIONS = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What cryptography raises while it reads what is not DER, or is not what RFC 5280 describes."""


_T = TypeVar("_T", bound=x509.ExtensionType)


class CrlFile:
    """One list, PEM or DER; see `jpki.ports.RevocationSource`."""

    def __init__(self, data: bytes) -> None:
        """Read a list.

        Raises:
            JpkiError: UNPROCESSABLE `crl-unreadable`.
        """
        try:
            self._list = _load(data)
            self._understood = _is_understood(self._list)
            self._issuer = self._list.issuer
            self._point = _extension(self._list.extensions, x509.IssuingDistributionPoint)
        except _UNREADABLE as error:
            raise _unreadable() from error

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the list's word on `certificate`, None where it has no say; freshness is the caller's to judge."""
        del at
        try:
            has_say = self._understood and self._is_signed_by(issuer) and self._covers(certificate)
        except _UNREADABLE:
            return None
        return self._word(certificate.serial_number) if has_say else None

    def _is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether the list is by this issuer's key: generations share a name, which proves nothing (rule R23)."""
        usage = _extension(issuer.extensions, x509.KeyUsage)
        if usage is not None and not usage.crl_sign:
            return False
        key = cast("CertificateIssuerPublicKeyTypes", issuer.public_key())
        try:
            return self._list.is_signature_valid(key)  # Never over MD5 or SHA-1: cryptography takes neither.
        except TypeError:  # The key is of a kind that cannot sign.
            return False

    def _covers(self, certificate: x509.Certificate) -> bool:
        """Tell whether the list is to hold this certificate if it is revoked (RFC 5280 6.3.3 b)."""
        point = self._point
        if certificate.issuer != self._issuer:
            return False
        if point is None:
            return True
        if point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs:
            return False
        if point.only_contains_user_certs if _is_ca(certificate) else point.only_contains_ca_certs:
            return False
        if point.full_name is None:
            return point.relative_name is None
        return not set(point.full_name).isdisjoint(_distribution_names(certificate))

    def _word(self, serial: int) -> RevocationEvidence | None:
        entry = self._list.get_revoked_certificate_by_serial_number(serial)
        if entry is None:
            return self._evidence(Finding.GOOD)
        given = _extension(entry.extensions, x509.CRLReason)
        flag = x509.ReasonFlags.unspecified if given is None else given.reason
        if flag is x509.ReasonFlags.remove_from_crl:
            return None  # It belongs in delta lists only (RFC 5280 5.3.1); here nobody can tell what it means.
        finding = Finding.HELD if flag is x509.ReasonFlags.certificate_hold else Finding.REVOKED
        reason = next((each for each in Reason if each.value == flag.value), None)
        return self._evidence(finding, entry.revocation_date_utc, reason)

    def _evidence(
        self, finding: Finding, revoked_at: datetime | None = None, reason: Reason | None = None
    ) -> RevocationEvidence:
        return RevocationEvidence(
            finding=finding,
            source="crl",
            as_of=self._list.last_update_utc,
            fresh_until=self._list.next_update_utc,
            revoked_at=revoked_at,
            reason=reason,
        )


def _load(data: bytes) -> x509.CertificateRevocationList:
    load = x509.load_pem_x509_crl if b"-----BEGIN" in data else x509.load_der_x509_crl
    return load(data)


def _is_understood(parsed: x509.CertificateRevocationList) -> bool:
    """Tell whether no critical extension, of the list or of any entry, is unknown, and the list is not a delta.

    An unknown critical one in a single entry forbids the whole list (RFC 5280 5.3).
    """
    return (
        all(each.oid in _LIST_EXTENSIONS for each in parsed.extensions if each.critical)
        and _extension(parsed.extensions, x509.DeltaCRLIndicator) is None
        and all(
            each.oid == CRLEntryExtensionOID.CRL_REASON
            for entry in parsed
            for each in entry.extensions
            if each.critical
        )
    )


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate.extensions, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _distribution_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    """Yield the names of the lists that hold this certificate for every reason, issued by its own issuer."""
    points = _extension(certificate.extensions, x509.CRLDistributionPoints)
    if points is None:
        yield x509.DirectoryName(certificate.issuer)  # RFC 5280 6.3.3, last paragraph.
        return
    for point in points:
        if point.reasons is None and point.crl_issuer is None:
            yield from point.full_name or ()


def _extension(extensions: x509.Extensions, kind: type[_T]) -> _T | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _unreadable() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "crl-unreadable",
        Text("失効リスト（CRL）として読めません。", "This cannot be read as a certificate revocation list."),
        Text("PEMまたはDER形式のCRLを指定してください。", "Give a CRL in PEM or DER."),
    )
