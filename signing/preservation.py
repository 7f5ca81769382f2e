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
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_signature, pdf_reader, pdf_writer
from signing.certificate_checks import check_validity
from signing.presented import Stamp
from signing.report import TimeProof
from signing.time_stamp import BrokenTimeStamp, names_revocation_data, read_token
from signing.time_stamper import Level, Stamping
from signing.trust import Chain, find_chain
from signing.validation import Stored, StoredKind, TrustAnchor
from signing.verdict import RULINGS, Decision


def preserve(document: bytes, chain: Sequence[x509.Certificate], stamping: Stamping) -> bytes:
    """Return the PDF, whose last signature was just made and stamped, with all that its verification needs.

    `chain` are the certificates above the signer's, to the root.

    Raises:
        JpkiError: UNPROCESSABLE `chain-incomplete`; as `Collect` and `TimeStamper`.
    """
    document = _with_store(document, chain, stamping, -1)
    return pdf_writer.add_stamp(document, stamping.stamper.stamp) if stamping.level is Level.LTA else document


def prolong(document: bytes, chain: Sequence[x509.Certificate], stamping: Stamping, now: datetime) -> bytes:
    """Return the PDF with one more time-stamp over all of it, before the last one proves nothing any more.

    What is needed to verify the last one is put in before; and so for each signature that no time-stamp of the document
    covers yet: it must bear one of its own, and `chain` are the certificates above its signer's, to the root.

    Raises:
        JpkiError: UNPROCESSABLE `document-unsigned`, `document-altered`, `signature-unstamped`, `stamp-broken`,
            `stamp-untrusted`, `stamp-ended`, `pdf-unreadable`; as `preserve` and `pdf_reader.read`.
    """
    try:
        signatures = pdf_writer.open_for_update(document).prev.embedded_regular_signatures
        presented = pdf_reader.read(BytesIO(document))
    except JpkiError:
        raise
    except Exception as error:  # a broken PDF makes pyHanko raise anything
        raise pdf_writer.unreadable() from error
    if not presented:
        raise _unsigned()
    causes = [check.cause for one in presented for check in one.checks if check.cause is not None]
    if any(RULINGS[cause].decision is Decision.REFUSE for cause in causes):
        raise _altered()
    stamps = [each for one in presented for each in one.stamps if each.proof is TimeProof.DOCUMENT_TIME_STAMP]
    last = max(stamps, key=lambda each: each.layer, default=None)
    for number, embedded in enumerate(signatures):
        if last is None or last.layer < embedded.signed_revision:
            document = _with_store(document, chain, stamping, number)
    if last is not None:
        document = _with_authority(document, last, stamping, now)
    return pdf_writer.add_stamp(document, stamping.stamper.stamp)


def _with_authority(document: bytes, stamp: Stamp, stamping: Stamping, now: datetime) -> bytes:
    try:
        token = read_token(stamp.token)
        token.require_imprint(stamp.imprint)
    except BrokenTimeStamp as error:
        raise _broken() from error
    authority = stamping.stamper.chain_of(stamp.token)
    if authority is None:
        raise _untrusted()
    if check_validity(authority, now).cause is not None:
        raise _ended(authority)
    links = [link for link in authority.links() if names_revocation_data(link[0])]
    stored = [stamping.collect(*link, token.made_at) for link in links]
    writer = pdf_writer.open_for_update(document)
    return _supplied(writer, writer.prev.embedded_timestamp_signatures[-1], authority.certificates, stored)


def _with_store(document: bytes, chain: Sequence[x509.Certificate], stamping: Stamping, number: int) -> bytes:
    writer = pdf_writer.open_for_update(document)
    embedded = writer.prev.embedded_regular_signatures[number]
    presented = cms_signature.present(embedded.signed_data, embedded.signer_info, embedded.compute_digest, ())
    if len(presented.stamps) != 1:
        raise _unstamped()
    (stamp,) = presented.stamps
    made_at = read_token(stamp.token).made_at
    signers, authority = _chain_of(presented.certificate, chain, made_at), stamping.stamper.chain_of(stamp.token)
    if signers is None or authority is None:
        raise _incomplete()
    stored = [
        *(stamping.collect(*link, made_at) for link in signers.links()),
        *(stamping.collect(*link, made_at) for link in authority.links() if names_revocation_data(link[0])),
    ]
    return _supplied(writer, embedded, (*signers.certificates, *authority.certificates), stored)


def _supplied(
    writer: IncrementalPdfFileWriter,
    embedded: EmbeddedPdfSignature,
    certificates: Sequence[x509.Certificate],
    stored: Sequence[Stored],
) -> bytes:
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        embedded.pkcs7_content.hex().encode(),
        certs=[asn1_x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in certificates],
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


def _unsigned() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "document-unsigned",
        Text("PDFに署名がありません。", "The PDF bears no signature."),
        Text("署名付きのPDFを指定してください（jpki sign）。", "Give a signed PDF; jpki sign makes one."),
    )


def _altered() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "document-altered",
        Text(
            "署名の後に改ざんされているか、署名が壊れているため、保存する意味がありません。",
            "The document was altered after it was signed, or a signature is broken: there is nothing to preserve.",
        ),
        Text(
            "jpki verify で確認し、改ざん前の版を指定してください。", "See jpki verify, and give a copy that is whole."
        ),
    )


def _unstamped() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "signature-unstamped",
        Text(
            "タイムスタンプのない署名（又は複数ある署名）があるため、失効情報を付けて保存できません。",
            "A signature has no time-stamp, or several, so there is no moment of which to keep revocation data.",
        ),
        Text("jpki sign --timestamp で署名してください。", "Sign with jpki sign --timestamp."),
    )


def _broken() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "stamp-broken",
        Text(
            "文書の最後のタイムスタンプが壊れているか、別の内容に対するものです。",
            "The document's last time-stamp is broken, or is one of something else.",
        ),
        Text("壊れていない版を指定してください。", "Give a copy that is whole."),
    )


def _untrusted() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "stamp-untrusted",
        Text(
            "文書の最後のタイムスタンプは、信頼する時刻認証局のものではありません。",
            "The document's last time-stamp is not by a trusted authority.",
        ),
        Text(
            "--timestamp-trust に、その時刻認証局のルート証明書も指定してください。",
            "Give the root of that authority with --timestamp-trust, too.",
        ),
    )


def _ended(authority: Chain) -> JpkiError:
    end = iso(min(each.not_valid_after_utc for each in authority.certificates))
    return JpkiError(
        Kind.UNPROCESSABLE,
        "stamp-ended",
        Text(
            f"文書の最後のタイムスタンプの証明書は{end}に終わっており、新しいタイムスタンプでは延長できません。",
            f"The certificate of the document's last time-stamp ended at {end}: a new one proves nothing of before.",
        ),
        Text(
            "証明書が終わる前に延長された版があれば、それを指定してください。",
            "Give a copy that was prolonged before that, if there is one.",
        ),
    )
