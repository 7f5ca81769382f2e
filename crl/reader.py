"""Reading a list that came as a file, ours or a stranger's, as evidence about a certificate (RFC 5280 6.3.3).

A list that does not surely speak for a certificate has no say: the verdict is then undecided, never "good".
"""

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from crl.certificate_list import read_list, unreadable
from crl.entry_index import UNREADABLE
from jpki.revocation import Finding, Reason, RevocationEvidence

_LIST_EXTENSIONS = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.CRL_NUMBER,
    ExtensionOID.DELTA_CRL_INDICATOR,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
}


_T = TypeVar("_T", bound=x509.ExtensionType)


class CrlFile:
    """One list, PEM or DER; see `jpki.ports.RevocationSource`.

    The file is read once, here; whatever becomes of it then does not matter. Each certificate is looked up in
    microseconds.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read a list.

        Raises:
            JpkiError: UNPROCESSABLE `crl-unreadable`.
        """
        self._list = read_list(file)
        self._signers: dict[x509.Certificate, bool] = {}
        head = self._list.head
        try:
            is_delta = extension_of(head.extensions, x509.DeltaCRLIndicator) is not None
            self._understood = self._list.entries.understood and not unknown_critical(head) and not is_delta
            self._issuer = head.issuer
            self._point = extension_of(head.extensions, x509.IssuingDistributionPoint)
        except UNREADABLE as error:
            raise unreadable() from error

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the list's word on `certificate`, None where it has no say; freshness is the caller's to judge."""
        del at
        try:
            has_say = self._understood and self._is_signed_by(issuer) and self._covers(certificate)
        except UNREADABLE:
            return None
        return self._word(certificate.serial_number) if has_say else None

    def _is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether the list is by this issuer's key: generations share a name, which proves nothing (rule R23)."""
        if issuer not in self._signers:
            self._signers[issuer] = may_sign_lists(issuer) and self._list.is_signed_by(issuer.public_key())
        return self._signers[issuer]

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
        entry = self._list.entries.find(serial)
        if entry is None:
            return self._evidence(Finding.GOOD)
        flag = entry.reason or x509.ReasonFlags.unspecified
        if flag is x509.ReasonFlags.remove_from_crl:
            return None  # It belongs in delta lists only (RFC 5280 5.3.1); here nobody can tell what it means.
        finding = Finding.HELD if flag is x509.ReasonFlags.certificate_hold else Finding.REVOKED
        reason = next((each for each in Reason if each.value == flag.value), None)
        return self._evidence(finding, entry.revoked_at, reason)

    def _evidence(
        self, finding: Finding, revoked_at: datetime | None = None, reason: Reason | None = None
    ) -> RevocationEvidence:
        return RevocationEvidence(
            finding=finding,
            source="crl",
            as_of=self._list.head.last_update_utc,
            fresh_until=self._list.head.next_update_utc,
            revoked_at=revoked_at,
            reason=reason,
        )


def unknown_critical(head: x509.CertificateRevocationList) -> list[str]:
    """Return the OIDs of a list's critical extensions that forbid it, for they are unknown here (RFC 5280 5.2)."""
    return [each.oid.dotted_string for each in head.extensions if each.critical and each.oid not in _LIST_EXTENSIONS]


def may_sign_lists(issuer: x509.Certificate) -> bool:
    """Tell whether its keyUsage lets a certificate's key sign lists (RFC 5280 4.2.1.3)."""
    usage = extension_of(issuer.extensions, x509.KeyUsage)
    return usage is None or usage.crl_sign


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension_of(certificate.extensions, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _distribution_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    """Yield the names of the lists that hold this certificate for every reason, issued by its own issuer."""
    points = extension_of(certificate.extensions, x509.CRLDistributionPoints)
    if points is None:
        yield x509.DirectoryName(certificate.issuer)  # RFC 5280 6.3.3, last paragraph.
        return
    for point in points:
        if point.reasons is None and point.crl_issuer is None:
            yield from point.full_name or ()


def extension_of(extensions: x509.Extensions, kind: type[_T]) -> _T | None:
    """Return an extension's value, None where there is none."""
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
