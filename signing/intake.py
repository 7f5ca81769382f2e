"""Takes a file in: its size, its format by content, and whether it claims to be signed."""

import mmap
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.presented import Presented

LARGEST_DOCUMENT = 100 * 1024 * 1024
_TAIL = 1024
_HEAD = 4096


class Format(StrEnum):
    """The formats that this room makes; of those that it reads, PAdES is a PDF and is recognised as such."""

    PDF = "pdf"
    PADES = "pades"
    XML = "xml"
    CMS = "cms"


_MARKS = {
    Format.PDF: (b"/ByteRange",),
    Format.XML: (b"http://www.w3.org/2000/09/xmldsig#",),
    Format.CMS: (bytes.fromhex("06092a864886f70d010702"), b"-----BEGIN PKCS7", b"-----BEGIN CMS"),
}
"""What a signed file of the format bears: in CMS the type id-signedData, or PEM's label."""


def recognise(document: Path) -> Format:
    """Return the format of the file at `document`, told by its first octets.

    Raises:
        JpkiError: NOT_FOUND `document-missing`, TOO_LARGE `document-too-large`, UNPROCESSABLE `format-unknown`.
    """
    if not document.is_file():
        raise JpkiError(
            Kind.NOT_FOUND,
            "document-missing",
            Text(f"ファイル「{document.name}」がありません。", f"There is no file '{document.name}'."),
            Text("ファイル名を確かめてください。", "Check the file's name."),
        )
    if document.stat().st_size > LARGEST_DOCUMENT:
        raise JpkiError(
            Kind.TOO_LARGE,
            "document-too-large",
            Text("ファイルが100 MiBを超えています。", "The file is larger than 100 MiB."),
            Text("文書を分けてください。", "Split the document."),
        )
    with document.open("rb") as stream:
        return _recognise(stream.read(_HEAD))


def _recognise(head: bytes) -> Format:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"%PDF" in head[:_TAIL]:
        return Format.PDF
    if text.startswith((b"<", b"\xff\xfe<", b"\xfe\xff\0<")):
        return Format.XML
    if head.startswith(b"\x30") or text.startswith(b"-----BEGIN "):
        return Format.CMS
    raise JpkiError(
        Kind.UNPROCESSABLE,
        "format-unknown",
        Text("PDF、XML、CMSのいずれの形式でもありません。", "The file is neither PDF, XML nor CMS."),
        Text("署名付きのPDF、.xtx、.p7mを指定してください。", "Give a signed PDF, .xtx or .p7m."),
    )


def claims_signature(document: Path, form: Format) -> bool:
    """Tell whether the octets bear the marks of a signature: a broken one is refused, not passed over."""
    if document.stat().st_size == 0:
        return False
    with document.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        return any(octets.find(mark) >= 0 for mark in _MARKS[form])


def reader_for(form: Format) -> Callable[[Path], tuple[Presented, ...]]:
    """Return the reader of a format; its libraries are imported only now."""
    if form is Format.CMS:
        from signing import cms_reader

        return cms_reader.read
    if form is Format.XML:
        from signing import xml_reader

        return xml_reader.read
    from signing import pdf_reader

    return pdf_reader.read
