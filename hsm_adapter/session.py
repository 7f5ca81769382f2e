"""A session with a token: what a signer process does there (docs/adr/0007).

Only this module and `signer` know PKCS#11.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, MechanismFlag, ObjectClass, PKCS11Error, TokenFlag
from pkcs11.exceptions import ObjectHandleInvalid
from pkcs11.util.ec import encode_named_curve_parameters

from hsm_adapter.token_keys import token_key
from jpki import signature
from jpki.der import Reader, Tag
from jpki.signature import KeySpec, PublicKey, spec_of

_RSA_BITS = {KeySpec.RSA_2048: 2048, KeySpec.RSA_3072: 3072, KeySpec.RSA_4096: 4096}
_CURVES: dict[str, ec.EllipticCurve] = {KeySpec.P256: ec.SECP256R1(), KeySpec.P384: ec.SECP384R1()}
_MECHANISMS = {KeyType.RSA: Mechanism.RSA_PKCS, KeyType.EC: Mechanism.ECDSA}

_CLASSES = {"private": ObjectClass.PRIVATE_KEY, "secret": ObjectClass.SECRET_KEY}
_NEVER_OUT = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
_TOLD = (
    Attribute.SENSITIVE,
    Attribute.ALWAYS_SENSITIVE,
    Attribute.EXTRACTABLE,
    Attribute.NEVER_EXTRACTABLE,
    Attribute.LOCAL,
    Attribute.SIGN,
    Attribute.DECRYPT,
    Attribute.UNWRAP,
)
_NONCE_OCTETS, _TAG_BITS = 12, 128

Name = tuple[ObjectClass, str | None, bytes | None]
"""What a key is found by: its class, and its label, its id or both."""


@contextmanager
def loading() -> Iterator[None]:
    """Tell a module that cannot be loaded apart: the binding has only its most general error for it."""
    try:
        yield
    except PKCS11Error as error:
        raise (LookupError("ModuleNotLoaded") if type(error) is PKCS11Error else error) from None


@contextmanager
def alone(module: str) -> Iterator[None]:
    """Keep all other processes of this machine from logging in through the module meanwhile.

    SoftHSM rewrites a token's file at each log-in, and a process that starts at that moment does not see the token. The
    lock is the module's own file; it falls with the process, so whoever hangs here holds it until its deadline.
    """
    try:
        descriptor = os.open(module, os.O_RDONLY)
    except OSError:
        raise LookupError("ModuleNotLoaded") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Session:
    """A session with a token, logged in. A key is named by label and id, or by one of them."""

    def __init__(self, module: str, token: str, pin: str) -> None:
        with alone(module):
            with loading():
                library = pkcs11.lib(module)
            found = list(library.get_tokens(token_label=token))
            if len(found) != 1:
                raise LookupError("TokenNotPresent" if not found else "TokenAmbiguous")
            require_tries_left(found[0].flags)
            self._session = found[0].open(rw=True, user_pin=pin)
        self._keys: dict[Name, Any] = {}

    def create(self, label: str, spec: str) -> bytes:
        """Generate a key pair in the token and return its id, the SHA-1 of its public key bits."""
        self._require_free(label)
        public, private = self._generate(label, spec)
        identifier = hashlib.sha1(_key_bits(public)).digest()  # noqa: S324 - RFC 5280 4.2.1.2, method 1: a name, no proof
        public[Attribute.ID] = private[Attribute.ID] = identifier
        return identifier

    def create_wrapping_key(self, label: str) -> bytes:
        """Generate an AES key in the token that encrypts and decrypts only, and return its id, which is random."""
        self._require_free(label)
        identifier: bytes = self._session.generate_random(160)
        template = {**_NEVER_OUT, Attribute.SIGN: False, Attribute.VERIFY: False}
        use = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
        self._session.generate_key(
            KeyType.AES, 256, id=identifier, label=label, store=True, capabilities=use, template=template
        )
        return identifier

    def public(self, label: str | None, identifier: bytes | None) -> bytes:
        """Return the SubjectPublicKeyInfo of the one private key named so."""
        return _spki(self._public_half(self._only((ObjectClass.PRIVATE_KEY, label, identifier))))

    def attributes(self, kind: str, label: str | None, identifier: bytes | None) -> Mapping[str, str | bool]:
        """Return what the token says of a key, read anew."""
        key = self._only((_CLASSES[kind], label, identifier))
        spec = "aes-256" if kind == "secret" else str(spec_of(_public_key(self._public_half(key))))
        return {"kind": spec, "storage": "token"} | {each.name.lower(): key[each] for each in _TOLD}

    def sign(self, label: str | None, identifier: bytes | None, octets: bytes) -> bytes:
        """Sign raw: a DigestInfo by PKCS#1 v1.5, or a digest by ECDSA, whose answer is r and s one after the other."""

        def sign(private: Any) -> bytes:  # noqa: ANN401 - the binding's own type
            signed: bytes = private.sign(octets, mechanism=_MECHANISMS[private.key_type])
            return signed

        return self._using((ObjectClass.PRIVATE_KEY, label, identifier), sign)

    def sign_many(
        self, label: str | None, identifier: bytes | None, spki: bytes, messages: Sequence[bytes]
    ) -> list[bytes]:
        """Sign messages with the algorithm of this kind of key, each signature checked against its public half."""
        public = load_der_public_key(spki)
        if not isinstance(public, PublicKey):
            raise TypeError("neither RSA nor elliptic-curve")
        key = token_key(public, lambda octets: self.sign(label, identifier, octets))
        return list(map(signature.checked(key), messages))

    def wrap(self, label: str | None, identifier: bytes | None, octets: bytes) -> bytes:
        """Return a nonce of the token's own and `octets` by AES-GCM."""
        nonce: bytes = self._session.generate_random(_NONCE_OCTETS * 8)

        def encrypt(key: Any) -> bytes:  # noqa: ANN401 - the binding's own type
            sealed: bytes = key.encrypt(octets, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce))
            return nonce + sealed

        return self._using((ObjectClass.SECRET_KEY, label, identifier), encrypt)

    def unwrap(self, label: str | None, identifier: bytes | None, wrapped: bytes) -> bytes:
        """Undo `wrap`.

        Tokens differ in what they call altered octets; SoftHSM's word for them is its word for any fault. So a token
        that fails is asked to open what it has just wrapped: if it can, the octets are wrong.
        """
        name = (ObjectClass.SECRET_KEY, label, identifier)
        try:
            return self._using(name, lambda key: _decrypted(key, wrapped))
        except PKCS11Error:
            probe = self.wrap(label, identifier, b"probe")
            self._using(name, lambda key: _decrypted(key, probe))
            raise LookupError("WrappedKeyUnreadable") from None

    def destroy(self, kind: str, label: str | None, identifier: bytes | None) -> None:
        """Destroy a key, and then its public half."""
        key = self._only((_CLASSES[kind], label, identifier))
        public = self._public_half(key) if kind == "private" else None
        key.destroy()
        if public is not None:
            public.destroy()
        self._keys.clear()

    def _require_free(self, label: str) -> None:
        if any(True for _ in self._session.get_objects({Attribute.LABEL: label})):
            raise LookupError("LabelTaken")

    def _generate(self, label: str, spec: str) -> tuple[Any, Any]:
        template: dict[str, Any] = {
            "label": label,
            "store": True,
            "capabilities": MechanismFlag.SIGN,
            "private_template": _NEVER_OUT,
        }
        if spec in _RSA_BITS:
            return self._session.generate_keypair(KeyType.RSA, _RSA_BITS[KeySpec(spec)], **template)
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[spec].name)}
        return self._session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**template)

    def _using(self, name: Name, use: Callable[[Any], bytes]) -> bytes:
        """Use the key of this name, which is looked up once; anew where another process destroyed what was found."""
        try:
            if name in self._keys:
                return use(self._keys[name])
        except ObjectHandleInvalid:
            pass
        self._keys[name] = self._only(name)
        return use(self._keys[name])

    def _public_half(self, private: Any) -> Any:  # noqa: ANN401 - the binding's own type
        return self._only((ObjectClass.PUBLIC_KEY, None, private[Attribute.ID]))

    def _only(self, name: Name) -> Any:  # noqa: ANN401 - the binding's own type
        attributes = dict(zip((Attribute.CLASS, Attribute.LABEL, Attribute.ID), name, strict=True))
        found = list(self._session.get_objects({key: value for key, value in attributes.items() if value is not None}))
        if len(found) != 1:
            raise LookupError("KeyNotFound" if not found else "KeyAmbiguous")
        return found[0]


def _decrypted(key: Any, wrapped: bytes) -> bytes:  # noqa: ANN401 - the binding's own type
    nonce, rest = wrapped[:_NONCE_OCTETS], wrapped[_NONCE_OCTETS:]
    octets: bytes = key.decrypt(rest, mechanism=Mechanism.AES_GCM, mechanism_param=_gcm(nonce))
    return octets


def _gcm(nonce: bytes) -> GCMParams:
    return GCMParams(nonce, None, _TAG_BITS)


def require_tries_left(flags: TokenFlag) -> None:
    """Leave the last try of a PIN to a person: several processes may all have been given a wrong one."""
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise LookupError("PinFinalTry")


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
