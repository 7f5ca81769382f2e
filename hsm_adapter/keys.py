"""Private keys that sign and do nothing else, in pyca's own types (docs/adr/0002-key-facade.md).

pyca's builders, pyHanko and signxml take any subclass of pyca's abstract keys. These hold the public half and a
function that signs, so the same class serves a key in memory and a key in a token, and neither can be exported.
"""

import re
from collections.abc import Callable
from typing import NoReturn, Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric.utils import NoDigestInfo, Prehashed
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
)
from cryptography.utils import Buffer

from jpki.errors import JpkiError, Kind
from jpki.text import Text

RSASign = Callable[[bytes, AsymmetricPadding, Prehashed | HashAlgorithm | NoDigestInfo], bytes]
ECSign = Callable[[Buffer, ec.EllipticCurveSignatureAlgorithm], bytes]


def require_label(label: str) -> None:
    """Require a label that is the same word in a file's name, in a token and in a URI.

    Raises:
        JpkiError: MALFORMED `key-label-malformed`.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", label) is None:
        raise JpkiError(
            Kind.MALFORMED,
            "key-label-malformed",
            Text("鍵の名前に使えない文字があります。", "The key's name holds a character that it may not."),
            Text("英小文字・数字・ハイフンで付けてください。", "Use lower-case letters, digits and hyphens."),
        )


def _refuse() -> NoReturn:
    raise JpkiError(
        Kind.FORBIDDEN,
        "key-not-exportable",
        Text("この鍵は署名にのみ使えます。取り出しはできません。", "This key signs only; it cannot be exported."),
        Text("署名の操作だけを行ってください。", "Use it to sign, and for nothing else."),
    )


class RSASigningKey(rsa.RSAPrivateKey):
    """An RSA private key that signs."""

    def __init__(self, public_key: rsa.RSAPublicKey, sign: RSASign) -> None:
        self._public_key = public_key
        self._sign = sign

    @property
    def key_size(self) -> int:
        """The modulus' length in bits."""
        return self._public_key.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the public half."""
        return self._public_key

    def sign(
        self, data: bytes, padding: AsymmetricPadding, algorithm: Prehashed | HashAlgorithm | NoDigestInfo
    ) -> bytes:
        """Sign `data`, as pyca's own key does."""
        return self._sign(data, padding, algorithm)

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:  # noqa: ARG002 - pyca's signature
        """Refuse: a signing key does not decrypt."""
        _refuse()

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        """Refuse: the key cannot be exported."""
        _refuse()

    def private_bytes(
        self,
        encoding: Encoding,  # noqa: ARG002 - pyca's signature
        format: PrivateFormat,  # noqa: A002, ARG002 - pyca's signature
        encryption_algorithm: KeySerializationEncryption,  # noqa: ARG002 - pyca's signature
    ) -> bytes:
        """Refuse: the key cannot be exported."""
        _refuse()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class ECSigningKey(ec.EllipticCurvePrivateKey):
    """An elliptic-curve private key that signs."""

    def __init__(self, public_key: ec.EllipticCurvePublicKey, sign: ECSign) -> None:
        self._public_key = public_key
        self._sign = sign

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """The curve's length in bits."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    def sign(self, data: Buffer, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign `data`, as pyca's own key does; the signature is DER (r, s)."""
        return self._sign(data, signature_algorithm)

    def exchange(
        self,
        algorithm: ec.ECDH,  # noqa: ARG002 - pyca's signature
        peer_public_key: ec.EllipticCurvePublicKey,  # noqa: ARG002 - pyca's signature
    ) -> bytes:
        """Refuse: a signing key agrees on nothing."""
        _refuse()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Refuse: the key cannot be exported."""
        _refuse()

    def private_bytes(
        self,
        encoding: Encoding,  # noqa: ARG002 - pyca's signature
        format: PrivateFormat,  # noqa: A002, ARG002 - pyca's signature
        encryption_algorithm: KeySerializationEncryption,  # noqa: ARG002 - pyca's signature
    ) -> bytes:
        """Refuse: the key cannot be exported."""
        _refuse()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self
