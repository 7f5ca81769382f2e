"""Where the holder enters a PIN: the terminal, unseen, or a file or descriptor; never an argument or a variable."""

from pathlib import Path

import click

from jpki.certificate import Purpose
from jpki.text import Text
from server.cli.frame import preferred_language
from server.home import read_at_most

_LONGEST = 64
pin_file = click.Path(exists=True, path_type=Path)
"""A file that holds a PIN in its first line; /dev/fd/3 is what a parent process passes on descriptor 3."""


def entered(purpose: Purpose, file: Path | None, *, new: bool = False) -> str:
    """Return the PIN that the holder enters, twice where it is a new one.

    Raises:
        JpkiError: UNPROCESSABLE `file-unreadable`.
        click.Abort: there is no terminal to ask at.
    """
    if file is not None:
        return read_at_most(file, _LONGEST).decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
    what = Text("新しい暗証番号", "new PIN") if new else Text("暗証番号", "PIN")
    asked = Text(f"{purpose.text.ja}の{what.ja}", f"{what.en} of the {purpose.text.en}")
    pin: str = click.prompt(asked.to(preferred_language()), hide_input=True, confirmation_prompt=new, err=True)
    return pin
