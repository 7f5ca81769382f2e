"""The signer process: one thread and one session with the token, asked over a socket (docs/adr/0007).

Run as `python -m hsm_adapter.signer FD`. Each request is a tuple (operation, *arguments) and gets one answer: ("ok",
value) or ("failed", name of the PKCS#11 error). It ends when its parent's end of the socket closes. This is the only
module that talks to a token.
"""

import ctypes
import hashlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from jpki.der import Reader, Tag
from jpki.signature import KeySpec

_RSA_BITS = {KeySpec.RSA_2048: 2048, KeySpec.RSA_3072: 3072, KeySpec.RSA_4096: 4096}
_CURVES: dict[str, ec.EllipticCurve] = {KeySpec.P256: ec.SECP256R1(), KeySpec.P384: ec.SECP384R1()}
_MECHANISMS = {KeyType.RSA: Mechanism.RSA_PKCS, KeyType.EC: Mechanism.ECDSA}

_SEALED = {
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.ALWAYS_SENSITIVE: True,
    Attribute.NEVER_EXTRACTABLE: True,
    Attribute.LOCAL: True,
    Attribute.SIGN: True,
    Attribute.DECRYPT: False,
    Attribute.UNWRAP: False,
}
"""What a key of an authority must be: made in the token, never out of it, and for nothing but signing."""


class Signer:
    """A session with a token, logged in. A key is named by label, id or both, and looked up once."""

    def __init__(self, module: str, token: str, pin: str) -> None:
        with _loading():
            library = pkcs11.lib(module)
        found = list(library.get_tokens(token_label=token))
        if len(found) != 1:
            raise LookupError("TokenNotPresent" if not found else "TokenAmbiguous")
        self._session = found[0].open(rw=True, user_pin=pin)
        self._keys: dict[tuple[str | None, bytes | None], Any] = {}

    def create(self, label: str, spec: str) -> bytes:
        """Generate a key pair in the token and return its id, the SHA-1 of its public key bits."""
        if any(True for _ in self._session.get_objects({Attribute.LABEL: label})):
            raise LookupError("LabelTaken")
        public, private = self._generate(label, spec)
        identifier = hashlib.sha1(_key_bits(public)).digest()  # noqa: S324 - RFC 5280 4.2.1.2, method 1: a name, no proof
        public[Attribute.ID] = private[Attribute.ID] = identifier
        return identifier

    def find(self, label: str | None, identifier: bytes | None) -> tuple[bytes, bool]:
        """Return the SubjectPublicKeyInfo of the one private key named so, and whether it is sealed."""
        private = self._private(label, identifier)
        public = self._only({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: private[Attribute.ID]})
        return _spki(public), all(private[attribute] == value for attribute, value in _SEALED.items())

    def sign(self, label: str | None, identifier: bytes | None, octets: bytes) -> bytes:
        """Sign raw: a DigestInfo by PKCS#1 v1.5, or a digest by ECDSA, whose answer is r and s one after the other."""
        private = self._private(label, identifier)
        signature: bytes = private.sign(octets, mechanism=_MECHANISMS[private.key_type])
        return signature

    def _generate(self, label: str, spec: str) -> tuple[Any, Any]:
        template: dict[str, Any] = {
            "label": label,
            "store": True,
            "capabilities": MechanismFlag.SIGN,
            "private_template": {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        }
        if spec in _RSA_BITS:
            return self._session.generate_keypair(KeyType.RSA, _RSA_BITS[KeySpec(spec)], **template)
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[spec].name)}
        return self._session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**template)

    def _private(self, label: str | None, identifier: bytes | None) -> Any:  # noqa: ANN401 - the binding's own type
        if (label, identifier) not in self._keys:
            names = {Attribute.LABEL: label, Attribute.ID: identifier}
            named = {attribute: value for attribute, value in names.items() if value is not None}
            self._keys[label, identifier] = self._only({Attribute.CLASS: ObjectClass.PRIVATE_KEY, **named})
        return self._keys[label, identifier]

    def _only(self, attributes: dict[Attribute, Any]) -> Any:  # noqa: ANN401 - the binding's own type
        found = list(self._session.get_objects(attributes))
        if len(found) != 1:
            raise LookupError("KeyNotFound" if not found else "KeyAmbiguous")
        return found[0]


@contextmanager
def _loading() -> Iterator[None]:
    """Tell a module that cannot be loaded apart: the binding has only its most general error for it."""
    try:
        yield
    except pkcs11.PKCS11Error as error:
        raise (LookupError("ModuleNotLoaded") if type(error) is pkcs11.PKCS11Error else error) from None


def initialise(module: str, token: str, so_pin: str, pin: str) -> None:
    """Make a token in the first free slot (C_InitToken, which the binding does not offer) and give it its PIN."""
    with _loading():
        library = pkcs11.lib(module)
    slot = next(each for each in library.get_slots() if not each.get_token().flags & pkcs11.TokenFlag.TOKEN_INITIALIZED)
    label, so = token.encode().ljust(32), so_pin.encode()
    refused = ctypes.CDLL(module).C_InitToken(ctypes.c_ulong(slot.slot_id), so, ctypes.c_ulong(len(so)), label)
    if refused:
        raise LookupError(f"InitToken{refused:#x}")
    library.reinitialize()
    with next(iter(library.get_tokens(token_label=token))).open(rw=True, so_pin=so_pin) as session:
        session.init_pin(pin)


def _public_key(public: Any) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:  # noqa: ANN401 - the binding's own type
    if public.key_type is KeyType.RSA:
        exponent, modulus = public[Attribute.PUBLIC_EXPONENT], public[Attribute.MODULUS]
        return rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key()
    parameters = public[Attribute.EC_PARAMS]
    curve = next(each for each in _CURVES.values() if encode_named_curve_parameters(each.name) == parameters)
    point = Reader(public[Attribute.EC_POINT]).read(Tag.OCTET_STRING)
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def _spki(public: Any) -> bytes:  # noqa: ANN401 - the binding's own type
    return _public_key(public).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_bits(public: Any) -> bytes:  # noqa: ANN401 - the binding's own type
    fields = Reader(Reader(_spki(public)).read(Tag.SEQUENCE))
    fields.read(Tag.SEQUENCE)
    return fields.read(Tag.BIT_STRING)[1:]


def answer(connection: Connection) -> None:
    """Answer requests until the parent is gone. The first opens the session, or makes a token."""
    operations: dict[str, Callable[..., object]] = {"initialise": initialise}
    while True:
        operation, *arguments = connection.recv()
        try:
            if operation == "open":
                signer = Signer(*arguments)
                operations |= {"create": signer.create, "find": signer.find, "sign": signer.sign}
                connection.send(("ok", None))
            else:
                connection.send(("ok", operations[operation](*arguments)))
        except LookupError as error:
            connection.send(("failed", str(error.args[0])))
        except Exception as error:  # noqa: BLE001 - whatever the token says goes back as a name, and nothing else does
            connection.send(("failed", type(error).__name__))


def end_with_parent(descriptor: int) -> None:
    """End this process when the other end of the socket closes, even while a session hangs in the token.

    The kernel's own signal for a parent's death will not do: it is sent when the thread that started us ends.
    """

    def watch() -> None:
        hung_up = select.poll()
        hung_up.register(descriptor, 0)
        hung_up.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Serve the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = int(sys.argv[1])
    end_with_parent(descriptor)
    try:
        answer(Connection(descriptor))
    except EOFError:
        return


if __name__ == "__main__":
    main()
