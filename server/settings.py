"""jpki.toml: what an operator decides about a home."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from hsm_adapter.roles import Role
from jpki.errors import JpkiError, Kind
from jpki.text import Text

DEFAULT_BASE_URL = "http://127.0.0.1:8080"

_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
_PATH = r"(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?"

_OID = r"^[0-2](\.(0|[1-9][0-9]*))+$"

BaseUrl = Annotated[str, StringConstraints(pattern=rf"^https?://{_HOST}{_PATH}$")]
"""An http or https URL without a slash at its end: it goes into every certificate."""


def _address(text: str) -> str:
    """Return an IP address as a connection tells it."""
    return str(ip_address(text))


Address = Annotated[str, AfterValidator(_address)]


class TokenSettings(BaseModel):
    """A token: the module's path and the token's label. The PIN is never here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str
    token: str


class Pkcs11Settings(TokenSettings):
    """The token of the CA keys, which holds the others too where these have no token of their own."""

    ocsp: TokenSettings | None = None
    infrastructure: TokenSettings | None = None

    @property
    def by_role(self) -> Mapping[Role, TokenSettings]:
        """Return the tokens of the roles that have one."""
        tokens = {Role.CA: self, Role.OCSP: self.ocsp, Role.INFRASTRUCTURE: self.infrastructure}
        return {role: token for role, token in tokens.items() if token is not None}

    @model_validator(mode="after")
    def _require_different_labels(self) -> Self:
        labels = [token.token for token in self.by_role.values()]
        if len(set(labels)) < len(labels):
            raise ValueError("tokens are told apart by their labels")
        return self

    def as_toml(self) -> str:
        """Return the tables' text."""
        text = (
            "\n# The tokens that hold the keys; their PINs are JPKI_PIN, JPKI_OCSP_PIN and JPKI_INFRASTRUCTURE_PIN.\n"
        )
        for role, token in self.by_role.items():
            text += "[pkcs11]\n" if role is Role.CA else f"\n[pkcs11.{role}]\n"
            text += f"module = {json.dumps(token.module)}\ntoken = {json.dumps(token.token)}\n"
        return text


class TrustSettings(BaseModel):
    """Authorities that are trusted beside the home's own: a file of certificates, and the policies that count there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Annotated[str, StringConstraints(pattern=r"^/")]
    policies: Annotated[tuple[Annotated[str, StringConstraints(pattern=_OID)], ...], Field(min_length=1)]

    def as_toml(self) -> str:
        """Return the table's text."""
        return f"\n[[trust]]\nfile = {json.dumps(self.file)}\npolicies = {json.dumps(self.policies)}\n"


def _server(url: str) -> str:
    """Return an address if it is that of an HTTP server."""
    from ocsp.http_client import split_address

    split_address(url)
    return url


ServerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]+$"), AfterValidator(_server)]
"""A URL that is asked exactly as it is written: http or https, with a host and without a user."""


def _fingerprint(text: str) -> str:
    """Return a SHA-256, with or without the colons of `openssl x509 -fingerprint`, as plain hexadecimal."""
    return text.replace(":", "").lower()


Fingerprint = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}$"), AfterValidator(_fingerprint)
]


class RevocationSettings(BaseModel):
    """Where to ask about what one CA certificate issued: its OCSP responder, and its list, which is a complete one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: Fingerprint
    ocsp: ServerUrl | None = None
    crl: ServerUrl | None = None

    @model_validator(mode="after")
    def _require_a_source(self) -> Self:
        if self.ocsp is None and self.crl is None:
            raise ValueError("there is nowhere to ask")
        return self

    def as_toml(self) -> str:
        """Return the table's text."""
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in self.model_dump(exclude_none=True).items()]
        return "\n[[revocation]]\n" + "".join(lines)


AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/")]


class RegistrySettings(BaseModel):
    """The town's register of residents: its URL, the client certificate and key (PEM), and the roots of its server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: BaseUrl
    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None
    roots: AbsolutePath | None = None

    @model_validator(mode="after")
    def _require_tls_or_none(self) -> Self:
        files = (self.certificate, self.key, self.roots)
        if all(files) is not self.url.startswith("https:") or any(files) is not all(files):
            raise ValueError("https takes all three files, and http none")
        return self

    def as_toml(self) -> str:
        """Return the table's text."""
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in self.model_dump(exclude_none=True).items()]
        return "\n# The register of residents that is asked about a holder.\n[registry]\n" + "".join(lines)


_OPTIONAL = {
    "database": "The ledger; libpq's own files and variables hold the password.",
    "audit_anchor": "A file that an auditor keeps: every signed head of the audit is added to it.",
    "security_contact": "Whom to tell of a weakness: it stands in /.well-known/security.txt.",
    "timestamp_trust": "Files with certificates (PEM) of time-stamp authorities that are believed besides our own.",
    "nodes": "The other nodes' doors crl: lists that this node lacks are fetched there.",
    "client_cert_proxy": "Addresses of the proxies whose word about a client's certificate is taken (RFC 9440).",
    "suspension_telephone": "Who takes calls about lost cards, day and night: it stands on pages and receipts.",
    "training": "Clerks learn here: every page of the console says so.",
}
"""What jpki.toml says of the settings that are written where they are set."""


class Settings(BaseModel):
    """The contents of jpki.toml. Without `database` the ledger is the home's SQLite file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: BaseUrl = DEFAULT_BASE_URL
    profile: Literal["card-v1", "card-v2"] = "card-v1"
    keys: Literal["software", "pkcs11"] = "software"
    pkcs11: Pkcs11Settings | None = None
    database: Annotated[str, StringConstraints(pattern=r"^postgresql://")] | None = None
    audit_anchor: Annotated[str, StringConstraints(pattern=r"^/")] | None = None
    ocsp_not_issued: Literal["unknown", "revoked"] = "unknown"
    verifiers: Literal["open", "registered"] = "open"
    trust: tuple[TrustSettings, ...] = ()
    revocation: tuple[RevocationSettings, ...] = ()
    security_contact: Annotated[str, StringConstraints(pattern=r"^(mailto:[^\s]+@[^\s]+|https://[^\s]+)$")] | None = (
        None
    )
    suspension_telephone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9-]{5,18}[0-9]$")] | None = None
    timestamp_trust: tuple[Annotated[str, StringConstraints(pattern=r"^/")], ...] = ()
    nodes: tuple[BaseUrl, ...] = ()
    registry: RegistrySettings | None = None
    client_cert_proxy: tuple[Address, ...] = ()
    training: bool = False

    def as_toml(self) -> str:
        """Return the file's text, with a comment for each setting."""
        text = (
            "# The URL that certificates name for OCSP, CRLs and CA certificates. A new value counts for certificates\n"
            "# issued from then on; lists stay valid under every URL that was ever named.\n"
            f'base_url = "{self.base_url}"\n\n'
            "# The card generation whose certificates are issued.\n"
            f'profile = "{self.profile}"\n\n'
            "# Where private keys live.\n"
            f'keys = "{self.keys}"\n\n'
            '# What OCSP says of a serial that was never issued; "revoked" as RFC 6960 2.2 has it (extended revoke).\n'
            f'ocsp_not_issued = "{self.ocsp_not_issued}"\n\n'
            '# Who may ask: anyone ("open"), or who bears a client certificate by `jpki verifier add` ("registered").\n'
            f'verifiers = "{self.verifiers}"\n'
        )
        for name, comment in _OPTIONAL.items():
            if value := getattr(self, name):
                text += f"\n# {comment}\n{name} = {json.dumps(value)}\n"
        if self.pkcs11 is not None:
            text += self.pkcs11.as_toml()
        if self.registry is not None:
            text += self.registry.as_toml()
        if self.trust:
            text += "\n# Whose signatures are judged beside those under our own CAs, and which policies count there.\n"
        text += "".join(each.as_toml() for each in self.trust)
        if self.revocation:
            text += "\n# Who is asked what another CA revoked; issuer is the SHA-256 of that CA's certificate.\n"
        return text + "".join(each.as_toml() for each in self.revocation)


_EXPECTED = {
    "base_url": Text(
        "は末尾に / のない http:// 又は https:// のURLにしてください",
        "must be an http or https URL without a slash at its end",
    ),
    "profile": Text("は card-v1 又は card-v2 にしてください", "must be card-v1 or card-v2"),
    "ocsp_not_issued": Text("は unknown 又は revoked にしてください", "must be unknown or revoked"),
    "security_contact": Text(
        "は mailto: のアドレス又は https:// のURLにしてください", "must be a mailto: address or an https URL"
    ),
    "suspension_telephone": Text(
        "は数字とハイフンの電話番号にしてください", "must be a telephone number of digits and hyphens"
    ),
    "trust": Text(
        "には証明書のファイル名（file、/ から）と認めるポリシーのOID（policies）が必要です",
        "needs a file of certificates, its name from / on, and policies, the OIDs that count there",
    ),
    "revocation": Text(
        "にはCA証明書のSHA-256（issuer、16進64桁）と、http(s)のURL（ocsp と crl の一方又は両方）が必要です",
        "needs issuer, the SHA-256 of a CA certificate in hexadecimal, and an http(s) URL as ocsp, as crl or both",
    ),
    "verifiers": Text("は open 又は registered にしてください", "must be open or registered"),
    "keys": Text("は software 又は pkcs11 にしてください", "must be software or pkcs11"),
    "pkcs11": Text(
        "には module と token が必要です。ocsp と infrastructure は別のラベルのトークンにしてください",
        "needs module and token, and tokens with other labels for ocsp and infrastructure",
    ),
    "audit_anchor": Text("は / で始まるファイル名にしてください", "must be a file's name from / on"),
    "timestamp_trust": Text("は / で始まるファイル名の並びにしてください", "must be a list of files' names from / on"),
    "nodes": Text(
        "は末尾に / のない http:// 又は https:// のURLの並びにしてください",
        "must be a list of http or https URLs without a slash at their ends",
    ),
    "registry": Text(
        "には url が、https なら certificate・key・roots（/ で始まるファイル名）も必要です",
        "needs a url, and with https the files certificate, key and roots, their names from / on",
    ),
    "training": Text("は true 又は false にしてください", "must be true or false"),
    "client_cert_proxy": Text("はIPアドレスの並びにしてください", "must be a list of IP addresses"),
    "database": Text("は postgresql://… のURLにしてください", "must be a postgresql://… URL"),
}
_NO_SETTING = Text("という設定はありません", "is no setting")


def read_settings(file: Path) -> Settings:
    """Read jpki.toml.

    Raises:
        JpkiError: UNPROCESSABLE `settings-invalid`, listing every mistake at once.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        why = error.strerror
        raise _invalid([Text(f"{file} を読めません（{why}）", f"{file} cannot be read ({why})")]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid([Text(f"{file} はTOMLではありません：{error}", f"{file} is not TOML: {error}")]) from error
    return check_settings(values)


def check_settings(values: Mapping[str, object]) -> Settings:
    """Return settings from a file's or a command's values.

    Raises:
        JpkiError: UNPROCESSABLE `settings-invalid`, listing every mistake at once.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _invalid([_mistake(str(each["loc"][0])) for each in error.errors()]) from error


def _mistake(name: str) -> Text:
    expected = _EXPECTED.get(name, _NO_SETTING)
    return Text(f"{name} {expected.ja}", f"{name} {expected.en}")


def _invalid(mistakes: Sequence[Text]) -> JpkiError:
    return JpkiError(
        Kind.UNPROCESSABLE,
        "settings-invalid",
        Text(
            "設定に誤りがあります：" + "；".join(each.ja for each in mistakes),
            "The settings are wrong: " + "; ".join(each.en for each in mistakes),
        ),
        Text(
            "jpki.toml 又はオプションを直して、もう一度実行してください。",
            "Correct jpki.toml, or the options, and run this again.",
        ),
    )
