"""Takes a file in: its size, its format by content, and whether it claims to be signed."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import IO

from jpki.errors import JpkiError, Kind
from jpki.text import Text
from signing.caps import LARGEST_DOCUMENT
from signing.presented import Presented

_TAIL = 1024
_HEAD = 4096
_PART = 1024 * 1024


class Format(StrEnum):
    """The formats that this room makes; of those that it reads, PAdES is a PDF and is recognised as such."""

    PDF = "pdf"
    PADES = "pades"
    XML = "xml"
    CMS = "cms"


_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_HEADER = 32
"""Octets within which a ContentInfo tells its type."""
_MARKS = {
    Format.PDF: (b"/ByteRange",),
    Format.XML: (b"http://www.w3.org/2000/09/xmldsig#",),
    Format.CMS: (_SIGNED_DATA, b"-----BEGIN PKCS7", b"-----BEGIN CMS"),
}
"""What a signed file of the format bears: in CMS the type id-signedData, or PEM's label."""


def opened(document: Path) -> IO[bytes]:
    """Open the file at `document`.

    Raises:
        JpkiError: NOT_FOUND `document-missing`.
    """
    if not document.is_file():
        raise JpkiError(
            Kind.NOT_FOUND,
            "document-missing",
            Text(f"ファイル「{document.name}」がありません。", f"There is no file '{document.name}'."),
            Text("ファイル名を確かめてください。", "Check the file's name."),
        )
    return document.open("rb")


def recognise(document: IO[bytes]) -> Format:
    """Return the format of an open file, told by its first octets; its position is its beginning again.

    Raises:
        JpkiError: TOO_LARGE `document-too-large`, UNPROCESSABLE `format-unknown`.
    """
    if document.seek(0, SEEK_END) > LARGEST_DOCUMENT:
        raise JpkiError(
            Kind.TOO_LARGE,
            "document-too-large",
            Text("ファイルが100 MiBを超えています。", "The file is larger than 100 MiB."),
            Text("文書を分けてください。", "Split the document."),
        )
    document.seek(0)
    head = document.read(_HEAD)
    document.seek(0)
    return _recognise(head)


def _recognise(head: bytes) -> Format:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"\x30") and _SIGNED_DATA in head[:_HEADER]:
        return Format.CMS  # What it holds may be a PDF.
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


def _content_inside() -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "content-inside",
        Text(
            "PDFとXMLの署名は、署名した内容と同じファイルにあります。",
            "The signatures of a PDF or XML file are over that very file.",
        ),
        Text("署名されたファイルだけを指定してください。", "Give the signed file alone."),
    )


def claims_signature(document: IO[bytes], form: Format) -> bool:
    """Tell whether the octets bear the marks of a signature: a broken one is refused, not passed over."""
    longest = max(map(len, _MARKS[form]))
    document.seek(0)
    tail = b""
    while part := document.read(_PART):
        octets = tail + part
        if any(mark in octets for mark in _MARKS[form]):
            return True
        tail = octets[1 - longest :]
    return False


def reader_for(form: Format, content: IO[bytes] | None = None) -> Callable[[IO[bytes]], tuple[Presented, ...]]:
    """Return the reader of a format; its libraries are imported only now.

    `content` is what the document signs where that lies in a file of its own.

    Raises:
        JpkiError: UNPROCESSABLE `content-inside`: signatures of this format have what they sign in the same file.
    """
    if form is Format.CMS:
        from signing import cms_reader

        return partial(cms_reader.read, content=content)
    if content is not None:
        raise _content_inside()
    if form is Format.XML:
        from signing import xml_reader

        return xml_reader.read
    from signing import pdf_reader

    return pdf_reader.read
