"""`jpki serve --door ocsp --fast`: the same answers as the plain door, by gunicorn's asgi worker."""

import base64
import http.client
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import (
    OCSPCertStatus,
    OCSPRequestBuilder,
    OCSPResponse,
    OCSPResponseStatus,
    load_der_ocsp_response,
)

from ocsp.request import MAX_REQUEST_OCTETS
from tests.forked import Command
from tests.server.conftest import Town, serial_in
from tests.server.console import Jpki
from tests.server.people import holder_file
from tests.server.postgresql import Server, running

pytestmark = pytest.mark.slow


@contextmanager
def serving(command: Path, home: Path, *more: str) -> Iterator[str]:
    """Serve the home's OCSP door, and give its host and port."""
    words: list[str | Path] = [
        "serve",
        "--home",
        home,
        "--port",
        "0",
        "--lang",
        "en",
        "--door",
        "ocsp",
        "--fast",
        *more,
    ]
    with Command(command, *words) as process:
        try:
            found = (re.search(r"(?<=Answering on http://)\S+", line) for line in process.stderr)
            yield next(match[0] for match in found if match is not None)
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def served(issued_town: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Town]]:
    folder = tmp_path_factory.mktemp("fast") / "town"
    shutil.copytree(issued_town, folder)
    with serving(installed, folder / "home", "--workers", "2") as address:
        yield address, Town(folder)


def request_for(folder: Path, algorithm: SHA1 | SHA256 | None = None, nonce: bytes | None = None) -> bytes:
    certificate, chain = (
        x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in ("certificate.pem", "chain.pem")
    )
    builder = OCSPRequestBuilder().add_certificate(certificate, chain, algorithm or SHA1())  # noqa: S303 - finds only
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


class Client:
    """One connection that is kept."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body or None, named)
        response = self._connection.getresponse()
        return response, response.read()

    def post(self, data: bytes) -> OCSPResponse:
        response, body = self.ask("POST", "/ocsp", data)
        assert response.status == 200
        return load_der_ocsp_response(body)


@pytest.fixture
def client(served: tuple[str, Town]) -> Iterator[Client]:
    with Client(served[0]) as client:
        wait_until(lambda: journal_of(client) == "ok")
        yield client


def test_every_way_to_ask_has_the_same_answer(served: tuple[str, Town], client: Client) -> None:
    data = request_for(served[1].folder / "signing")
    encoded = base64.b64encode(data).decode()
    paths = [
        f"/ocsp/{quote(encoded, safe='')}",
        f"/ocsp/{encoded}",
        f"/ocsp//{encoded}",
        f"/ocsp/{encoded.rstrip('=')}",
    ]
    asked = [("GET", each, b"") for each in paths]
    for method, path, body in [("POST", "/ocsp", data), ("POST", "/ocsp/", data), *asked]:
        response, answer = client.ask(method, path, body)
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/ocsp-response"
        assert response.headers["Cache-Control"].startswith("max-age=60, public")
        assert load_der_ocsp_response(answer).certificate_status is OCSPCertStatus.GOOD


def test_a_known_answer_is_not_sent_again(served: tuple[str, Town], client: Client) -> None:
    encoded = base64.b64encode(request_for(served[1].folder / "signing")).decode()
    tag = client.ask("GET", f"/ocsp/{encoded}")[0].headers["ETag"]
    response, body = client.ask("GET", f"/ocsp/{encoded}", if_none_match=tag)
    assert (response.status, body) == (304, b"")
    head, body = client.ask("HEAD", f"/ocsp/{encoded}")
    assert (head.status, head.headers["ETag"], body) == (200, tag, b"")
    assert int(head.headers["Content-Length"]) > 500


def test_a_nonce_comes_back_and_is_not_kept(served: tuple[str, Town], client: Client) -> None:
    response, body = client.ask("POST", "/ocsp", request_for(served[1].folder / "signing", SHA256(), b"n" * 32))
    answer = load_der_ocsp_response(body)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/ocsp", b"x"),
        ("POST", "/ocsp", b"0" * (MAX_REQUEST_OCTETS + 1)),
        ("POST", "/ocsp", b"0" * 1_000_000),
        ("GET", "/ocsp/MEow", b""),
        ("GET", "/ocsp", b""),
        ("GET", "/ocsp/%zz", b""),
    ],
)
def test_what_is_no_question_is_malformed(client: Client, method: str, path: str, body: bytes) -> None:
    response, answer = client.ask(method, path, body)
    assert response.status == 200
    assert load_der_ocsp_response(answer).response_status is OCSPResponseStatus.MALFORMED_REQUEST


def test_beside_it_stands_only_health(client: Client) -> None:
    assert client.ask("GET", "/livez")[1] == b"ok\n"
    response, body = client.ask("GET", "/readyz")
    assert (response.status, json.loads(body)["checks"]["journal"]) == (200, "ok")
    for path in ("/", "/ca/signing.cer", "/ocspx", "/metrics2"):
        response, body = client.ask("GET", path)
        problem = json.loads(body)
        assert (response.status, problem["code"]) == (404, "not-found")
        assert [set(problem[each]) for each in ("problem", "action")] == [{"ja", "en"}] * 2
    response, body = client.ask("DELETE", "/ocsp", b"")
    assert (response.status, body) == (405, b"")


def test_a_target_may_be_absolute_and_have_a_query(served: tuple[str, Town], client: Client) -> None:
    encoded = base64.b64encode(request_for(served[1].folder / "signing")).decode()
    for target in (f"http://{served[0]}/ocsp/{encoded}", f"/ocsp/{encoded}?x", "/livez?x", f"http://{served[0]}/livez"):
        assert client.ask("GET", target)[0].status == 200
    answer = client.ask("GET", f"http://{served[0]}/ocsp/{encoded}?x")[1]
    assert load_der_ocsp_response(answer).certificate_status is OCSPCertStatus.GOOD


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/nonsense"])
def test_head_has_no_body_anywhere(served: tuple[str, Town], path: str) -> None:
    answer = told(served[0], f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    assert b"Content-Length: " in answer
    assert answer.endswith(b"\r\n\r\n")


def told(address: str, octets: bytes) -> bytes:
    """All that comes back."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(octets)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_client_that_says_nothing_is_closed_after_ten_seconds(served: tuple[str, Town]) -> None:
    host, port = served[0].split(":")
    begun = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=20) as connection, suppress(ConnectionResetError):
        connection.sendall(b"POST /ocsp HT")
        assert connection.recv(100) == b""
    assert 9 < time.monotonic() - begun < 15


@pytest.mark.parametrize(
    "octets",
    [b"\x16\x03\x01 canary-5d1f\r\n\r\n", b"GET / HTTP/1.1\r\nX-canary-5d1f : y\r\n\r\n", b"canary-5d1f\r\n" * 9000],
)
def test_r21_what_is_no_http_is_refused_and_not_repeated(served: tuple[str, Town], octets: bytes) -> None:
    answer = told(served[0], octets)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer)
    assert b"canary-5d1f" not in answer


def test_an_offer_of_another_protocol_is_answered_in_this_one(client: Client) -> None:
    response, answer = client.ask(
        "GET",
        "/ocsp",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Key="MTIzNDU2Nzg5MDEyMzQ1Ng==",
        Sec_WebSocket_Version="13",
    )
    assert load_der_ocsp_response(answer).response_status is OCSPResponseStatus.MALFORMED_REQUEST
    assert response.status == 200


def test_the_fast_door_stands_alone(jpki: Jpki, home: Path) -> None:
    for words in ((), ("--door", "crl"), ("--door", "ocsp", "--door", "crl")):
        answer = jpki("serve", "--home", home, "--fast", *words)
        assert answer.code == 64
        assert "--door ocsp" in answer.err


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with running() as server:
        yield server


def test_r07_r16_two_workers_hear_of_a_revocation_and_outlive_the_database(
    jpki: Jpki, installed: Path, postgresql: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    jpki.done("init", "--home", home, "--database", postgresql.new_database("fast"))
    for name in ("one", "other"):
        holder = holder_file(tmp_path, code=f"H-{name}")
        jpki.done("issue", "--home", home, "--kind", "signing", "--holder", holder, "--out", tmp_path / name)
    one, other = (request_for(tmp_path / name) for name in ("one", "other"))
    with serving(installed, home, "--workers", "2") as address, ExitStack() as open_connections:
        # Enough connections, that each worker has some.
        clients = [open_connections.enter_context(Client(address)) for _ in range(24)]
        assert all_say(clients, one, OCSPCertStatus.GOOD)
        assert all_say(clients, other, OCSPCertStatus.GOOD)
        jpki.done("revoke", serial_in(tmp_path / "one"), "--home", home, "--reason", "keyCompromise")
        time.sleep(1)
        assert all_say(clients, one, OCSPCertStatus.REVOKED)
        assert all_say(clients, other, OCSPCertStatus.GOOD)
        postgresql.kill()
        wait_until(lambda: journal_of(clients[0]) == "journal-behind")
        assert all_say(clients, one, OCSPCertStatus.REVOKED)
        assert all_say(clients, other, OCSPCertStatus.GOOD)
        unheard = clients[0].post(request_for(tmp_path / "other", SHA256()))
        assert unheard.response_status is OCSPResponseStatus.TRY_LATER
        postgresql.start()
        wait_until(lambda: journal_of(clients[0]) == "ok")
        jpki.done("revoke", serial_in(tmp_path / "other"), "--home", home, "--reason", "keyCompromise")
        wait_until(lambda: all_say(clients, other, OCSPCertStatus.REVOKED))


def journal_of(client: Client) -> str:
    word: str = json.loads(client.ask("GET", "/readyz")[1])["checks"]["journal"]
    return word


def all_say(clients: list[Client], data: bytes, status: OCSPCertStatus) -> bool:
    return {client.post(data).certificate_status for client in clients} == {status}


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
