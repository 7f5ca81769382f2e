"""What is asked of a trusted chain: the certificate's kind and policy, and its validity at the time that counts."""

from datetime import datetime

from cryptography import x509

from jpki.certificate import Validity
from jpki.clock import iso
from signing.report import Check, Step
from signing.trust import Chain, permits
from signing.verdict import Cause


def is_for_signing(certificate: x509.Certificate) -> bool:
    """Tell whether the certificate is for signing documents: nonRepudiation (RFC 5280 4.2.1.3), and not a CA's."""
    extensions = certificate.extensions
    try:
        promises = extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
    except x509.ExtensionNotFound:
        return False
    try:
        return promises and not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return promises


def policies(certificate: x509.Certificate) -> frozenset[str]:
    """Return the certificate's policy OIDs, dotted."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(policy.policy_identifier.dotted_string for policy in found)


def check_kind(certificate: x509.Certificate) -> Check:
    """Check that the certificate may sign documents."""
    if not is_for_signing(certificate):
        return Check.stopped(Step.KIND, Cause.WRONG_KIND)
    return Check.passed(Step.KIND, "署名用の証明書です。", "The certificate is for signing documents.")


def check_policy(chain: Chain, at: datetime) -> Check:
    """Check that one of the signer's policies is one of its anchor's, and is that of its whole chain."""
    found, allowed = policies(chain.certificates[0]), chain.anchor.policies
    shown = " ".join(sorted(found)) or None
    if not found & allowed or not permits(chain, allowed, at):
        return Check.stopped(Step.POLICY, Cause.WRONG_POLICY, policies=shown)
    return Check.passed(
        Step.POLICY, "証明書ポリシーは認められたものです。", "The policy is an accepted one.", policies=shown
    )


def check_validity(chain: Chain, at: datetime) -> Check:
    """Check that every certificate of the chain is in its validity period at `at`."""
    for certificate in chain.certificates:
        validity = Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        if not validity.holds(at):
            cause = Cause.NOT_YET_VALID if at < validity.not_before else Cause.EXPIRED
            return Check.stopped(Step.VALIDITY, cause, **_period(certificate))
    return Check.passed(
        Step.VALIDITY,
        "判定の時点で有効期間内です。",
        "Every certificate of the chain is in its validity period.",
        **_period(chain.certificates[0]),
    )


def _period(certificate: x509.Certificate) -> dict[str, str]:
    return {"not_before": iso(certificate.not_valid_before_utc), "not_after": iso(certificate.not_valid_after_utc)}
