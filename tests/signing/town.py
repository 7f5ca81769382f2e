"""A small CA in JPKI's shape: two generations of one name, signing and authentication certificates, all synthetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from jpki import der, oids
from jpki.errors import JpkiError, Kind
from jpki.ports import RevocationSource
from jpki.revocation import Finding, RevocationEvidence
from jpki.signature import PrivateKey
from jpki.text import Text
from signing.credential import Credential
from signing.validation import LAB_POLICIES, TrustAnchor, Validation

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ROOT_NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "JPKI-LAB"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "JPKI for digital signature"),
    ]
)
HOLDER_NAME = "見本　花子"
UNKNOWN_OTHER_NAME = "1.2.392.200149.8.5.5.99"
ATTRIBUTES = {oids.NAME: HOLDER_NAME, oids.GENDER: "2", UNKNOWN_OTHER_NAME: "未知"}


def _year(years: int) -> datetime:
    return NOW + timedelta(days=365 * years)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def anchor(self) -> TrustAnchor:
        return TrustAnchor(certificate=self.certificate, domain="lab", policies=LAB_POLICIES)


def make_root(key: PrivateKey, constraints: x509.NameConstraints | None = None) -> Authority:
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(ROOT_NAME, key, NOW - timedelta(days=400), _year(8))
        .issuer_name(ROOT_NAME)
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Authority(builder.sign(key, SHA256()), key)


ANY_POLICY = "2.5.29.32.0"


def make_intermediate(
    key: PrivateKey, root: Authority, *, ca: bool = True, policy: str | None = ANY_POLICY
) -> Authority:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Intermediate")])
    builder = (
        _builder(name, key, NOW - timedelta(days=300), _year(5))
        .issuer_name(root.certificate.subject)
        .add_extension(_usage(key_cert_sign=ca, digital_signature=not ca), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_authority_key(root), critical=False)
    )
    if policy is not None:
        policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(policy), None)])
        builder = builder.add_extension(policies, critical=False)
    return Authority(builder.sign(root.key, SHA256()), key)


def make_certificate(  # noqa: PLR0913 - one parameter for each oddity
    key: PrivateKey,
    issuer: Authority,
    *,
    policy: str = oids.LAB_SIGNING_POLICY,
    content_commitment: bool = True,
    not_before: datetime = NOW - timedelta(days=200),
    not_after: datetime = NOW + timedelta(days=800),
    critical: Sequence[x509.ExtensionType] = (),
    attributes: Mapping[str, str] = ATTRIBUTES,
) -> x509.Certificate:
    """Issue a holder's certificate: critical policies with a CPS URI, otherNames in the subjectAltName, AKI and SKI."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Tokyo-to"),
            x509.NameAttribute(NameOID.COMMON_NAME, "20260507120000ABCDEF012345"),
        ]
    )
    policies = x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(policy), ["http://127.0.0.1:8080/cps"])]
    )
    builder = (
        _builder(name, key, not_before, not_after)
        .issuer_name(issuer.certificate.subject)
        .add_extension(_usage(digital_signature=True, content_commitment=content_commitment), critical=True)
        .add_extension(x509.SubjectAlternativeName(_other_names(attributes)), critical=False)
        .add_extension(policies, critical=True)
        .add_extension(_authority_key(issuer), critical=False)
    )
    for extension in critical:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer.key, SHA256())


def make_authentication_certificate(key: PrivateKey, issuer: Authority) -> x509.Certificate:
    return make_certificate(key, issuer, policy=oids.LAB_AUTHENTICATION_POLICY, content_commitment=False)


def _builder(name: x509.Name, key: PrivateKey, not_before: datetime, not_after: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_key(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _other_names(values: Mapping[str, str]) -> list[x509.GeneralName]:
    return [x509.OtherName(x509.ObjectIdentifier(oid), der.utf8_string(value)) for oid, value in values.items()]


@dataclass(frozen=True, slots=True)
class Word:
    """A revocation source that gives the same word about everything; None where it has no say."""

    evidence_given: RevocationEvidence | None

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        del certificate, issuer, at
        return self.evidence_given


class Outage:
    """A revocation source that cannot be reached."""

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        del certificate, issuer, at
        raise JpkiError(
            Kind.UNAVAILABLE, "source-away", Text("接続できません。", "Away."), Text("再試行", "Try again.")
        )


def good(as_of: datetime = NOW, source: str = "ledger", fresh_until: datetime | None = None) -> Word:
    return Word(RevocationEvidence(finding=Finding.GOOD, source=source, as_of=as_of, fresh_until=fresh_until))


def revoked(at: datetime, finding: Finding = Finding.REVOKED, as_of: datetime = NOW) -> Word:
    return Word(RevocationEvidence(finding=finding, source="ledger", as_of=as_of, revoked_at=at))


def unknown() -> Word:
    return Word(RevocationEvidence(finding=Finding.UNKNOWN, source="ledger", as_of=NOW))


@dataclass(frozen=True, slots=True)
class Town:
    """Everything a test signs and verifies with."""

    root: Authority
    next_root: Authority
    holder: Credential
    accountant: Credential
    visitor: Credential
    spare_keys: Sequence[PrivateKey]

    def validation(self, *sources: RevocationSource, at: datetime | None = None, show: bool = False) -> Validation:
        return Validation(
            anchors=(self.next_root.anchor, self.root.anchor),
            revocation=sources or (good(),),
            clock=lambda: NOW,
            at=at,
            show_attributes=show,
        )

    def credential(self, certificate: x509.Certificate, *chain: x509.Certificate) -> Credential:
        return Credential(certificate=certificate, key=self.holder.key, chain=chain)


def make_town() -> Town:
    """Make the keys (RSA-2048 as on today's cards, P-256, P-384) and their certificates once."""
    root = make_root(rsa.generate_private_key(65537, 2048))
    next_root = make_root(ec.generate_private_key(ec.SECP384R1()))
    holder = rsa.generate_private_key(65537, 2048)
    accountant = ec.generate_private_key(ec.SECP256R1())
    visitor = ec.generate_private_key(ec.SECP384R1())
    return Town(
        root=root,
        next_root=next_root,
        holder=Credential(certificate=make_certificate(holder, root), key=holder),
        accountant=Credential(certificate=make_certificate(accountant, next_root), key=accountant),
        visitor=Credential(certificate=make_certificate(visitor, root), key=visitor),
        spare_keys=[ec.generate_private_key(ec.SECP256R1()) for _ in range(2)],
    )
