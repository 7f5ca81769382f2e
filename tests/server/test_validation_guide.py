"""docs/validation.md: what it shows runs as it stands, and prints what it says."""

import io
import re
import shutil
from contextlib import redirect_stdout
from itertools import zip_longest
from pathlib import Path

import pytest

from jpki.certificate import Purpose
from jpki.ids import Serial
from server.cli.frame import run
from server.home import Home
from server.wiring import open_rooms
from signing.samples import tax_return_pdf
from tests.conftest import PROJECT
from tests.server.conftest import Town, certificate_in

GUIDE = (PROJECT / "docs" / "validation.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_examples_run_and_print_what_they_say(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(town, tmp_path)
    names: dict[str, object] = {}
    examples = [text for kind, text in BLOCKS if kind == "python"]
    printed = [text for kind, text in BLOCKS if kind == "text"]
    for example, expected in zip_longest(examples, printed):
        said = io.StringIO()
        with redirect_stdout(said):
            exec(compile(example, "docs/validation.md", "exec"), names)  # noqa: S102 - our own document
        assert said.getvalue() == expected
    assert b"total-passed" in (tmp_path / "report.xml").read_bytes()


def lay_out(town: Town, folder: Path) -> None:
    """Lay the files there that the guide names."""
    (folder / "plain.pdf").write_bytes(tax_return_pdf(["Income 3000000"]))
    credential = ["--certificate", str(town.signing / "certificate.pem"), "--key", str(town.signing / "key.pem")]
    assert run(["sign", "plain.pdf", *credential, "--out", "return.pdf"]) == 0
    beside = ["--format", "cms", "--detached", "--out", "return.p7s"]
    assert run(["sign", "return.pdf", *credential, *beside]) == 0
    shutil.copy(town.signing / "chain.pem", "root.pem")
    serial = Serial(certificate_in(town.signing).serial_number)
    rooms = open_rooms(Home(town.home))
    status = rooms.store.ledger.find([serial])[serial].status
    rooms.close()
    lists = town.home / "crl" / Purpose.SIGNING / status.generation
    shutil.copy(lists / f"{status.partition}.crl", "partition.crl")
