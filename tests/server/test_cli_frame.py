"""What every command shares: help, --json, --lang, and how it says that it was called wrongly."""

from pathlib import Path

import click
import pytest

from server.cli.frame import jpki as root
from tests.server.console import Jpki, refusal


def every_command() -> list[str]:
    def walk(command: click.Command, path: str) -> list[str]:
        if not isinstance(command, click.Group):
            return [path]
        context = click.Context(command)
        children = {name: command.get_command(context, name) for name in command.list_commands(context)}
        return [found for name, child in children.items() if child for found in walk(child, f"{path} {name}".strip())]

    return walk(root, "")


COMMANDS = every_command()
AT_A_HOME = {
    "serve": "serve --port 0",
    "issue": "issue --kind signing --holder HOLDER --out OUT",
    "renew": "renew 0x11 --out OUT",
    "revoke": "revoke 0x11 --reason superseded",
    "status": "status 0x11",
    "crl publish": "crl publish",
    "crl list": "crl list",
    "audit log": "audit log",
    "audit export": "audit export --out OUT",
    "audit key": "audit key",
    "audit verify": "audit verify",
    "audit erase": "audit erase --before 2000-01-01",
    "verify": "verify HOLDER",
}


def test_the_commands_of_the_contract_are_there() -> None:
    assert {*AT_A_HOME, "demo", "init", "sign"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_explains_itself(jpki: Jpki, command: str, flag: str) -> None:
    answer = jpki(*command.split(), flag)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"Usage: jpki {command} ")
    assert {"--help", "--json", "--lang"} <= set(answer.out.replace(",", " ").split())


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "demo"])
def test_each_command_names_what_it_lacks(jpki: Jpki, command: str) -> None:
    refused = jpki.refused(*command.split())
    assert (refused.exit, refused.code) == (64, "usage")
    assert refused.english.startswith("Missing ")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_a_mistake_of_usage(jpki: Jpki, command: str) -> None:
    assert jpki.refused(*command.split(), "--nonsense").exit == 64


@pytest.mark.parametrize("command", AT_A_HOME.values(), ids=AT_A_HOME)
def test_a_home_that_is_not_there_is_a_missing_file(jpki: Jpki, tmp_path: Path, command: str) -> None:
    (tmp_path / "holder.json").write_text("{}")
    words = command.replace("HOLDER", str(tmp_path / "holder.json")).replace("OUT", str(tmp_path / "out")).split()
    refused = jpki.refused(*words, "--home", tmp_path / "nowhere")
    assert (refused.exit, refused.code) == (64, "home-missing")
    assert [file.name for file in tmp_path.iterdir()] == ["holder.json"]


def test_the_home_may_stand_in_the_environment(jpki: Jpki, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_HOME", str(home))
    assert jpki.done("crl", "list")["lists"]


def test_an_unknown_command_is_a_mistake_of_usage(jpki: Jpki) -> None:
    assert jpki.refused("frobnicate").exit == 64


@pytest.mark.parametrize("words", [[], ["crl"]])
def test_no_command_at_all_prints_the_help_once_and_not_as_a_result(jpki: Jpki, words: list[str]) -> None:
    answer = jpki(*words)
    assert (answer.code, answer.out) == (64, "")
    assert answer.err.count("Usage:") == 1


def test_lang_chooses_the_language_of_results(jpki: Jpki, home: Path) -> None:
    assert "number 1" in jpki("crl", "list", "--home", home, "--lang", "en").out
    assert "第1号" in jpki("crl", "list", "--home", home, "--lang", "ja").out


def test_the_environment_chooses_the_language_too(jpki: Jpki, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_LANG", "ja")
    assert "第1号" in jpki("crl", "list", "--home", home).out
    monkeypatch.delenv("JPKI_LANG")
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert "第1号" in jpki("crl", "list", "--home", home).out


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        (["--lang", "en"], ["error: "]),
        (["--lang=ja"], ["エラー: "]),
        ([], ["error: ", "エラー: "]),
    ],
)
def test_an_error_is_in_the_language_asked_for_or_in_both(
    jpki: Jpki, home: Path, asked: list[str], begins: list[str]
) -> None:
    for words in (["status", "0x11"], ["status", "zz"], ["status", "--nonsense"]):
        answer = jpki(*words, "--home", home, *asked)
        assert answer.out == ""
        lines = answer.err.splitlines()
        assert [line for line in lines if not line.startswith("  → ")] == lines[::2]
        assert [line[: len(begin)] for line, begin in zip(lines[::2], begins, strict=True)] == begins


@pytest.mark.parametrize("serial", ["zz", "", "0x", "12:zz", "0x" + "1" * 41, "9" * 50, "１２３"])
def test_what_is_no_serial_is_a_mistake_of_usage(jpki: Jpki, home: Path, serial: str) -> None:
    refused = jpki.refused("status", serial, "--home", home)
    assert (refused.exit, refused.code) == (64, "serial-malformed")


def test_an_ambiguous_serial_is_refused_with_both_readings(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused("revoke", "4" + "0" * 31, "--reason", "superseded", "--home", home)
    assert (refused.exit, refused.code) == (64, "serial-ambiguous")
    assert f"0x4{'0' * 31}" in refused.english
    assert f"0x{4 * 10**31:x}" in refused.english


def test_a_refusal_in_json_is_one_object_on_stderr(jpki: Jpki, home: Path) -> None:
    assert refusal(jpki("status", "0x11", "--home", home, "--json")).code == "serial-unknown"
