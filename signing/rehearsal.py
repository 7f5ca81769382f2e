"""Judges a document of each form once: what libraries make when it is first needed is there before a stranger's file.

The processes that judge are forked from the one that rehearsed, so none of them makes these things again; most of all
they cannot, where that takes a file. The documents are signed with a key that lives as long as the rehearsal.
"""

import codecs
import importlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from jpki import oids
from jpki.revocation import Finding, RevocationEvidence
from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.validation import TrustAnchor, Validation
from signing.verdict import Decision
from signing.verify import judge

_NOW = datetime(2026, 4, 1, tzinfo=UTC)
_MODULES = ("pyhanko.pdf_utils.filters", "pyhanko.pdf_utils.metadata.xmp_xml")
"""What an odd document makes pyHanko import, and the samples do not."""
_ENCODINGS = ("ascii", "cp1252", "idna", "latin-1", "utf-8", "utf-16", "utf-16-be", "utf-32-be")


def rehearse() -> Callable[[], None]:
    """Judge the documents, and return what judges them once more.

    Raises:
        AssertionError: one of them was not accepted: no stranger's file must be judged by such a process.
    """
    for name in _MODULES:
        importlib.import_module(name)
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    root, holder = _authority()
    anchor = TrustAnchor(certificate=root.certificate, domain="rehearsal")
    validation = Validation(anchors=(anchor,), revocation=(_Good(),), clock=lambda: _NOW)
    documents = list(_documents(holder))

    def judge_all() -> None:
        for document in documents:
            if judge(BytesIO(document), validation).decision is not Decision.ACCEPT:
                raise AssertionError("the rehearsal failed")

    judge_all()
    return judge_all


def _documents(holder: Credential) -> Iterator[bytes]:
    pdf = tax_return_pdf(["Rehearsal"])
    for form in (Format.PDF, Format.PADES):
        once = sign(pdf, holder, form, _NOW)
        yield sign(once, holder, form, _NOW)
    yield sign(tax_return_xtx("見本", _NOW.year), holder, Format.XML, _NOW)
    yield sign(b"Rehearsal", holder, Format.CMS, _NOW)


class _Good:
    """A revocation source that knows nothing bad."""

    def evidence(self, _certificate: x509.Certificate, _issuer: x509.Certificate, at: datetime) -> RevocationEvidence:
        """Say that the certificate is good."""
        return RevocationEvidence(finding=Finding.GOOD, source="rehearsal", as_of=at)


def _authority() -> tuple[Credential, Credential]:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    root = _builder(keys[0], 1).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    policy = x509.PolicyInformation(x509.ObjectIdentifier(oids.LAB_SIGNING_POLICY), None)
    holder = (
        _builder(keys[1], 2)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.CertificatePolicies([policy]), critical=True)
    )
    return (
        Credential(certificate=root.sign(keys[0], SHA256()), key=keys[0]),
        Credential(certificate=holder.sign(keys[0], SHA256()), key=keys[1]),
    )


def _builder(key: ec.EllipticCurvePrivateKey, number: int) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Rehearsal {number}")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Rehearsal 1")]))
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(_NOW - timedelta(days=1))
        .not_valid_after(_NOW + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
