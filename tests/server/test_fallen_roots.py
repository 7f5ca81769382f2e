"""A compromised infrastructure root: who has a certificate below it is nobody at once, on open connections, too."""

import http.client
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates
from cryptography.x509.ocsp import load_der_ocsp_response

from tests.server.conftest import Town
from tests.server.console import Jpki
from tests.server.test_fast_door import request_for
from tests.server.test_registered import FAST, clerk_of, close_to_strangers, serving, write_pair

pytestmark = pytest.mark.slow

_HEARD_SECONDS = 2.1
"""Each worker looks once a second."""


def pem_of(bundle: Path, password: Path) -> Path:
    """The key and the certificate of a bundle, beside each other."""
    key, certificate, _ = load_key_and_certificates(bundle.read_bytes(), password.read_bytes().strip())
    assert key is not None
    assert certificate is not None
    folder = bundle.with_suffix("")
    folder.mkdir()
    write_pair(folder, key, certificate)
    return folder


@dataclass(frozen=True, slots=True)
class Two:
    """A home of two infrastructure generations that live, and a clerk and a verifier of each, the older first."""

    town: Town
    clerks: tuple[Path, Path]
    verifiers: tuple[Path, Path]


@pytest.fixture
def two(jpki: Jpki, issued_town: Path, tmp_path: Path) -> Two:
    town = Town(shutil.copytree(issued_town, tmp_path / "town"))
    close_to_strangers(town.home)

    def verifier(name: str) -> Path:
        words = ("--home", town.home, "--name", name, "--purpose", "tests", "--out", tmp_path / name)
        jpki.done("verifier", "add", *words)
        return tmp_path / name

    first, old = clerk_of(town), verifier("old")
    jpki.done("ceremony", "new-generation", "--home", town.home, "--ca", "infrastructure")
    jpki.done("tls", "certify", "--home", town.home, "--host", "localhost")
    jpki.done("clerk", "certify", "administrator-1", "--home", town.home, "--out", tmp_path / "second")
    (bundle,) = (tmp_path / "second").glob("*.p12")
    second = pem_of(bundle, next((tmp_path / "second").glob("*password")))
    return Two(town, (first, second), (old, verifier("new")))


def status(connection: http.client.HTTPSConnection) -> int:
    connection.request("GET", "/api/v1/me")
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_clerk_below_a_fallen_root_is_nobody_at_once(jpki: Jpki, two: Two, installed: Path) -> None:
    with serving(installed, two.town.home, "--door", "api", "--workers", "1") as door:
        old, new = (door.connected(each) for each in two.clerks)
        assert (status(old), status(new)) == (200, 200)
        kept = old.sock
        jpki.done("ceremony", "compromise", "--home", two.town.home, "--generation", "i1")
        time.sleep(_HEARD_SECONDS)
        assert status(old) == 401
        assert old.sock is kept
        assert [door.request(each, "GET", "/api/v1/me")[0].status for each in two.clerks] == [401, 200]
        assert status(new) == 200
        old.close()
        new.close()


def test_a_verifier_below_a_fallen_root_is_nobody_at_once(jpki: Jpki, two: Two, installed: Path) -> None:
    question = request_for(two.town.signing)

    def asked(connection: http.client.HTTPSConnection) -> str:
        connection.request("POST", "/ocsp", question)
        return load_der_ocsp_response(connection.getresponse().read()).response_status.name

    with serving(installed, two.town.home, *FAST, "--workers", "1") as door:
        old, new = (door.connected(each) for each in two.verifiers)
        assert (asked(old), asked(new)) == ("SUCCESSFUL", "SUCCESSFUL")
        kept = old.sock
        jpki.done("ceremony", "compromise", "--home", two.town.home, "--generation", "i1")
        time.sleep(_HEARD_SECONDS)
        assert asked(old) == "UNAUTHORIZED"
        assert old.sock is kept
        assert [door.ask(each, question).response_status.name for each in two.verifiers] == [
            "UNAUTHORIZED",
            "SUCCESSFUL",
        ]
        old.close()
        new.close()
