"""What path validation in Python makes of our certificates: pyOpenSSL's store and pyhanko-certvalidator."""

import asyncio
from pathlib import Path

import pytest
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError, X509StoreFlags
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import InsufficientRevinfoError, RevokedError

from tests.interop.authority import Card, Town
from tests.interop.programs import curl, openssl

pytestmark = pytest.mark.slow

OK = 0
REVOKED = 23
DIFFERENT_SCOPE = 44
NAMES = pytest.mark.parametrize(
    "name", ["hanako.signing", "hanako.authentication", "taro.signing", "taro.authentication"]
)

# --- pyOpenSSL ---------------------------------------------------------------------------------------------------


def error(card: Card, url: str) -> int:
    """Return the number of the store's error about `card` under the list at `url`."""
    store = X509Store()
    store.add_cert(X509.from_cryptography(card.issuer))
    store.add_crl(x509.load_der_x509_crl(curl(url).body))
    store.set_flags(X509StoreFlags.CRL_CHECK | X509StoreFlags.X509_STRICT)
    try:
        X509StoreContext(store, X509.from_cryptography(card.parsed)).verify_certificate()
    except X509StoreContextError as refusal:
        return int(refusal.errors[0])
    return OK


@NAMES
def test_pyopenssl_decides_by_the_list_that_the_certificate_names(town: Town, name: str) -> None:
    card = town.card(name)
    assert error(card, card.crl_url) == (REVOKED if card == town.taro.signing else OK)


def test_pyopenssl_takes_no_list_of_another_partition(town: Town) -> None:
    assert error(town.hanako.signing, town.taro.signing.crl_url) == DIFFERENT_SCOPE
    assert error(town.taro.signing, town.hanako.signing.crl_url) == DIFFERENT_SCOPE


# --- pyhanko-certvalidator ---------------------------------------------------------------------------------------


def validate(card: Card, *, crls: tuple[bytes, ...] = (), ocsps: tuple[bytes, ...] = ()) -> None:
    """Validate `card` for its purpose, with this evidence and no other."""
    context = ValidationContext(
        trust_roots=[converted(card.issuer)], crls=crls, ocsps=ocsps, allow_fetching=False, revocation_mode="require"
    )
    validator = CertificateValidator(converted(card.parsed), validation_context=context)
    key_usage = card.parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    usage = "non_repudiation" if key_usage.content_commitment else "digital_signature"
    asyncio.run(validator.async_validate_usage({usage}))  # type: ignore[no-untyped-call]  # pyHanko left it untyped


def converted(certificate: x509.Certificate) -> Certificate:
    result: Certificate = Certificate.load(certificate.public_bytes(Encoding.DER))
    return result


def ocsp_answer(card: Card, directory: Path) -> bytes:
    """Return the answer to openssl's question, unjudged."""
    file = directory / "answer.der"
    done = openssl(
        "ocsp", "-noverify", "-issuer", card.chain, "-cert", card.certificate, "-url", card.ocsp_url, "-respout", file
    )
    assert done.code == 0, done.text
    return file.read_bytes()


@pytest.mark.parametrize("name", ["hanako.signing", "hanako.authentication", "taro.authentication"])
def test_certvalidator_takes_a_living_certificate(town: Town, tmp_path: Path, name: str) -> None:
    card = town.card(name)
    validate(card, crls=(curl(card.crl_url).body,))
    validate(card, ocsps=(ocsp_answer(card, tmp_path),))


def test_certvalidator_refuses_the_revoked_certificate(town: Town, tmp_path: Path) -> None:
    card = town.taro.signing
    with pytest.raises(RevokedError, match=r"CRL indicates .* due to a compromised key"):
        validate(card, crls=(curl(card.crl_url).body,))
    with pytest.raises(RevokedError, match=r"OCSP response indicates .* due to a compromised key"):
        validate(card, ocsps=(ocsp_answer(card, tmp_path),))


def test_certvalidator_takes_no_list_of_another_partition(town: Town) -> None:
    with pytest.raises(InsufficientRevinfoError):
        validate(town.taro.signing, crls=(curl(town.hanako.signing.crl_url).body,))


def test_certvalidator_takes_no_ocsp_answer_about_another(town: Town, tmp_path: Path) -> None:
    with pytest.raises(InsufficientRevinfoError):
        validate(town.taro.signing, ocsps=(ocsp_answer(town.hanako.signing, tmp_path),))
