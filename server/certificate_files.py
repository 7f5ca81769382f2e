"""Certificates that options and settings name."""

from pathlib import Path

from cryptography import x509

from jpki.der import Tag
from jpki.errors import JpkiError, Kind
from jpki.text import Text


def certificates_in(file: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, at least one, or the one that the file is in DER.

    Raises:
        JpkiError: UNPROCESSABLE `certificate-unreadable`.
    """
    try:
        octets = file.read_bytes()
        is_der = octets.startswith(bytes([Tag.SEQUENCE]))
        return [x509.load_der_x509_certificate(octets)] if is_der else x509.load_pem_x509_certificates(octets)
    except (OSError, ValueError) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "certificate-unreadable",
            Text(f"{file} に読める証明書がありません。", f"{file} holds no certificate that can be read."),
            Text("PEM又はDER形式の証明書を指定してください。", "Give certificates in PEM or DER."),
        ) from error
