"""PKCS#11 URIs (RFC 7512): the part of them that names a token, and a key in it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.text import Text

SCHEME = "pkcs11:"
_PLAIN = "-._~:[]@!$'()*+,="
"""What RFC 7512 2.3 lets stand unescaped in a path attribute, beside letters and digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """`token` and `object` are labels, `id` is CKA_ID, `module` the library's path; a key has label, id or both.

    A URI names a private key, or a `secret` one.
    """

    token: str
    object: str | None = None
    id: bytes | None = None
    module: Path | None = None
    secret: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI. Attributes that a key in a token does not need (`serial`, `manufacturer`, …) are left aside.

        Raises:
            JpkiError: MALFORMED `pkcs11-uri-malformed`.
        """
        if not text.startswith(SCHEME):
            raise _malformed("scheme")
        path, _, query = text.removeprefix(SCHEME).partition("?")
        attributes, more = _attributes(path, ";"), _attributes(query, "&")
        if "token" not in attributes:
            raise _malformed("token")
        try:
            return cls(
                token=attributes["token"].decode(),
                object=attributes["object"].decode() if "object" in attributes else None,
                id=attributes.get("id"),
                module=Path(more["module-path"].decode()) if "module-path" in more else None,
                secret=attributes.get("type") == b"secret-key",
            )
        except UnicodeDecodeError:
            raise _malformed("UTF-8") from None

    def __str__(self) -> str:
        parts = [f"token={quote(self.token, safe=_PLAIN)}"]
        if self.object is not None:
            parts.append(f"object={quote(self.object, safe=_PLAIN)}")
        if self.id is not None:
            parts.append("id=" + "".join(f"%{octet:02X}" for octet in self.id))
        return SCHEME + ";".join([*parts, "type=secret-key" if self.secret else "type=private"])

    @property
    def key_uri(self) -> KeyUri:
        """The URI as the ledger keeps it."""
        return KeyUri(str(self))


def _attributes(text: str, separator: str) -> dict[str, bytes]:
    attributes: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name in attributes or re.search(r"%(?![0-9A-Fa-f]{2})", value):
            raise _malformed(name)
        attributes[name] = unquote_to_bytes(value)
    return attributes


def _malformed(where: str) -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "pkcs11-uri-malformed",
        Text(f"PKCS#11のURIが正しくありません（{where}）。", f"The PKCS#11 URI is wrong ({where})."),
        Text(
            "pkcs11:token=ラベル;object=ラベル の形で指定してください（RFC 7512）。",
            "Write it as pkcs11:token=LABEL;object=LABEL (RFC 7512).",
        ),
    )
