"""Rule R21: a holder whose attributes are found nowhere else lives through everything, and is then searched for."""

import json
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from server.tally import ONE_IN
from signing.samples import tax_return_pdf, tax_return_xtx
from tests.interop.authority import Authority, Resident, enrol, found, holder, serving
from tests.interop.programs import curl, jpki, openssl

pytestmark = pytest.mark.slow

HOLDER = holder("H-0021", "カナリア　試験", "東京都千代田区カナリア町９９", "131016", "1931-01-07")
ATTRIBUTES = ("カナリア", "1931-01-07", "19310107")
"""The word that name and address share; the birth date as registers and as certificates write it."""


def _spellings(text: str) -> Iterator[bytes]:
    """Return how the text may stand in octets: encoded, escaped for JSON or URLs, or printed from octets."""
    yield from (text.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be", "cp932", "euc_jp"))
    yield json.dumps(text).strip('"').encode()
    yield from (quote(text).encode(), quote(text).lower().encode())
    yield repr(text.encode())[2:-1].encode()
    as_latin = repr(text.encode().decode("latin-1"))[1:-1]  # what HTTP servers make of octets in a request's head
    yield from (as_latin.encode(), as_latin.encode("latin-1"))


SPELLINGS = frozenset(spelling for text in ATTRIBUTES for spelling in _spellings(text))


def tells(octets: bytes) -> bool:
    return any(spelling in octets for spelling in SPELLINGS)


@dataclass(frozen=True, slots=True)
class Story:
    """The holder, what the doors answered and what the service logged; `authority` keeps what commands printed."""

    authority: Authority
    resident: Resident
    documents: Mapping[str, Path]
    replies: Sequence[bytes]
    log: bytes


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    directory = tmp_path_factory.mktemp("canary")
    authority = found(directory)
    resident = enrol(authority, HOLDER)
    documents = _sign(authority, resident, directory)
    with serving(authority):
        replies = [*_replies(authority, resident, documents)]
        authority.do("revoke", resident.signing.serial, "--reason", "affiliationChanged")
        authority.do("crl", "publish")
        replies += _replies(authority, resident, documents)
        _ask_often(authority)
        replies.append(curl(f"{authority.url}/metrics").body)
    _judge(authority, documents)
    _fail(authority, resident, directory)
    return Story(authority, resident, documents, replies, authority.log.read_bytes())


def _sign(authority: Authority, resident: Resident, directory: Path) -> Mapping[str, Path]:
    """Return documents of the holder: signed, altered, and not signed at all."""
    unsigned = {
        "return.xtx": tax_return_xtx(HOLDER["name"], 2025),
        "return.pdf": tax_return_pdf(["Income 3000000"]),
        "letter.txt": f"{HOLDER['name']}　{HOLDER['address']}".encode(),
    }
    documents = {}
    for name, content in unsigned.items():
        document = directory / name
        documents[name], documents[f"signed {name}"] = document, directory / f"signed-{name}"
        document.write_bytes(content)
        assert authority.sign(document, resident.signing, documents[f"signed {name}"]).code == 0
    altered = documents["altered return.xtx"] = directory / "altered-return.xtx"
    altered.write_bytes(documents["signed return.xtx"].read_bytes().replace(b">3000000<", b">1000000<"))
    return documents


def _replies(authority: Authority, resident: Resident, documents: Mapping[str, Path]) -> Iterator[bytes]:
    """Ask for all that a verifier can ask for, and for some things that nobody should."""
    for card in (resident.signing, resident.authentication):
        answer = card.directory / "answer.der"
        asked = ("-issuer", card.chain, "-cert", card.certificate, "-url", card.ocsp_url)
        assert openssl("ocsp", "-CAfile", card.chain, *asked, "-respout", answer).code == 0
        yield answer.read_bytes()
    upload = f"{authority.url}/api/v1/verifications"
    letter = f"@{documents['letter.txt']}"
    asked_by_curl = [
        *((url,) for card in (resident.signing, resident.authentication) for url in (card.crl_url, card.issuer_url)),
        (resident.signing.complete_crl_url,),
        *((upload, "--form", f"file=@{document}") for document in documents.values()),
        (upload, "--form", f"other={letter}"),
        (upload, "--data-binary", letter),
        (f"{authority.url}/ocsp", "--data-binary", letter),
        *((f"{authority.url}/{path}{quote(HOLDER['name'])}",) for path in ("", "ocsp/", "crl/signing/s1/", "ca/")),
    ]
    for url, *options in asked_by_curl:
        reply = curl(url, *options)
        yield bytes(reply.headers) + reply.body


def _ask_often(authority: Authority) -> None:
    """Ask what nobody should, so often on one connection that some of it has lines in the log."""
    with closing(HTTPConnection(f"127.0.0.1:{authority.port}", timeout=20)) as connection:
        for number in range(2 * ONE_IN + 10):
            path = quote(HOLDER["name"])
            connection.request("POST", f"{('', '/ocsp', '/ca')[number % 3]}/{path}?{path}", HOLDER["name"].encode())
            connection.getresponse().read()


def _judge(authority: Authority, documents: Mapping[str, Path]) -> None:
    """Verify on the command line; the certificate is revoked by now."""
    for name, code in (
        ("signed return.xtx", 1),
        ("signed return.pdf", 1),
        ("altered return.xtx", 1),
        ("letter.txt", 3),
    ):
        assert authority.run("verify", documents[name]).code == code
    every = [documents["signed return.xtx"], documents["altered return.xtx"], documents["letter.txt"]]
    assert authority.run("verify", *every, "--json").code == 3


def _fail(authority: Authority, resident: Resident, directory: Path) -> None:
    """Make the mistakes that people make with this holder's data; errors are printed in both languages."""
    holders = [
        HOLDER,  # has both certificates already
        {**HOLDER, "name": f"{HOLDER['name']} a", "birth_date": f"{HOLDER['birth_date']}x"},
        dict.fromkeys(HOLDER, HOLDER["name"]),
        [HOLDER["name"]],
    ]
    mistakes: list[tuple[str | Path, ...]] = [
        ("revoke", resident.signing.serial, "--reason", "affiliationChanged"),
        ("renew", resident.authentication.serial, "--out", directory / "none"),
    ]
    for number, content in enumerate(holders):
        file = directory / f"wrong-{number}.json"
        file.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
        mistakes.append(("issue", "--kind", "authentication", "--holder", file, "--out", directory / "none"))
    for words in mistakes:
        assert authority.run(*words).code == 1
    assert authority.run(*mistakes[-1], "--json").code == 1
    assert authority.sign(directory / "return.xtx", resident.authentication, directory / "none").code == 1
    for sights in (("status", resident.signing.serial), ("crl", "list")):
        assert authority.run(*sights).code == 0


# --- where it must show: so the search finds what there is ---------------------------------------------------------


def test_r21_the_signing_certificate_holds_the_attributes_and_the_authentication_certificate_none(
    story: Story,
) -> None:
    resident = story.resident
    signing = resident.signing.parsed.public_bytes(Encoding.DER)
    assert HOLDER["name"].encode() in signing
    assert HOLDER["address"].encode() in signing
    assert not tells(resident.authentication.parsed.public_bytes(Encoding.DER))
    for card in (resident.signing, resident.authentication):
        assert not tells(f"{card.crl_url} {card.ocsp_url} {card.issuer_url}".encode())


def test_r21_attributes_are_shown_to_who_asks_for_them(story: Story) -> None:
    document = story.documents["signed return.xtx"]
    for options in ((), ("--json",)):
        shown = jpki("verify", document, "--home", story.authority.home, "--show-attributes", *options)
        assert HOLDER["name"].encode() in shown.out
        assert HOLDER["address"].encode() in shown.out
        assert not tells(shown.err)


# --- where it must not ---------------------------------------------------------------------------------------------


def test_r21_no_command_prints_an_attribute(story: Story) -> None:
    said = story.authority.said
    assert {done.code for done in said} == {0, 1, 3}
    assert [done.text for done in said if tells(done.out + done.err)] == []


def test_r21_no_door_answers_with_an_attribute(story: Story) -> None:
    assert [reply for reply in story.replies if tells(reply)] == []


def test_r21_the_metrics_count_the_requests_and_tell_no_attribute(story: Story) -> None:
    (metrics,) = [reply for reply in story.replies if reply.startswith(b"# HELP jpki_")]
    refused = re.search(rb'jpki_http_requests_total\{door="other",status="404"\} (\d+)', metrics)
    assert refused is not None
    assert int(refused[1]) >= 70
    assert not tells(metrics)


def test_r21_the_service_logs_no_attribute(story: Story) -> None:
    assert b"Answering on" in story.log
    assert story.log.count(b'"method": "POST"') >= 2
    assert not tells(story.log)


def test_r21_no_table_tells_an_attribute(story: Story) -> None:
    with closing(sqlite3.connect(story.authority.home / "jpki.sqlite")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: list(database.execute(f'SELECT * FROM "{name}"')) for name in names}  # noqa: S608 - its own names
    assert rows.keys() >= {
        "status",
        "journal",
        "audit_chain",
        "audit_body",
        "audit_head",
        "certificate",
        "certificate_record",
    }
    telling = {name for name, found in rows.items() if any(tells(_octets(value)) for row in found for value in row)}
    assert telling == set()


def test_r21_no_body_exported_log_or_anchor_of_the_audit_holds_an_attribute(story: Story, tmp_path: Path) -> None:
    log = tmp_path / "log"
    story.authority.do("audit", "export", "--out", log)
    assert log.read_bytes().count(b"certificate activated") >= 2
    assert log.read_bytes().count(b'"head"') >= 1
    assert not tells(log.read_bytes())
    told = story.authority.do("audit", "log")
    assert not tells(json.dumps(told, ensure_ascii=False).encode())


def _octets(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def test_r21_a_stolen_home_tells_no_attribute(story: Story) -> None:
    files = [file for file in story.authority.home.rglob("*") if file.is_file()]
    assert len([file for file in files if file.suffix == ".crl"]) >= 4
    assert [file for file in files if tells(file.read_bytes()) or tells(str(file).encode())] == []


def test_r21_a_request_that_is_no_http_is_not_repeated(story: Story) -> None:
    authority, name = story.authority, HOLDER["name"]
    requests = (f"GET /{name} HTTP/1.1\r\n", f"{name} / HTTP/1.1\r\n", f"GET / HTTP/1.1\r\n{name}: 1\r\n")
    with serving(authority):
        answers = [_exchange(authority.port, f"{request}Host: localhost\r\n\r\n".encode()) for request in requests]
    assert not tells(authority.log.read_bytes())
    assert not any(map(tells, answers))


def _exchange(port: int, request: bytes) -> bytes:
    """Send octets and return all that comes back; curl would not send them."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))
