"""A delegate ledger in memory, which can be made to fail and whose events are in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from jpki.acts import Actor
from jpki.delegate import Delegate, DelegateKind, TimeStampingUnit
from jpki.errors import JpkiError, Kind
from jpki.generation import Responder
from jpki.ids import GenerationId, Serial
from jpki.text import Text


@dataclass
class MemoryDelegates:
    """See `jpki.ports.DelegateLedger`."""

    intended: dict[Serial, Delegate] = field(default_factory=dict)
    signed: dict[Serial, x509.Certificate] = field(default_factory=dict)
    full: bool = False
    before_completing: Callable[[Serial], None] = lambda serial: None  # noqa: ARG005 - nothing happens

    def intend(self, delegate: Delegate, by: Actor, at: datetime) -> None:
        del by, at
        if self.full:
            raise JpkiError(Kind.UNAVAILABLE, "audit-unavailable", Text("満杯", "full"), Text("-", "-"))
        assert delegate.serial not in self.intended
        self.intended[delegate.serial] = delegate

    def complete(self, serial: Serial, certificate: bytes, by: Actor, at: datetime) -> None:
        del by, at
        self.before_completing(serial)
        self.signed[serial] = x509.load_der_x509_certificate(certificate)
        assert self.signed[serial].tbs_certificate_bytes == self.intended[serial].to_be_signed

    def time_stamping_units(self, generation: GenerationId) -> Sequence[TimeStampingUnit]:
        found = [
            TimeStampingUnit(certificate=certificate, key=intent.key)
            for serial, certificate in self.signed.items()
            if (intent := self.intended[serial]).generation == generation
            and intent.kind is DelegateKind.TSA
            and intent.key is not None
        ]
        return sorted(found, key=lambda each: each.certificate.not_valid_after_utc, reverse=True)

    def responders(self, generation: GenerationId) -> Sequence[Responder]:
        found = [
            Responder(generation=generation, certificate=certificate, key=intent.key)
            for serial, certificate in self.signed.items()
            if (intent := self.intended[serial]).generation == generation
            and intent.kind is DelegateKind.RESPONDER
            and intent.key is not None
        ]
        return sorted(found, key=lambda each: each.certificate.not_valid_after_utc, reverse=True)
