"""`jpki key block`: keys that no certificate may bear."""

from pathlib import Path

import click

from ca.key_policy import LARGEST_KEY_FILE, key_hash, read_public_key
from jpki.acts import LOCAL_OPERATOR
from jpki.ids import format_serial
from jpki.text import Text
from server.cli.frame import Output, command, home_option, opened
from server.home import Home, read_at_most


@click.group("key")
def key() -> None:
    """Keep keys out of certificates that are known to be bad."""


@command("block")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
def block(file: Path, home: Home, output: Output) -> None:
    """Block the public key in a certificate, a CSR or a public key in PEM, for good.

    A certificate that bears it already is named, and stays as it is until it is revoked.
    """
    rooms = opened(home)
    digest = key_hash(read_public_key(read_at_most(file, LARGEST_KEY_FILE)))
    new = rooms.store.blocked_keys.block(digest, LOCAL_OPERATOR, rooms.clock())
    serial = rooms.store.blocked_keys.bearer(digest)
    bearer = None if serial is None else format_serial(serial)
    lines = [
        Text(f"鍵 {digest.hex()} の使用を禁じました。", f"The key {digest.hex()} is blocked.")
        if new
        else Text(f"鍵 {digest.hex()} は既に禁じられています。", f"The key {digest.hex()} was blocked before.")
    ]
    if bearer is not None:
        lines.append(
            Text(
                f"  証明書 {bearer} がこの鍵を使っています。status で確認し、有効なら revoke で失効させてください。",
                f"  Certificate {bearer} bears it: look with `jpki status`, and if it is live, `jpki revoke` it.",
            )
        )
    output.result("jpki.key-block/1", {"sha256": digest.hex(), "new": new, "certificate": bearer}, lines)


key.add_command(block)
