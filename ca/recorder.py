"""Signing what a CA key signs for the house itself: recorded before the signature, and after it (rule R2)."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ca.tbs import to_be_signed
from jpki.acts import Actor
from jpki.clock import Clock
from jpki.delegate import Delegate, DelegateKind
from jpki.ids import GenerationId, KeyUri, Serial, new_serial
from jpki.ports import DelegateLedger
from jpki.randomness import Randomness
from jpki.signature import PrivateKey, signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the record says of a certificate besides its octets; see `jpki.delegate.Delegate`."""

    generation: GenerationId
    kind: DelegateKind
    name: str
    key: KeyUri | None
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Signs certificates whose exact octets are in the ledger first."""

    ledger: DelegateLedger
    clock: Clock
    randomness: Randomness

    def sign(self, subject: Subject, builder: x509.CertificateBuilder, key: PrivateKey, by: Actor) -> x509.Certificate:
        """Give the certificate its serial and end; record its octets, sign them with the CA's `key`, record that.

        Raises:
            JpkiError: the ledger's, when nothing is signed (rule R18); or the key's, when the record stays intended.
        """
        serial: Serial = new_serial(self.randomness)
        ready = builder.serial_number(serial).not_valid_after(subject.not_after)
        octets = to_be_signed(ready, key.public_key())
        intent = Delegate(
            serial=serial,
            generation=subject.generation,
            kind=subject.kind,
            name=subject.name,
            key=subject.key,
            not_after=subject.not_after,
            to_be_signed=octets,
        )
        self.ledger.intend(intent, by, self.clock())
        der = signed(key, octets)
        self.ledger.complete(serial, der, by, self.clock())
        return x509.load_der_x509_certificate(der)
