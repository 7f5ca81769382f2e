"""`verifiers = "registered"`: only registered verifiers are answered, over TLS, and every look-up is on record."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import NameOID

from jpki.clock import system_clock
from jpki.errors import JpkiError
from server.cli.frame import run
from server.home import Home
from server.jobs import COPIES
from server.list_fetch import NodeFetch
from server.wiring import open_rooms
from tests.forked import Command
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.people import HOLDER_FILE
from tests.server.postgresql import running
from tests.server.test_fast_door import request_for, wait_until
from tests.server.test_nodes import lists_in

pytestmark = pytest.mark.slow

FAST = ("--door", "ocsp", "--fast")


@dataclass(frozen=True, slots=True)
class Served:
    """A door that speaks TLS."""

    port: int
    root: Path
    process: Command

    def connected(self, client: Path | None) -> http.client.HTTPSConnection:
        """Connect as the bearer of a folder with a key and a certificate."""
        context = ssl.create_default_context(cafile=self.root)
        if client is not None:
            context.load_cert_chain(client / "certificate.pem", client / "key.pem")
        return http.client.HTTPSConnection("localhost", self.port, timeout=20, context=context)

    def ask(self, client: Path | None, data: bytes) -> OCSPResponse:
        return load_der_ocsp_response(self.post(client, data)[1])

    def post(self, client: Path | None, data: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        return self.request(client, "POST", "/ocsp", data)

    def request(
        self, client: Path | None, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self.connected(client)
        try:
            connection.request(method, path, body or None, {name.replace("_", "-"): headers[name] for name in headers})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


@contextmanager
def serving(command: Path, home: Path, *more: str) -> Iterator[Served]:
    with Command(command, "serve", "--home", home, "--port", "0", "--lang", "en", "--tls", *more) as process:
        try:
            found = (re.search(r"Answering on https://127\.0\.0\.1:(\d+)", line) for line in process.stderr)
            port = int(next(match[1] for match in found if match is not None))
            yield Served(port, home / "tls" / "root.pem", process)
        finally:
            process.terminate()
            process.wait(20)


def register(jpki: Jpki, home: Path) -> None:
    """Close the home to all but registered verifiers, and give it a server certificate."""
    close_to_strangers(home)
    jpki.done("tls", "certify", "--home", home, "--host", "localhost", "--host", "127.0.0.1")


def close_to_strangers(home: Path) -> None:
    settings = home / "jpki.toml"
    settings.write_text(settings.read_text().replace('verifiers = "open"', 'verifiers = "registered"'))


def add(jpki: Jpki, town: Town, name: str, *more: str) -> Path:
    out = town.folder / name
    jpki.done("verifier", "add", "--home", town.home, "--name", name, "--purpose", "tests", "--out", out, *more)
    # A door that is open already hears of it within a second.
    time.sleep(0.5)
    return out


@pytest.fixture
def closed(jpki: Jpki, town: Town) -> Town:
    register(jpki, town.home)
    return town


@dataclass(frozen=True, slots=True)
class Open:
    """A town whose door is open to registered verifiers, in two workers."""

    town: Town
    door: Served


@pytest.fixture(scope="module", params=[FAST, ()], ids=["fast", "flask"])
def opened(
    request: pytest.FixtureRequest, issued_town: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Open]:
    town = Town(shutil.copytree(issued_town, tmp_path_factory.mktemp("registered") / "town"))
    close_to_strangers(town.home)
    assert run(["tls", "certify", "--home", str(town.home), "--host", "localhost"]) == 0
    with serving(installed, town.home, *request.param, "--workers", "2") as door:
        yield Open(town, door)


def told(jpki: Jpki, town: Town, folder: Path, name: str = "Bank") -> list[str]:
    """What a verifier was told of a certificate, the latest first."""
    found = jpki.done("verifier", "history", serial_in(folder), "--home", town.home)["look_ups"]
    return [each["told"] for each in found if each["name"] == name]


def test_only_a_registered_verifier_is_answered_and_is_on_record(jpki: Jpki, opened: Open) -> None:
    town, door = opened.town, opened.door
    asked, other = request_for(town.signing), request_for(town.authentication)
    assert door.ask(None, asked).response_status is OCSPResponseStatus.UNAUTHORIZED
    assert door.ask(clerk_of(town), asked).response_status is OCSPResponseStatus.UNAUTHORIZED
    bank = add(jpki, town, "Bank")
    for _ in range(3):
        response, body = door.post(bank, asked)
        assert load_der_ocsp_response(body).certificate_status is OCSPCertStatus.GOOD
        assert re.fullmatch(r"max-age=\d+, private, .*", response.headers["Cache-Control"])
    assert door.post(bank, request_for(town.signing, SHA256(), b"n" * 16))[0].headers["Cache-Control"] == "no-store"
    wait_until(lambda: told(jpki, town, town.signing) == ["good"] * 4)
    jpki.done("hold", serial_in(town.authentication), "--home", town.home)
    time.sleep(1)
    assert door.ask(bank, other).certificate_status is OCSPCertStatus.REVOKED
    jpki.done("release", serial_in(town.authentication), "--home", town.home)
    time.sleep(1)
    assert door.ask(bank, other).certificate_status is OCSPCertStatus.GOOD
    wait_until(lambda: told(jpki, town, town.authentication) == ["good", "held"])


def clerk_of(town: Town) -> Path:
    """Unpack the first administrator's certificate, which is of the same root and no verifier's."""
    folder = town.folder / "clerk"
    if not folder.exists():
        folder.mkdir()
        bundle = (town.home / "clerks" / "administrator-1.p12").read_bytes()
        password = (town.home / "secrets" / "administrator-1-password").read_bytes()
        key, certificate, _ = load_key_and_certificates(bundle, password)
        assert key is not None
        assert certificate is not None
        write_pair(folder, key, certificate)
    return folder


def write_pair(folder: Path, key: object, certificate: x509.Certificate) -> None:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


def test_a_certificate_of_another_root_does_not_come_in(opened: Open, tmp_path: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = system_clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    write_pair(tmp_path, key, certificate)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        opened.door.post(tmp_path, request_for(opened.town.signing))
    assert opened.door.request(None, "GET", "/livez")[1] == b"ok\n"


def test_whoever_is_suspended_is_refused_within_a_second_and_comes_back(jpki: Jpki, opened: Open) -> None:
    town, door = opened.town, opened.door
    shop, mart, asked = add(jpki, town, "Shop"), add(jpki, town, "Mart"), request_for(town.signing)
    shown = jpki.done("verifier", "list", "--home", town.home)["verifiers"]
    number = next(str(each["number"]) for each in shown if each["name"] == "Shop")
    jpki.done("verifier", "suspend", number, "--home", town.home)
    time.sleep(1)
    assert door.ask(shop, asked).response_status is OCSPResponseStatus.UNAUTHORIZED
    assert is_good(door.ask(mart, asked))
    jpki.done("verifier", "resume", number, "--home", town.home)
    time.sleep(1)
    assert is_good(door.ask(shop, asked))


def test_a_new_certificate_may_take_the_place_of_the_others(jpki: Jpki, opened: Open) -> None:
    town, door = opened.town, opened.door
    old, asked = add(jpki, town, "Firm"), request_for(town.signing)
    beside, alone = town.folder / "beside", town.folder / "alone"
    shown = jpki.done("verifier", "list", "--home", town.home)["verifiers"]
    number = str(shown[-1]["number"])
    jpki.done("verifier", "certify", number, "--home", town.home, "--out", beside)
    time.sleep(1)
    assert is_good(door.ask(old, asked))
    assert is_good(door.ask(beside, asked))
    known = jpki.done("verifier", "certify", number, "--home", town.home, "--alone", "--out", alone)
    assert known["certificates"] == [serial_in(alone)]
    time.sleep(1)
    assert {door.ask(each, asked).response_status for each in (old, beside)} == {OCSPResponseStatus.UNAUTHORIZED}
    assert is_good(door.ask(alone, asked))


def test_a_quota_counts_over_all_workers(jpki: Jpki, opened: Open) -> None:
    town, door, asked = opened.town, opened.door, request_for(opened.town.signing)
    stall = add(jpki, town, "Stall", "--quota", "8")
    answered = 0
    while is_good(door.ask(stall, asked)):
        answered += 1
        time.sleep(0.35)
        assert answered < 12
    assert 8 <= answered <= 9
    assert door.ask(stall, asked).response_status is OCSPResponseStatus.TRY_LATER
    shown = jpki.done("verifier", "list", "--home", town.home)["verifiers"]
    assert [each["used_today"] for each in shown if each["name"] == "Stall"] == [answered]


def test_a_client_that_never_shakes_hands_is_closed_and_keeps_nobody_waiting(jpki: Jpki, opened: Open) -> None:
    door, asked = opened.door, request_for(opened.town.signing)
    cafe = add(jpki, opened.town, "Café")
    silent = [socket.create_connection(("127.0.0.1", door.port), timeout=30) for _ in range(4)]
    for each in silent:
        each.sendall(b"\x16\x03\x01")
    begun = time.monotonic()
    assert is_good(door.ask(cafe, asked))
    assert time.monotonic() - begun < 5
    for each in silent:
        with each, suppress(ConnectionResetError):
            assert each.recv(100) == b""
    assert 8 < time.monotonic() - begun < 16


def test_a_killed_worker_loses_no_more_than_half_a_second(jpki: Jpki, opened: Open) -> None:
    town, door, asked = opened.town, opened.door, request_for(opened.town.signing)
    club = add(jpki, town, "Club")
    for _ in range(5):
        door.post(club, asked)
    time.sleep(0.5)
    children = Path(f"/proc/{door.process.pid}/task/{door.process.pid}/children").read_text().split()
    subprocess.run(["kill", "-9", *children], check=True)
    assert len(told(jpki, town, town.signing, "Club")) == 5
    wait_until(lambda: answers(door))
    door.post(club, asked)
    wait_until(lambda: len(told(jpki, town, town.signing, "Club")) == 6)


def test_what_was_told_is_written_when_the_door_is_closed_though_clients_stay(
    jpki: Jpki, installed: Path, closed: Town
) -> None:
    bank = add(jpki, closed, "Bank")
    with serving(installed, closed.home, *FAST) as door:
        connection = door.connected(bank)
        for _ in range(5):
            connection.request("POST", "/ocsp", request_for(closed.signing))
            assert connection.getresponse().read()
        door.process.terminate()
        assert door.process.wait(15) == 0
        connection.close()
    assert told(jpki, closed, closed.signing) == ["good"] * 5


def answers(door: Served) -> bool:
    try:
        return door.request(None, "GET", "/livez")[0].status == 200
    except OSError:
        return False


def test_lists_and_documents_are_for_registered_verifiers_too(jpki: Jpki, installed: Path, closed: Town) -> None:
    bank = add(jpki, closed, "Bank")
    signed = closed.folder / "signed.xml"
    document = closed.folder / "return.xtx"
    shutil.copy(Path(__file__).parents[2] / "examples" / "return.xtx", document)
    pair = ("--certificate", closed.signing / "certificate.pem", "--key", closed.signing / "key.pem")
    jpki.done("sign", document, *pair, "--out", signed)
    boundary = "cut"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.xml"\r\n\r\n'
    upload = head.encode() + signed.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    (generation,) = (each.name for each in (closed.home / "crl" / "signing").iterdir())
    path = f"/crl/signing/{generation}/complete.crl"
    with serving(installed, closed.home) as door:
        for refused, body in (
            door.request(None, "GET", path),
            door.request(None, "POST", "/api/v1/verifications", upload, Content_Type=kind),
        ):
            assert (refused.status, json.loads(body)["code"]) == (403, "verifier-unregistered")
        response, content = door.request(bank, "GET", path)
        assert x509.load_der_x509_crl(content).issuer
        assert (response.status, response.headers["Cache-Control"]) == (200, "max-age=3600, private")
        response, body = door.request(bank, "POST", "/api/v1/verifications", upload, Content_Type=kind)
        assert (response.status, json.loads(body)["decision"]) == (200, "accept")
        assert door.request(None, "GET", "/ca/signing.cer")[0].status == 200
    assert told(jpki, closed, closed.signing) == ["good"]


def test_while_the_ledger_is_away_what_is_told_waits(jpki: Jpki, installed: Path, tmp_path: Path) -> None:
    town = Town(tmp_path)
    with running() as server:
        jpki.done("init", "--home", town.home, "--database", server.new_database("registered"))
        words = ("--kind", "signing", "--holder", HOLDER_FILE, "--out", town.signing)
        jpki.done("issue", "--home", town.home, *words)
        register(jpki, town.home)
        bank, asked = add(jpki, town, "Bank"), request_for(town.signing)
        with serving(installed, town.home, *FAST) as door:
            wait_until(lambda: is_good(door.ask(bank, asked)))
            time.sleep(0.5)
            before = len(told(jpki, town, town.signing))
            server.kill()
            time.sleep(1.5)
            assert sum(is_good(door.ask(bank, asked)) for _ in range(8)) == 8
            server.start()
            wait_until(lambda: len(told(jpki, town, town.signing)) == before + 8)


def is_good(answer: OCSPResponse) -> bool:
    return answer.response_status is OCSPResponseStatus.SUCCESSFUL and answer.certificate_status is OCSPCertStatus.GOOD


def test_without_tls_nobody_could_be_known(jpki: Jpki, closed: Town) -> None:
    answer = jpki("serve", "--home", closed.home, "--port", "0", "--lang", "en")
    assert answer.code == 64
    assert "--tls" in answer.err


def test_tls_needs_a_certificate(jpki: Jpki, town: Town) -> None:
    refused = jpki.refused("serve", "--home", town.home, "--port", "0", "--tls")
    assert (refused.exit, refused.code) == (1, "tls-missing")
    (town.home / "tls").mkdir()
    for name in ("certificate.pem", "key.pem"):
        (town.home / "tls" / name).write_text("x")
    assert jpki.refused("serve", "--home", town.home, "--port", "0", "--tls").code == "tls-unusable"


def test_open_mode_speaks_tls_too_and_answers_anyone(jpki: Jpki, installed: Path, town: Town) -> None:
    jpki.done("tls", "certify", "--home", town.home, "--host", "localhost")
    with serving(installed, town.home, *FAST) as door:
        response, body = door.post(None, request_for(town.signing))
        assert load_der_ocsp_response(body).certificate_status is OCSPCertStatus.GOOD
        assert "public" in response.headers["Cache-Control"]


def test_a_node_fetches_lists_from_a_closed_door_as_the_verifier_that_it_is(
    jpki: Jpki, closed: Town, installed: Path, tmp_path: Path
) -> None:
    published = lists_in(closed.home)
    with serving(installed, closed.home, "--door", "crl") as door:
        two = shutil.copytree(closed.home, tmp_path / "two")
        for folder in ("crl", "crl-archive"):
            shutil.rmtree(two / folder)
        settings = two / "jpki.toml"
        settings.write_text(f'nodes = ["https://localhost:{door.port}"]\n{settings.read_text()}')

        def bring() -> dict[str, bytes]:
            with closing(open_rooms(Home(two))) as rooms:
                rooms.maintenance.only(COPIES).run()
            return lists_in(two)

        assert published
        assert bring() == {}, "nobody knows this node yet"
        shutil.copytree(add(jpki, closed, "node"), two / "tls" / "node")
        assert bring() == published


def test_a_node_asks_below_the_homes_own_roots_alone(closed: Town, installed: Path, tmp_path: Path) -> None:
    with serving(installed, closed.home, "--door", "crl") as door, (tmp_path / "list").open("wb") as file:
        fetch = NodeFetch(Home(closed.home), list)
        with pytest.raises(JpkiError, match="crl-unreachable"):
            fetch(f"https://localhost:{door.port}/crl/signing/s1/complete.crl", file)
        assert file.tell() == 0
