"""Judges a document of each form once: what libraries make when it is first needed is there before a stranger's file.

The processes that judge are forked from the one that rehearsed, so none of them makes these things again; most of all
they cannot, where that takes a file. The documents are signed with keys that live as long as the rehearsal.
"""

import codecs
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from jpki import oids
from jpki.randomness import system_randomness
from jpki.revocation import Finding, RevocationEvidence
from signing.credential import Credential
from signing.intake import Format
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sign import sign
from signing.time_stamper import Level, Stamping, TimeStamper
from signing.tsa import TimeStampAuthority
from signing.validation import ReadStored, Stored, StoredKind, TrustAnchor, Validation
from signing.verdict import Decision
from signing.verify import judge

_NOW = datetime(2026, 4, 1, tzinfo=UTC)
_MODULES = ("pyhanko.pdf_utils.filters", "pyhanko.pdf_utils.metadata.xmp_xml")
"""What an odd document makes pyHanko import, and the samples do not."""
_ENCODINGS = ("ascii", "cp1252", "idna", "latin-1", "utf-8", "utf-16", "utf-16-be", "utf-32-be")


def rehearse(read_stored: ReadStored) -> Callable[[], None]:
    """Judge the documents, and return what judges them once more.

    Raises:
        AssertionError: one of them was not accepted: no stranger's file must be judged by such a process.
    """
    for name in _MODULES:
        importlib.import_module(name)
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)
    cast = _cast()
    anchor = TrustAnchor(
        certificate=cast.root.certificate, domain="rehearsal", policies=frozenset({oids.LAB_SIGNING_POLICY})
    )
    validation = Validation(
        anchors=(anchor,),
        revocation=(_Good(),),
        clock=lambda: _NOW,
        stamp_anchors=(anchor,),
        read_stored=read_stored,
    )
    cases = [
        *((document, validation) for document in _documents(cast)),
        # Nobody else tells of revocation here, so what these hold is read.
        *((document, replace(validation, revocation=())) for document in _kept(cast)),
    ]

    def judge_all() -> None:
        for document, terms in cases:
            if judge(BytesIO(document), terms).decision is not Decision.ACCEPT:
                raise AssertionError("the rehearsal failed")

    judge_all()
    return judge_all


def _documents(cast: "_Cast") -> Iterator[bytes]:
    pdf, xtx = tax_return_pdf(["Rehearsal"]), tax_return_xtx("見本", _NOW.year)
    for form in (Format.PDF, Format.PADES):
        once = sign(pdf, cast.holder, form, _NOW)
        yield sign(once, cast.holder, form, _NOW)
    for form, document in ((Format.XML, xtx), (Format.CMS, b"Rehearsal")):
        yield sign(document, cast.holder, form, _NOW)
        yield sign(document, cast.holder, form, _NOW, stamping=cast.stamping(Level.T, cast.list_of))


def _kept(cast: "_Cast") -> Iterator[bytes]:
    pdf = tax_return_pdf(["Rehearsal"])
    for collect in (cast.list_of, cast.response_of):
        yield sign(pdf, cast.holder, Format.PADES, _NOW, stamping=cast.stamping(Level.LTA, collect))


class _Good:
    """A revocation source that knows nothing bad."""

    def evidence(self, _certificate: x509.Certificate, _issuer: x509.Certificate, at: datetime) -> RevocationEvidence:
        """Say that the certificate is good."""
        return RevocationEvidence(finding=Finding.GOOD, source="rehearsal", as_of=at)


@dataclass(frozen=True, slots=True)
class _Cast:
    """A root with a holder and a time-stamping unit below it, and what the root tells of revocation."""

    root: Credential
    holder: Credential
    unit: Credential

    def stamping(self, level: Level, collect: Callable[[x509.Certificate, x509.Certificate], Stored]) -> Stamping:
        authority = TimeStampAuthority(lambda _: self.unit, lambda: _NOW, lambda: _NOW, system_randomness)
        anchor = TrustAnchor(certificate=self.root.certificate, domain="rehearsal")
        stamper = TimeStamper(authority.answer, system_randomness, (anchor,))
        return Stamping(
            stamper=stamper, collect=lambda certificate, issuer, _: collect(certificate, issuer), level=level
        )

    def list_of(self, _certificate: x509.Certificate, issuer: x509.Certificate) -> Stored:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(_NOW)
            .next_update(_NOW + timedelta(days=1))
        )
        made = builder.sign(self.root.key, SHA256())
        return Stored(kind=StoredKind.CRL, octets=made.public_bytes(Encoding.DER))

    def response_of(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Stored:
        builder = ocsp.OCSPResponseBuilder().add_response(
            certificate, issuer, SHA256(), ocsp.OCSPCertStatus.GOOD, _NOW, None, None, None
        )
        made = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer).sign(self.root.key, SHA256())
        return Stored(kind=StoredKind.OCSP, octets=made.public_bytes(Encoding.DER))


def _cast() -> _Cast:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    root = _builder(keys[0], 1).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    policy = x509.PolicyInformation(x509.ObjectIdentifier(oids.LAB_SIGNING_POLICY), None)
    holder = (
        _builder(keys[1], 2)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.CertificatePolicies([policy]), critical=True)
    )
    stamping = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    unit = _builder(keys[2], 3).add_extension(_usage(), critical=True).add_extension(stamping, critical=True)
    above = root.sign(keys[0], SHA256())
    return _Cast(
        Credential(certificate=above, key=keys[0]),
        Credential(certificate=holder.sign(keys[0], SHA256()), key=keys[1], chain=(above,)),
        Credential(certificate=unit.sign(keys[0], SHA256()), key=keys[2]),
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
