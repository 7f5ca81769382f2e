"""Makes a signed PDF last: with the revocation data of its day (PAdES B-LT), and a time-stamp over all (B-LTA).

Whoever verifies it then needs no network, and no authority that still answers (ETSI EN 319 142-1, 6.3).
"""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.validation.dss import DocumentSecurityStore

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_signature, pdf_writer
from signing.time_stamp import names_revocation_data, read_token
from signing.time_stamper import Level, Stamping
from signing.trust import Chain, find_chain
from signing.validation import Stored, StoredKind, TrustAnchor


def preserve(document: bytes, chain: Sequence[x509.Certificate], stamping: Stamping) -> bytes:
    """Return the PDF, whose last signature was just made and stamped, with all that its verification needs.

    `chain` are the certificates above the signer's, to the root.

    Raises:
        JpkiError: UNPROCESSABLE `chain-incomplete`; as `Collect` and `TimeStamper`.
    """
    document = _with_store(document, chain, stamping)
    return pdf_writer.add_stamp(document, stamping.stamper.stamp) if stamping.level is Level.LTA else document


def _with_store(document: bytes, chain: Sequence[x509.Certificate], stamping: Stamping) -> bytes:
    writer = pdf_writer.open_for_update(document)
    embedded = writer.prev.embedded_signatures[-1]
    presented = cms_signature.present(embedded.signed_data, embedded.signer_info, embedded.compute_digest, ())
    (stamp,) = presented.stamps
    made_at = read_token(stamp.token).made_at
    signers, authority = _chain_of(presented.certificate, chain, made_at), stamping.stamper.chain_of(stamp.token)
    if signers is None or authority is None:
        raise _incomplete()
    stored = [
        *(stamping.collect(*link, made_at) for link in signers.links()),
        *(stamping.collect(*link, made_at) for link in authority.links() if names_revocation_data(link[0])),
    ]
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        embedded.pkcs7_content.hex().encode(),
        certs=[
            asn1_x509.Certificate.load(each.public_bytes(Encoding.DER))
            for each in (*signers.certificates, *authority.certificates)
        ],
        crls=[asn1_crl.CertificateList.load(each) for each in _of(stored, StoredKind.CRL)],
        ocsps=[asn1_ocsp.OCSPResponse.load(each) for each in _of(stored, StoredKind.OCSP)],
    )
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _chain_of(signer: x509.Certificate | None, above: Sequence[x509.Certificate], at: datetime) -> Chain | None:
    """Return the chain to one of the roots among the certificates given, for they are the caller's own."""
    roots = [TrustAnchor(certificate=each, domain="given") for each in above if each.issuer == each.subject]
    return None if signer is None else find_chain(signer, above, roots, at)


def _of(stored: Sequence[Stored], kind: StoredKind) -> Iterator[bytes]:
    return (each.octets for each in stored if each.kind is kind)


def _incomplete() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "chain-incomplete",
        Text(
            "署名者の証明書からルート証明書までの認証局の証明書がそろっていないため、長期検証用にできません。",
            "The CA certificates from the signer's up to its root are not all there, so the signature cannot be kept.",
        ),
        Text(
            "--chain に、ルートまでの認証局の証明書を指定してください。",
            "Give --chain with the CA certificates up to the root.",
        ),
    )
