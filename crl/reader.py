"""Reading a list that came as a file, ours or a stranger's, as evidence about a certificate (RFC 5280 6.3.3).

A list that does not surely speak for a certificate has no say: the verdict is then undecided, never "good". Nor has a
delta by itself; it brings a complete list up to date (RFC 5280 5.2.4).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import BinaryIO, TypeVar

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from crl.certificate_list import CertificateList, read_list, unreadable
from crl.outline import UNREADABLE
from jpki.der import Reader, Tag, context, object_identifier, sequence
from jpki.errors import JpkiError, Kind
from jpki.ports import RevocationSource
from jpki.revocation import Finding, Reason, RevocationEvidence
from jpki.text import Text

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
            delta = extension_of(head.extensions, x509.DeltaCRLIndicator)
            number = extension_of(head.extensions, x509.CRLNumber)
            self.base = None if delta is None else delta.crl_number
            """The number of the complete list that it is a delta of; None where it is none."""
            self.number = None if number is None else number.crl_number
            self._understood = self._list.entries.understood and not unknown_critical(head)
            self._issuer = head.issuer
            self._point = extension_of(head.extensions, x509.IssuingDistributionPoint)
            self.origin = head.issuer, extension_of(head.extensions, x509.AuthorityKeyIdentifier), self._point
            """Issuer, key and scope: a list and its delta have them in common."""
            self.as_of = head.last_update_utc
            """Its thisUpdate."""
            self.fresh_until = head.next_update_utc
            """Its nextUpdate, None where it has none."""
        except UNREADABLE as error:
            raise unreadable() from error

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the list's word on `certificate`, None where it has no say; freshness is the caller's to judge."""
        del at
        try:
            has_say = self.speaks_for(issuer) and self._covers(certificate)
        except UNREADABLE:
            return None
        return self._word(certificate.serial_number) if has_say else None

    def speaks_for(self, issuer: x509.Certificate) -> bool:
        """Tell whether it is a complete list, by this issuer's key, in which nothing critical is unknown."""
        try:
            return self.base is None and self._is_believed(issuer)
        except UNREADABLE:
            return False

    def updated(self, delta: "CrlFile") -> RevocationSource:
        """Return this complete list as `delta` brings it up to date; one of the same number has nothing to add.

        Raises:
            JpkiError: UNPROCESSABLE `crl-no-delta` where they are not one of each; `crl-delta-foreign` where it is of
                another issuer, key or scope; `crl-delta-base-newer` where it is of a later list; `crl-delta-older`.
        """
        if delta.base is None or self.base is not None:
            raise _no_delta()
        if delta.origin != self.origin:
            raise _foreign()
        if self.number is None or self.number < delta.base:
            raise _base_newer(delta.base)
        if delta.number is None or delta.number < self.number:
            raise _older(delta.number, self.number)
        return self if delta.number == self.number else _Updated(self, delta)

    def change(
        self, certificate: x509.Certificate, issuer: x509.Certificate, before: RevocationEvidence
    ) -> RevocationEvidence | None:
        """Return this delta's word on a certificate of which its list says `before`; None where it has no say."""
        try:
            if not self._is_believed(issuer):
                return None
        except UNREADABLE:
            return None
        entry = self._list.entries.find(certificate.serial_number)
        if entry is None:
            return replace(before, as_of=self.as_of, fresh_until=self.fresh_until)
        if entry.reason is x509.ReasonFlags.remove_from_crl:
            return self._evidence(Finding.GOOD)
        return self._word(certificate.serial_number)

    def _is_believed(self, issuer: x509.Certificate) -> bool:
        return self._understood and self._is_signed_by(issuer)

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
            as_of=self.as_of,
            fresh_until=self.fresh_until,
            revoked_at=revoked_at,
            reason=reason,
        )


class _Updated:
    """A complete list and a delta that is later; see `jpki.ports.RevocationSource`."""

    def __init__(self, complete: CrlFile, delta: CrlFile) -> None:
        self._complete = complete
        self._delta = delta

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the word of both, as of the delta; None where either has no say."""
        before = self._complete.evidence(certificate, issuer, at)
        return None if before is None else self._delta.change(certificate, issuer, before)


def updated(lists: Sequence[CrlFile]) -> list[RevocationSource]:
    """Return the complete ones of these lists, each as the newest delta among them has it that is of it.

    The latest comes first: an older one may promise still what is no longer so.

    Raises:
        JpkiError: UNPROCESSABLE as for `CrlFile.updated`, where a delta is of none of them.
    """
    complete = sorted((each for each in lists if each.base is None), key=lambda each: each.as_of, reverse=True)
    sources: list[RevocationSource] = list(complete)
    for delta in sorted((each for each in lists if each.base is not None), key=lambda each: each.number or 0):
        reasons = []
        for place, each in enumerate(complete):
            try:
                sources[place] = each.updated(delta)
            except JpkiError as error:
                reasons.append(error)
        if not complete:
            raise _no_delta()
        if len(reasons) == len(complete):
            raise next((each for each in reasons if each.code != "crl-delta-foreign"), _foreign())
    return sources


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


def _no_delta() -> JpkiError:
    return _unusable(
        "crl-no-delta",
        "完全な失効リストと差分リストの組ではありません。",
        "These are not a complete list and a delta.",
        "完全なリストと、その差分リストを一つずつ指定してください。",
        "Give a complete list, and a delta of it.",
    )


def _foreign() -> JpkiError:
    return _unusable(
        "crl-delta-foreign",
        "差分リストの発行者、鍵又は対象範囲が、指定された失効リストと異なります。",
        "The delta is of another issuer, key or scope than the lists that were given.",
        "同じ世代の同じ範囲の完全なリストを指定してください。",
        "Give the complete list of the same generation and scope.",
    )


def _base_newer(base: int) -> JpkiError:
    return _unusable(
        "crl-delta-base-newer",
        f"差分リストは第{base}号以後のリストの差分です。指定されたリストはそれより古い号です。",
        f"The delta is of list number {base}, and the one that was given is older.",
        "新しい完全なリストを取得してください。",
        "Fetch a newer complete list.",
    )


def _older(number: int | None, than: int) -> JpkiError:
    return _unusable(
        "crl-delta-older",
        f"差分リスト（番号 {number or '-'}）は、指定されたリスト（第{than}号）より古いものです。",
        f"The delta, number {number or '-'}, is older than the list that was given, number {than}.",
        "完全なリストだけを使うか、新しい差分リストを取得してください。",
        "Use the complete list alone, or fetch a newer delta.",
    )


def _unusable(code: str, ja: str, en: str, action_ja: str, action_en: str) -> JpkiError:
    return JpkiError(Kind.UNPROCESSABLE, code, Text(ja, en), Text(action_ja, action_en))
