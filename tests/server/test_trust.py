"""Whom a home trusts beside its own CAs: the real JPKI's roots by their fingerprints, and what jpki.toml names."""

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from jpki import oids
from jpki.clock import system_clock
from server.home import Home
from server.settings import check_settings
from server.trust import other_anchors
from signing.jpki_roots import PINNED
from tests.server.conftest import AgedHome, Town
from tests.server.console import Jpki
from tests.server.test_cli_documents import plain, signed

__all__ = ["plain", "signed"]
ACCEPT, REFUSE, UNDECIDED = 0, 1, 2
NAMES = [f"jpki-{ca}-{generation}" for ca in ("authentication", "signing") for generation in (1, 2, 3)]


@pytest.fixture
def roots(shared: Path) -> list[Path]:
    """The six real ones, as they are published."""
    files = sorted((shared / "jpki-roots").glob("*.der"))
    assert len(files) == len(PINNED)
    return files


def trusted(home: Path, toml: str = "") -> list[tuple[str, bytes]]:
    settings = check_settings({"trust": json.loads(toml)} if toml else {})
    return [(each.domain, each.certificate.public_bytes(Encoding.DER)) for each in other_anchors(Home(home), settings)]


def test_the_real_roots_are_taken_once_and_named(jpki: Jpki, home: Path, roots: list[Path]) -> None:
    octets = {sha256(file.read_bytes()).hexdigest(): file.read_bytes() for file in roots}
    for is_new in (True, False):
        told = jpki.done("trust", "import", *roots, "--home", home)["roots"]
        assert [each["new"] for each in told] == [is_new] * 6
    listed = jpki.done("trust", "list", "--home", home)["roots"]
    assert [each["name"] for each in listed] == NAMES
    assert {each["sha256"] for each in listed} == set(octets)
    assert [each["not_after"] for each in listed if each["name"] == "jpki-signing-2"] == ["2029-09-14T14:59:59Z"]
    assert sorted(trusted(home)) == sorted(("jpki", each) for each in octets.values())
    acts = [each["act"] for each in jpki.done("audit", "log", "--home", home)["entries"]]
    assert acts.count("trust anchor added") == 6


def test_a_root_is_trusted_until_it_is_removed(jpki: Jpki, home: Path, roots: list[Path]) -> None:
    jpki.done("trust", "import", *roots, "--home", home)
    assert jpki.done("trust", "remove", "jpki-signing-1", "--home", home)["removed"]["generation"] == 1
    assert len(trusted(home)) == 5
    refused = jpki.refused("trust", "remove", "jpki-signing-1", "--home", home)
    assert (refused.exit, refused.code) == (1, "root-unknown")
    acts = [each["act"] for each in jpki.done("audit", "log", "--home", home)["entries"]]
    assert acts.count("trust anchor removed") == 1


def namesake(real: x509.Certificate) -> bytes:
    """A certificate that calls itself what the real one does."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(real.subject).issuer_name(real.issuer)
    builder = builder.serial_number(real.serial_number).public_key(key.public_key())
    builder = builder.not_valid_before(system_clock()).not_valid_after(system_clock() + timedelta(days=9))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def test_a_namesake_is_refused_and_nothing_beside_it_is_taken(
    jpki: Jpki, home: Path, roots: list[Path], tmp_path: Path
) -> None:
    false = tmp_path / "false.pem"
    false.write_bytes(namesake(x509.load_der_x509_certificate(roots[-1].read_bytes())))
    refused = jpki.refused("trust", "import", roots[0], false, "--home", home)
    assert (refused.exit, refused.code) == (1, "root-not-pinned")
    assert trusted(home) == []


def test_what_is_no_certificate_is_a_mistake(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    for octets in (b"", b"0\x82", b"-----BEGIN CERTIFICATE-----"):
        (tmp_path / "odd").write_bytes(octets)
        refused = jpki.refused("trust", "import", tmp_path / "odd", "--home", home)
        assert (refused.exit, refused.code) == (64, "certificate-unreadable")


def test_a_file_that_was_exchanged_stops_validation_and_the_doctor_tells(
    jpki: Jpki, home: Path, roots: list[Path], tmp_path: Path
) -> None:
    jpki.done("trust", "import", *roots, "--home", home)
    real = x509.load_der_x509_certificate(roots[-1].read_bytes())
    (home / "trust" / "jpki-signing-3.pem").write_bytes(namesake(real))
    (tmp_path / "file").write_bytes(b"0")
    refused = jpki.refused("verify", tmp_path / "file", "--home", home)
    assert (refused.exit, refused.code) == (64, "trust-altered")
    checks = {each["name"]: each for each in jpki.judged(1, "doctor", "--home", home)["checks"]}
    assert checks["trust"]["code"] == "trust-altered"


def test_a_backup_takes_them_along(
    jpki: Jpki, home: Path, roots: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpki.done("trust", "import", *roots, "--home", home)
    jpki.done("backup", "create", "--home", home, "--out", tmp_path / "backup")
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", (home / "secrets" / "key-passphrase").read_text())
    jpki.done("backup", "restore", tmp_path / "backup", "--home", tmp_path / "new")
    assert trusted(tmp_path / "new") == trusted(home)


@pytest.mark.parametrize(
    ("policy", "code"), [(oids.LAB_SIGNING_POLICY, ACCEPT), (oids.REAL_SIGNING_POLICY, REFUSE)], ids=["its", "another"]
)
def test_an_authority_that_the_settings_name_is_believed_for_its_policies(
    jpki: Jpki, aged: AgedHome, town: Town, signed: Path, policy: str, code: int
) -> None:
    """Two authorities: one judges what is signed under the other's CA, by the other's list."""
    chain, settings = town.signing / "chain.pem", aged.home / "jpki.toml"
    lists = [word for file in town.home.glob("crl/signing/*/*.crl") for word in ("--crl", file)]
    assert jpki.judged(UNDECIDED, "verify", signed / "return.pdf", "--home", aged.home, *lists)
    settings.write_text(f'{settings.read_text()}\n[[trust]]\nfile = "{chain}"\npolicies = ["{policy}"]\n')
    told = jpki.judged(code, "verify", signed / "return.pdf", "--home", aged.home, *lists)
    (signature,) = told["files"][0]["signatures"]
    assert signature["signer"]["trust_domain"] == "configured"


@pytest.mark.parametrize(
    "value", [[{"file": "x.pem", "policies": ["1.2"]}], [{"file": "/x"}], [{"file": "/x", "policies": []}], "x"]
)
def test_settings_that_name_nobody_or_nothing_are_refused(value: object) -> None:
    with pytest.raises(Exception, match="trust"):
        check_settings({"trust": value})
