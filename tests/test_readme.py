"""The README's own lines work: every command and option in it exists, and every link leads somewhere."""

import re
import shlex
from pathlib import Path

import click
import pytest

from server.cli.frame import jpki
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([PROJECT / "README.md", *PROJECT.glob("docs/**/*.md")])


def command_lines() -> list[list[str]]:
    joined = README.replace("\\\n", " ")
    lines = re.findall(r"^    \.venv/bin/jpki (.*)$", joined, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("words", command_lines(), ids=lambda words: words[0])
def test_each_command_line_names_a_command_and_options_that_exist(words: list[str]) -> None:
    command: click.Command | None = jpki
    for word in words:
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), word)
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_readme_shows_every_main_command() -> None:
    assert {words[0] for words in command_lines()} >= {"init", "issue", "serve", "sign", "verify", "revoke", "status"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_leads_to_a_file_of_the_project(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text("utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_module_that_is_named_exists(document: Path) -> None:
    rooms = "jpki|ca|ocsp|crl|enroll|signing|hsm_adapter|server"
    for named in re.findall(rf"(?<![a-z_/])((?:{rooms})/[a-z_/]+\.py)\b", document.read_text("utf-8")):
        assert (PROJECT / named).is_file(), named


@pytest.mark.parametrize("target", re.findall(r"make ([a-z]+)", README))
def test_each_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
