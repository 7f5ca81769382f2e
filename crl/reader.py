"""Reading a list that came as a file, ours or a stranger's, as evidence about a certificate (RFC 5280 6.3.3).

A list that does not surely speak for a certificate has no say: the verdict is then undecided, never "good".
"""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache, partial
from typing import BinaryIO, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from crl.certificate_list import CertificateList, read_list, unreadable
from crl.entry_index import UNREADABLE
from jpki.der import Reader, Tag, context, object_identifier, sequence
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
        self._is_signed_by = lru_cache(_MOST_SIGNERS)(partial(_is_signed_by, self._list))
        self._covered: dict[_Scope, bool] = {}
        head = self._list.head
        try:
            is_delta = extension_of(head.extensions, x509.DeltaCRLIndicator) is not None
            self._understood = self._list.entries.understood and not unknown_critical(head) and not is_delta
            self._issuer = head.issuer
            self._point = extension_of(head.extensions, x509.IssuingDistributionPoint)
            self._as_of, self._fresh_until = head.last_update_utc, head.next_update_utc
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

    def _covers(self, certificate: x509.Certificate) -> bool:
        """Tell whether the list is to hold this certificate if it is revoked, as of all others of its scope."""
        scope = _scope_of(certificate)
        if scope not in self._covered:
            if len(self._covered) >= _MOST_SCOPES:
                self._covered.clear()
            self._covered[scope] = self._is_in_scope(certificate)
        return self._covered[scope]

    def _is_in_scope(self, certificate: x509.Certificate) -> bool:
        """Tell whether the certificate is within what the list is to hold (RFC 5280 6.3.3 b)."""
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
            as_of=self._as_of,
            fresh_until=self._fresh_until,
            revoked_at=revoked_at,
            reason=reason,
        )


_MOST_SIGNERS = 64


def _is_signed_by(found: CertificateList, issuer: x509.Certificate) -> bool:
    """Tell whether the list is by this issuer's key: generations share a name, which proves nothing (rule R23)."""
    return may_sign_lists(issuer) and found.is_signed_by(issuer.public_key())


_Scope = tuple[bytes, ...]
"""All of a certificate that decides whether a list covers it, as it is encoded."""
_MOST_SCOPES = 4096


def _scope_of(certificate: x509.Certificate) -> _Scope:
    """Return the issuer, and the extensions that tell of a CA and of distribution points.

    cryptography makes objects of all extensions, which takes longer than all else in a look-up.

    Raises:
        DerError: the certificate is not DER.
    """
    fields = Reader(Reader(certificate.tbs_certificate_bytes).read(Tag.SEQUENCE))
    fields.read_optional(context(0))  # version
    fields.read(Tag.INTEGER)
    fields.read(Tag.SEQUENCE)  # signature
    issuer = fields.read_element(Tag.SEQUENCE)
    for _ in ("validity", "subject", "subjectPublicKeyInfo"):
        fields.read(Tag.SEQUENCE)
    for number in (1, 2):  # the unique identifiers
        fields.read_optional(context(number, constructed=False))
    extensions = Reader(Reader(fields.read_optional(context(3)) or _NONE).read(Tag.SEQUENCE))
    scope = [issuer]
    while extensions.peek() is not None:
        extension = extensions.read(Tag.SEQUENCE)
        if extension.startswith(_DECISIVE):
            scope.append(extension)
    return tuple(scope)


_NONE = sequence()
_DECISIVE = tuple(
    object_identifier(each.dotted_string)
    for each in (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.CRL_DISTRIBUTION_POINTS)
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
