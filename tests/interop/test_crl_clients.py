"""What OpenSSL and curl make of the lists that certificates point at."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import html

from crl.reader import CrlFile
from jpki.clock import system_clock
from jpki.revocation import Finding
from tests.crl.combining import base_of, number_of
from tests.interop.authority import Card, Town
from tests.interop.programs import curl, jpki, openssl, run

pytestmark = pytest.mark.slow

OK = 0
NO_LIST = 3
FALSE_SIGNATURE = 8
STALE = 12
REVOKED = 23
DIFFERENT_SCOPE = 44
NAMES = pytest.mark.parametrize(
    "name", ["hanako.signing", "hanako.authentication", "taro.signing", "taro.authentication"]
)


def verdict(card: Card, url: str, directory: Path, *options: str) -> int:
    """Return the number of openssl's error about `card` under the list at `url`, which curl fetches."""
    return verdict_under(card, curl(url).body, directory, *options)


def verdict_under(card: Card, octets: bytes, directory: Path, *options: str) -> int:
    """Return the number of openssl's error about `card` under a list."""
    received, converted = directory / "list.crl", directory / "list.pem"
    received.write_bytes(octets)
    assert openssl("crl", "-inform", "DER", "-in", received, "-out", converted).code == 0
    return judged(card, "-CRLfile", converted, *options)


def judged(card: Card, *options: str | Path) -> int:
    done = openssl("verify", "-x509_strict", "-crl_check", "-CAfile", card.chain, *options, card.certificate)
    if done.code == 0:
        assert done.out.decode() == f"{card.certificate}: OK\n"
        return OK
    return int(done.text.partition("error ")[2].split()[0])


@NAMES
def test_openssl_decides_by_the_list_that_the_certificate_names(town: Town, tmp_path: Path, name: str) -> None:
    card = town.card(name)
    assert verdict(card, card.crl_url, tmp_path) == (REVOKED if card == town.taro.signing else OK)


@NAMES
def test_openssl_decides_by_the_complete_list(town: Town, tmp_path: Path, name: str) -> None:
    card = town.card(name)
    assert verdict(card, card.complete_crl_url, tmp_path) == (REVOKED if card == town.taro.signing else OK)


def test_openssl_takes_no_list_of_another_partition(town: Town, tmp_path: Path) -> None:
    hanako, taro = town.hanako.signing, town.taro.signing
    assert hanako.crl_url != taro.crl_url
    assert verdict(hanako, taro.crl_url, tmp_path) == DIFFERENT_SCOPE
    # Even the revoked one is refused for the list's scope: the list says nothing of it.
    assert verdict(taro, hanako.crl_url, tmp_path) == DIFFERENT_SCOPE


def test_openssl_decides_nothing_without_a_list_or_by_a_stale_one(town: Town, tmp_path: Path) -> None:
    card = town.hanako.signing
    assert judged(card) == NO_LIST
    end = fresh_list(card, card.crl_url).next_update_utc
    assert end is not None
    last = int(end.timestamp())
    assert verdict(card, card.crl_url, tmp_path, "-attime", str(last - 1)) == OK
    assert verdict(card, card.crl_url, tmp_path, "-attime", str(last)) == STALE, "in the last second already"


def test_a_list_that_was_changed_says_nothing_to_openssl_and_to_us(town: Town, tmp_path: Path) -> None:
    card = town.taro.signing
    octets = curl(card.crl_url).body
    listed = card.parsed.serial_number.to_bytes(16)
    changed = octets.replace(listed, listed[:-1] + bytes((listed[-1] ^ 1,)))
    assert changed != octets
    assert verdict_under(card, changed, tmp_path) == FALSE_SIGNATURE
    source = CrlFile(BytesIO(changed))
    assert source.evidence(card.parsed, card.issuer, system_clock()) is None


@NAMES
def test_our_own_reader_decides_as_openssl_does(town: Town, name: str) -> None:
    card = town.card(name)
    finding = Finding.REVOKED if card == town.taro.signing else Finding.GOOD
    for url in (card.crl_url, card.complete_crl_url):
        evidence = CrlFile(BytesIO(curl(url).body)).evidence(card.parsed, card.issuer, system_clock())
        assert evidence is not None
        assert evidence.finding is finding


def test_jpki_shows_the_list_at_its_url(town: Town) -> None:
    card = town.taro.signing
    words = ("crl", "show", card.crl_url, "--issuer", card.chain, "--serial", card.serial, "--json")
    told = json.loads(jpki(*words).out)
    assert (told["kind"], told["signature"], told["stale"], told["entries"]) == ("partition", "valid", False, 1)
    assert told["serials"][0]["listed"]
    assert card.crl_url in told["distribution_points"]


def test_the_commands_of_the_directory_fetch_and_check_a_list_as_they_stand(town: Town, tmp_path: Path) -> None:
    card = town.hanako.signing
    partition = card.crl_url.rpartition("/")[2].removesuffix(".crl")
    page: Any = html.fromstring(curl(f"{town.authority.url}/crl/?q={partition}").body.decode())
    (commands,) = page.xpath("//pre")
    script = tmp_path / "check.sh"
    script.write_text(f"set -e\ncd {tmp_path}\n{commands.text_content()}")
    openssl("version")
    done = run("sh", script)
    assert (done.code, "verify OK" in done.text, "nextUpdate=" in done.text) == (0, True, True), done.text


def test_curl_goes_on_with_a_download_that_broke_off(town: Town, tmp_path: Path) -> None:
    url, part = town.taro.signing.crl_url, tmp_path / "list.crl"
    whole = curl(url).body
    part.write_bytes(whole[:100])
    done = run("curl", "--silent", "--show-error", "--fail", "--continue-at", "-", "--output", part, url)
    assert (done.code, part.read_bytes()) == (0, whole)


@NAMES
def test_openssl_shows_the_distribution_point(town: Town, name: str) -> None:
    card = town.card(name)
    text = openssl("x509", "-in", card.certificate, "-noout", "-text").out.decode()
    only = openssl("x509", "-in", card.certificate, "-noout", "-ext", "crlDistributionPoints").out.decode()
    for said in (text, only):
        assert "X509v3 CRL Distribution Points: \n" in said
        assert "DirName:C = JP, O = JPKI-LAB" in said
        assert f"URI:{card.crl_url}\n" in said


def fresh_list(card: Card, url: str) -> x509.CertificateRevocationList:
    """Return the list at `url`, which must be there, hold now, and be signed by the card's issuer."""
    reply = curl(url)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/pkix-crl")
    crl = x509.load_der_x509_crl(reply.body)
    assert crl.next_update_utc is not None
    assert crl.last_update_utc <= system_clock() < crl.next_update_utc
    issuer_key = card.issuer.public_key()
    assert isinstance(issuer_key, rsa.RSAPublicKey)
    assert crl.issuer == card.parsed.issuer
    assert crl.is_signature_valid(issuer_key)
    return crl


@NAMES
def test_r12_every_list_that_a_certificate_names_is_there_and_fresh(town: Town, name: str) -> None:
    card = town.card(name)
    for url in (card.crl_url, card.complete_crl_url):
        found = fresh_list(card, url).get_revoked_certificate_by_serial_number(card.parsed.serial_number)
        assert (found is not None) == (card == town.taro.signing)


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication"])
def test_r12_the_delta_that_the_complete_list_names_and_the_arl_are_there_and_fresh(town: Town, name: str) -> None:
    card = town.card(name)
    complete = fresh_list(card, card.complete_crl_url)
    freshest = complete.extensions.get_extension_for_class(x509.FreshestCRL).value
    (url,) = (each.value for point in freshest for each in point.full_name or ())
    delta = fresh_list(card, url)
    assert number_of(delta) == number_of(complete)
    assert base_of(delta) <= number_of(complete)
    arl = fresh_list(card, card.complete_crl_url.replace("complete", "arl"))
    root = card.issuer.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    named = arl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value.full_name
    assert {each for point in root for each in point.full_name or ()} <= set(named or ()), "as the root names it"
    assert len(arl) == 0


def test_r12_a_list_is_there_as_soon_as_the_first_certificate_that_names_it(town: Town) -> None:
    first = town.authority.issue("signing", {**town.hanako.data, "code": "H-0012", "municipality": "011002"})
    assert first.crl_url not in {card.crl_url for card in town.cards}
    assert len(fresh_list(first, first.crl_url)) == 0


def test_r11_an_empty_list_leaves_revoked_certificates_out(town: Town) -> None:
    octets = curl(town.hanako.signing.crl_url).body
    assert len(x509.load_der_x509_crl(octets)) == 0
    assert CertificateList.load(octets)["tbs_cert_list"]["revoked_certificates"].native is None


def test_r11_the_number_grows_with_each_publication_and_the_door_serves_the_newest(town: Town) -> None:
    url = town.hanako.signing.crl_url
    numbers, tags = [], set()
    for _ in range(3):
        reply = curl(url)
        crl = x509.load_der_x509_crl(reply.body)
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
        tags.add(reply.headers["ETag"])
        town.authority.do("crl", "publish", "--all")
    assert numbers == sorted(set(numbers))
    assert len(tags) == len(numbers)


def test_a_list_that_has_not_changed_is_not_sent_again(town: Town) -> None:
    url = town.taro.signing.crl_url
    reply = curl(url)
    assert 0 < reply.max_age <= 3600
    for condition in (
        f"If-None-Match: {reply.headers['ETag']}",
        f"If-Modified-Since: {reply.headers['Last-Modified']}",
    ):
        again = curl(url, "--header", condition)
        assert (again.status, again.body) == (304, b"")
    assert curl(url, "--header", 'If-None-Match: "another"').body == reply.body


def test_a_list_that_no_certificate_names_is_a_problem_document(town: Town) -> None:
    base = town.hanako.signing.crl_url.rpartition("/")[0]
    for path in ("p9999.crl", "../../../jpki.toml", "%2e%2e/a1/complete.crl"):
        reply = curl(f"{base}/{path}")
        assert (reply.status, reply.headers["Content-Type"]) == (404, "application/problem+json")
