"""What GnuTLS makes of our certificates, lists and OCSP answers."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.interop.authority import Card, Town
from tests.interop.conftest import OcspDoor
from tests.interop.programs import Done, curl, openssl, run

pytestmark = pytest.mark.slow

NAMES = pytest.mark.parametrize(
    "name", ["hanako.signing", "hanako.authentication", "taro.signing", "taro.authentication"]
)


def ocsptool(card: Card, anchor: Path, *options: str, url: str = "") -> Done:
    """Ask the responder that the certificate names, or another."""
    return run(
        "ocsptool", f"--ask={url}" if url else "--ask", *options,
        "--load-cert", card.certificate, "--load-issuer", card.chain, "--load-trust", anchor,
    )  # fmt: skip


def certtool(*words: str | Path) -> Done:
    return run("certtool", "--verify-profile", "medium", *words)


def fetched(card: Card, directory: Path) -> Path:
    """Return the list that the certificate names, as PEM: certtool reads either all its files as DER, or none."""
    received, converted = directory / "list.crl", directory / "list.pem"
    received.write_bytes(curl(card.crl_url).body)
    assert openssl("crl", "-inform", "DER", "-in", received, "-out", converted).code == 0
    return converted


@NAMES
@pytest.mark.parametrize("nonce", ["--nonce", "--no-nonce"])
def test_ocsptool_believes_the_answer(town: Town, name: str, nonce: str) -> None:
    check_belief(town, town.card(name), nonce)


def check_belief(town: Town, card: Card, nonce: str, url: str = "") -> None:
    done = ocsptool(card, card.chain, nonce, url=url)
    assert done.code == 0, done.text
    assert "Verifying OCSP Response: Success.\n" in done.text
    status = "revoked" if card == town.taro.signing else "good"
    assert f"Certificate Status: {status}\n" in done.text
    assert ("Nonce: " in done.text) == (nonce == "--nonce")


@NAMES
@pytest.mark.parametrize("nonce", ["--nonce", "--no-nonce"])
def test_ocsptool_believes_the_fast_door_too(
    town: Town, ocsp_doors: Mapping[str, OcspDoor], name: str, nonce: str
) -> None:
    card = town.card(name)
    check_belief(town, card, nonce, ocsp_doors["fast"](card))


def test_ocsptool_believes_no_answer_under_the_other_ca(town: Town) -> None:
    done = ocsptool(town.hanako.signing, town.hanako.authentication.chain)
    assert "Verifying OCSP Response: Failure, Signer cert is not trusted.\n" in done.text


@NAMES
def test_certtool_verifies_the_chain_under_the_list(town: Town, tmp_path: Path, name: str) -> None:
    card = town.card(name)
    crl = fetched(card, tmp_path)
    done = certtool("--verify", "--load-ca-certificate", card.chain, "--load-crl", crl, "--infile", card.certificate)
    assert "Checked against CRL[" in done.text
    revoked = card == town.taro.signing
    assert (done.code, "The certificate chain is revoked." in done.text) == (int(revoked), revoked), done.text


@NAMES
def test_certtool_verifies_the_list(town: Town, tmp_path: Path, name: str) -> None:
    card = town.card(name)
    done = certtool("--verify-crl", "--load-ca-certificate", card.chain, "--infile", fetched(card, tmp_path))
    assert done.code == 0, done.text
    assert "Verification output: Verified." in done.text


def test_certtool_verifies_no_list_under_the_other_ca(town: Town, tmp_path: Path) -> None:
    other = town.hanako.authentication.chain
    done = certtool("--verify-crl", "--load-ca-certificate", other, "--infile", fetched(town.hanako.signing, tmp_path))
    assert done.code == 1
    assert "Verification output: Not verified." in done.text
