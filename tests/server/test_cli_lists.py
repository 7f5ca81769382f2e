"""`jpki crl show` as a person or a program meets it."""

import hashlib
import re
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from crl.builder import Edition
from jpki.clock import iso, system_clock, whole_second
from jpki.revocation import Reason
from tests.crl.authority import CHIYODA, TODAY, generation, key_of, serial
from tests.crl.test_reader import EARLIER, ours, revoked
from tests.crl.writing import list_of
from tests.ocsp.servers import talking
from tests.server.console import Jpki

NOW = whole_second(system_clock())
FAILED, USAGE, TRY_AGAIN = 1, 64, 75


def made(end: timedelta = timedelta(days=1)) -> bytes:
    entries = [revoked(1), revoked(2, Reason.UNSPECIFIED), revoked(3, Reason.SUPERSEDED)]
    return ours(*entries, next_update=NOW + end)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    file = tmp_path / "p0001.crl"
    file.write_bytes(made())
    return file


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    file = tmp_path / "roots.pem"
    file.write_bytes(b"".join(generation(each).certificate.public_bytes(Encoding.PEM) for each in ("s2", "s1")))
    return file


def test_all_of_the_contract_is_told(jpki: Jpki, list_file: Path, roots: Path) -> None:
    told = jpki.done(
        "crl", "show", list_file, "--issuer", roots, "--entries", "2", "--serial", hex(serial(3)), "--serial", "12"
    )
    name = "OU=JPKI for signing,O=JPKI-LAB,C=JP"
    urls = [each.value for each in CHIYODA.distribution_names(generation("s1").id)[1:]]
    listed = {"serial": f"{serial(3):032x}", "revoked_at": iso(EARLIER), "reason": "superseded", "listed": True}
    assert told == {
        "schema": "jpki.crl-show/1",
        "source": str(list_file),
        "octets": list_file.stat().st_size,
        "sha256": hashlib.sha256(list_file.read_bytes()).hexdigest(),
        "issuer": name,
        "kind": "partition",
        "distribution_points": [CHIYODA.name.rfc4514_string(), *urls],
        "freshest": [],
        "number": 1,
        "base": None,
        "this_update": iso(TODAY),
        "next_update": iso(NOW + timedelta(days=1)),
        "stale": False,
        "signature_algorithm": "RSA WITH SHA256",
        "signature": "valid",
        "signed_by": {"subject": name, "sha256": generation("s1").certificate.fingerprint(SHA256()).hex()},
        "entries": 3,
        "reasons": {"keyCompromise": 1, "superseded": 1, "none": 1},
        "first": [
            {"serial": f"{serial(1):032x}", "revoked_at": iso(EARLIER), "reason": "keyCompromise"},
            {"serial": f"{serial(2):032x}", "revoked_at": iso(EARLIER), "reason": None},
        ],
        "serials": [listed, {"serial": f"{12:032x}", "revoked_at": None, "reason": None, "listed": False}],
        "objections": [],
    }


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("ja", "区画のリスト|✓ 期限内|検証していない|秘密鍵の漏えい等|理由の記載なし|記載されている|記載されていない"),
        ("en", "a partition|✓ fresh|not checked|key was compromised|no reason given|is listed|is not listed"),
    ],
    ids=["ja", "en"],
)
def test_a_person_reads_it_in_either_language(jpki: Jpki, list_file: Path, language: str, sentences: str) -> None:
    answer = jpki("crl", "show", list_file, "--lang", language, "--serial", hex(serial(1)), "--serial", "0x99")
    assert answer.code == 0
    for each in sentences.split("|"):
        assert each in answer.out
    assert (re.search(r"[ぁ-ん]", answer.out) is None) == (language == "en")


def test_a_complete_list_says_where_its_delta_is_and_a_delta_of_what_it_is(jpki: Jpki, tmp_path: Path) -> None:
    edition = Edition(number=7, this_update=TODAY, next_update=NOW + timedelta(days=1))
    kinds = {"complete": replace(edition, freshest="http://ca.test"), "delta": replace(edition, base=5)}
    for kind, meant in kinds.items():
        file = tmp_path / kind
        file.write_bytes(list_of([revoked(1)], meant, generation("s1"), None, key_of("s1")))
        told = jpki.done("crl", "show", file)
        url = "http://ca.test/crl/signing/s1/delta.crl"
        expected = (kind, *((None, [url]) if kind == "complete" else (5, [])), [])
        assert (told["kind"], told["base"], told["freshest"], told["objections"]) == expected
        assert (f"its delta: {url}" in jpki("crl", "show", file, "--lang", "en").out) == (kind == "complete")


def test_a_signature_by_none_of_the_keys_is_exit_1(jpki: Jpki, list_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(generation("s2").certificate.public_bytes(Encoding.PEM))
    told = jpki.judged(FAILED, "crl", "show", list_file, "--issuer", other)
    assert (told["signature"], told["signed_by"]) == ("wrong", None)
    assert "✗ by no key of --issuer" in jpki("crl", "show", list_file, "--issuer", other, "--lang", "en").out


def test_without_issuer_nothing_is_said_of_the_signature(jpki: Jpki, list_file: Path) -> None:
    told = jpki.done("crl", "show", list_file)
    assert (told["signature"], told["signed_by"], told["first"], told["serials"]) == ("unchecked", None, [], [])


def test_a_stale_list_is_told(jpki: Jpki, list_file: Path) -> None:
    list_file.write_bytes(made(timedelta(seconds=-1)))
    assert jpki.done("crl", "show", list_file)["stale"]
    assert "✗ stale" in jpki("crl", "show", list_file, "--lang", "en").out


def test_what_is_no_list_is_refused(jpki: Jpki, roots: Path) -> None:
    refused = jpki.refused("crl", "show", roots)
    assert (refused.exit, refused.code) == (FAILED, "crl-unreadable")


def test_wrong_usage_is_exit_64(jpki: Jpki, list_file: Path, tmp_path: Path) -> None:
    assert jpki.refused("crl", "show", tmp_path / "missing.crl").exit == USAGE
    assert jpki.refused("crl", "show", list_file, "--serial", "none").exit == USAGE
    assert jpki.refused("crl", "show", list_file, "--entries", "-1").exit == USAGE
    assert jpki.refused("crl", "show", "http://user@a.test/").exit == USAGE


def test_a_url_is_fetched(jpki: Jpki) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(made()) + made()
    with talking(lambda connection: connection.sendall(answer)) as url:
        told = jpki.done("crl", "show", url)
    assert (told["source"], told["entries"], told["number"]) == (url, 3, 1)


def test_a_url_where_nobody_answers_is_exit_75(jpki: Jpki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused = jpki.refused("crl", "show", f"http://127.0.0.1:{port}/")
    assert (refused.exit, refused.code) == (TRY_AGAIN, "crl-unreachable")


def test_what_a_stranger_wrote_cannot_move_the_cursor(jpki: Jpki, tmp_path: Path) -> None:
    odd = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\x1b[2Jb")])
    builder = x509.CertificateRevocationListBuilder(odd, TODAY, NOW)
    file = tmp_path / "odd.crl"
    file.write_bytes(builder.sign(key_of("s1"), SHA256()).public_bytes(Encoding.PEM))
    answer = jpki("crl", "show", file)
    assert answer.code == 0
    assert "\x1b" not in answer.out
    assert "a?[2Jb" in answer.out
