"""Drafts: the exact octets of a certificate before anyone signs it (RFC 5280 4.1; docs/profile.md)."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from ca import names
from ca.holder_names import subject_alternative_name
from ca.profile import Profile
from ca.tbs import to_be_signed
from jpki.certificate import Purpose, Validity
from jpki.clock import JST
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.randomness import Randomness, alphanumeric
from jpki.signature import PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that a holder's certificate is made of. Of the CSR it holds the public key and nothing else (rule R17)."""

    profile: Profile
    generation: Generation
    partition: Partition
    base_url: str
    serial: Serial
    common_name: str
    validity: Validity
    disclosed: Holder | None
    public_key: PublicKey

    @property
    def purpose(self) -> Purpose:
        """The CA's purpose is the certificate's."""
        return self.generation.purpose

    @property
    def subject(self) -> x509.Name:
        """The subject's name; only a signing certificate tells the municipality."""
        if self.disclosed is not None:
            return names.signing_subject(self.disclosed.municipality, self.common_name)
        return names.authentication_subject(self.common_name)

    def to_be_signed(self) -> bytes:
        """Return the DER of the TBSCertificate."""
        return to_be_signed(self._builder(), self.generation.public_key)

    def _builder(self) -> x509.CertificateBuilder:
        issuer = self.generation.certificate
        builder = (
            x509.CertificateBuilder()
            .serial_number(self.serial)
            .issuer_name(issuer.subject)
            .subject_name(self.subject)
            .not_valid_before(self.validity.not_before)
            .not_valid_after(self.validity.not_after)
            .public_key(self.public_key)
        )
        for extension, critical in self.extensions():
            builder = builder.add_extension(extension, critical)
        return builder

    def extensions(self) -> list[tuple[x509.ExtensionType, bool]]:
        """Return the extensions in their order, each with its criticality (docs/profile.md)."""
        issuer_key = x509.SubjectKeyIdentifier(self.generation.key_identifier)
        return [
            (key_usage(digital_signature=True, non_repudiation=self.purpose is Purpose.SIGNING), True),
            *([] if self.disclosed is None else [(subject_alternative_name(self.disclosed), False)]),
            (x509.IssuerAlternativeName(names.directory([names.authority_in_japanese(self.purpose)])), False),
            (policies(self.profile.policy(self.purpose), self.base_url), True),
            (distribution_point(self.partition.distribution_names(self.generation.id)), False),
            (information_access(self.generation, self.base_url), False),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), False),
            (x509.SubjectKeyIdentifier.from_public_key(self.public_key), False),
        ]


def common_name(purpose: Purpose, validity: Validity, randomness: Randomness) -> str:
    """Return a new opaque identifier; a signing certificate's begins with its time of issue in Japan."""
    if purpose is Purpose.SIGNING:
        issued = validity.not_before.astimezone(JST)
        return f"{issued:%Y%m%d%H%M%S}{alphanumeric(randomness, 12)}"
    return alphanumeric(randomness, 22)


def key_usage(
    *, digital_signature: bool = False, non_repudiation: bool = False, certificates_and_lists: bool = False
) -> x509.KeyUsage:
    """Return a keyUsage with these bits and no others."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=non_repudiation,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates_and_lists,
        crl_sign=certificates_and_lists,
        encipher_only=False,
        decipher_only=False,
    )


def policies(oid: str, base_url: str) -> x509.CertificatePolicies:
    """Return one policy with the CPS qualifier."""
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), [f"{base_url}/cps"])])


def distribution_point(full_name: list[x509.GeneralName]) -> x509.CRLDistributionPoints:
    """Return one distribution point with these names."""
    return x509.CRLDistributionPoints([x509.DistributionPoint(full_name, None, None, None)])


def information_access(generation: Generation, base_url: str) -> x509.AuthorityInformationAccess:
    """Return where to ask for status, and where the issuer's certificate lies."""
    issuer_url = f"{base_url}/ca/{generation.purpose}/{generation.id}.cer"
    return x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
            for method, url in (
                (AuthorityInformationAccessOID.OCSP, f"{base_url}/ocsp"),
                (AuthorityInformationAccessOID.CA_ISSUERS, issuer_url),
            )
        ]
    )
