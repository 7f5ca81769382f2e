"""Certificates that options and settings name."""

from pathlib import Path

from cryptography import x509

from jpki.errors import JpkiError, Kind
from jpki.text import Text


def certificates_in(file: Path) -> list[x509.Certificate]:
    """Return the certificates in a PEM file, at least one.

    Raises:
        JpkiError: UNPROCESSABLE `certificate-unreadable`.
    """
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "certificate-unreadable",
            Text(f"{file} に読める証明書がありません。", f"{file} holds no certificate that can be read."),
            Text("PEM形式の証明書を指定してください。", "Give certificates in PEM."),
        ) from error
