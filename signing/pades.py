"""What PAdES B-B asks beyond a plain signed PDF: the signature names its own certificate (ETSI EN 319 142-1, 6.3)."""

# mypy: allow-untyped-calls
# asn1crypto and pyHanko's PDF layer bear no types.

from datetime import UTC, datetime

from asn1crypto import cms, tsp
from pyhanko.pdf_utils.generic import DictionaryObject, parse_pdf_date
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import get_signing_cert_attr

from signing.algorithms import WEAK_DIGESTS
from signing.report import Check, Step
from signing.verdict import Cause

SUB_FILTER = "/ETSI.CAdES.detached"


def check_form(signer_info: cms.SignerInfo) -> Check:
    """Check that the signature names its certificate (RFC 5035); whether it is the signer's is a matter of integrity.

    The older signing-certificate attribute knows SHA-1 only, so it counts as weak.
    """
    try:
        binding = get_signing_cert_attr(signer_info["signed_attrs"])
    except SignatureValidationError:
        return Check.stopped(Step.FORMAT, Cause.WRONG_BINDING)
    if binding is None:
        return Check.stopped(Step.FORMAT, Cause.MALFORMED, missing="signing-certificate-v2")
    digest = bound_by(binding)
    if digest in WEAK_DIGESTS:
        return Check.stopped(Step.FORMAT, Cause.WEAK_ALGORITHM, binding=digest)
    return Check.passed(
        Step.FORMAT,
        "署名付きPDF（PAdES）です。",
        "A signed PDF (PAdES).",
        format="pdf",
        sub_filter=SUB_FILTER,
        binding=digest,
    )


def bound_by(binding: tsp.SigningCertificate | tsp.SigningCertificateV2) -> str:
    """Return the name of the hash by which a signature names its certificate."""
    named = binding["certs"][0]
    return str(named["hash_algorithm"]["algorithm"].native) if isinstance(named, tsp.ESSCertIDv2) else "sha1"


def claimed_at(signature: DictionaryObject) -> datetime | None:
    """Return the time in the signature dictionary's M entry, where PAdES has it; None where there is none to read.

    A time without a zone is taken as UTC.
    """
    try:
        moment = parse_pdf_date(signature["/M"], strict=False)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (KeyError, PdfReadError, ValueError, OverflowError):
        return None
