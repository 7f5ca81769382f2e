"""What a list is, in words: whose, of which kind, how fresh, how large, and what it says of one certificate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import SignatureAlgorithmOID

from crl.certificate_list import CertificateList, unreadable
from crl.outline import UNREADABLE
from crl.reader import extension_of, may_sign_lists, unknown_critical
from jpki.text import Text


class Scope(StrEnum):
    """Which certificates a list tells of (RFC 5280 5.2.4, 5.2.5)."""

    COMPLETE = "complete"
    PARTITION = "partition"
    DELTA = "delta"
    AUTHORITIES = "authorities"
    HOLDERS = "holders"
    ATTRIBUTES = "attributes"


SCOPES = {
    Scope.COMPLETE: Text("全件のリスト", "complete: all certificates of the issuer"),
    Scope.PARTITION: Text(
        "区画のリスト（その配布点の証明書だけ）", "a partition: certificates of its distribution point"
    ),
    Scope.DELTA: Text("差分リスト（基準のリストと合わせて使う）", "a delta: changes since its base"),
    Scope.AUTHORITIES: Text("認証局証明書のリスト（ARL）", "authorities' certificates only (an ARL)"),
    Scope.HOLDERS: Text("認証局以外の証明書のリスト", "holders' certificates only, none of authorities"),
    Scope.ATTRIBUTES: Text("属性証明書のリスト", "attribute certificates only"),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is told of one list, but its entries.

    `base` is the number that a delta is of. `points` are the names of its distribution point, `freshest` those of its
    own delta. `objections` say why no verifier may rely on it, whatever it holds.
    """

    issuer: str
    scope: Scope
    points: Sequence[str]
    freshest: Sequence[str]
    number: int | None
    base: int | None
    this_update: datetime
    next_update: datetime | None
    is_stale: bool
    algorithm: str
    entries: int
    reasons: Mapping[str | None, int]
    objections: Sequence[Text]


_T = TypeVar("_T", bound=x509.ExtensionType)


def explain(found: CertificateList, now: datetime) -> Explanation:
    """Explain a list that was read.

    Raises:
        JpkiError: UNPROCESSABLE `crl-unreadable` where its name or an extension is none.
    """
    try:
        return _explain(found, now)
    except UNREADABLE as error:
        raise unreadable() from error


def _explain(found: CertificateList, now: datetime) -> Explanation:
    head = found.head
    number, delta = _of(head, x509.CRLNumber), _of(head, x509.DeltaCRLIndicator)
    point = _of(head, x509.IssuingDistributionPoint)
    return Explanation(
        issuer=head.issuer.rfc4514_string(),
        scope=Scope.DELTA if delta else _scope(point),
        points=() if point is None else tuple(_names(point)),
        freshest=tuple(name for each in _of(head, x509.FreshestCRL) or () for name in _names(each)),
        number=None if number is None else number.crl_number,
        base=None if delta is None else delta.crl_number,
        this_update=head.last_update_utc,
        next_update=head.next_update_utc,
        is_stale=head.next_update_utc is not None and head.next_update_utc < now,
        algorithm=_algorithm(head),
        entries=len(found.entries),
        reasons={None if reason is None else reason.value: count for reason, count in found.entries.reasons().items()},
        objections=tuple(_objections(found, point)),
    )


def signer_of(found: CertificateList, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Return the first whose key signed the list, and which may sign lists and bears the issuer's name (rule R23)."""
    return next((each for each in candidates if _is_signed_by(found, each)), None)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate."""
    return certificate.fingerprint(SHA256()).hex()


def _is_signed_by(found: CertificateList, candidate: x509.Certificate) -> bool:
    try:
        return (
            candidate.subject == found.head.issuer
            and may_sign_lists(candidate)
            and found.is_signed_by(candidate.public_key())
        )
    except UNREADABLE:
        return False


def _of(head: x509.CertificateRevocationList, kind: type[_T]) -> _T | None:
    return extension_of(head.extensions, kind)


def _scope(point: x509.IssuingDistributionPoint | None) -> Scope:
    if point is None:
        return Scope.COMPLETE
    if point.only_contains_ca_certs:
        return Scope.AUTHORITIES
    if point.only_contains_attribute_certs:
        return Scope.ATTRIBUTES
    if point.full_name or point.relative_name:
        return Scope.PARTITION
    return Scope.HOLDERS if point.only_contains_user_certs else Scope.COMPLETE


def _names(point: x509.IssuingDistributionPoint | x509.DistributionPoint) -> Iterator[str]:
    for each in point.full_name or ():
        yield each.value.rfc4514_string() if isinstance(each, x509.DirectoryName) else str(each.value)
    if point.relative_name is not None:
        yield point.relative_name.rfc4514_string()


def _algorithm(head: x509.CertificateRevocationList) -> str:
    identifier = head.signature_algorithm_oid
    return _ALGORITHMS.get(identifier, identifier.dotted_string)


_ALGORITHMS = {
    each: name.replace("_", " ")
    for name, each in vars(SignatureAlgorithmOID).items()
    if isinstance(each, x509.ObjectIdentifier)
}


def _objections(found: CertificateList, point: x509.IssuingDistributionPoint | None) -> Iterator[Text]:
    for oid in unknown_critical(found.head):
        yield Text(
            f"未知のcriticalな拡張 {oid} がある。", f"It has the critical extension {oid}, which is unknown here."
        )
    if not found.entries.understood:
        yield Text(
            "未知のcriticalな拡張、又はほかの発行者を示すエントリーがある。",
            "An entry has a critical extension that is unknown here, or names another issuer.",
        )
    if found.signed is None:
        yield Text("署名アルゴリズムが弱いか、未知である。", "Its signature algorithm is weak or unknown.")
    if point is not None and point.indirect_crl:
        yield Text("ほかの発行者の証明書も含む（間接CRL）。", "It tells of other issuers' certificates too (indirect).")
    if point is not None and point.only_some_reasons:
        yield Text("一部の失効理由だけを含む。", "It tells of some reasons only.")
