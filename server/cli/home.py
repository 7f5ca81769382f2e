"""`jpki init`: make a home."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.hashes import SHA256

from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import iso, system_clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.randomness import system_randomness
from jpki.text import Text
from server.cli.frame import BadInput, Output, command
from server.founding import FIRST_ADMINISTRATOR, found
from server.home import Home, given_passphrase
from server.settings import DEFAULT_BASE_URL, check_settings


@command("init")
@click.option(
    "--home", "path", required=True, type=click.Path(path_type=Path), envvar="JPKI_HOME", help="A new directory."
)
@click.option("--keys", type=click.Choice(["software"]), default="software", help="Where private keys live.")
@click.option("--profile", type=click.Choice(["card-v1"]), default="card-v1", help="The card generation.")
@click.option("--base-url", default=DEFAULT_BASE_URL, help="The URL that certificates will name.")
def init(path: Path, keys: str, profile: str, base_url: str, output: Output) -> None:
    """Make both CAs, OCSP responders, the first lists and the first administrator."""
    try:
        settings = check_settings({"base_url": base_url.rstrip("/"), "profile": profile, "keys": keys})
    except JpkiError as error:
        raise BadInput(error) from error
    trial = given_passphrase() is None
    home = Home(path.absolute())
    rooms = found(home, settings, system_clock, system_randomness)
    roots = [rooms.living(purpose)[0] for purpose in HOLDER_PURPOSES]
    fields = {
        "home": str(home.path),
        "base_url": settings.base_url,
        "profile": profile,
        "cas": [_fields(root) for root in roots],
        "administrator": str(home.clerks / f"{FIRST_ADMINISTRATOR}.p12"),
        "trial_passphrase": trial,
    }
    output.result("jpki.init/1", fields, list(_lines(home, roots, trial=trial)))


def _fields(root: Generation) -> dict[str, Any]:
    return {
        "ca": root.purpose,
        "generation": root.id,
        "not_after": iso(root.not_after),
        "issue_until": iso(root.issue_until),
        "sha256": root.certificate.fingerprint(SHA256()).hex(),
    }


def _lines(home: Home, roots: list[Generation], *, trial: bool) -> Iterator[Text]:
    yield Text(f"認証局のホームを作成しました：{home.path}", f"The authority's home stands at {home.path}")
    for root in roots:
        end, last = iso(root.not_after), iso(root.issue_until)
        yield Text(
            f"  {root.purpose.text.ja}の認証局 {root.id}：有効期限 {end}、発行は {last} まで",
            f"  CA for {root.purpose.text.en}s, {root.id}: ends {end}, issues until {last}",
        )
    bundle = home.clerks / f"{FIRST_ADMINISTRATOR}.p12"
    yield Text(f"  最初の管理者の証明書：{bundle}", f"  the first administrator's certificate: {bundle}")
    if trial:
        yield Text(
            f"注意：鍵のパスフレーズを {home.secrets} に自動生成しました。試験用です。"
            "本番では JPKI_KEY_PASSPHRASE を渡してください。",
            f"Note: a passphrase for the keys was made up under {home.secrets}. That is for trials;"
            " for real use give JPKI_KEY_PASSPHRASE.",
        )
    yield Text(f"次に：jpki serve --home {home.path}", f"Next: jpki serve --home {home.path}")
