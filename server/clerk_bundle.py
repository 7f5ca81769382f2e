"""A clerk's client certificate with its key, as PKCS#12 under a password: what goes into the clerk's browser."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR
from jpki.clerk import ClerkId
from jpki.delegate import DelegateKind
from jpki.generation import Generation
from jpki.ids import Serial
from jpki.randomness import Randomness, alphanumeric
from jpki.signature import KeySpec
from server.wiring import Rooms


@dataclass(frozen=True, slots=True)
class Certified:
    """The certificate, and the bundle with its password."""

    certificate: x509.Certificate
    bundle: bytes
    password: bytes


def certified_clerk(
    rooms: Rooms, root: Generation, clerk: ClerkId, randomness: Randomness, *, alone: bool
) -> Certified:
    """Make a key, certify it under the infrastructure root, and let the clerk bear the certificate.

    `alone` ends those that the clerk bears already.
    """
    key = generate(KeySpec.P256)
    certificate = rooms.delegation.client(root, key.public_key(), DelegateKind.CLERK, clerk, LOCAL_OPERATOR)
    password = alphanumeric(randomness, 20).encode()
    bundle = serialize_key_and_certificates(
        clerk.encode(), key, certificate, [root.certificate], BestAvailableEncryption(password)
    )
    serial = Serial(certificate.serial_number)
    rooms.store.clerks.certify(clerk, serial, LOCAL_OPERATOR, rooms.clock(), alone=alone)
    return Certified(certificate, bundle, password)
