"""Files that are made to harm whoever verifies them: bombs, loops, crowds, depths. All bear, or claim, a signature."""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

import base64
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO

from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, StreamObject, pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from jpki import der, oids
from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from tests.signing.town import NOW, Authority, Town, make_certificate, make_root

MIB = 1024 * 1024


# --- PDF -----------------------------------------------------------------------------------------------------------


def pdf(*objects: bytes, root: int = 1) -> bytes:
    """Return a PDF of these numbered objects that claims a signature in a comment."""
    file = bytearray(b"%PDF-1.7\n% /ByteRange\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(file)
    file += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return bytes(
        file + b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, root, start)
    )


def stream(entries: bytes, content: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(content), content)


def with_xref_stream(claimed: int, objects: bytes, numbers: Sequence[int], index: bytes = b"") -> bytes:
    """Return a PDF whose cross-reference stream says that objects lie within the first object, an object stream."""
    head = b"%PDF-1.7\n% /ByteRange\n"
    first = b"1 0 obj\n" + objects + b"\nendobj\n"
    entries = b"\x00\0\0\0\0\xff" + b"\x01" + len(head).to_bytes(4, "big") + b"\0"
    entries += b"".join(b"\x02" + (1).to_bytes(4, "big") + bytes([place]) for place, _ in enumerate(numbers))
    entries += bytes(6) * (claimed - len(entries) // 6)
    table = stream(
        b"/Type /XRef /Size %d /W [1 4 1] /Root 2 0 R /Filter /FlateDecode %b" % (claimed, index),
        zlib.compress(entries, 9),
    )
    return head + first + b"9 0 obj\n" + table + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % (len(head) + len(first))


def object_stream(
    content: bytes, first: int, count: int, *, layers: int = 1, more: bytes = b"", level: int = 9
) -> bytes:
    for _ in range(layers):
        content = zlib.compress(content, level)
    filters = b" ".join([b"/FlateDecode"] * layers)
    return stream(b"/Type /ObjStm /N %d /First %d /Filter [%b] %b" % (count, first, filters, more), content)


CATALOG = b"<< /Type /Catalog /Pages 3 0 R /AcroForm << /Fields [4 0 R] >> >>"


def packed_catalog(size: int, *, layers: int = 1, more: bytes = b"", level: int = 9) -> bytes:
    """Return a PDF whose catalog lies in an object stream that decodes to `size` octets."""
    index = b"2 0 "
    content = index + CATALOG
    return with_xref_stream(
        3, object_stream(content.ljust(size), len(index), 1, layers=layers, more=more, level=level), [2]
    )


def claimed_objects(count: int) -> bytes:
    index = b"2 0 "
    return with_xref_stream(count, object_stream(index + CATALOG, len(index), 1), [2])


def own_container() -> bytes:
    """Return a PDF whose object stream, as its table says, lies within itself."""
    document = packed_catalog(100, more=b"/Extends 1 0 R")
    table = document.index(b"9 0 obj")
    head = document[:table]
    entries = b"\x00\0\0\0\0\xff" + (b"\x02" + (1).to_bytes(4, "big") + b"\0") * 2
    xref = stream(b"/Type /XRef /Size 3 /W [1 4 1] /Root 2 0 R /Filter /FlateDecode", zlib.compress(entries))
    return head + b"9 0 obj\n" + xref + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)


def looping_revisions() -> bytes:
    document = pdf(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>")
    start = document.rindex(b"xref\n0")
    return document.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % start)


def nested_pdf(levels: int) -> bytes:
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [3 0 R] >> /Deep "
        + b"[" * levels
        + b"]" * levels
        + b" >>",
        b"<< /Type /Pages /Kids [] /Count 0 >>",
        b"<< /FT /Sig /T (x) /V 3 0 R >>",
    )


def own_parent() -> bytes:
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [3 0 R] >> >>",
        b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>",
        b"<< /T (x) /Kids [3 0 R] >>",
    )


def huge_value(size: int) -> bytes:
    """Return a PDF whose signature value is this many octets of zeros, which pyHanko reads digit by digit."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [3 0 R] >> >>",
        b"<< /Type /Pages /Kids [] /Count 0 >>",
        b"<< /FT /Sig /T (x) /V 4 0 R >>",
        b"<< /SubFilter /adbe.pkcs7.detached /ByteRange [0 1 2 3] /Contents <" + b"00" * size + b"> >>",
    )


def crowded_pdf(signed: bytes, fields: int) -> bytes:
    """Return a PDF with so many signature fields, whose value is one and the same."""
    numbers = range(5, 5 + fields)
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [%b] >> >>"
        % b" ".join(b"%d 0 R" % each for each in numbers),
        b"<< /Type /Pages /Kids [] /Count 0 >>",
        b"null",
        b"<< /SubFilter /adbe.pkcs7.detached /ByteRange [0 1 2 3] /Contents <%b> >>" % signed.hex().encode(),
        *(b"<< /FT /Sig /T (%d) /V 4 0 R >>" % each for each in numbers),
    )


def with_revisions(signed: bytes, revisions: int) -> bytes:
    """Append empty revisions to a signed PDF, until there are so many."""
    document = bytearray(signed)
    root = signed.rsplit(b"/Root ", 1)[1].split(b" 0 R")[0]
    size = signed.rsplit(b"/Size ", 1)[1].split()[0]
    for _ in range(revisions - signed.count(b"startxref")):
        previous = bytes(document).rsplit(b"startxref", 1)[1].split()[0]
        start = len(document)
        document += b"xref\n0 0\ntrailer\n<< /Size %b /Root %b 0 R /Prev %b >>\n" % (size, root, previous)
        document += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(document)


def with_bomb_in_store(signed: bytes, name: str) -> bytes:
    """Append a store for later whose one list, or certificate, decodes to 60 MiB."""
    writer = IncrementalPdfFileWriter(BytesIO(signed))
    bomb = StreamObject({pdf_name("/Filter"): pdf_name("/FlateDecode")}, encoded_data=zlib.compress(bytes(60 * MIB), 9))
    writer.root["/DSS"] = DictionaryObject({pdf_name(name): ArrayObject([writer.add_object(bomb)])})
    writer.update_root()
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


# --- XML -----------------------------------------------------------------------------------------------------------


def inside(signed: bytes, content: bytes) -> bytes:
    """Put `content` into the signed part of an e-Tax document."""
    return signed.replace(b"<CONTENTS", content + b"<CONTENTS", 1)


def nested_xml(signed: bytes, deepest: int) -> bytes:
    """Nest elements in the procedure, down to this level of the document."""
    levels = deepest - 2
    return inside(signed, b"<n>" * levels + b"</n>" * levels)


def billion_laughs(signed: bytes) -> bytes:
    entities = b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    dtd = b'<!DOCTYPE DATA [<!ENTITY l0 "lol">%b]>' % entities
    return inside(signed, b"<x>&l9;</x>").replace(b"<DATA ", dtd + b"<DATA ", 1)


def outside_entity(signed: bytes) -> bytes:
    dtd = b'<!DOCTYPE DATA [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    return inside(signed, b"<x>&x;</x>").replace(b"<DATA ", dtd + b"<DATA ", 1)


# --- CMS and certificates ------------------------------------------------------------------------------------------


def nested_cms(levels: int) -> bytes:
    """Return constructed octet strings within each other (X.690 8.7.3) where SignedData should be."""
    content = b"\x30\x80" + bytes.fromhex("06092a864886f70d010702") + b"\xa0\x80"
    return content + b"\x24\x80" * levels + b"\0\0" * (levels + 2)


def signed_by_many(message: bytes, signers: int) -> bytes:
    info = cms.ContentInfo.load(message)
    (signer,) = info["content"]["signer_infos"]
    info["content"]["signer_infos"] = cms.SignerInfos([signer] * signers)
    return bytes(info.dump(force=True))


def with_tokens(message: bytes, *tokens: bytes) -> bytes:
    """Add these as time-stamps, whatever they are."""
    info = cms.ContentInfo.load(message)
    (signer,) = info["content"]["signer_infos"]
    kind = der.object_identifier("1.2.840.113549.1.9.16.2.14")
    attribute = cms.CMSAttribute.load(der.sequence(kind, der.tlv(der.Tag.SET, *tokens)))
    signer["unsigned_attrs"] = cms.CMSAttributes([attribute])
    return bytes(info.dump())


def namesakes(town: Town, count: int) -> list[x509.Certificate]:
    """Return certificates of one name for many keys, each of which might have issued each other."""
    found = []
    for _ in range(count):
        key = ec.generate_private_key(ec.SECP256R1())
        found.append(_intermediate(key, Authority(town.root.certificate, key), []).certificate)
    return found


def _intermediate(
    key: ec.EllipticCurvePrivateKey, issuer: Authority, extensions: Sequence[x509.ExtensionType], name: str = "Namesake"
) -> Authority:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=2000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return Authority(builder.sign(issuer.key, SHA256()), key)


def policy_bomb(town: Town, levels: int, policies: int) -> tuple[Authority, Credential]:
    """Return a root, and a holder under intermediates each of which maps every policy to every other one.

    A tree of all their nodes has `policies` to the power of `levels` leaves (RFC 5280 6.1.3).
    """
    root = make_root(ec.generate_private_key(ec.SECP256R1()))
    names = [f"1.2.3.{number}" for number in range(1, policies)] + [oids.LAB_SIGNING_POLICY]
    named = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(name), None) for name in names])
    pairs = [der.sequence(der.object_identifier(a), der.object_identifier(b)) for a in names for b in names]
    mapped = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), der.sequence(*pairs))
    chain, issuer = [], root
    for level in range(levels):
        issuer = _intermediate(ec.generate_private_key(ec.SECP256R1()), issuer, [named, mapped], f"Level {level}")
        chain.append(issuer.certificate)
    holder = make_certificate(town.holder.key, issuer)
    return root, Credential(certificate=holder, key=town.holder.key, chain=tuple(chain))


# --- all of them ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signed:
    """The honest documents that hostile ones are made of."""

    pdf: bytes
    xml: bytes
    cms: bytes

    @classmethod
    def of(cls, town: Town) -> "Signed":
        return cls(
            pdf=sign(tax_return_pdf(["Income 3000000"]), town.holder, Format.PDF, NOW),
            xml=sign(tax_return_xtx("見本", 2025), town.holder, Format.XML, NOW),
            cms=sign(b"content", town.holder, Format.CMS, NOW),
        )


HOSTILE: dict[str, tuple[Callable[[Signed], bytes], str]] = {
    "object stream bomb": (lambda _: packed_catalog(65 * MIB), "compressed parts are too large"),
    "stacked filters": (lambda _: packed_catalog(60 * MIB, layers=3), "compressed parts are too large"),
    "ten million objects": (lambda _: claimed_objects(10_000_000), "compressed parts are too large"),
    "list bomb in the store": (
        lambda signed: with_bomb_in_store(signed.pdf, "/CRLs"),
        "compressed parts are too large",
    ),
    "certificate bomb in the store": (
        lambda signed: with_bomb_in_store(signed.pdf, "/Certs"),
        "compressed parts are too large",
    ),
    "deep token": (
        lambda signed: with_tokens(signed.cms, nested_cms(100_000)),
        "malformed",
    ),
    "crowd of tokens": (lambda signed: with_tokens(signed.cms, *[b"\x30\0"] * 33), "more than 32 signatures"),
    "object stream in itself": (lambda _: own_container(), "malformed|nested too deeply"),
    "revisions in a ring": (lambda _: looping_revisions(), "malformed|no signature"),
    "deep arrays": (lambda _: nested_pdf(100_000), "nested too deeply"),
    "field that is its own child": (lambda _: own_parent(), "malformed|nested too deeply|no signature"),
    "20 MB of value": (lambda _: huge_value(10 * MIB), "broken off"),
    "crowd of fields": (lambda signed: crowded_pdf(signed.cms, 33), "more than 32 signatures"),
    "crowd of revisions": (lambda signed: with_revisions(signed.pdf, 129), "more than 128 times"),
    "three thousand revisions": (lambda signed: with_revisions(signed.pdf, 3000), "more than 128 times"),
    "long tail": (lambda signed: signed.pdf + bytes(19 * MIB), "malformed"),
    "octets after the end": (lambda signed: signed.pdf + b"<html>", "altered after it was signed"),
    "entities": (lambda signed: billion_laughs(signed.xml), "document type|entities"),
    "entity from a file": (lambda signed: outside_entity(signed.xml), "document type"),
    "deep elements": (lambda signed: nested_xml(signed.xml, 257), "deeper than 256 levels"),
    "long text": (lambda signed: inside(signed.xml, b"<x>" + b"x" * 10_000_001 + b"</x>"), "more than 10 MB"),
    "five million elements": (lambda signed: inside(signed.xml, b"<x/>" * (5 * MIB)), "altered|broken off"),
    "unsigned sibling": (
        lambda signed: signed.xml.replace(b"</DATA>", b'<RKO0010 id="E"/></DATA>'),
        "unsigned content",
    ),
    "many attributes": (
        lambda signed: inside(signed.xml, b"<x " + b" ".join(b'a%d=""' % n for n in range(200_000)) + b"/>"),
        "altered|broken off",
    ),
    "deep octet strings": (lambda _: nested_cms(100_000), "nested too deeply|malformed"),
    "crowd of signers": (lambda signed: signed_by_many(signed.cms, 33), "more than 32 signatures"),
    "length without end": (lambda signed: b"\x30\x84\xff\xff\xff\xff" + signed.cms, "malformed"),
    "PEM of nothing": (
        lambda signed: b"-----BEGIN CMS-----\n" + base64.encodebytes(signed.cms[:500]) * 20000 + b"-----END CMS-----\n",
        "malformed|broken off",
    ),
}
"""What makes each file, and what its verdict must name."""
