"""What pkilint finds in everything we sign: nothing of weight, but for what is listed here with its reason."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.ocsp import load_der_ocsp_response

from jpki import oids
from tests.interop.authority import Authority, Card, Town
from tests.interop.programs import curl, openssl, run

pytestmark = pytest.mark.slow

_LONG_ARC = "pkilint reads no arc above 32 bits, and the second one of 2.25 is a UUID of 128 (X.667)"
ACCEPTED = {
    ("authentication", "itu.invalid_asn1_syntax"): _LONG_ARC,
    ("signing on a phone", "itu.invalid_asn1_syntax"): _LONG_ARC,
    ("authentication on a phone", "itu.invalid_asn1_syntax"): _LONG_ARC,
    ("clerk", "itu.invalid_asn1_syntax"): _LONG_ARC,
}
"""Which finding on which kind of certificate, and why it is no defect of ours."""

KINDS = (
    "signing root",
    "authentication root",
    "infrastructure root",
    "signing",
    "authentication",
    "signing on a phone",
    "authentication on a phone",
    "signing responder",
    "authentication responder",
    "clerk",
)


def findings(linter: str, document: Path, *options: str) -> set[str]:
    """Return the codes of what a linter finds, WARNING or above."""
    program = Path(sys.executable).with_name(linter)
    done = run(program, "lint", *options, "--severity", "WARNING", "--format", "JSON", document)
    assert done.err == b"", done.text
    results = json.loads(done.out)["results"]
    return {description["code"] for result in results for description in result["finding_descriptions"]}


def answer(card: Card, directory: Path, *certificate: str | Path) -> Path:
    """Return OCSP's answer, as openssl received it."""
    out = directory / "answer.der"
    done = openssl(
        "ocsp", "-issuer", card.chain, "-CAfile", card.chain, "-respout", out, "-url", card.ocsp_url, *certificate
    )
    assert done.code == 0, done.text
    return out


def responder(card: Card, directory: Path) -> x509.Certificate:
    response = load_der_ocsp_response(answer(card, directory, "-cert", card.certificate).read_bytes())
    (certificate,) = response.certificates
    return certificate


def clerk_and_root(authority: Authority) -> tuple[x509.Certificate, x509.Certificate]:
    """Return the first administrator's certificate and the infrastructure root."""
    password = (authority.home / "secrets" / "administrator-1-password").read_bytes()
    bundle = pkcs12.load_pkcs12((authority.home / "clerks" / "administrator-1.p12").read_bytes(), password)
    (root,) = bundle.additional_certs
    assert bundle.cert is not None
    return bundle.cert.certificate, root.certificate


@pytest.fixture(scope="module")
def certificates(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, x509.Certificate]:
    directory, hanako = tmp_path_factory.mktemp("answers"), town.hanako
    clerk, infrastructure = clerk_and_root(town.authority)
    return {
        "signing root": hanako.signing.issuer,
        "authentication root": hanako.authentication.issuer,
        "infrastructure root": infrastructure,
        "signing": hanako.signing.parsed,
        "authentication": hanako.authentication.parsed,
        "signing on a phone": town.authority.issue("signing", hanako.data, "mobile:phone-1").parsed,
        "authentication on a phone": town.authority.issue("authentication", hanako.data, "mobile:phone-1").parsed,
        "signing responder": responder(hanako.signing, directory),
        "authentication responder": responder(hanako.authentication, directory),
        "clerk": clerk,
    }


def found_in(certificate: x509.Certificate, directory: Path) -> set[str]:
    document = directory / "certificate.der"
    document.write_bytes(certificate.public_bytes(Encoding.DER))
    return findings("lint_pkix_cert", document)


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_has_no_finding_but_the_accepted(
    certificates: Mapping[str, x509.Certificate], tmp_path: Path, kind: str
) -> None:
    assert found_in(certificates[kind], tmp_path) == {code for of, code in ACCEPTED if of == kind}


def with_short_policy(certificate: x509.Certificate) -> x509.Certificate:
    """Return the same certificate with a policy identifier that pkilint can read; a throw-away key signs it."""
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        certificate.public_key(),
        certificate.serial_number,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.CertificatePolicies):
            (policy,) = value
            short = x509.ObjectIdentifier(oids.LAB_SIGNING_POLICY)
            value = x509.CertificatePolicies([x509.PolicyInformation(short, policy.policy_qualifiers)])
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())


@pytest.mark.parametrize("kind", [kind for kind, _ in ACCEPTED])
def test_the_accepted_finding_hides_no_other(
    certificates: Mapping[str, x509.Certificate], tmp_path: Path, kind: str
) -> None:
    assert found_in(with_short_policy(certificates[kind]), tmp_path) == set()


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication", "taro.signing"])
def test_a_list_has_no_finding(town: Town, tmp_path: Path, name: str) -> None:
    """Partitions and complete lists, with entries and without."""
    card, document = town.card(name), tmp_path / "list.crl"
    for url in (card.crl_url, card.complete_crl_url):
        document.write_bytes(curl(url).body)
        assert findings("lint_crl", document, "--type", "CRL", "--profile", "PKIX") == set()


@pytest.mark.parametrize("options", [(), ("-no_nonce",)], ids=["nonce", "no nonce"])
@pytest.mark.parametrize("status", ["GOOD", "REVOKED", "UNKNOWN"])
def test_an_answer_has_no_finding(town: Town, tmp_path: Path, status: str, options: tuple[str, ...]) -> None:
    card = town.taro.signing if status == "REVOKED" else town.hanako.signing
    asked = ("-serial", "0x40000000000000000000000000000001") if status == "UNKNOWN" else ("-cert", card.certificate)
    document = answer(card, tmp_path, *options, *asked)
    assert load_der_ocsp_response(document.read_bytes()).certificate_status.name == status
    assert findings("lint_ocsp_response", document) == set()
