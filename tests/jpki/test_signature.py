"""No signature leaves that its public key does not confirm."""

from collections.abc import Callable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hsm_adapter.keys import ECSigningKey, RSASigningKey
from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.signature import PrivateKey

RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
BROKEN: dict[str, PrivateKey] = {
    "rsa": RSASigningKey(RSA.public_key(), OTHER_RSA.sign),
    "p-384": ECSigningKey(EC.public_key(), OTHER_EC.sign),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_signature_of_a_device_does_not_leave(kind: str) -> None:
    key = BROKEN[kind]
    hashed = signature.hashing(key.public_key())
    digest = hashed.finalize()
    attempts: list[Callable[[], bytes]] = [
        lambda: signature.sign(key, b""),
        lambda: signature.sign_digest(key, digest),
    ]
    for attempt in attempts:
        with pytest.raises(JpkiError) as error:
            attempt()
        assert (error.value.kind, error.value.code) == (Kind.INTERNAL, "signature-faulty")


@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "p-384"])
def test_a_digest_stands_for_its_message_and_for_no_other(key: PrivateKey) -> None:
    digests = []
    for message in (b"one", b"other"):
        hashed = signature.hashing(key.public_key())
        hashed.update(message)
        digests.append(hashed.finalize())
    signed = signature.sign_digest(key, digests[0])
    signature.check(key.public_key(), b"one", signed)
    signature.check_digest(key.public_key(), digests[0], signed)
    with pytest.raises(InvalidSignature):
        signature.check_digest(key.public_key(), digests[1], signed)
