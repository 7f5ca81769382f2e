"""Documents by another CA: whom jpki.toml names is asked, for the command line, the API and the page alike."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from jpki import oids
from jpki.verifier import VerifierId
from server.app import Door, create_app
from server.documents import judge_upload
from server.home import Home
from server.wiring import Rooms, open_rooms
from signing.http import Upload
from signing.policies import GENERAL
from signing.verdict import Decision
from tests.ocsp.servers import replying, serving, talking
from tests.server.conftest import AgedHome, Town, serial_in
from tests.server.console import Jpki
from tests.server.test_cli_documents import plain, signed
from tests.signing.uploading import upload

__all__ = ["plain", "signed"]
ACCEPT, REFUSE, UNDECIDED = 0, 1, 2


@pytest.fixture
def issuing(town: Town) -> Iterator[Rooms]:
    """The house of the other CA, whose responder answers."""
    rooms = open_rooms(Home.open(town.home))
    yield rooms
    rooms.close()


@contextmanager
def lists_of(town: Town) -> Iterator[str]:
    """Serve the CA's complete list as it is published, and give its address."""
    file = town.home / "crl" / "signing" / "s1" / "complete.crl"
    with replying(lambda _: (200, {}, file.read_bytes())) as url:
        yield url


def issuer_of(town: Town) -> str:
    return x509.load_pem_x509_certificate((town.signing / "chain.pem").read_bytes()).fingerprint(SHA256()).hex()


def name(home: Path, town: Town, **sources: str) -> None:
    """Write into jpki.toml that the other CA is trusted, and who is asked about its certificates."""
    chain, settings = town.signing / "chain.pem", home / "jpki.toml"
    text = f'{settings.read_text()}\n[[trust]]\nfile = "{chain}"\npolicies = ["{oids.LAB_SIGNING_POLICY}"]\n'
    if sources:
        text += f'\n[[revocation]]\nissuer = "{issuer_of(town)}"\n'
    settings.write_text(text + "".join(f'{kind} = "{url}"\n' for kind, url in sources.items()))


def source_in(told: dict[str, Any]) -> object:
    """Return whose word decided about revocation."""
    (signature,) = told["files"][0]["signatures"]
    (evidence,) = [each["evidence"] for each in signature["checks"] if each["name"] == "revocation"]
    return evidence.get("source")


def hang(connection: socket.socket) -> None:
    """Say nothing until the other side hangs up."""
    connection.settimeout(None)
    connection.recv(1)


def test_the_command_line_asks_the_responder_that_the_home_names(
    jpki: Jpki, aged: AgedHome, town: Town, issuing: Rooms, signed: Path
) -> None:
    words = ("verify", signed / "return.pdf", "--home", aged.home)
    with serving(issuing.responder) as url:
        assert jpki.judged(UNDECIDED, *words)["decision"] == "undecided"
        name(aged.home, town, ocsp=url)
        assert source_in(jpki.done(*words)) == "ocsp"
        jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
        assert source_in(jpki.judged(REFUSE, *words)) == "ocsp"


@pytest.mark.slow
def test_the_command_line_takes_the_list_when_the_responder_hangs(
    jpki: Jpki, aged: AgedHome, town: Town, signed: Path
) -> None:
    words = ("verify", signed / "return.pdf", signed / "return.xtx", "--home", aged.home)
    with talking(hang) as responder, lists_of(town) as listing:
        name(aged.home, town, ocsp=responder, crl=listing)
        assert jpki.done(*words)["decision"] == "accept"


def test_the_command_line_hears_of_a_revocation_from_the_list(
    jpki: Jpki, aged: AgedHome, town: Town, signed: Path
) -> None:
    words = ("verify", signed / "return.pdf", "--home", aged.home)
    with lists_of(town) as listing:
        name(aged.home, town, crl=listing)
        assert source_in(jpki.done(*words)) == "crl"
        jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
        jpki.done("crl", "publish", "--home", town.home)
        assert source_in(jpki.judged(REFUSE, *words)) == "crl"


def test_what_the_caller_hands_in_goes_first(jpki: Jpki, aged: AgedHome, town: Town, signed: Path) -> None:
    given = town.home / "crl" / "signing" / "s1" / "complete.crl"
    asked = list[socket.socket]()
    with talking(asked.append) as url:
        name(aged.home, town, ocsp=url)
        assert source_in(jpki.done("verify", signed / "return.pdf", "--home", aged.home, "--crl", given)) == "crl"
    assert asked == []


def test_of_its_own_certificates_the_ledger_alone_tells(jpki: Jpki, town: Town, signed: Path) -> None:
    asked = list[socket.socket]()
    with talking(asked.append) as url:
        name(town.home, town, ocsp=url, crl=url)
        assert source_in(jpki.done("verify", signed / "return.pdf", "--home", town.home)) == "ledger"
    assert asked == []


@pytest.mark.slow
def test_api_and_page_ask_it_too_one_list_for_all(jpki: Jpki, aged: AgedHome, town: Town, signed: Path) -> None:
    document, fetched = (signed / "return.pdf").read_bytes(), list[str]()
    file = town.home / "crl" / "signing" / "s1" / "complete.crl"

    def reply(_: bytes) -> tuple[int, dict[str, str], bytes]:
        fetched.append("crl")
        return 200, {}, file.read_bytes()

    with replying(reply) as listing, talking(lambda connection: connection.close()) as responder:
        name(aged.home, town, ocsp=responder, crl=listing)
        rooms = open_rooms(Home.open(aged.home))
        with closing(rooms):
            client = create_app(rooms, [Door.VERIFY]).test_client()
            for _ in range(2):
                told = upload(client, "/api/v1/verifications", document, "return.pdf").get_json()
                assert (told["decision"], source_in(told)) == ("accept", "crl")
            page = upload(client, "/verify", document, "return.pdf", lang="en")
            assert page.status_code == 200
            assert "unchecked" not in page.text
        assert fetched == ["crl"]
        jpki.done("revoke", serial_in(town.signing), "--home", town.home, "--reason", "keyCompromise")
        jpki.done("crl", "publish", "--home", town.home)
        rooms = open_rooms(Home.open(aged.home))
        with closing(rooms):
            client = create_app(rooms, [Door.VERIFY]).test_client()
            told = upload(client, "/api/v1/verifications", document, "return.pdf").get_json()
            assert told["decision"] == "refuse"


@pytest.mark.slow
def test_in_registered_mode_it_is_asked_as_well(aged: AgedHome, town: Town, signed: Path) -> None:
    settings = aged.home / "jpki.toml"
    settings.write_text(settings.read_text().replace('verifiers = "open"', 'verifiers = "registered"'))
    with lists_of(town) as listing, (signed / "return.pdf").open("rb") as document:
        name(aged.home, town, crl=listing)
        with closing(open_rooms(Home.open(aged.home))) as rooms:
            assert rooms.admission is not None
            judge = judge_upload(rooms, lambda: VerifierId(1))
            sent = Upload(name="return.pdf", document=document, content=None, policy=GENERAL, received_at=None)
            assert judge(sent).decision is Decision.ACCEPT
