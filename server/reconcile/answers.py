"""What OCSP answers, held against the ledger: asked as a verifier asks, but for the network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from jpki.generation import Generation
from jpki.ids import GenerationId, Serial, format_serial
from jpki.ports import StatusSource
from jpki.revocation import Reason, State, Status
from ocsp.responder import Responder
from server.reconcile.difference import Difference, Fault

_ATTEMPTS = 3
_NEVER_ISSUED = Serial(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Asks `responder` about serials, and compares with what `status` says at the same moment.

    `generations` are those that answer here.
    """

    responder: Responder
    status: StatusSource
    generations: Mapping[GenerationId, Generation]

    def silent(self) -> Iterator[Difference]:
        """Yield the generations for which no responder answers."""
        for generation in self.generations.values():
            if self._said(_NEVER_ISSUED, generation) is None:
                yield Difference(generation.id, Fault.OCSP_SILENT, "an answer", "-")

    def differences(self, serials: Sequence[Serial]) -> Iterator[Difference]:
        """Yield where the answer is not what the ledger says; what it does not know is asked of every CA key."""
        for serial in serials:
            status = self.status(serial)
            asked = self.generations if status is None else [status.generation]
            for identifier in asked:
                if identifier in self.generations:
                    yield from self._difference(serial, self.generations[identifier])

    def _difference(self, serial: Serial, generation: Generation) -> Iterator[Difference]:
        for _ in range(_ATTEMPTS):
            # Whoever changes it between the two looks makes no difference.
            expected, said = _expected(self.status(serial), generation), self._said(serial, generation)
            if said in (expected, None):
                return
        yield Difference(f"{format_serial(serial)}/{generation.id}", Fault.OCSP_DIFFERS, expected, said or "-")

    def _said(self, serial: Serial, generation: Generation) -> str | None:
        answer = self.responder.answer("POST", "", {}, question_about(serial, generation))
        response = ocsp.load_der_ocsp_response(answer.body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        if response.certificate_status is not ocsp.OCSPCertStatus.REVOKED:
            return response.certificate_status.name.lower()
        reason = response.revocation_reason
        return _revoked(Reason.UNSPECIFIED if reason is None else Reason(reason.value))


def question_about(serial: Serial, generation: Generation) -> bytes:
    """Return the OCSP request about a serial of a generation, in DER."""
    key = Hash(SHA256())
    key.update(generation.key_bits)
    name = Hash(SHA256())
    name.update(generation.name_der)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name.finalize(), key.finalize(), serial, SHA256())
    return builder.build().public_bytes(Encoding.DER)


def _expected(status: Status | None, generation: Generation) -> str:
    """Return what a verifier must hear (docs/adr/0003, 0009)."""
    if status is not None and status.reason is not None:
        return _revoked(status.reason)
    if generation.compromised_at is not None:
        return _revoked(Reason.CA_COMPROMISE)
    return "good" if status is not None and status.state is State.ACTIVE else "unknown"


def _revoked(reason: Reason) -> str:
    return f"revoked {reason}"
