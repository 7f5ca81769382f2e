"""Two generations under one name, made by the command and served: no list or answer of one vouches for the other's.

Every client here trusts both roots, as the roots' one name makes it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import load_der_ocsp_response
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InsufficientRevinfoError, RevokedError

from jpki.clock import system_clock
from tests.interop.authority import Authority, Card, Resident, enrol, found, holder, serving
from tests.interop.java import java
from tests.interop.programs import Done, curl, openssl

pytestmark = pytest.mark.slow

HANAKO = holder("H-0001", "見本　花子", "東京都千代田区見本町一丁目２番３号", "131016", "1990-04-02")
TARO = holder("H-0002", "試作　太郎", "大阪府大阪市北区試作町４番地", "271004", "1975-08-09")
JIRO = holder("H-0003", "例示　次郎", "東京都千代田区例示町５番地", "131016", "1982-01-15")
SABURO = holder("H-0004", "仮名　三郎", "東京都千代田区仮名町６番地", "131016", "1969-12-31")
REVOKED = 23
NO_LIST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Dynasty:
    """Hanako and Taro under generation 1, Jiro and Saburo under 2; Taro's and Saburo's signing cards are revoked."""

    authority: Authority
    hanako: Resident
    taro: Resident
    jiro: Resident
    saburo: Resident

    @property
    def residents(self) -> Sequence[Resident]:
        return self.hanako, self.taro, self.jiro, self.saburo

    @property
    def roots(self) -> Sequence[Path]:
        """Both roots of the signing CA, one file each."""
        return self.hanako.signing.chain, self.jiro.signing.chain

    def list_of(self, generation: str, directory: Path, name: str = "complete") -> Path:
        """Fetch a list of the signing CA with curl."""
        file = directory / f"{generation}-{name}.crl"
        file.write_bytes(curl(f"{self.authority.url}/crl/signing/{generation}/{name}.crl").body)
        return file


@pytest.fixture(scope="module")
def dynasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dynasty]:
    authority = found(tmp_path_factory.mktemp("dynasty"))
    hanako, taro = enrol(authority, HANAKO), enrol(authority, TARO)
    authority.do("ceremony", "new-generation", "--ca", "both")
    jiro, saburo = enrol(authority, JIRO), enrol(authority, SABURO)
    for card in (taro.signing, saburo.signing):
        authority.do("revoke", card.serial, "--reason", "keyCompromise")
    authority.do("crl", "publish")
    with serving(authority):
        yield Dynasty(authority=authority, hanako=hanako, taro=taro, jiro=jiro, saburo=saburo)


# --- each client under a list --------------------------------------------------------------------------------------


def by_openssl(dynasty: Dynasty, card: Card, crl: Path) -> str:
    both, pem = crl.with_suffix(".roots"), crl.with_suffix(".pem")
    both.write_bytes(b"".join(root.read_bytes() for root in dynasty.roots))
    assert openssl("crl", "-inform", "DER", "-in", crl, "-out", pem).code == 0
    done = openssl("verify", "-x509_strict", "-crl_check", "-CAfile", both, "-CRLfile", pem, card.certificate)
    if done.code == 0:
        return "good"
    number = int(done.text.partition("error ")[2].split()[0])
    return {REVOKED: "revoked", NO_LIST: "no list"}.get(number, done.text)


def by_java(dynasty: Dynasty, card: Card, crl: Path) -> str:
    done = java("GenerationCheck", card.certificate, crl, *dynasty.roots)
    assert done.code == 0, done.text
    word = done.out.decode().partition(" ")[0].strip()
    return "no list" if word == "UNDETERMINED_REVOCATION_STATUS" else word


def by_certvalidator(dynasty: Dynasty, card: Card, crl: Path) -> str:
    """It takes no complete list that names a delta without that delta."""
    generation, _, name = crl.stem.partition("-")
    lists = [crl.read_bytes()]
    if name == "complete":
        lists.append(dynasty.list_of(generation, crl.parent, "delta").read_bytes())
    roots = [_converted(x509.load_pem_x509_certificate(root.read_bytes())) for root in dynasty.roots]
    context = ValidationContext(trust_roots=roots, crls=lists, allow_fetching=False, revocation_mode="require")
    validator = CertificateValidator(_converted(card.parsed), validation_context=context)
    try:
        asyncio.run(validator.async_validate_usage({"non_repudiation"}))  # type: ignore[no-untyped-call]  # pyHanko left it untyped
    except RevokedError:
        return "revoked"
    except InsufficientRevinfoError:
        return "no list"
    return "good"


def _converted(certificate: x509.Certificate) -> Certificate:
    result: Certificate = Certificate.load(certificate.public_bytes(Encoding.DER))
    return result


Client = Callable[[Dynasty, Card, Path], str]
CLIENTS = pytest.mark.parametrize("client", [by_openssl, by_java, by_certvalidator])


@CLIENTS
@pytest.mark.parametrize(("who", "generation"), [("taro", "s2"), ("saburo", "s1"), ("taro", "s1"), ("saburo", "s2")])
def test_r23_a_revoked_certificate_is_refused_under_either_generations_list(
    dynasty: Dynasty, tmp_path: Path, client: Client, who: str, generation: str
) -> None:
    card = getattr(dynasty, who).signing
    verdict = client(dynasty, card, dynasty.list_of(generation, tmp_path))
    # A client that keeps to key identifiers takes no list of the other generation at all, which is a refusal too.
    own = card.crl_url.split("/")[-2] == generation
    assert verdict == "revoked" if own else verdict in {"revoked", "no list"}


@CLIENTS
@pytest.mark.parametrize(("who", "generation"), [("hanako", "s1"), ("jiro", "s2")])
def test_a_living_certificate_is_taken_under_its_own_generations_list(
    dynasty: Dynasty, tmp_path: Path, client: Client, who: str, generation: str
) -> None:
    assert client(dynasty, getattr(dynasty, who).signing, dynasty.list_of(generation, tmp_path)) == "good"


def test_java_takes_the_list_of_either_generation_for_a_living_certificate(dynasty: Dynasty, tmp_path: Path) -> None:
    """So a list that held its own generation's entries only would vouch for the other's revoked ones."""
    for generation in ("s1", "s2"):
        assert by_java(dynasty, dynasty.hanako.signing, dynasty.list_of(generation, tmp_path)) == "good"


# --- answers -------------------------------------------------------------------------------------------------------


def ask(card: Card, issuer: Path, trusted: Path) -> Done:
    words: list[str | Path] = [
        "-no_nonce",
        "-issuer",
        issuer,
        "-cert",
        card.certificate,
        "-url",
        card.ocsp_url,
        "-CAfile",
        trusted,
    ]
    return openssl("ocsp", "-sha256", *words)


@pytest.mark.parametrize(("who", "status"), [("hanako", "good"), ("taro", "revoked"), ("jiro", "good")])
def test_each_generation_answers_for_its_own(dynasty: Dynasty, who: str, status: str) -> None:
    card = getattr(dynasty, who).signing
    done = ask(card, card.chain, card.chain)
    assert "Response verify OK" in done.text
    assert f"{card.certificate}: {status}" in done.text


@pytest.mark.parametrize("who", ["hanako", "taro"])
def test_r23_no_answer_of_generation_2_vouches_for_a_certificate_of_1(dynasty: Dynasty, who: str) -> None:
    card, other = getattr(dynasty, who).signing, dynasty.jiro.signing.chain
    assert f"{card.certificate}: unknown" in ask(card, other, other).text


# --- what is served ------------------------------------------------------------------------------------------------


def test_every_certificate_names_the_generation_that_issued_it(dynasty: Dynasty) -> None:
    for resident, number in zip(dynasty.residents, (1, 1, 2, 2), strict=True):
        for card, letter in ((resident.signing, "s"), (resident.authentication, "a")):
            assert card.crl_url.split("/")[-2] == f"{letter}{number}"
            issuer = x509.load_der_x509_certificate(curl(card.issuer_url).body)
            assert issuer == card.issuer
            card.parsed.verify_directly_issued_by(issuer)


def test_all_live_roots_are_served_the_issuing_first(dynasty: Dynasty) -> None:
    first, second = (x509.load_pem_x509_certificate(root.read_bytes()) for root in dynasty.roots)
    base = f"{dynasty.authority.url}/ca/signing"
    assert x509.load_der_x509_certificate(curl(f"{base}.cer").body) == second
    assert x509.load_pem_x509_certificates(curl(f"{base}.pem").body) == [second, first]
    assert first.subject == second.subject


@pytest.mark.parametrize("who", ["hanako", "taro", "jiro", "saburo"])
def test_r25_nothing_outlives_its_issuer(dynasty: Dynasty, tmp_path: Path, who: str) -> None:
    """Certificate after CA, list after CA, responder after CA, answer after responder."""
    resident: Resident = getattr(dynasty, who)
    assert resident.signing.parsed.not_valid_after_utc <= resident.authentication.parsed.not_valid_after_utc
    for card in (resident.signing, resident.authentication):
        end = card.issuer.not_valid_after_utc
        assert card.parsed.not_valid_after_utc <= end
        for url in (card.crl_url, card.complete_crl_url):
            promised = x509.load_der_x509_crl(curl(url).body).next_update_utc
            assert promised is not None
            assert system_clock() < promised <= end
        file = tmp_path / "answer.der"
        words: list[str | Path] = [
            "-issuer",
            card.chain,
            "-cert",
            card.certificate,
            "-url",
            card.ocsp_url,
            "-respout",
            file,
        ]
        assert openssl("ocsp", "-noverify", *words).code == 0
        answer = load_der_ocsp_response(file.read_bytes())
        (responder,) = answer.certificates
        responder.verify_directly_issued_by(card.issuer)
        assert answer.next_update_utc is not None
        assert answer.next_update_utc <= responder.not_valid_after_utc <= end


# --- a compromise, last: nothing of generation 1 lives after it ------------------------------------------------------


def test_a_compromised_generation_is_refused_by_every_client_that_still_trusts_it(
    dynasty: Dynasty, tmp_path: Path
) -> None:
    card = dynasty.hanako.signing
    assert f"{card.certificate}: good" in ask(card, card.chain, card.chain).text
    dynasty.authority.do("ceremony", "compromise", "--generation", "s1")
    answer = ask(card, card.chain, card.chain).text
    assert "Response verify OK" in answer
    assert f"{card.certificate}: revoked" in answer
    assert "Reason: cACompromise" in answer
    for generation, words in (("s1", {"revoked"}), ("s2", {"revoked", "no list"})):
        crl = dynasty.list_of(generation, tmp_path)
        for client in (by_openssl, by_java, by_certvalidator):
            assert client(dynasty, card, crl) in words
    living = dynasty.jiro.signing
    assert f"{living.certificate}: good" in ask(living, living.chain, living.chain).text
    assert by_openssl(dynasty, living, dynasty.list_of("s2", tmp_path)) == "good"
    second = living.issuer
    assert x509.load_pem_x509_certificates(curl(f"{dynasty.authority.url}/ca/signing.pem").body) == [second]
