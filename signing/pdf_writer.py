"""Signs a PDF as JPKI's own software does: adbe.pkcs7.detached in an invisible field, as an incremental update."""

from datetime import datetime
from io import BytesIO

from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import SignatureObject

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_writer
from signing.credential import Credential

_ROOM_BESIDE_CERTIFICATES = 2048


def write(document: bytes, credential: Credential, signing_time: datetime) -> bytes:
    """Return the PDF with one more signature; earlier ones stay valid.

    Raises:
        JpkiError: UNPROCESSABLE `pdf-unreadable`: not a PDF, broken, or encrypted.
    """
    try:
        writer = _open(document)
        fields = sum(1 for _ in enumerate_sig_fields(writer))
        return _embed(writer, f"Signature{fields + 1}", credential, signing_time)
    except JpkiError:
        raise
    except Exception as error:  # a broken PDF makes pyHanko raise anything
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "pdf-unreadable",
            Text("PDFとして読み取れないため、署名できません。", "The file cannot be read as a PDF and was not signed."),
            Text("暗号化されていない正しいPDFを指定してください。", "Give a sound PDF without a password."),
        ) from error


def _open(document: bytes) -> IncrementalPdfFileWriter:
    reader = PdfFileReader(BytesIO(document), strict=False)
    if reader.encrypted:
        raise PdfReadError("encrypted")
    return IncrementalPdfFileWriter.from_reader(reader)


def _embed(writer: IncrementalPdfFileWriter, field: str, credential: Credential, signing_time: datetime) -> bytes:
    placeholder = SignatureObject(timestamp=signing_time, bytes_reserved=_octets_reserved(credential))
    steps = PdfCMSEmbedder().write_cms(field_name=field, writer=writer)
    next(steps)
    steps.send(SigObjSetup(sig_placeholder=placeholder))
    prepared, output = steps.send(SigIOSetup(md_algorithm=cms_writer.digest_name(credential)))
    steps.send(cms_writer.write_detached(prepared.document_digest, credential, signing_time))
    return bytes(output.getvalue())


def _octets_reserved(credential: Credential) -> int:
    """Return the room that the signature takes in the file, where each octet is two hexadecimal digits."""
    certificates = (credential.certificate, *credential.chain)
    size = sum(len(certificate.public_bytes(Encoding.DER)) for certificate in certificates)
    return 2 * (size + _ROOM_BESIDE_CERTIFICATES)
