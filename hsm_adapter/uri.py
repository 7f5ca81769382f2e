"""PKCS#11 URIs (RFC 7512): the part of them that names a private key in a token."""

import re
from dataclasses import dataclass
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
    """`token` and `object` are labels, `id` is CKA_ID; a key is named by its token and at least one of the two."""

    token: str
    object: str | None = None
    id: bytes | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI. Attributes that a key in a token does not need (`type`, `serial`, …) are left aside.

        Raises:
            JpkiError: MALFORMED `pkcs11-uri-malformed`.
        """
        if not text.startswith(SCHEME):
            raise _malformed("scheme")
        path = text.removeprefix(SCHEME).partition("?")[0]
        attributes: dict[str, bytes] = {}
        for part in filter(None, path.split(";")):
            name, equals, value = part.partition("=")
            if not equals or name in attributes or re.search(r"%(?![0-9A-Fa-f]{2})", value):
                raise _malformed(name)
            attributes[name] = unquote_to_bytes(value)
        if "token" not in attributes or not attributes.keys() & {"object", "id"}:
            raise _malformed("token, object, id")
        try:
            label = attributes["object"].decode() if "object" in attributes else None
            return cls(token=attributes["token"].decode(), object=label, id=attributes.get("id"))
        except UnicodeDecodeError:
            raise _malformed("UTF-8") from None

    def __str__(self) -> str:
        parts = [f"token={quote(self.token, safe=_PLAIN)}"]
        if self.object is not None:
            parts.append(f"object={quote(self.object, safe=_PLAIN)}")
        if self.id is not None:
            parts.append("id=" + "".join(f"%{octet:02X}" for octet in self.id))
        return SCHEME + ";".join([*parts, "type=private"])

    @property
    def key_uri(self) -> KeyUri:
        """The URI as the ledger keeps it."""
        return KeyUri(str(self))


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
