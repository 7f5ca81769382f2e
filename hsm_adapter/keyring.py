"""One key provider of several tokens: the CAs', the OCSP responders' and the infrastructure's keys each in their own.

So a process that only answers OCSP needs, and holds, the PIN of the OCSP token alone.
"""

from collections.abc import Mapping, Sequence

from hsm_adapter.faults import failed
from hsm_adapter.pkcs11 import Pkcs11Keys
from hsm_adapter.roles import Role, role_of
from hsm_adapter.uri import Pkcs11Uri
from jpki.ids import KeyUri
from jpki.signature import KeySpec, PrivateKey


class Keyring:
    """Makes a key in its role's token, or in the CAs' where the role has none, and finds it by the token's label.

    See `jpki.ports.KeyProvider`.
    """

    def __init__(self, tokens: Mapping[Role, Pkcs11Keys]) -> None:
        self._tokens = {role: tokens.get(role, tokens[Role.CA]) for role in Role}

    def create(self, label: str, spec: KeySpec) -> KeyUri:
        """Make a key in the token of the label's role."""
        return self._tokens[role_of(label)].create(label, spec)

    def signer(self, uri: KeyUri) -> PrivateKey:
        """Return the key, from its token."""
        return self._holding(uri).signer(uri)

    def sign_many(self, uri: KeyUri, messages: Sequence[bytes]) -> Sequence[bytes]:
        """Sign in the key's token."""
        return self._holding(uri).sign_many(uri, messages)

    def create_wrapping_key(self, label: str) -> KeyUri:
        """Make a wrapping key in the token of the label's role."""
        return self._tokens[role_of(label)].create_wrapping_key(label)

    def wrap(self, uri: KeyUri, octets: bytes) -> bytes:
        """Wrap in the key's token."""
        return self._holding(uri).wrap(uri, octets)

    def unwrap(self, uri: KeyUri, wrapped: bytes) -> bytes:
        """Unwrap in the key's token."""
        return self._holding(uri).unwrap(uri, wrapped)

    def attributes(self, uri: KeyUri) -> Mapping[str, str | bool]:
        """Read what the key's token says of it."""
        return self._holding(uri).attributes(uri)

    def destroy(self, uri: KeyUri) -> None:
        """Destroy the key in its token."""
        self._holding(uri).destroy(uri)

    def close(self) -> None:
        """End the signer processes of all tokens."""
        for token in self._tokens.values():
            token.close()

    def _holding(self, uri: KeyUri) -> Pkcs11Keys:
        label = Pkcs11Uri.parse(uri).token
        for token in self._tokens.values():
            if token.label == label:
                return token
        raise failed("TokenUnknown")
