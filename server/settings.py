"""jpki.toml: what an operator decides about a home."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from jpki.errors import JpkiError, Kind
from jpki.text import Text

DEFAULT_BASE_URL = "http://127.0.0.1:8080"

BaseUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$")
]
"""An http or https URL without a slash at its end: it goes into every certificate."""


class Settings(BaseModel):
    """The contents of jpki.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: BaseUrl = DEFAULT_BASE_URL
    profile: Literal["card-v1"] = "card-v1"
    keys: Literal["software"] = "software"

    def as_toml(self) -> str:
        """Return the file's text, with a comment for each setting."""
        return (
            "# The URL that certificates name for OCSP, CRLs and CA certificates. A new value counts for certificates\n"
            "# issued from then on; lists stay valid under every URL that was ever named.\n"
            f'base_url = "{self.base_url}"\n\n'
            "# The card generation whose certificates are issued.\n"
            f'profile = "{self.profile}"\n\n'
            "# Where private keys live.\n"
            f'keys = "{self.keys}"\n'
        )


def read_settings(file: Path) -> Settings:
    """Read jpki.toml.

    Raises:
        JpkiError: UNPROCESSABLE `settings-invalid`, listing every mistake at once.
    """
    try:
        return Settings.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(file, str(error)) from error
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise _invalid(file, "; ".join(mistakes)) from error


def check_settings(base_url: str, profile: str, keys: str) -> Settings:
    """Return settings from a command's options, checked as a file's would be."""
    try:
        return Settings.model_validate({"base_url": base_url, "profile": profile, "keys": keys})
    except ValidationError as error:
        raise _invalid(None, "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())) from error


def _invalid(file: Path | None, detail: str) -> JpkiError:
    where = "" if file is None else f"{file}: "
    return JpkiError(
        Kind.UNPROCESSABLE,
        "settings-invalid",
        Text(f"設定に誤りがあります（{where}{detail}）。", f"The settings are wrong ({where}{detail})."),
        Text("その項目を直して、もう一度実行してください。", "Correct them and run this again."),
    )
