"""Signs a PDF in an invisible field, as an incremental update: plainly, as JPKI's own software does, or as PAdES B-B.

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
from pyhanko.sign.signers.pdf_byterange import SignatureObject

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing import cms_writer
from signing.credential import Credential

_ROOM_BESIDE_CERTIFICATES = 2048
_PDF_1_7 = (1, 7)
"""The first version that PAdES allows; it must declare PAdES as an extension, PDF 2.0 knows it."""


def write(document: bytes, credential: Credential, signing_time: datetime, *, pades: bool = False) -> bytes:
    """Return the PDF with one more signature; earlier ones stay valid.

    Raises:
        JpkiError: UNPROCESSABLE `pdf-unreadable`: not a PDF, broken, or encrypted.
    """
    try:
        writer = _open(document)
        fields = sum(1 for _ in enumerate_sig_fields(writer))
        embed = _embed_pades if pades else _embed_plain
        return embed(writer, f"Signature{fields + 1}", credential, signing_time)
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


def _embed_plain(writer: IncrementalPdfFileWriter, field: str, credential: Credential, signing_time: datetime) -> bytes:
    placeholder = SignatureObject(timestamp=signing_time, bytes_reserved=_octets_reserved(credential))
    return _embed(
        writer,
        field,
        placeholder,
        credential,
        lambda hashed: cms_writer.write_detached(hashed, credential, signing_time),
    )


def _embed_pades(writer: IncrementalPdfFileWriter, field: str, credential: Credential, signing_time: datetime) -> bytes:
    writer.ensure_output_version(_PDF_1_7)
    if writer.output_version == _PDF_1_7:
        writer.register_extension(constants.ESIC_EXTENSION_1)
    placeholder = SignatureObject(
        timestamp=signing_time, subfilter=SigSeedSubFilter.PADES, bytes_reserved=_octets_reserved(credential)
    )
    return _embed(writer, field, placeholder, credential, lambda hashed: cms_writer.write_bound(hashed, credential))


def _embed(
    writer: IncrementalPdfFileWriter,
    field: str,
    placeholder: SignatureObject,
    credential: Credential,
    make_cms: Callable[[bytes], bytes],
) -> bytes:
    steps = PdfCMSEmbedder().write_cms(field_name=field, writer=writer)
    next(steps)
    steps.send(SigObjSetup(sig_placeholder=placeholder))
    prepared, output = steps.send(SigIOSetup(md_algorithm=cms_writer.digest_name(credential)))
    steps.send(make_cms(prepared.document_digest))
    return bytes(output.getvalue())


def _octets_reserved(credential: Credential) -> int:
    """Return the room that the signature takes in the file, where each octet is two hexadecimal digits."""
    certificates = (credential.certificate, *credential.chain)
    size = sum(len(certificate.public_bytes(Encoding.DER)) for certificate in certificates)
    return 2 * (size + _ROOM_BESIDE_CERTIFICATES)
