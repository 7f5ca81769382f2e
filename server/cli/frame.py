"""What every command shares: --json and --lang, how results and errors are printed, and the exit codes.

Exit codes (docs/contract.md): 0 done; 1 refused or failed; 2 undecided and 3 unreadable (verify); 64 usage;
75 try again.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from jpki.certificate import Carrier, parse_carrier
from jpki.clock import end_of_day, read_moment
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial, parse_serial
from jpki.text import Language, Text
from server.home import Home

if TYPE_CHECKING:
    from server.wiring import Rooms

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_TRY_AGAIN = 75

_COMMANDS = {
    "demo": "server.cli.demo",
    "init": "server.cli.home",
    "serve": "server.cli.serve",
    "issue": "server.cli.certificates",
    "renew": "server.cli.certificates",
    "revoke": "server.cli.certificates",
    "hold": "server.cli.certificates",
    "release": "server.cli.certificates",
    "status": "server.cli.certificates",
    "key": "server.cli.blocklist",
    "sample-town": "server.cli.sample_town",
    "town-hall": "server.cli.town_hall",
    "crl": "server.cli.lists",
    "ocsp": "server.cli.ocsp",
    "verifier": "server.cli.verifiers",
    "tls": "server.cli.tls",
    "clerk": "server.cli.clerks",
    "counter": "server.cli.clerks",
    "campaign": "server.cli.campaign",
    "events": "server.cli.events",
    "notice": "server.cli.notices",
    "audit": "server.cli.audit",
    "reconcile": "server.cli.reconcile",
    "db": "server.cli.home",
    "ceremony": "server.cli.ceremony",
    "backup": "server.cli.backup",
    "doctor": "server.cli.home",
    "card": "server.cli.card",
    "sign": "server.cli.documents",
    "preserve": "server.cli.documents",
    "verify": "server.cli.documents",
    "trust": "server.cli.trust",
}
"""Where each command lives: a module is imported only when its command is asked for, so that `jpki` starts at once."""


class _Root(click.Group):
    """The command `jpki` itself."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command's module and return the command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        return command


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jpki-authority")
def jpki() -> None:
    """Run an open certificate authority in the shape of Japan's JPKI (公的個人認証サービス)."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where results go: JSON for programs, sentences for people."""

    json: bool
    language: Language

    def result(self, schema: str, fields: dict[str, Any], lines: Sequence[Text]) -> None:
        """Print the result on stdout: the fields as one JSON object, or the lines in the person's language."""
        if self.json:
            click.echo(json.dumps({"schema": schema, **fields}, ensure_ascii=False, indent=2))
        else:
            for line in lines:
                click.echo(line.to(self.language))

    def progress(self, line: Text) -> None:
        """Print one line of progress on stderr."""
        click.echo(line.to(self.language), err=True)


def preferred_language() -> Language:
    """Return the language that JPKI_LANG or the locale asks for: Japanese where either says so, else English."""
    names = ("JPKI_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return Language.JA if chosen.startswith("ja") else Language.EN


class _Command(click.Command):
    """A command with --json and --lang, which it receives as one `Output` called `output`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object; errors as JSON on stderr."),
            click.Option(["--lang"], type=click.Choice([str(each) for each in Language]), help="Japanese or English."),
        ]

    def invoke(self, ctx: click.Context) -> object:
        """Turn the two options into the `output` parameter."""
        as_json, language = ctx.params.pop("as_json"), ctx.params.pop("lang")
        ctx.params["output"] = Output(as_json, Language(language) if language else preferred_language())
        return super().invoke(ctx)


def command(name: str) -> Callable[[Callable[..., object]], click.Command]:
    """Return the decorator of a command of this house."""
    return click.command(name, cls=_Command)


def opened(home: Home) -> "Rooms":
    """Open the home's rooms for one command; they are closed when it ends."""
    from server.wiring import open_rooms

    rooms = open_rooms(home)
    click.get_current_context().call_on_close(rooms.close)
    return rooms


class BadInput(click.ClickException):
    """An error of ours in how the command was called: exit code 64, and not 1, which says that it was refused."""

    def __init__(self, error: JpkiError) -> None:
        super().__init__(error.code)
        self.error = error


class SerialType(click.ParamType[Serial]):
    """A serial as people write it."""

    name = "serial"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Serial:  # noqa: ANN401, ARG002 - click's signature
        """Read the serial; what cannot be read, or could be read twice, is a mistake of usage."""
        try:
            return parse_serial(str(value))
        except JpkiError as error:
            raise BadInput(error) from error


class CarrierType(click.ParamType[Carrier]):
    """Where a certificate's key lives."""

    name = "card|mobile:ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Carrier:  # noqa: ANN401, ARG002 - click's signature
        """Read the carrier."""
        try:
            return parse_carrier(str(value))
        except JpkiError as error:
            raise BadInput(error) from error


class MomentType(click.ParamType[datetime]):
    """A moment as ISO 8601 writes it; a date alone is its last second in Japan, or what `of_day` makes of it."""

    name = "time"

    def __init__(self, of_day: Callable[[date], datetime] = end_of_day) -> None:
        self._of_day = of_day

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the moment; without a zone it is Japan's time."""
        try:
            return read_moment(str(value), self._of_day)
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is not a time such as 2026-11-23T12:00:00+09:00", param, ctx)


class HomeType(click.ParamType[Home]):
    """The directory of an authority's home, which must be there."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Home:  # noqa: ANN401, ARG002 - click's signature
        """Find the home."""
        try:
            return Home.open(Path(value))
        except JpkiError as error:
            raise BadInput(error) from error


home_option = click.option("--home", required=True, type=HomeType(), envvar="JPKI_HOME", help="The authority's home.")

plan_path = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A ceremony's plan (examples/ceremony.toml)."""


def main() -> NoReturn:
    """Run `jpki` and exit with the contract's code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run `jpki` with these arguments and return the contract's exit code."""
    try:
        outcome = jpki.main(arguments, prog_name="jpki", standalone_mode=False)
    except JpkiError as error:
        _print_error(error, arguments)
        return EXIT_TRY_AGAIN if error.kind is Kind.UNAVAILABLE else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        return EXIT_FAILED
    except click.ClickException as error:
        _print_misuse(error, arguments)
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback would show what was being worked on
        _print_error(_unexpected(error), arguments)
        # For `verify`, 1 would be a verdict.
        return EXIT_TRY_AGAIN if "verify" in arguments[:1] else EXIT_FAILED
    return outcome if isinstance(outcome, int) else 0


def _print_misuse(error: click.ClickException, arguments: Sequence[str]) -> None:
    match error:
        case BadInput():
            _print_error(error.error, arguments)
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
        case _:
            _print_usage_error(error, arguments)


def _unexpected(error: Exception) -> JpkiError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return JpkiError(
        Kind.INTERNAL,
        "unexpected",
        Text(f"予期しないエラーで中断しました（{why}）。", f"Stopped by an unexpected error ({why})."),
        Text(
            "ファイルと権限を確認し、続く場合は報告してください。",
            "Check files and permissions; if it stays, report it.",
        ),
    )


def _print_error(error: JpkiError, arguments: Sequence[str]) -> None:
    if "--json" in arguments:
        _print_json_error(error.kind, error.code, error.problem, error.action)
        return
    for language in _asked_languages(arguments):
        label = "エラー" if language is Language.JA else "error"
        click.echo(f"{label}: {error.to(language)}", err=True)


def _print_usage_error(error: click.ClickException, arguments: Sequence[str]) -> None:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "jpki"
    if "--json" in arguments:
        action = Text(f"`{path} --help` で使い方を確認してください。", f"See `{path} --help`.")
        _print_json_error("usage", "usage", Text(f"使い方の誤り：{message}", message), action)
        return
    for language in _asked_languages(arguments):
        if language is Language.JA:
            click.echo(f"エラー: 使い方の誤り：{message}\n  → `{path} --help` で使い方を確認してください。", err=True)
        else:
            click.echo(f"error: {message}\n  → See `{path} --help`.", err=True)


def _print_json_error(kind: str, code: str, problem: Text, action: Text) -> None:
    error = {"kind": kind, "code": code, "problem": problem.as_json(), "action": action.as_json()}
    click.echo(json.dumps({"schema": "jpki.error/1", "error": error}, ensure_ascii=False, indent=2), err=True)


def _asked_languages(arguments: Sequence[str]) -> Sequence[Language]:
    """Return the language asked for by --lang, or both: whoever meets an error should be able to read it."""
    for here, following in zip(arguments, [*arguments[1:], ""], strict=True):
        chosen = following if here == "--lang" else here.removeprefix("--lang=")
        if here.startswith("--lang") and chosen in set(Language):
            return [Language(chosen)]
    return [Language.JA, Language.EN] if preferred_language() is Language.JA else [Language.EN, Language.JA]
