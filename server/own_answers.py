"""What our own OCSP responder tells a verifier of one certificate: asked as a verifier asks, but for the network."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.x509 import ocsp

from jpki.generation import Generation
from jpki.ids import GenerationId
from jpki.revocation import Finding, Reason, RevocationEvidence, Status
from server.reconcile.answers import question_about

AskOcsp = Callable[[bytes], bytes]
"""Returns the OCSP response to a request, both in DER."""


@dataclass(frozen=True, slots=True)
class OwnAnswers:
    """Asks about a certificate, as the ledger knows it."""

    ask: AskOcsp
    generation: Callable[[GenerationId], Generation]

    def __call__(self, status: Status) -> RevocationEvidence | None:
        """Return what is answered; None where the question is refused, as an unregistered verifier's is."""
        octets = self.ask(question_about(status.serial, self.generation(status.generation)))
        response = ocsp.load_der_ocsp_response(octets)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        finding = _FINDINGS[response.certificate_status]
        flag = response.revocation_reason
        reason = None if flag is None else Reason(flag.value)
        if finding is Finding.REVOKED and reason is Reason.CERTIFICATE_HOLD:
            finding = Finding.HELD
        return RevocationEvidence(
            finding=finding,
            source="ocsp",
            as_of=response.this_update_utc,
            fresh_until=response.next_update_utc,
            revoked_at=response.revocation_time_utc,
            reason=reason,
        )


_FINDINGS = {
    ocsp.OCSPCertStatus.GOOD: Finding.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Finding.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Finding.UNKNOWN,
}
