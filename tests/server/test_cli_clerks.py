"""`jpki clerk` and `jpki counter`, and a clerk who comes in by TLS."""

import http.client
import json
import ssl
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from cryptography.x509.oid import NameOID

from jpki.ids import Serial
from server.home import Home
from server.wiring import open_rooms
from tests.server.console import Jpki
from tests.server.test_registered import serving


def test_a_clerk_gets_a_bundle_that_opens_with_its_password_and_names_nobody(
    jpki: Jpki, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("--name", "霞　花子", "--counter", "131016", "--role", "reception", "--role", "approval", "--out", out)
    told = jpki.done("clerk", "add", "--home", home, *words)
    assert told["roles"] == {"131016": ["approval", "reception"]}
    password = Path(told["files"]["password"]).read_bytes()
    _, certificate, above = load_key_and_certificates(Path(told["files"]["bundle"]).read_bytes(), password)
    assert certificate is not None
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == told["id"] == "clerk-2"
    assert len(above) == 1
    assert [each["id"] for each in jpki.done("clerk", "list", "--home", home)["clerks"]] == [
        "clerk-2",
        "administrator-1",
    ]


def test_a_clerk_is_suspended_and_resumed_and_gets_a_certificate_in_the_place_of_the_others(
    jpki: Jpki, home: Path, tmp_path: Path
) -> None:
    words = ("--name", "x", "--counter", "*", "--role", "auditor", "--out", tmp_path / "one")
    clerk = jpki.done("clerk", "add", "--home", home, *words)["id"]
    assert jpki.done("clerk", "suspend", clerk, "--home", home)["state"] == "suspended"
    assert jpki.done("clerk", "resume", clerk, "--home", home)["state"] == "active"
    jpki.done("clerk", "certify", clerk, "--home", home, "--alone", "--out", tmp_path / "two")
    assert jpki.refused("clerk", "suspend", "clerk-99", "--home", home).code == "clerk-unknown"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--name", "x", "--counter", "999999", "--role", "auditor"), "counter-unknown"),
        (("--name", "x" * 65, "--counter", "*", "--role", "auditor"), "text-length"),
    ],
    ids=["counter", "name"],
)
def test_what_does_not_fit_makes_no_clerk(
    jpki: Jpki, home: Path, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    assert jpki.refused("clerk", "add", "--home", home, *words, "--out", tmp_path / "out").code == code
    assert len(jpki.done("clerk", "list", "--home", home)["clerks"]) == 1


def test_counters_are_added_and_closed(jpki: Jpki, home: Path) -> None:
    words = ("--kind", "post-office", "--name", "霞が関郵便局")
    assert jpki.refused("counter", "add", "po-1", "--home", home, *words).code == "municipality-unfit"
    jpki.done("counter", "add", "po-1", "--home", home, *words, "--municipality", "131016")
    assert jpki.refused("counter", "add", "po-1", "--home", home, *words, "--municipality", "131016").code == (
        "counter-exists"
    )
    assert jpki.refused("counter", "add", "131016", "--home", home, "--kind", "consulate", "--name", "x").code == (
        "counter-exists"
    )
    jpki.done("counter", "close", "131016", "--home", home)
    found = jpki.done("counter", "list", "--home", home)["counters"]
    assert [(each["code"], each["state"]) for each in found] == [("131016", "closed"), ("po-1", "open")]


def test_the_administrator_of_an_older_home_becomes_a_clerk_with_the_certificate_there_is(home: Path) -> None:
    with closing(open_rooms(Home(home))) as rooms:
        database, (before,) = rooms.store.database, rooms.store.clerks.clerks()
        database.migrate("0010")
        database.migrate()
        assert rooms.store.clerks.clerks() == [before]
        bundle, password = home / "clerks" / "administrator-1.p12", home / "secrets" / "administrator-1-password"
        _, certificate, _ = load_key_and_certificates(bundle.read_bytes(), password.read_bytes())
        assert certificate is not None
        assert rooms.store.clerks.bearer(Serial(certificate.serial_number), 0) == (before, 0)


@pytest.mark.slow
def test_a_clerk_comes_in_by_tls_and_nobody_else_does(jpki: Jpki, installed: Path, home: Path, tmp_path: Path) -> None:
    words = ("--name", "x", "--counter", "131016", "--role", "reception", "--out", tmp_path / "out")
    told = jpki.done("clerk", "add", "--home", home, *words)
    jpki.done("tls", "certify", "--home", home, "--host", "localhost")
    bundle = Path(told["files"]["bundle"]).read_bytes()
    key, certificate, _ = load_key_and_certificates(bundle, Path(told["files"]["password"]).read_bytes())
    assert key is not None
    assert certificate is not None
    pem = tmp_path / "clerk.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    with serving(installed, home, "--door", "api") as door:
        assert ask(door.port, pem) == (200, told["id"])
        assert ask(door.port, None)[0] == 401
        jpki.done("clerk", "suspend", told["id"], "--home", home)
        assert ask(door.port, pem)[0] == 403


def ask(port: int, pem: Path | None) -> tuple[int, object]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if pem is not None:
        context.load_cert_chain(pem)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    connection.request("GET", "/api/v1/me")
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body.get("id")
