"""CMS as other software writes it: BER with indefinite lengths, without signed attributes, with SHA-1."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

from asn1crypto import cms
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.general import as_signing_certificate_v2, simple_cms_attribute
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigMDPSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import SignatureObject

from jpki import signature
from jpki.der import Reader, Tag, context
from signing.credential import Credential

_END = b"\0\0"


def embed(
    document: bytes,
    digest: HashAlgorithm,
    make_cms: Callable[[bytes], bytes],
    *,
    certify: bool = False,
    sub_filter: SigSeedSubFilter = SigSeedSubFilter.ADOBE_PKCS7_DETACHED,
) -> bytes:
    """Sign a PDF with whatever `make_cms` makes of the document's digest; `certify` forbids any later change."""
    lock = SigMDPSetup(md_algorithm=digest.name, certify=True, docmdp_perms=MDPPerm.NO_CHANGES) if certify else None
    steps = PdfCMSEmbedder().write_cms("Odd", IncrementalPdfFileWriter(BytesIO(document)))
    next(steps)
    placeholder = SignatureObject(timestamp=datetime(2026, 1, 1, tzinfo=UTC), subfilter=sub_filter)
    steps.send(SigObjSetup(placeholder, mdp_setup=lock))
    prepared, output = steps.send(SigIOSetup(md_algorithm=digest.name))
    steps.send(make_cms(prepared.document_digest))
    return bytes(output.getvalue())


def leave_out_the_end(signed: bytes, octets: int, make_cms: Callable[[bytes], bytes]) -> bytes:
    """Make a PDF's last signature anew so that its gap ends early and the file's last `octets` are signed by nobody.

    The lengths still add up to the file's size: part of the value's padding is signed instead.
    """
    head, tail = signed.rsplit(b"/ByteRange ", 1)
    old = tail[: tail.index(b"]") + 1]
    _, length, start, rest = (int(number) for number in old.strip(b"[]").split())
    moved = b"[0 %d %d %d]" % (length, start - octets, rest)
    skeleton = bytearray(head + b"/ByteRange " + moved.ljust(len(old)) + tail[len(old) :])
    skeleton[length + 1 : start - 1] = b"0" * (start - length - 2)
    digest = Hash(SHA256())
    digest.update(bytes(skeleton[:length] + skeleton[start - octets : start - octets + rest]))
    value = make_cms(digest.finalize()).hex().encode()
    skeleton[length + 1 : length + 1 + len(value)] = value
    return bytes(skeleton)


def without_attributes(credential: Credential, digest: HashAlgorithm, hashed: bytes, content: bytes | None) -> bytes:
    """Return SignedData whose signature is over the content itself (RFC 5652 5.4)."""
    key = credential.key
    assert isinstance(key, rsa.RSAPrivateKey)
    value = key.sign(hashed, PKCS1v15(), Prehashed(digest))
    return _signed_data(credential, digest.name, f"{digest.name}_rsa", value, content)


def with_unknown_algorithm(credential: Credential, content: bytes) -> bytes:
    return _signed_data(credential, "sha256", "1.2.3.4.5", b"x" * 256, content)


def with_sha1(credential: Credential, content: bytes) -> bytes:
    digest = Hash(SHA1())  # noqa: S303 - the point of the test
    digest.update(content)
    return without_attributes(credential, SHA1(), digest.finalize(), content)  # noqa: S303 - as above


def from_attributes(message: bytes) -> bytes:
    """Return CMS in which the signed attributes of `message` pose as the signed content."""
    info = cms.ContentInfo.load(message)
    signed_data = info["content"]
    (signer,) = signed_data["signer_infos"]
    content = signer["signed_attrs"].untag().dump()
    fields = {name: signer[name] for name in ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")}
    forged = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": signed_data["digest_algorithms"],
            "encap_content_info": {"content_type": "data", "content": content},
            "certificates": signed_data["certificates"],
            "signer_infos": [cms.SignerInfo(fields)],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": forged}).dump())


def bound_to(message: bytes, credential: Credential, other: x509.Certificate) -> bytes:
    """Return the message signed anew with a signing-certificate-v2 attribute that names `other` (RFC 5035)."""
    binding = as_signing_certificate_v2(asn1_x509.Certificate.load(other.public_bytes(Encoding.DER)))
    return with_attribute(message, credential, simple_cms_attribute("signing_certificate_v2", binding))


def with_attribute(message: bytes, credential: Credential, attribute: cms.CMSAttribute) -> bytes:
    """Return the message signed anew with one more signed attribute."""
    info = cms.ContentInfo.load(message)
    (signer,) = info["content"]["signer_infos"]
    attributes = cms.CMSAttributes([*signer["signed_attrs"], attribute])
    signer["signed_attrs"] = attributes
    signer["signature"] = signature.sign(credential.key, attributes.dump())
    return bytes(info.dump(force=True))


def indefinite(message: bytes) -> bytes:
    """Return the same ContentInfo with indefinite lengths in its outer layers (X.690 8.1.3.6)."""
    fields = Reader(Reader(message).read(Tag.SEQUENCE))
    kind = fields.read_element(Tag.OBJECT_IDENTIFIER)
    signed_data = Reader(fields.read(context(0))).read(Tag.SEQUENCE)
    return b"\x30\x80" + kind + b"\xa0\x80" + b"\x30\x80" + signed_data + _END * 3


def _signed_data(credential: Credential, digest: str, algorithm: str, value: bytes, content: bytes | None) -> bytes:
    certificate = cms.CertificateChoices.load(credential.certificate.public_bytes(Encoding.DER))
    signer = certificate.chosen
    signer_info = cms.SignerInfo(
        {
            "version": "v1",
            "sid": {"issuer_and_serial_number": {"issuer": signer.issuer, "serial_number": signer.serial_number}},
            "digest_algorithm": {"algorithm": digest},
            "signature_algorithm": {"algorithm": algorithm},
            "signature": value,
        }
    )
    signed_data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [{"algorithm": digest}],
            "encap_content_info": {"content_type": "data"} | ({} if content is None else {"content": content}),
            "certificates": [certificate],
            "signer_infos": [signer_info],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump())


def taken_apart(message: bytes) -> tuple[bytes, bytes]:
    """Return CMS without its content, and the content."""
    info = cms.ContentInfo.load(message)
    signed_data = info["content"]
    content: bytes = signed_data["encap_content_info"]["content"].native
    signed_data["encap_content_info"] = {"content_type": "data"}
    return bytes(info.dump(force=True)), content
