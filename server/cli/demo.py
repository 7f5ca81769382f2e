"""`jpki demo`: the whole story in a new home."""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from jpki.clock import system_clock
from jpki.randomness import system_randomness
from jpki.text import Text
from server.cli.frame import EXIT_FAILED, Output, command
from server.cli.keys import KeysSettings, keys_option
from server.demo.story import Story
from server.demo.tale import Tale
from server.home import Home
from server.settings import check_settings

_RULE = "─" * 78


@command("demo")
@click.option("--home", "path", type=click.Path(path_type=Path), help="A new directory; default: a temporary one.")
@keys_option
def demo(path: Path | None, keys: KeysSettings, output: Output) -> int:
    """Tell the whole story: ceremony, issue, sign, verify, revoke, OCSP, CRL, renewal."""
    begun = time.monotonic()
    home = Home((path or Path(tempfile.mkdtemp(prefix="jpki-demo-"), "home")).absolute())

    def tell(line: Text) -> None:
        if output.json:
            output.progress(line)
        else:
            click.echo(line.to(output.language))

    tell(
        Text(
            f"公的個人認証サービスの認証局（試験用）　ホーム：{home.path}",
            f"A JPKI authority, for trials, in {home.path}",
        )
    )
    story = Story(tell)
    Tale(home, check_settings(keys), story, system_clock, system_randomness).tell()
    seconds = round(time.monotonic() - begun, 1)
    steps = [
        {
            "title": chapter.title.as_json(),
            "held": chapter.held,
            "checks": [{"sentence": sentence.as_json(), "held": held} for sentence, held in chapter.checks],
        }
        for chapter in story.chapters
    ]
    fields = {"home": str(home.path), "held": story.held, "seconds": seconds, "steps": steps}
    output.result("jpki.demo/1", fields, list(_ending(home, story, seconds)))
    return 0 if story.held else EXIT_FAILED


def _ending(home: Home, story: Story, seconds: float) -> Iterator[Text]:
    yield Text(f"\n{_RULE}", f"\n{_RULE}")
    for number, chapter in enumerate(story.chapters, 1):
        held = sum(1 for _, each in chapter.checks if each)
        mark = "✓" if chapter.held else "✗"
        count = f"{held}/{len(chapter.checks)}"
        yield Text(
            f"{mark} {number:2}  {count:>5}  {chapter.title.ja}", f"{mark} {number:2}  {count:>5}  {chapter.title.en}"
        )
    yield Text(_RULE, _RULE)
    if story.held:
        yield Text(f"すべての確認に成功しました（{seconds}秒）。", f"Every check held ({seconds} s).")
    else:
        yield Text("失敗した確認があります（✗）。", "Some checks did not hold (✗).")
    yield Text(
        f"\n自分で試すには：\n  {_bin()} serve --home {home.path}\n"
        f"  {_bin()} verify --home {home.path} {home.path}/demo/return.pdf\n"
        f"  openssl ocsp -issuer {home.path}/demo/signing-ca.pem -CAfile {home.path}/demo/signing-ca.pem \\\n"
        f"    -cert {home.path}/demo/hanako-signing.pem -url http://127.0.0.1:8080/ocsp",
        f"\nTo try it yourself:\n  {_bin()} serve --home {home.path}\n"
        f"  {_bin()} verify --home {home.path} {home.path}/demo/return.pdf\n"
        f"  openssl ocsp -issuer {home.path}/demo/signing-ca.pem -CAfile {home.path}/demo/signing-ca.pem \\\n"
        f"    -cert {home.path}/demo/hanako-signing.pem -url http://127.0.0.1:8080/ocsp",
    )


def _bin() -> str:
    """Return how this very command was called, relative where that is shorter."""
    called = Path(sys.argv[0])
    try:
        return str(called.relative_to(Path.cwd()))
    except ValueError:
        return str(called)
