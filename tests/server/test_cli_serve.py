"""`jpki serve`: what stops it before it listens, and what a served home answers."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cryptography import x509

from server.cli.frame import run
from tests.forked import Command
from tests.server.conftest import AgedHome, Town, serial_in
from tests.server.console import Jpki
from tests.server.people import holder_file

# --- before it listens ---------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[str]:
    """A port that is taken, so that a server which should not start cannot."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield str(taken.getsockname()[1])


def test_a_busy_port_is_one_clear_error(jpki: Jpki, home: Path, port: str) -> None:
    refused = jpki.refused("serve", "--home", home, "--port", port)
    assert (refused.exit, refused.code) == (1, "port-busy")


def test_an_address_of_another_machine_is_one_clear_error(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused("serve", "--home", home, "--host", "192.0.2.1", "--port", "0")
    assert (refused.exit, refused.code) == (1, "port-busy")


@pytest.mark.parametrize("door", [[], ["--door", "ocsp"], ["--door", "ca"]])
def test_a_wrong_passphrase_is_one_clear_error(
    jpki: Jpki, home: Path, port: str, monkeypatch: pytest.MonkeyPatch, door: list[str]
) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "wrong")
    refused = jpki.refused("serve", "--home", home, "--port", port, *door)
    assert (refused.exit, refused.code) == (1, "passphrase-wrong")


def test_a_ledger_that_is_away_is_an_outage(jpki: Jpki, home: Path, port: str) -> None:
    (home / "jpki.sqlite").unlink()
    refused = jpki.refused("serve", "--home", home, "--port", port)
    assert (refused.exit, refused.code) == (75, "database-unavailable")


@pytest.mark.parametrize(("door", "code"), [("ocsp", "responder-expired"), ("crl", "crl-stale")])
def test_r05_stale_answers_are_not_served(jpki: Jpki, aged: AgedHome, port: str, door: str, code: str) -> None:
    words = ("serve", "--home", aged.home, "--port", port, "--door", door)
    refused = jpki.refused(*words)
    assert (refused.exit, refused.code) == (75, code)
    jpki.done("crl", "publish", "--home", aged.home)
    assert jpki.refused(*words).code == "port-busy"


def test_whoever_holds_the_ca_keys_makes_them_fresh_by_itself(jpki: Jpki, aged: AgedHome, port: str) -> None:
    assert jpki.refused("serve", "--home", aged.home, "--port", port).code == "port-busy"
    assert jpki.done("crl", "publish", "--home", aged.home)["published"] == []


@pytest.mark.parametrize("words", ["--port 65536", "--port x", "--door attic", "--workers 0"])
def test_a_wrong_option_is_a_mistake_of_usage(jpki: Jpki, home: Path, words: str) -> None:
    assert jpki.refused("serve", "--home", home, *words.split()).exit == 64


# --- served --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Served:
    """A home that is being served, and what was said before it answered."""

    url: str
    said: str
    process: Command


@contextmanager
def serving(command: Path, home: Path, *words: str) -> Iterator[Served]:
    """Serve the home in a process of its own on a free port."""
    with Command(command, "serve", "--home", home, "--port", "0", "--lang", "en", *words) as process:
        try:
            yield wait_for_url(process)
        finally:
            process.terminate()
            process.wait(20)


def wait_for_url(process: Command) -> Served:
    said = ""
    for line in iter(process.stderr.readline, ""):
        if found := re.search(r"(?<=Answering on )\S+", line):
            return Served(found[0], said, process)
        said += line
    pytest.fail(said)


def status_of(url: str) -> int:
    try:
        with urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.fixture(scope="module")
def served(issued_town: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Town]]:
    """A town's home, served with all doors."""
    folder = tmp_path_factory.mktemp("served") / "town"
    shutil.copytree(issued_town, folder)
    with serving(installed, folder / "home") as begun:
        yield begun.url, Town(folder)


@pytest.mark.slow
def test_every_door_is_open_by_default(served: tuple[str, Town]) -> None:
    url, town = served
    for path in ("/livez", "/readyz", "/ca/signing.cer", "/ca/authentication.pem", "/cps"):
        assert status_of(url + path) == 200
    complete = next((town.home / "crl" / "signing").glob("*/complete.crl"))
    with urlopen(f"{url}/crl/signing/{complete.parent.name}/complete.crl", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "application/pkix-crl"
        assert x509.load_der_x509_crl(answer.read()) == x509.load_der_x509_crl(complete.read_bytes())
    assert status_of(f"{url}/nonsense") == 404


@pytest.mark.slow
def test_verify_asks_the_responder_it_is_given(served: tuple[str, Town], jpki: Jpki, tmp_path: Path) -> None:
    url, town = served
    holder = holder_file(tmp_path, code="H-0077")
    out = ("--out", tmp_path / "card")
    jpki.done("issue", "--home", town.home, "--kind", "signing", "--holder", holder, *out)
    (tmp_path / "note.txt").write_text("note")
    pair = ("--certificate", tmp_path / "card" / "certificate.pem", "--key", tmp_path / "card" / "key.pem")
    jpki.done("sign", tmp_path / "note.txt", *pair, "--out", tmp_path / "note.p7m")
    words = ("verify", tmp_path / "note.p7m", "--trust", tmp_path / "card" / "chain.pem", "--ocsp", f"{url}/ocsp")
    assert jpki.judged(0, *words)["decision"] == "accept"
    (complete,) = (town.home / "crl" / "signing").glob("*/complete.crl")
    before, after = tmp_path / "before.crl", tmp_path / "after.crl"
    before.write_bytes(complete.read_bytes())
    jpki.done("revoke", serial_in(tmp_path / "card"), "--home", town.home, "--reason", "keyCompromise")
    time.sleep(1)  # rule R16: a revocation shows within a second
    assert jpki.judged(1, *words)["decision"] == "refuse"
    # A list from before it promises more than it knows: the responder is asked first, and the latest list next.
    assert jpki.judged(1, *words, "--crl", before)["decision"] == "refuse"
    assert jpki.judged(0, *words[:-2], "--crl", before)["decision"] == "accept"
    jpki.done("crl", "publish", "--home", town.home)
    after.write_bytes(complete.read_bytes())
    for lists in ((before, after), (after, before)):
        named = [word for each in lists for word in ("--crl", each)]
        assert jpki.judged(1, *words[:-2], *named)["decision"] == "refuse"


@pytest.mark.slow
def test_openssl_asks_too(served: tuple[str, Town], program: Callable[[str], str]) -> None:
    url, town = served
    chain, certificate = town.authentication / "chain.pem", town.authentication / "certificate.pem"
    words: list[str | Path] = ["-issuer", chain, "-CAfile", chain, "-cert", certificate, "-url", f"{url}/ocsp"]
    asked = subprocess.run([program("openssl"), "ocsp", *words], capture_output=True, text=True, check=True)
    assert f"{certificate}: good" in asked.stdout
    assert "Response verify OK" in asked.stderr


@pytest.mark.slow
def test_a_responder_that_is_away_leaves_the_verdict_open(jpki: Jpki, town: Town, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("note")
    pair = ("--certificate", town.signing / "certificate.pem", "--key", town.signing / "key.pem")
    jpki.done("sign", tmp_path / "note.txt", *pair, "--out", tmp_path / "note.p7m")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/ocsp"
    words = ("verify", tmp_path / "note.p7m", "--trust", town.signing / "chain.pem", "--ocsp", url)
    assert jpki.judged(2, *words)["decision"] == "undecided"


@pytest.mark.slow
def test_doors_limit_the_routes_and_need_no_ca_key(home: Path, installed: Path) -> None:
    for key in (home / "keys").glob("ca-*"):
        key.unlink()
    with serving(installed, home, "--door", "ocsp", "--door", "crl") as served:
        url = served.url
        assert status_of(f"{url}/readyz") == 200
        complete = next((home / "crl" / "signing").glob("*/complete.crl"))
        assert status_of(f"{url}/crl/signing/{complete.parent.name}/complete.crl") == 200
        assert status_of(f"{url}/ocsp/AAAA") == 200
        for path in ("/ca/signing.cer", "/cps", "/api/v1/verifications"):
            assert status_of(url + path) == 404


@pytest.mark.slow
def test_the_server_warns_where_certificates_name_another_url(home: Path, installed: Path) -> None:
    with serving(installed, home, "--door", "crl") as served:
        assert served.said.startswith("Note: certificates name http://127.0.0.1:8080")


def answers(url: str) -> bool:
    try:
        return status_of(f"{url}/livez") == 200
    except OSError:
        return False


@pytest.mark.slow
def test_the_workers_die_with_their_master(home: Path, installed: Path) -> None:
    with serving(installed, home, "--workers", "2") as served:
        assert answers(served.url)
        master = served.process.pid
        workers = Path(f"/proc/{master}/task/{master}/children").read_text("ascii").split()
        served.process.kill()
        begun = time.monotonic()
        try:
            while answers(served.url):
                assert time.monotonic() - begun < 1
                time.sleep(0.02)
        finally:
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(int(worker), signal.SIGKILL)


@pytest.mark.slow
def test_the_master_ends_when_it_is_told_to(home: Path, installed: Path) -> None:
    with serving(installed, home) as served:
        assert answers(served.url)
        served.process.terminate()
        assert served.process.wait(20) == 0
        assert not answers(served.url)


def test_serve_leaves_no_listener_behind_when_it_fails(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", "--home", str(home), "--port", str(port)]) == 1
    with socket.create_server(("127.0.0.1", port)):
        pass
