"""Time-stamp authorities for tests, good ones and others, and lists and responses to be kept with a document."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jpki.der import Reader, Tag
from jpki.ports import RevocationSource
from jpki.randomness import system_randomness
from jpki.revocation import RevocationEvidence
from jpki.signature import PrivateKey
from server.stored_evidence import read_stored
from signing import cms_writer, pdf_writer, xml_writer
from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.time_stamper import StampDigest, TimeStamper
from signing.tsa import TimeStampAuthority
from signing.validation import Stored, StoredKind, Validation
from tests.signing.town import NOW, Authority, Town, good, make_root

DAY = timedelta(days=1)
DOCUMENTS = {
    Format.PADES: tax_return_pdf(["Income tax return (sample)"]),
    Format.XML: tax_return_xtx("見本　花子", 2025),
    Format.CMS: b"any content at all",
}
STAMPED_FORMATS = list(DOCUMENTS)
STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])


@dataclass(frozen=True, slots=True)
class Clockhouse:
    """A root for time-stamping, and one unit under it."""

    root: Authority
    unit: Credential

    def answer(self, at: datetime) -> Callable[[bytes], bytes]:
        """Return the door of an authority whose clock stands at `at`."""
        authority = TimeStampAuthority(lambda _: self.unit, lambda: at, lambda: at, system_randomness)
        return authority.answer

    def stamper(self, at: datetime = NOW, *, trusted: bool = True) -> TimeStamper:
        return TimeStamper(self.answer(at), system_randomness, (self.root.anchor,) if trusted else ())

    def token(self, at: datetime, digest: bytes) -> bytes:
        """Return a token over a SHA-256 digest, without any look at who makes it."""
        imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest}
        request = tsp.TimeStampReq({"version": "v1", "message_imprint": imprint, "cert_req": True})
        answer = Reader(Reader(self.answer(at)(request.dump())).read(Tag.SEQUENCE))
        answer.read(Tag.SEQUENCE)
        return answer.rest()

    def stamp(self, at: datetime = NOW) -> StampDigest:
        return lambda digest: self.token(at, digest)

    def with_unit(self, **fields: object) -> "Clockhouse":
        return replace(self, unit=make_unit(self.unit.key, self.root, **fields))  # type: ignore[arg-type]


def make_unit(
    key: PrivateKey,
    root: Authority,
    *,
    usage: x509.ExtendedKeyUsage | None = STAMPING,
    critical: bool = True,
    not_before: datetime = NOW - 300 * DAY,
    not_after: datetime = NOW + 700 * DAY,
    list_url: str | None = None,
) -> Credential:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Time-stamping unit")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=critical)
    if list_url is not None:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(list_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    return Credential(certificate=builder.sign(root.key, SHA256()), key=key)


def make_clockhouse() -> Clockhouse:
    root = make_root(ec.generate_private_key(ec.SECP256R1()))
    return Clockhouse(root, make_unit(ec.generate_private_key(ec.SECP256R1()), root))


def signed(form: Format, credential: Credential, stamp: StampDigest | None, document: bytes | None = None) -> bytes:
    """Sign with whatever stamps: nobody looks at the token."""
    content = document or DOCUMENTS[form]
    if form is Format.PADES:
        return pdf_writer.write(content, credential, NOW, pades=True, stamp=stamp)
    if form is Format.XML:
        return xml_writer.write(content, credential, NOW, stamp)
    if stamp is None:
        return cms_writer.write_attached(content, credential, NOW)
    return cms_writer.write_stamped(content, credential, NOW, stamp, detached=False)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A source that knows nothing of what these roots issued."""

    source: RevocationSource
    roots: Sequence[x509.Certificate]

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        return None if issuer in self.roots else self.source.evidence(certificate, issuer, at)


@dataclass(frozen=True, slots=True)
class About:
    """A source that knows one certificate."""

    certificate: x509.Certificate
    word: RevocationEvidence

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        del issuer, at
        return self.word if certificate == self.certificate else None


def terms(
    town: Town,
    *houses: Clockhouse,
    sources: Sequence[RevocationSource] = (good(),),
    of_units: Sequence[RevocationSource] = (),
    at: datetime | None = None,
    now: datetime = NOW,
) -> Validation:
    """Return terms under which these houses' stamps are believed, and what documents hold is read.

    `sources` speak of signers, `of_units` of whoever stamped.
    """
    roots = [house.root.certificate for house in houses]
    return replace(
        town.validation(at=at),
        revocation=[*of_units, *(_Elsewhere(source, roots) for source in sources)],
        stamp_anchors=tuple(house.root.anchor for house in houses),
        read_stored=read_stored,
        clock=lambda: now,
    )


# --- revocation data -------------------------------------------------------------------------------------------------


def list_of(
    issuer: Authority,
    made_at: datetime,
    *revoked: tuple[x509.Certificate, datetime, x509.ReasonFlags],
    key: PrivateKey | None = None,
    point: x509.GeneralName | None = None,
    others: int = 0,
) -> bytes:
    """Return the DER of a list, complete unless `point` names it; `key` signs in the issuer's place.

    So many `others` are revoked besides.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(made_at)
        .next_update(made_at + 2 * DAY)
    )
    if point is not None:
        scope = x509.IssuingDistributionPoint([point], None, False, False, None, False, False)
        builder = builder.add_extension(scope, critical=True)
    for number in range(others):
        other = x509.RevokedCertificateBuilder().serial_number((1 << 126) + number).revocation_date(made_at)
        builder = builder.add_revoked_certificate(other.build())
    for certificate, when, reason in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(when)
            .add_extension(x509.CRLReason(reason), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key or issuer.key, SHA256()).public_bytes(Encoding.DER)


def response_about(
    certificate: x509.Certificate,
    issuer: Authority,
    made_at: datetime,
    responder: Credential,
    revoked_at: datetime | None = None,
) -> bytes:
    """Return the DER of an OCSP response by a responder that brings its certificate along."""
    status = ocsp.OCSPCertStatus.GOOD if revoked_at is None else ocsp.OCSPCertStatus.REVOKED
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(certificate, issuer.certificate, SHA256(), status, made_at, made_at + DAY, revoked_at, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
        .certificates([responder.certificate])
        .sign(responder.key, SHA256())
    )
    return response.public_bytes(Encoding.DER)


def make_responder(
    key: PrivateKey, issuer: Authority, *, usage: bool = True, not_after: datetime = NOW + 20 * DAY
) -> Credential:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Responder")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(not_after)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return Credential(certificate=builder.sign(issuer.key, SHA256()), key=key)


def listed(octets: bytes) -> Stored:
    return Stored(kind=StoredKind.CRL, octets=octets)


def answered(octets: bytes) -> Stored:
    return Stored(kind=StoredKind.OCSP, octets=octets)
