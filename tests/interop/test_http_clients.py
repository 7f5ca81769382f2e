"""What curl gets at the other doors: CA certificates, health, problems, document validation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import html

from tests.conftest import PROJECT
from tests.interop.authority import Town
from tests.interop.conftest import OcspDoor
from tests.interop.programs import curl, openssl, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication"])
def test_the_issuer_that_a_certificate_points_at_is_its_issuer(town: Town, name: str) -> None:
    card = town.card(name)
    reply = curl(card.issuer_url)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/pkix-cert")
    assert reply.body == card.issuer.public_bytes(Encoding.DER)
    card.parsed.verify_directly_issued_by(card.issuer)


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication"])
def test_the_ca_is_offered_in_every_form(town: Town, tmp_path: Path, name: str) -> None:
    card, bundle = town.card(name), tmp_path / "bundle.p7c"
    base = f"{town.authority.url}/ca/{name.rpartition('.')[2]}"
    assert curl(f"{base}.cer").body == card.issuer.public_bytes(Encoding.DER)
    pem = curl(f"{base}.pem")
    assert (pem.headers["Content-Type"], pem.body) == ("application/pem-certificate-chain", card.chain.read_bytes())
    bundle.write_bytes(curl(f"{base}.p7c").body)
    printed = openssl("pkcs7", "-inform", "DER", "-in", bundle, "-print_certs")
    assert card.chain.read_text("ascii") in printed.out.decode()


def test_the_practice_statement_is_where_certificates_say(town: Town) -> None:
    printed = openssl("x509", "-in", town.hanako.signing.certificate, "-noout", "-text").out.decode()
    url = printed.partition("CPS: ")[2].split()[0]
    reply = curl(url)
    assert reply.status == 200
    assert "試験用" in reply.body.decode()


def test_the_service_lives_and_is_ready(town: Town) -> None:
    assert curl(f"{town.authority.url}/livez").body == b"ok\n"
    ready = json.loads(curl(f"{town.authority.url}/readyz").body)
    assert ready["ready"] is True
    assert set(ready["checks"]) == {"database", "ocsp", "crl", "tsa", "journal"}
    assert set(ready["checks"].values()) == {"ok"}


def test_the_fast_door_lives_and_is_ready_and_knows_nothing_else(
    town: Town, ocsp_doors: Mapping[str, OcspDoor]
) -> None:
    base = ocsp_doors["fast"](town.hanako.signing).removesuffix("/ocsp")
    assert curl(f"{base}/livez").body == b"ok\n"
    ready = json.loads(curl(f"{base}/readyz").body)
    assert ready["ready"] is True
    assert set(ready["checks"]) == {"database", "ocsp", "journal"}
    assert set(ready["checks"].values()) == {"ok"}
    reply = curl(f"{base}/ca/signing.cer")
    assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/no/such/thing", (), 404),
        ("/ca/infrastructure.cer", (), 404),
        ("/livez", ("--request", "DELETE"), 405),
        ("/api/v1/verifications", ("--form", "other=here"), 400),
        ("/api/v1/verifications", ("--data", "file=here"), 400),
    ],
)
def test_what_goes_wrong_is_a_problem_document_in_both_languages(
    town: Town, path: str, options: tuple[str, ...], status: int
) -> None:
    reply = curl(f"{town.authority.url}{path}", *options)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json")
    assert reply.headers["Cache-Control"] == "no-store"
    problem = json.loads(reply.body)
    assert problem["status"] == status
    assert problem["code"]
    for words in (problem["problem"], problem["action"]):
        assert words["ja"]
        assert words["en"]


def test_what_the_portal_says_to_type_works_as_it_stands(town: Town, tmp_path: Path) -> None:
    page: Any = html.fromstring(curl(f"{town.authority.url}/").body.decode())
    card = town.hanako.signing
    (tmp_path / "certificate.pem").write_bytes(card.certificate.read_bytes())
    (tmp_path / "document.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "return.xtx").write_bytes((PROJECT / "examples" / "return.xtx").read_bytes())
    signed = town.authority.sign(tmp_path / "document.pdf", card, tmp_path / "document.p7m", "--format", "cms")
    assert signed.code == 0, signed.text
    typed = {each.get("aria-label"): each.text_content() for each in page.xpath("//pre")}
    said = {name: typed_in(tmp_path, commands) for name, commands in typed.items()}
    assert "certificate.pem: good" in said["OpenSSL"]
    assert said["Java"] == "good\n"
    assert "certificate.pem: OK" in said["curl, OpenSSL"]
    assert json.loads(said["curl"])["decision"] == "unreadable"  # nobody signed it
    assert (tmp_path / "document").read_bytes() == b"%PDF-1.7"
    assert "Status: Granted." in said["OpenSSL, curl"]
    assert json.loads((tmp_path / "openapi.json").read_bytes())["openapi"].startswith("3.1")
    assert said.keys() == {"OpenSSL", "Java", "curl, OpenSSL", "curl", "OpenSSL, CMS", "OpenSSL, curl", "curl, OpenAPI"}
    (tmp_path / "certificate.pem").write_bytes(town.taro.signing.certificate.read_bytes())
    assert "certificate.pem: revoked" in typed_in(tmp_path, typed["OpenSSL"])
    for name in ("Java", "curl, OpenSSL"):
        assert "revoked" in typed_in(tmp_path, typed[name], ends_well=False).lower()


def typed_in(folder: Path, commands: str, *, ends_well: bool = True) -> str:
    """Type commands into a shell as they stand, and return all that they say."""
    script = folder / "typed.sh"
    script.write_text(f"set -e\ncd {folder}\n{commands}", "utf-8")
    for program in ("openssl", "java"):
        if f"\n{program} " in f"\n{commands}":
            run(program, "-version" if program == "java" else "version")
    done = run("bash", script)
    assert (done.code == 0) is ends_well, (commands, done.text)
    return done.text
