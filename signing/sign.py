"""Signs documents as a taxpayer's software does: the door of this room for signers."""

from datetime import datetime

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.credential import Credential, refuse_unless_signing
from signing.intake import Format
from signing.time_stamper import Level, Stamping


def sign(
    document: bytes,
    credential: Credential,
    form: Format,
    signing_time: datetime,
    *,
    stamping: Stamping | None = None,
    detached: bool = False,
    force: bool = False,
) -> bytes:
    """Return `document` signed: a PDF or an `.xtx` with one more signature, or CMS around it.

    `signing_time` is written into PDF, CMS and XAdES, as the signer's claim; plain XMLDSig has no place for it. With
    `stamping` a PDF is signed as PAdES, an `.xtx` as XAdES and all else as CAdES, with a time-stamp over the signature.
    What is `detached` is CMS beside the document (RFC 5652 5.2), which does not hold it.

    Raises:
        JpkiError: FORBIDDEN `not-a-signing-certificate` unless `force`; UNPROCESSABLE `pdf-unreadable`,
            `xml-unreadable`, `not-an-etax-document`, `level-of-pdf-only` for LT and LTA, or `detached-of-cms-only`;
            MALFORMED `xml-dtd`; as `TimeStamper` and `preserve`; what the key's provider raises.
    """
    if not force:
        refuse_unless_signing(credential.certificate)
    if detached and form is not Format.CMS:
        raise _of_cms_only()
    stamp = None if stamping is None else stamping.stamper.stamp
    if form in {Format.PDF, Format.PADES}:
        from signing import pdf_writer

        pades = form is Format.PADES or stamping is not None
        signed = pdf_writer.write(document, credential, signing_time, pades=pades, stamp=stamp)
        return signed if stamping is None else _kept(signed, credential, stamping)
    if stamping is not None and stamping.level is not Level.T:
        raise _of_pdf_only()
    if form is Format.XML:
        from signing import xml_writer

        return xml_writer.write(document, credential, signing_time, stamp)
    from signing import cms_writer

    if stamp is not None:
        return cms_writer.write_stamped(document, credential, signing_time, stamp, detached=detached)
    if detached:
        return cms_writer.write_detached(cms_writer.digest(document, credential), credential, signing_time)
    return cms_writer.write_attached(document, credential, signing_time)


def _kept(signed: bytes, credential: Credential, stamping: Stamping) -> bytes:
    if stamping.level is Level.T:
        return signed
    from signing.preservation import preserve

    return preserve(signed, credential.chain, stamping)


def _of_cms_only() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "detached-of-cms-only",
        Text("署名を別のファイルにできるのはCMSだけです。", "Only CMS can lie beside what it signs."),
        Text("--format cms を指定してください。", "Give --format cms."),
    )


def _of_pdf_only() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "level-of-pdf-only",
        Text(
            "長期検証用の署名（lt・lta）ができるのはPDFだけです。", "Only a PDF can be signed at the levels lt and lta."
        ),
        Text("--level t を指定してください。", "Give --level t."),
    )
