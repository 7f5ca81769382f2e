"""Options that say where private keys live."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from enroll.card.file import card_at
from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from hsm_adapter.roles import Role
from hsm_adapter.software import read_key_file
from hsm_adapter.uri import SCHEME, Pkcs11Uri
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.signature import PrivateKey
from jpki.text import Text
from server.cli.frame import BadInput
from server.cli.pins import entered
from server.home import PINS, given_passphrase, given_secret

KeysSettings = dict[str, Any]
"""The part of the settings that `--keys` decides."""


class _KeysType(click.ParamType[KeysSettings]):
    """`software`, `pkcs11` for SoftHSM tokens of the home's own, or the URI of a token."""

    name = "software|pkcs11|pkcs11:URI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KeysSettings:  # noqa: ANN401 - click's signature
        """Read where the keys live."""
        if isinstance(value, dict):
            return value
        if value in {"software", "pkcs11"}:
            return {"keys": value}
        if not str(value).startswith(SCHEME):
            self.fail(f"'{value}' is neither software nor pkcs11 nor a pkcs11: URI", param, ctx)
        return {"keys": "pkcs11", "pkcs11": _token(str(value))}


class _TokenType(click.ParamType[KeysSettings]):
    """The URI of a token."""

    name = "pkcs11:URI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KeysSettings:  # noqa: ANN401, ARG002 - click's signature
        """Read which token it is."""
        return value if isinstance(value, dict) else _token(str(value))


def _token(text: str) -> KeysSettings:
    try:
        uri = Pkcs11Uri.parse(text)
        return {"module": str(_module(uri)), "token": uri.token}
    except JpkiError as error:
        raise BadInput(error) from error


_CARD = "card:"


class KeySource(click.Path):
    """A file that must be there, a `pkcs11:` URI, or `card:` and the file of a simulated card."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Leave a URI as it is, and look for a file."""
        return value if str(value).startswith((SCHEME, _CARD)) else super().convert(value, param, ctx)


keys_option = click.option("--keys", type=_KeysType(), default="software", help="Where private keys live.")


def keys_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--keys` and the tokens that two roles may have for themselves; the command gets all of it as `keys`."""

    @keys_option
    @click.option("--ocsp-keys", type=_TokenType(), help="The OCSP keys' own token, beside --keys pkcs11:URI.")
    @click.option("--infrastructure-keys", type=_TokenType(), help="The infrastructure keys' own token, likewise.")
    @wraps(function)
    def with_tokens(
        *args: Any,  # noqa: ANN401 - click's signature
        keys: KeysSettings,
        ocsp_keys: KeysSettings | None,
        infrastructure_keys: KeysSettings | None,
        **rest: Any,  # noqa: ANN401 - click's signature
    ) -> Any:  # noqa: ANN401 - click's signature
        own = {"ocsp": ocsp_keys, "infrastructure": infrastructure_keys}
        if any(own.values()):
            if "pkcs11" not in keys:
                raise click.UsageError("--ocsp-keys and --infrastructure-keys need --keys pkcs11:URI")
            keys = {**keys, "pkcs11": {**keys["pkcs11"], **own}}
        return function(*args, keys=keys, **rest)

    return with_tokens


def signer_at(where: str, pin_file: Path | None = None) -> PrivateKey:
    """Return the private key in a PEM file, at a `pkcs11:` URI with its module-path, or a simulated card's for signing.

    A card's PIN is in `pin_file`, or its holder is asked for it.

    Raises:
        JpkiError: of the file, the token or the card; MALFORMED `pkcs11-module-missing`; FORBIDDEN `pin-missing`.
    """
    if where.startswith(_CARD):
        card = click.get_current_context().with_resource(card_at(Path(where.removeprefix(_CARD))))
        return card.unlocked(Purpose.SIGNING, entered(Purpose.SIGNING, pin_file))
    if not where.startswith(SCHEME):
        return read_key_file(Path(where), given_passphrase)
    uri = Pkcs11Uri.parse(where)
    keys = Pkcs11Keys(Token(module=_module(uri), label=uri.token), _pin, processes=1)
    click.get_current_context().call_on_close(keys.close)
    return keys.foreign_signer(KeyUri(where))


def _module(uri: Pkcs11Uri) -> Path:
    if uri.module is None:
        raise JpkiError(
            Kind.MALFORMED,
            "pkcs11-module-missing",
            Text("URIにPKCS#11ライブラリの場所がありません。", "The URI does not say where the PKCS#11 library is."),
            Text("末尾に ?module-path=/…/lib….so を付けてください。", "Add ?module-path=/…/lib….so at its end."),
        )
    return uri.module


def _pin() -> str:
    name = PINS[Role.CA]
    pin = given_secret(name)
    if pin is None:
        raise JpkiError(
            Kind.FORBIDDEN,
            "pin-missing",
            Text("トークンのPINがありません。", "The token's PIN is missing."),
            Text(
                f"{name} を資格情報・{name}_FILE・環境変数のいずれかで渡してください。",
                f"Give {name} as a credential, by {name}_FILE, or in the environment.",
            ),
        )
    return pin.decode()
