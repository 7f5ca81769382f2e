"""One CMS SignerInfo and its mathematics (RFC 5652 5.3-5.6): the core of signed PDF and of CMS files alike."""

# mypy: allow-untyped-calls
# asn1crypto bears no types.

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from asn1crypto import cms, core, parser
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_self_reported_ts, validate_sig_integrity

from jpki import oids
from signing.algorithms import are_known
from signing.caps import MOST_STORED
from signing.presented import Algorithms, Presented, Stamp, refuse_crowds
from signing.report import Check, Step, TimeProof
from signing.stored_data import revocation_values
from signing.validation import Stored, StoredKind
from signing.verdict import Cause

_MECHANISMS = {"rsassa_pkcs1v15": "rsa", "rsassa_pss": "rsa-pss"}

DigestOfContent = Callable[[str], bytes]
"""Takes a digest algorithm's name and returns the digest of what was signed."""


def present(
    signed_data: cms.SignedData,
    signer_info: cms.SignerInfo,
    digest: DigestOfContent,
    checks: tuple[Check, ...],
    *,
    content_type: str = "data",
    more: Iterable[x509.Certificate] = (),
) -> Presented:
    """Return the signature of `signer_info` with its integrity checked; `checks` are those of its format.

    `content_type` is asn1crypto's name of what is signed; `more` are certificates that come from elsewhere.
    """
    certificates = [choice.chosen for choice in signed_data["certificates"] or () if choice.name == "certificate"]
    refuse_crowds((), len(certificates))
    certificates += [asn1_x509.Certificate.load(one.public_bytes(Encoding.DER)) for one in more]
    algorithms = _algorithms(signer_info)
    signer = next((one for one in certificates if _is_signer(one, signer_info["sid"])), None)
    if signer is None:
        integrity = Check.not_applicable(Step.INTEGRITY, "署名者の証明書がありません。", "No signer's certificate.")
    elif not are_known(algorithms):
        integrity = Check.not_applicable(Step.INTEGRITY, "計算できない方式です。", "The algorithm is not known.")
    else:
        hashed = digest(signer_info["digest_algorithm"]["algorithm"].native)
        integrity = _check_integrity(signer_info, signer, hashed, content_type)
    return Presented(
        checks=(*checks, integrity),
        algorithms=algorithms,
        certificate=signer and x509.load_der_x509_certificate(signer.dump()),
        others=tuple(_loadable(one for one in certificates if one is not signer)),
        claimed_at=_claimed_at(signer_info),
        stamps=tuple(_stamps(signer_info)),
        stored=tuple(_stored(signed_data, signer_info)),
    )


def _algorithms(signer_info: cms.SignerInfo) -> Algorithms:
    signature = signer_info["signature_algorithm"]
    digest = signer_info["digest_algorithm"]["algorithm"].native
    try:
        mechanism = signature.signature_algo
    except ValueError:
        mechanism = signature["algorithm"].native
    try:
        digests = frozenset({digest, signature.hash_algo})
    except ValueError:
        digests = frozenset({digest})
    return Algorithms(mechanism=_MECHANISMS.get(mechanism, mechanism), digests=digests)


def _is_signer(certificate: asn1_x509.Certificate, sid: cms.SignerIdentifier) -> bool:
    if sid.name == "subject_key_identifier":
        return bool(certificate.key_identifier == sid.chosen.native)
    return bool(
        certificate.serial_number == sid.chosen["serial_number"].native and certificate.issuer == sid.chosen["issuer"]
    )


def _loadable(certificates: Iterable[asn1_x509.Certificate]) -> Iterator[x509.Certificate]:
    """Yield the certificates that can be read: a broken one beside the signer's does no harm, but leads nowhere."""
    for certificate in certificates:
        try:
            yield x509.load_der_x509_certificate(certificate.dump())
        except (ValueError, x509.InvalidVersion):
            continue


def _check_integrity(
    signer_info: cms.SignerInfo, signer: asn1_x509.Certificate, digest: bytes, content_type: str
) -> Check:
    try:
        intact, fits = validate_sig_integrity(signer_info, signer, content_type, digest)
    except SignatureValidationError as error:
        binding = error.ades_subindication is AdESIndeterminate.NO_SIGNING_CERTIFICATE_FOUND
        return Check.stopped(Step.INTEGRITY, Cause.WRONG_BINDING if binding else Cause.MALFORMED)
    if not intact:
        return Check.stopped(Step.INTEGRITY, Cause.ALTERED)
    if not fits:
        return Check.stopped(Step.INTEGRITY, Cause.SIGNATURE_WRONG)
    return Check.passed(Step.INTEGRITY, "内容と署名値は一致しています。", "Content and signature value agree.")


def _claimed_at(signer_info: cms.SignerInfo) -> datetime | None:
    claimed: datetime | None = extract_self_reported_ts(signer_info)
    return claimed


# --- what was added after signing: unsigned attributes, and revocation data beside the certificates ------------------

_REVOCATION_VALUES = "1.2.840.113549.1.9.16.2.24"
_OCSP_RESPONSE = "1.3.6.1.5.5.7.16.2"


def _stamps(signer_info: cms.SignerInfo) -> Iterator[Stamp]:
    """Yield the time-stamps over the signature value (ETSI EN 319 122-1, 5.3)."""
    value = signer_info["signature"].native
    tokens = list(_unsigned(signer_info, oids.SIGNATURE_TIME_STAMP))
    refuse_crowds(tokens)
    for token in tokens:
        yield Stamp(proof=TimeProof.TIME_STAMP, token=token, imprint=lambda name: hashlib.new(name, value).digest())


def _unsigned(signer_info: cms.SignerInfo, kind: str) -> Iterator[bytes]:
    """Yield the DER of the values of the unsigned attributes of a kind, whatever they hold."""
    if signer_info["unsigned_attrs"] is core.VOID:
        return
    for attribute in signer_info["unsigned_attrs"]:
        if attribute["type"].dotted == kind:
            # Not element by element: what is cut within an element is the token's fault, not the whole signature's.
            rest = attribute["values"].contents
            while rest:
                *_, header, content, trailer = parser.parse(rest)
                length = len(header) + len(content) + len(trailer)
                yield rest[:length]
                rest = rest[length:]


def _stored(signed_data: cms.SignedData, signer_info: cms.SignerInfo) -> Iterator[Stored]:
    """Yield the revocation data of SignedData (RFC 5652 10.2.1, RFC 5940) and of CAdES (ETSI EN 319 122-1, A.1.5.2)."""
    for choice in list(signed_data["crls"] or ())[:MOST_STORED]:
        if choice.name != "other":
            yield Stored(kind=StoredKind.CRL, octets=choice.chosen.dump())
        elif choice.chosen["other_rev_info_format"].dotted == _OCSP_RESPONSE:
            yield Stored(kind=StoredKind.OCSP, octets=choice.chosen["other_rev_info"].dump())
    for values in _unsigned(signer_info, _REVOCATION_VALUES):
        yield from revocation_values(values)
