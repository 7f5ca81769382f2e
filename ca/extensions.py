"""The extensions that our certificates are made of (RFC 5280 4.2; docs/profile.md)."""

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from jpki.generation import Generation


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


def authority_key_identifier(generation: Generation) -> x509.AuthorityKeyIdentifier:
    """Return the issuer's key identifier, by which a verifier chooses among generations of one name."""
    return x509.AuthorityKeyIdentifier(generation.key_identifier, None, None)
