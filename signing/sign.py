"""Signs documents as a taxpayer's software does: the door of this room for signers."""

from datetime import datetime

from signing.credential import Credential, refuse_unless_signing
from signing.intake import Format


def sign(
    document: bytes, credential: Credential, form: Format, signing_time: datetime, *, force: bool = False
) -> bytes:
    """Return `document` signed: a PDF or an `.xtx` with one more signature, or CMS around it.

    `signing_time` is written into PDF and CMS, as the signer's claim; XMLDSig has no place for it.

    Raises:
        JpkiError: FORBIDDEN `not-a-signing-certificate` unless `force`; UNPROCESSABLE `pdf-unreadable`,
            `xml-unreadable` or `not-an-etax-document`; MALFORMED `xml-dtd`; what the key's provider raises.
    """
    if not force:
        refuse_unless_signing(credential.certificate)
    if form in {Format.PDF, Format.PADES}:
        from signing import pdf_writer

        return pdf_writer.write(document, credential, signing_time, pades=form is Format.PADES)
    if form is Format.XML:
        from signing import xml_writer

        return xml_writer.write(document, credential)
    from signing import cms_writer

    return cms_writer.write_attached(document, credential, signing_time)
