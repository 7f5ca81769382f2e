"""What the configuration in deploy/nginx promises: the real nginx before the real `jpki serve`."""

import base64
import hashlib
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from select import select

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder, load_der_ocsp_response

from jpki import der
from jpki.der import Reader, Tag, context
from ocsp.request import MAX_REQUEST_OCTETS
from ocsp.responder import CACHE_SECONDS
from tests.interop.authority import Card, Town, started
from tests.interop.nginx import Front, fronting
from tests.interop.programs import Done, Reply, curl, holds_within, openssl
from tests.ports import free_port

pytestmark = pytest.mark.slow

BURST = 400  # limit_req
CONNECTIONS = 64  # limit_conn
PATIENCE = 5.0  # client_header_timeout, client_body_timeout, proxy_read_timeout

HEAD_VERSION = 5
"""Of the head of nginx's cache files: it is an unsigned long; five times in seconds follow, and more."""

_never_issued = count(0x40 << 120)


@pytest.fixture(scope="module")
def front(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx before the served home."""
    with fronting(tmp_path_factory.mktemp("front") / "nginx", town.authority.port) as front:
        yield front


# --- questions, and what came of them ----------------------------------------------------------------------------


def question(card: Card, *, serial: int | None = None, nonce: bytes | None = None) -> bytes:
    """Return a question to the issuer of `card`, about it or about another serial."""
    name = hashlib.sha1(card.issuer.subject.public_bytes(), usedforsecurity=False).digest()
    key = x509.SubjectKeyIdentifier.from_public_key(card.issuer.public_key()).digest
    asked = card.parsed.serial_number if serial is None else serial
    builder = OCSPRequestBuilder().add_certificate_by_hash(name, key, asked, SHA1())  # noqa: S303 - as clients ask
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def new(card: Card) -> tuple[int, bytes]:
    """Return a serial that nobody asked about before, and the question about it."""
    serial = next(_never_issued)
    return serial, question(card, serial=serial)


def grown(asked: bytes, octets: int) -> bytes:
    """Return the same question in so many octets, by a requestor's name of that length."""
    to_be_signed = Reader(Reader(asked).read(Tag.SEQUENCE)).read(Tag.SEQUENCE)

    def named(letters: int) -> bytes:
        name = der.tlv(context(1), der.tlv(context(6, constructed=False), b"x" * letters))
        return der.sequence(der.sequence(name, to_be_signed))

    largest = named(octets)
    return named(octets - (len(largest) - octets))


def in_path(asked: bytes) -> str:
    return f"/ocsp/{base64.b64encode(asked).decode()}"


def both_ways(asked: bytes) -> list[tuple[str, str, bytes | None]]:
    """Return method, path and body of the question as GET and as POST."""
    return [("GET", in_path(asked), None), ("POST", "/ocsp", asked)]


def list_path(card: Card) -> str:
    return f"/{card.crl_url.split('/', 3)[3]}"


def serial_in(reply: Reply) -> int:
    """Return the serial that an answer is about."""
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/ocsp-response")
    return load_der_ocsp_response(reply.body).serial_number


def status_in(reply: Reply) -> str:
    return load_der_ocsp_response(reply.body).certificate_status.name


def came(reply: Reply) -> str:
    """Return where nginx had the answer from."""
    return str(reply.headers["X-Cache-Status"])


def stored(cache: Path) -> list[Path]:
    return [file for file in cache.rglob("*") if file.is_file()]


def name_of(method: str, path: str, body: bytes | None) -> bytes:
    """Return the name under which the answer to a question is to be stored."""
    return f"{method} ".encode() + (path.encode() if body is None else body)


def file_of(cache: Path, name: bytes) -> Path:
    """Return the file in which nginx keeps what has this name (`levels=1:2`)."""
    digest = hashlib.md5(name, usedforsecurity=False).hexdigest()
    return cache / digest[-1] / digest[-3:-1] / digest


def first_answer(front: Front, method: str, path: str, body: bytes | None) -> Reply:
    """Ask, and wait until the answer is stored: nginx gives it a moment before."""
    reply = front.ask(method, path, body)
    assert holds_within(5, file_of(front.answers, name_of(method, path, body)).exists)
    return reply


def first_list(front: Front, path: str) -> Reply:
    """Fetch a list, and wait until it is stored."""
    reply = front.ask("GET", path)
    assert holds_within(5, file_of(front.lists, path.encode()).exists)
    return reply


def let_a_minute_pass(cache: Path) -> None:
    """Date back until when each file holds, as its head says."""
    for file in stored(cache):
        with file.open("r+b") as opened:
            version, ends = struct.unpack("@Qq", opened.read(16))
            assert version == HEAD_VERSION
            opened.seek(0)
            opened.write(struct.pack("@Qq", version, ends - 61))


def all_octets(connection: socket.socket) -> bytes:
    """Read until the other side hangs up."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def post(body: bytes, framing: str | None = None) -> bytes:
    """Return a POST as it goes over the wire, the last one of its connection."""
    framing = f"Content-Length: {len(body)}" if framing is None else framing
    head = ("POST /ocsp HTTP/1.1", "Host: jpki", "Connection: close", framing, "", "")
    return "\r\n".join(head).encode() + body


# --- clients -----------------------------------------------------------------------------------------------------


def ask_openssl(front: Front, card: Card, *options: str) -> Done:
    words = ("-issuer", card.chain, "-CAfile", card.chain, "-cert", card.certificate, "-url", f"{front.url}/ocsp")
    return openssl("ocsp", *words, *options)


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication", "taro.signing"])
@pytest.mark.parametrize("options", [("-no_nonce",), ("-nonce",)], ids=["without a nonce", "with one"])
def test_openssl_believes_the_first_answer_and_the_next(
    town: Town, front: Front, name: str, options: tuple[str, ...]
) -> None:
    card = town.card(name)
    for _ in range(2):
        done = ask_openssl(front, card, *options)
        assert "Response verify OK" in done.text
        assert "WARNING" not in done.text  # such as of a nonce that is another's
        said = "revoked" if card == town.taro.signing else "good"
        assert done.out.decode().startswith(f"{card.certificate}: {said}\n")


WAYS_TO_WRITE: Mapping[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "escaped as Java does": lambda text: text.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
    "in small letters": lambda text: text.replace("/", "%2f").replace("+", "%2b"),
    "without padding": lambda text: text.rstrip("="),
    "after an address that ends in a slash": lambda text: f"/{text}",
}


def awkward(card: Card) -> tuple[int, str]:
    """Return a serial, and a question about it whose base64 holds `//`, `+` and padding."""
    serials = [int.from_bytes(b"\x40" + b"n" * pad + b"\xff\xfb\xef\xbe" * 3) for pad in range(3)]
    candidates = [(serial, base64.b64encode(question(card, serial=serial)).decode()) for serial in serials]
    return next((serial, text) for serial, text in candidates if "//" in text and "+" in text and text.endswith("="))


def test_an_address_goes_on_as_it_was_written(town: Town, tmp_path: Path) -> None:
    _, text = awkward(town.hanako.signing)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as responder,
        fronting(tmp_path / "nginx", listener.getsockname()[1]) as front,
    ):
        for path in (f"/ocsp/{write(text)}" for write in WAYS_TO_WRITE.values()):
            asked = responder.submit(hang_up_once, listener)
            assert front.ask("GET", path).status == 502
            assert asked.result().startswith(f"GET {path} HTTP/1.1\r\n".encode())


def hang_up_once(listener: socket.socket) -> bytes:
    """Return what the first who comes asks, and give no answer."""
    connection, _ = listener.accept()
    with connection:
        return connection.recv(65536)


def test_each_way_to_write_a_question_reaches_the_responder_and_is_stored_by_itself(town: Town, front: Front) -> None:
    serial, text = awkward(town.hanako.signing)
    paths = [f"/ocsp/{write(text)}" for write in WAYS_TO_WRITE.values()]
    assert len(set(paths)) == len(WAYS_TO_WRITE)
    for path in paths:
        replies = [curl(f"{front.url}{path}") for _ in range(2)]
        assert [came(each) for each in replies] == ["MISS", "HIT"]
        assert {serial_in(each) for each in replies} == {serial}


# --- what is stored ----------------------------------------------------------------------------------------------


def test_an_answer_is_given_again_to_the_same_question(town: Town, front: Front) -> None:
    serial, asked = new(town.hanako.signing)
    for way in both_ways(asked):
        replies = [first_answer(front, *way), front.ask(*way), front.ask(*way)]
        assert [came(each) for each in replies] == ["MISS", "HIT", "HIT"]
        assert {serial_in(each) for each in replies} == {serial}
        assert len({each.body for each in replies}) == 1


def test_no_question_is_given_the_answer_to_another(town: Town, front: Front, *, at_length: bool) -> None:
    """Eight clients at once put every question by each method, and nginx has nearly all answers already."""
    askers = 8
    serials = [each.parsed.serial_number for each in town.cards if each.issuer == town.hanako.signing.issuer]
    serials += [next(_never_issued) for _ in range(1000 if at_length else 70)]
    questions = [(serial, question(town.hanako.signing, serial=serial)) for serial in serials]

    def answers(asker: int) -> list[tuple[int, int, str]]:
        # Each begins elsewhere, so that some meet at a question and some find it answered.
        return [
            (serial, serial_in(reply), came(reply))
            for serial, asked in questions[asker * 3 :] + questions[: asker * 3]
            for way in both_ways(asked)
            for reply in [front.ask(*way, address=f"127.1.{asker}.{serial % 250 + 1}")]
        ]

    with ThreadPoolExecutor(askers) as clients:
        given = [each for of_one in clients.map(answers, range(askers)) for each in of_one]
    assert all(asked == answered for asked, answered, _ in given)
    how = Counter(how for _, _, how in given)
    assert set(how) <= {"MISS", "HIT", "EXPIRED"}
    assert how["HIT"] > 6 * how["MISS"]


def test_get_and_post_never_share_an_answer(town: Town, front: Front) -> None:
    """A URL may say what a body says; the name of what is stored begins with the method."""
    _, asked = new(town.hanako.signing)
    assert came(front.ask("POST", "/ocsp", asked)) == "MISS"
    assert came(front.ask("GET", in_path(asked))) == "MISS"
    assert load_der_ocsp_response(front.ask("GET", "/ocsp", asked).body).response_status.name == "MALFORMED_REQUEST"


def test_a_body_that_nginx_puts_into_a_file_shares_no_answer(town: Town, front: Front) -> None:
    """In chunks of one octet a body outgrows nginx's buffer, goes to a file, and $request_body is empty."""
    questions = [(serial, grown(asked, 4000)) for serial, asked in (new(town.hanako.signing) for _ in range(2))]
    for serial, asked in questions * 2:
        chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in asked) + b"0\r\n\r\n"
        with front.connect() as connection:
            connection.sendall(post(chunks, "Transfer-Encoding: chunked"))
            head, _, body = all_octets(connection).partition(b"\r\n\r\n")
        assert b"X-Cache-Status: BYPASS" in head
        assert load_der_ocsp_response(body).serial_number == serial
    assert not file_of(front.answers, b"POST ").exists()


def test_a_body_in_a_few_chunks_is_the_same_question(town: Town, front: Front) -> None:
    serial, asked = new(town.hanako.signing)
    first_answer(front, "POST", "/ocsp", asked)
    chunks = b"%x\r\n%b\r\n" % (30, asked[:30]) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(asked) - 30, asked[30:])
    with front.connect() as connection:
        connection.sendall(post(chunks, "Transfer-Encoding: chunked"))
        head, _, body = all_octets(connection).partition(b"\r\n\r\n")
    assert b"X-Cache-Status: HIT" in head
    assert load_der_ocsp_response(body).serial_number == serial


def test_the_largest_question_is_answered_and_stored_and_a_larger_one_refused(town: Town, front: Front) -> None:
    serial, asked = new(town.hanako.signing)
    largest = grown(asked, MAX_REQUEST_OCTETS)
    replies = [first_answer(front, "POST", "/ocsp", largest), front.ask("POST", "/ocsp", largest)]
    assert [came(each) for each in replies] == ["MISS", "HIT"]
    assert {serial_in(each) for each in replies} == {serial}
    assert front.ask("POST", "/ocsp", largest + b"0").status == 413
    assert front.ask("GET", f"/ocsp/{'A' * 8192}").status == 414


def test_an_answer_to_a_nonce_and_a_refusal_are_never_stored(town: Town, front: Front) -> None:
    card = town.hanako.signing
    foreign = der.sequence(der.sequence(der.sequence(der.sequence(_foreign_cert_id()))))
    for asked, status in (
        (question(card, nonce=b"drawn by one client"), "SUCCESSFUL"),
        (b"garbage", "MALFORMED_REQUEST"),
        (foreign, "UNAUTHORIZED"),
    ):
        for way in both_ways(asked) * 2:
            reply = front.ask(*way)
            assert (came(reply), reply.headers["Cache-Control"]) == ("MISS", "no-store")
            assert load_der_ocsp_response(reply.body).response_status.name == status
            assert not file_of(front.answers, name_of(*way)).exists()


def _foreign_cert_id() -> bytes:
    algorithm = der.sequence(der.object_identifier("1.3.14.3.2.26"), der.tlv(Tag.NULL))
    return der.sequence(algorithm, der.octet_string(b"n" * 20), der.octet_string(b"k" * 20), der.integer(1))


def test_head_is_answered_like_get_and_from_the_same_answer(town: Town, front: Front) -> None:
    _, asked = new(town.hanako.signing)
    head = front.ask("HEAD", in_path(asked))
    assert holds_within(5, file_of(front.answers, name_of("GET", in_path(asked), None)).exists)
    get = front.ask("GET", in_path(asked))
    assert (came(head), came(get)) == ("MISS", "HIT")
    assert (head.body, int(head.headers["Content-Length"])) == (b"", len(get.body))
    assert head.headers["ETag"] == get.headers["ETag"]


def test_who_has_the_answer_is_told_so(town: Town, front: Front) -> None:
    _, asked = new(town.hanako.signing)
    tag = first_answer(front, "GET", in_path(asked), None).headers["ETag"]
    again = front.ask("GET", in_path(asked), headers={"If-None-Match": tag})
    assert (again.status, again.body, came(again), again.headers["ETag"]) == (304, b"", "HIT", tag)
    assert front.ask("GET", in_path(asked), headers={"If-None-Match": '"another"'}).status == 200


def test_what_else_a_client_sends_does_not_reach_the_responder(town: Town, front: Front) -> None:
    """The responder's server takes a hundred fields; nothing of them may shape what others are given."""
    serial, asked = new(town.hanako.signing)
    fields = {f"X-{number}": "of a client" for number in range(120)}
    assert serial_in(front.ask("POST", "/ocsp", asked, fields)) == serial
    assert serial_in(front.ask("GET", in_path(asked), headers=fields)) == serial


# --- for how long ------------------------------------------------------------------------------------------------


def test_r06_no_stored_answer_outlives_its_max_age(town: Town, front: Front) -> None:
    """nginx writes into the head of each file until when it holds, and since when it is there."""
    first_answer(front, "POST", "/ocsp", new(town.hanako.signing)[1])
    for file in stored(front.answers):
        version, ends, while_updating, on_error, _, began = struct.unpack_from("@Q5q", file.read_bytes())
        assert version == HEAD_VERSION
        assert 0 < ends - began <= CACHE_SECONDS
        assert (while_updating, on_error) == (0, 0)


def test_r06_a_cache_after_nginx_can_tell_how_old_an_answer_is(town: Town, front: Front) -> None:
    """Date stays the responder's, so max-age does not begin anew (RFC 9111 4.2.3)."""
    _, asked = new(town.hanako.signing)
    first = front.ask("GET", in_path(asked))
    written = parsedate_to_datetime(first.headers["Date"]).timestamp()
    time.sleep(max(0.0, written + 1.1 - time.time()))
    again = front.ask("GET", in_path(asked))
    assert came(again) == "HIT"
    for name in ("Date", "Expires", "Last-Modified", "Cache-Control"):
        assert first.headers[name] is not None
        assert first.headers.get_all(name) == again.headers.get_all(name)


def test_a_stampede_on_one_certificate_is_one_question(town: Town, front: Front) -> None:
    _, asked = new(town.hanako.signing)
    with ExitStack() as stack:
        connections = [stack.enter_context(front.connect()) for _ in range(40)]
        for connection in connections:
            connection.sendall(post(asked))
        replies = [all_octets(connection) for connection in connections]
    how = Counter(re.findall(rb"X-Cache-Status: (\w+)", b"".join(replies)))
    assert how.total() == 40
    assert how[b"MISS"] <= 2  # one who comes in the instant between answer and storing asks again


def test_r06_r16_an_answer_whose_minute_is_over_is_asked_for_again(town: Town, front: Front) -> None:
    card = town.authority.issue("authentication", {**town.hanako.data, "code": "H-0061"})
    for way in both_ways(question(card)):
        assert status_in(first_answer(front, *way)) == "GOOD"
    town.authority.do("revoke", card.serial, "--reason", "cessationOfOperation")
    fresh = (question(card, nonce=bytes([number] * 16)) for number in count(1))
    assert holds_within(5, lambda: status_in(front.ask("POST", "/ocsp", next(fresh))) == "REVOKED")
    let_a_minute_pass(front.answers)
    for way in both_ways(question(card)):
        reply = front.ask(*way)
        assert (came(reply), status_in(reply)) == ("EXPIRED", "REVOKED")


def test_r16_a_revocation_shows_within_61_seconds(town: Town, front: Front, *, at_length: bool) -> None:
    if not at_length:
        pytest.skip("it waits for a minute: make soak")
    card = town.authority.issue("authentication", {**town.hanako.data, "code": "H-0016"})
    asked = question(card)
    assert status_in(front.ask("POST", "/ocsp", asked)) == "GOOD"
    town.authority.do("revoke", card.serial, "--reason", "cessationOfOperation")
    revoked, seen = time.monotonic(), list[tuple[float, str, str]]()
    while (now := time.monotonic() - revoked) < 70:
        reply = front.ask("POST", "/ocsp", asked)
        seen.append((now, came(reply), status_in(reply)))
        time.sleep(0.1)
    good = [now for now, _, status in seen if status == "GOOD"]
    assert 40 < good[-1] < 61
    assert [status for _, _, status in seen] == ["GOOD"] * len(good) + ["REVOKED"] * (len(seen) - len(good))
    assert Counter(how for _, how, _ in seen) == {"HIT": len(seen) - 1, "EXPIRED": 1}


def test_r07_r06_without_the_responder_answers_go_on_for_their_minute_and_lists_to_their_end(
    town: Town, tmp_path: Path
) -> None:
    card, port = town.taro.signing, free_port()
    with fronting(tmp_path / "nginx", port) as front:
        with started(town.authority, port, "--door", "ocsp", "--door", "crl"):
            answers = [first_answer(front, *way) for way in both_ways(question(card))]
            crl = first_list(front, list_path(card))
            assert {status_in(each) for each in answers} == {"REVOKED"}
        for way, before in zip(both_ways(question(card)), answers, strict=True):
            given_again(front.ask(*way), "HIT", before)
        given_again(front.ask("GET", list_path(card)), "HIT", crl)
        refused(front, new(town.hanako.signing)[1])
        for cache in (front.answers, front.lists):
            let_a_minute_pass(cache)
        refused(front, question(card))
        given_again(front.ask("GET", list_path(card)), "STALE", crl)
        with started(town.authority, port, "--door", "ocsp", "--door", "crl"):
            assert {status_in(front.ask(*way)) for way in both_ways(question(card))} == {"REVOKED"}


def given_again(reply: Reply, how: str, before: Reply) -> None:
    assert (came(reply), reply.status, reply.body) == (how, 200, before.body)


def refused(front: Front, asked: bytes) -> None:
    """Require that nginx gives no answer, and says so at once."""
    for way in both_ways(asked):
        reply = front.ask(*way)
        assert (reply.status, reply.headers["Content-Type"]) == (502, "text/html")


def test_a_node_that_hangs_up_is_one_node_less(town: Town, tmp_path: Path) -> None:
    """Its question is put to the next one, by POST too, though it was sent already."""
    with (
        socket.create_server(("127.0.0.1", 0)) as broken,
        ThreadPoolExecutor(1) as node,
        fronting(tmp_path / "nginx", broken.getsockname()[1], town.authority.port) as front,
    ):
        hung_up = node.submit(hang_up_once, broken)
        while not hung_up.done():
            serial, asked = new(town.hanako.signing)
            assert serial_in(front.ask("POST", "/ocsp", asked)) == serial


# --- lists -------------------------------------------------------------------------------------------------------


def test_a_list_is_stored_once_and_told_to_who_has_it(town: Town, front: Front) -> None:
    path = list_path(town.taro.authentication)
    replies = [first_list(front, path), front.ask("GET", path), front.ask("GET", f"{path}?another")]
    assert [came(each) for each in replies] == ["MISS", "HIT", "HIT"]
    assert {each.body for each in replies} == {curl(town.taro.authentication.crl_url).body}
    for name in ("ETag", "Last-Modified"):
        condition = {"If-None-Match" if name == "ETag" else "If-Modified-Since": replies[0].headers[name]}
        again = front.ask("GET", path, headers=condition)
        assert (again.status, again.body) == (304, b"")


def test_a_list_is_looked_for_again_after_a_minute(town: Town, front: Front) -> None:
    path = list_path(town.hanako.authentication)
    first = first_list(front, path)
    let_a_minute_pass(front.lists)
    same = front.ask("GET", path)
    assert (came(same), same.body) == ("REVALIDATED", first.body)
    assert holds_within(5, lambda: came(front.ask("GET", path)) == "HIT")
    town.authority.do("crl", "publish", "--all")
    let_a_minute_pass(front.lists)
    new_list = front.ask("GET", path)
    assert came(new_list) == "EXPIRED"
    assert new_list.body == curl(town.hanako.authentication.crl_url).body != first.body


def test_a_list_that_is_not_there_is_not_stored(town: Town, front: Front) -> None:
    path = f"{list_path(town.taro.signing).rpartition('/')[0]}/p9999.crl"
    for _ in range(2):
        reply = front.ask("GET", path)
        assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")
    assert not file_of(front.lists, path.encode()).exists()


def test_each_search_of_the_lists_has_its_own_page(front: Front) -> None:
    for query, said in (("?q=nowhere", "0件"), ("?q=complete", "2件"), ("?q=nowhere", "0件")):
        reply = front.ask("GET", f"/crl/{query}")
        assert (reply.status, reply.headers["X-Cache-Status"]) == (200, None)
        assert said in reply.body.decode()
    assert front.ask("GET", "/crl/index.json").headers["Content-Type"] == "application/json"


# --- what is not let through -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/livez", "/readyz", "/metrics", "/ocsp/../readyz", "/ca/signing.cer", "/ocsps", "//ocsp", "/crl", "/verify"],
)
def test_other_doors_are_shut(front: Front, path: str) -> None:
    reply = front.ask("GET", path)
    assert (reply.status, reply.headers["Content-Type"], reply.headers["X-Cache-Status"]) == (404, "text/html", None)


def test_one_address_cannot_ask_without_end(town: Town, front: Front) -> None:
    _, asked = new(town.hanako.signing)
    first, others = f"GET {in_path(asked)} HTTP/1.1\r\nHost: jpki\r\n\r\n".encode(), BURST + 300
    with front.connect("127.0.2.1") as connection:
        connection.sendall(first * others + post(asked))
        statuses = Counter(re.findall(rb"HTTP/1.1 (\d+) ", all_octets(connection)))
    assert set(statuses) == {b"200", b"429"}
    assert statuses[b"200"] > BURST
    assert front.ask("POST", "/ocsp", asked, address="127.0.2.2").status == 200


def test_one_address_cannot_hold_every_connection(town: Town, front: Front) -> None:
    _, asked = new(town.hanako.signing)
    with ExitStack() as stack:
        connections = [stack.enter_context(front.connect("127.0.2.3")) for _ in range(CONNECTIONS + 1)]
        for connection in connections:
            connection.sendall(post(asked)[:-1])
        (refused_one,), _, _ = select(connections, [], [], PATIENCE / 2)
        assert refused_one.recv(65536).startswith(b"HTTP/1.1 429 ")
        assert front.ask("POST", "/ocsp", asked, address="127.0.2.4").status == 200


@dataclass(frozen=True, slots=True)
class Slow:
    """How long, in seconds, nginx waits for who is slow, and what the one says who waited with it."""

    header: Future[float]
    body: Future[float]
    responder: Future[Reply]


@pytest.fixture(scope="module", autouse=True)
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    """Begun before the other tests, so that none of them waits."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        fronting(tmp_path_factory.mktemp("slow") / "nginx", silent.getsockname()[1]) as front,
        ThreadPoolExecutor(3) as clients,
    ):
        yield Slow(
            clients.submit(until_hung_up, front, b"GET /ocsp HTTP/1.1\r\nHost: ", drop=b"x"),
            clients.submit(until_hung_up, front, post(b"body")[:-1], drop=b""),
            clients.submit(front.ask, "POST", "/ocsp", b"question"),
        )


def until_hung_up(front: Front, beginning: bytes, *, drop: bytes) -> float:
    """Send a beginning and then, again and again, next to nothing; return after how many seconds nginx hangs up."""
    begun = time.monotonic()
    with front.connect() as connection, suppress(ConnectionError):
        connection.settimeout(0.2)
        connection.sendall(beginning)
        while time.monotonic() - begun < 4 * PATIENCE:
            try:
                if not connection.recv(65536):
                    break
            except TimeoutError:
                connection.sendall(drop)
    return time.monotonic() - begun


def test_who_is_slow_is_not_waited_for(slow: Slow) -> None:
    assert PATIENCE - 1 < slow.header.result() < PATIENCE + 2
    assert PATIENCE - 1 < slow.body.result() < PATIENCE + 2


def test_r07_a_responder_that_does_not_answer_is_no_answer(slow: Slow) -> None:
    reply = slow.responder.result()
    assert (reply.status, reply.headers["Content-Type"]) == (504, "text/html")


def test_the_log_tells_of_every_failure_and_holds_no_question(town: Town, tmp_path: Path) -> None:
    _, asked = new(town.hanako.signing)
    with fronting(tmp_path / "nginx", free_port()) as front:
        for method, path, body in (
            ("POST", "/ocsp?query", asked),
            ("GET", f"{in_path(asked)}?query", None),
            ("GET", list_path(town.hanako.signing), None),
            ("GET", "/crl/query", None),
        ):
            assert front.ask(method, path, body).status == 502
        for _ in range(300):
            front.ask("GET", "/elsewhere", address="127.0.2.5")
    log = front.log.read_text("utf-8")
    lines = [line.split()[1:5] for line in log.splitlines()]
    failures = [" ".join(line) for line in lines if line[3] == "502"]
    assert sorted(failures) == sorted(
        f"127.0.0.1 {what} 502"
        for what in ("POST /ocsp", "GET /ocsp", f"GET {list_path(town.hanako.signing)}", "GET other")
    )
    assert len(lines) < len(failures) + 50  # of 300 one in a hundred is told of
    assert "query" not in log
    assert (front.directory / "jpki-error.log").read_bytes() == b""
