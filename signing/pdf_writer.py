"""Signs a PDF in an invisible field, as an incremental update: plainly, as JPKI's own software does, or as PAdES.

The plain SubFilter is adbe.pkcs7.detached, that of PAdES (ETSI EN 319 142-1, 6) is ETSI.CAdES.detached.
"""

# mypy: allow-untyped-calls
# pyHanko's PDF layer bears no types.

from collections.abc import Callable
from datetime import datetime
from io import BytesIO

from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.signers import constants
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import DocumentTimestamp, PdfSignedData, SignatureObject

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_writer
from signing.credential import Credential
from signing.time_stamper import DIGEST, LARGEST_TOKEN, StampDigest

_ROOM_BESIDE_CERTIFICATES = 2048
_PDF_1_7 = (1, 7)
"""The first version that PAdES allows; it must declare PAdES as an extension, PDF 2.0 knows it."""


def write(
    document: bytes,
    credential: Credential,
    signing_time: datetime,
    *,
    pades: bool = False,
    stamp: StampDigest | None = None,
) -> bytes:
    """Return the PDF with one more signature; earlier ones stay valid. `stamp` makes PAdES B-B into B-T.

    Raises:
        JpkiError: UNPROCESSABLE `pdf-unreadable`: not a PDF, broken, or encrypted.
    """
    try:
        writer = open_for_update(document)
        fields = sum(1 for _ in enumerate_sig_fields(writer))
        field = f"Signature{fields + 1}"
        if pades:
            return _embed_pades(writer, field, credential, signing_time, stamp)
        return _embed_plain(writer, field, credential, signing_time)
    except JpkiError:
        raise
    except Exception as error:  # a broken PDF makes pyHanko raise anything
        raise unreadable() from error


def unreadable() -> JpkiError:
    """Return the error UNPROCESSABLE `pdf-unreadable`, for what is no PDF, is broken or encrypted."""
    return JpkiError(
        Kind.UNPROCESSABLE,
        "pdf-unreadable",
        Text(
            "PDFとして読み取れないため、何も書き込んでいません。",
            "The file cannot be read as a PDF, and nothing was written.",
        ),
        Text("暗号化されていない正しいPDFを指定してください。", "Give a sound PDF without a password."),
    )


def open_for_update(document: bytes) -> IncrementalPdfFileWriter:
    """Return what writes the next revision of a PDF.

    Raises:
        PdfReadError: of pyHanko, as much else, where it cannot be read.
    """
    reader = PdfFileReader(BytesIO(document), strict=False)
    if reader.encrypted:
        raise PdfReadError("encrypted")
    return IncrementalPdfFileWriter.from_reader(reader)


def _embed_plain(writer: IncrementalPdfFileWriter, field: str, credential: Credential, signing_time: datetime) -> bytes:
    placeholder = SignatureObject(timestamp=signing_time, bytes_reserved=_octets_reserved(credential))
    return _embed(
        writer,
        field,
        placeholder,
        cms_writer.digest_name(credential),
        lambda hashed: cms_writer.write_detached(hashed, credential, signing_time),
    )


def _embed_pades(
    writer: IncrementalPdfFileWriter,
    field: str,
    credential: Credential,
    signing_time: datetime,
    stamp: StampDigest | None,
) -> bytes:
    writer.ensure_output_version(_PDF_1_7)
    if writer.output_version == _PDF_1_7:
        writer.register_extension(constants.ESIC_EXTENSION_1)
    reserved = _octets_reserved(credential) + (2 * LARGEST_TOKEN if stamp else 0)
    placeholder = SignatureObject(timestamp=signing_time, subfilter=SigSeedSubFilter.PADES, bytes_reserved=reserved)
    digest = cms_writer.digest_name(credential)
    return _embed(writer, field, placeholder, digest, lambda hashed: cms_writer.write_bound(hashed, credential, stamp))


def add_stamp(document: bytes, stamp: StampDigest) -> bytes:
    """Return the PDF with a time-stamp over all of it (ISO 32000-2, 12.8.5)."""
    writer = open_for_update(document)
    fields = sum(1 for _ in enumerate_sig_fields(writer))
    placeholder = DocumentTimestamp(bytes_reserved=2 * LARGEST_TOKEN)
    return _embed(writer, f"Timestamp{fields + 1}", placeholder, DIGEST, stamp)


def _embed(
    writer: IncrementalPdfFileWriter,
    field: str,
    placeholder: PdfSignedData,
    digest: str,
    make_cms: Callable[[bytes], bytes],
) -> bytes:
    steps = PdfCMSEmbedder().write_cms(field_name=field, writer=writer)
    next(steps)
    steps.send(SigObjSetup(sig_placeholder=placeholder))
    prepared, output = steps.send(SigIOSetup(md_algorithm=digest))
    steps.send(make_cms(prepared.document_digest))
    return bytes(output.getvalue())


def _octets_reserved(credential: Credential) -> int:
    """Return the room that the signature takes in the file, where each octet is two hexadecimal digits."""
    certificates = (credential.certificate, *credential.chain)
    size = sum(len(certificate.public_bytes(Encoding.DER)) for certificate in certificates)
    return 2 * (size + _ROOM_BESIDE_CERTIFICATES)
