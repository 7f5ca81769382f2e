"""Fictitious documents to sign: a tax return as e-Tax data and as a PDF, without any real person or office."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

_REIWA_BEFORE_FIRST_YEAR = 2018

_XTX = """\
<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<DATA xmlns="http://xml.e-tax.nta.go.jp/XSD/shotoku" xmlns:gen="http://xml.e-tax.nta.go.jp/XSD/general" \
xmlns:kyo="http://xml.e-tax.nta.go.jp/XSD/kyotsu" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" id="DATA">
  <RKO0010 VR="25.0.0" id="RKO0010">
    <CATALOG id="CATALOG">
      <rdf:RDF>
        <rdf:description id="REPORT">
          <SEND_DATA/>
          <IT_SEC><rdf:description about="#IT"/></IT_SEC>
          <FORM_SEC><rdf:Seq><rdf:li><rdf:description about="#KOA020-1"/></rdf:li></rdf:Seq></FORM_SEC>
          <TENPU_SEC/>
          <XBRL_SEC/>
          <XBRL2_1_SEC/>
          <SOFUSHO_SEC/>
          <ATTACH_SEC/>
          <CSV_SEC/>
        </rdf:description>
      </rdf:RDF>
    </CATALOG>
    <CONTENTS id="CONTENTS">
      <IT VR="1.5" id="IT">
        <ZEIMUSHO ID="ZEIMUSHO"><gen:zeimusho_CD>00000</gen:zeimusho_CD>\
<gen:zeimusho_NM>見本</gen:zeimusho_NM></ZEIMUSHO>
        <NOZEISHA_ID ID="NOZEISHA_ID">0000000000000000</NOZEISHA_ID>
        <NOZEISHA_NM ID="NOZEISHA_NM">{holder_name}</NOZEISHA_NM>
        <TETSUZUKI ID="TETSUZUKI"><procedure_CD>RKO0010</procedure_CD></TETSUZUKI>
        <NENBUN ID="NENBUN"><gen:era>5</gen:era><gen:yy>{reiwa}</gen:yy></NENBUN>
      </IT>
      <KOA020 VR="23.0" id="KOA020-1" page="1" softNM="JPKI Authority sample">
        <KOA020-1><ABB00000>3000000</ABB00000></KOA020-1>
      </KOA020>
    </CONTENTS>
  </RKO0010>
</DATA>
"""


def tax_return_xtx(holder_name: str, year: int) -> bytes:
    """Return an unsigned income-tax return as e-Tax data (procedure RKO0010), in UTF-8.

    `year` is the Gregorian year of the income, 2019 or later.
    """
    return _XTX.format(holder_name=escape(holder_name), reiwa=year - _REIWA_BEFORE_FIRST_YEAR).encode()


def tax_return_pdf(lines: Sequence[str]) -> bytes:
    """Return a one-page A4 PDF that shows `lines` in Helvetica, one below the other.

    Every viewer has Helvetica and none needs to embed it, but it holds Latin letters only: others become `?`.
    """
    content = b"BT /F1 14 Tf 72 770 Td 22 TL " + b" ".join(map(_shown, lines)) + b" ET"
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            b"<< /Font << /F1 5 0 R >> >>",
        ]
    )


def _shown(line: str) -> bytes:
    text = line.encode("latin-1", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"(" + text + b") Tj T*"


def _file(objects: Sequence[bytes]) -> bytes:
    """Return a PDF file of numbered objects, the first being its catalog (ISO 32000-1, 7.5)."""
    file = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets: list[int] = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(file)
