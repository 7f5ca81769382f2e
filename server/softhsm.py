"""SoftHSM tokens of the home's own, for trials with `--keys pkcs11` and no HSM at hand."""

from pathlib import Path

from hsm_adapter.pkcs11 import Token, make_token
from hsm_adapter.roles import Role
from jpki.errors import JpkiError, Kind
from jpki.randomness import Randomness, alphanumeric
from jpki.text import Text
from server.home import PINS, Home, given_secret, write_new
from server.settings import Pkcs11Settings, TokenSettings

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_CONFIGURATION = """\
directories.tokendir = {tokens}
objectstore.backend = file
log.level = ERROR
library.reset_on_fork = true
"""


def make_own_tokens(home: Home, randomness: Randomness) -> Pkcs11Settings:
    """Make a token for each role below the home, and return the settings that name them.

    Each PIN is the operator's, or made up.

    Raises:
        JpkiError: UNPROCESSABLE `softhsm-missing`.
    """
    module = next(filter(Path.exists, map(Path, _MODULES)), None)
    if module is None:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "softhsm-missing",
            Text("SoftHSM が見つかりません。", "SoftHSM is not installed."),
            Text(
                "softhsm2 パッケージを入れるか、--keys pkcs11:token=…?module-path=… でHSMを指定してください。",
                "Install the package softhsm2, or name an HSM with --keys pkcs11:token=…?module-path=….",
            ),
        )
    tokens, configuration = home.softhsm / "tokens", home.softhsm / "softhsm2.conf"
    tokens.mkdir(mode=0o700, parents=True)
    write_new(configuration, _CONFIGURATION.format(tokens=tokens).encode(), 0o600)

    def made(role: Role) -> TokenSettings:
        if given_secret(PINS[role]) is None:
            write_new(home.secret_file(PINS[role]), alphanumeric(randomness, 24).encode(), 0o400)
        label = f"jpki-{role}-{alphanumeric(randomness, 8).lower()}"
        token = Token(module=module, label=label, environment={"SOFTHSM2_CONF": str(configuration)})
        # Nobody needs the security officer again: the token is made anew rather than unlocked.
        make_token(token, so_pin=alphanumeric(randomness, 24), pin=home.secret(PINS[role]).decode())
        return TokenSettings(module=str(module), token=label)

    return Pkcs11Settings(**made(Role.CA).model_dump(), ocsp=made(Role.OCSP), infrastructure=made(Role.INFRASTRUCTURE))
