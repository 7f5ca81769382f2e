"""What every implementation of `KeyProvider` must do; each one's test class inherits this."""

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.ports import KeyProvider
from jpki.signature import KeySpec, PrivateKey

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
NOW = datetime(2026, 10, 1, tzinfo=UTC)
SPECS = [
    KeySpec.RSA_2048,
    pytest.param(KeySpec.RSA_3072, marks=pytest.mark.slow),
    pytest.param(KeySpec.RSA_4096, marks=pytest.mark.slow),
    KeySpec.P256,
    KeySpec.P384,
]


def self_signed(key: PrivateKey) -> x509.Certificate:
    algorithm = SHA384() if key.key_size == 384 else SHA256()
    return (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, algorithm)
    )


class KeyProviderContract:
    """The fixtures `provider` (empty) and `reopened` (the same keys, seen by another process) are the suite's."""

    @pytest.mark.parametrize("spec", SPECS)
    def test_a_key_signs_what_pyca_builds(self, provider: KeyProvider, spec: KeySpec) -> None:
        key = provider.signer(provider.create("ca-1", spec))
        certificate = self_signed(key)
        certificate.verify_directly_issued_by(certificate)
        request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, SHA256())
        assert request.is_signature_valid
        signature.check(key.public_key(), b"message", signature.sign(key, b"message"))

    @pytest.mark.parametrize("spec", SPECS)
    def test_a_key_is_of_the_kind_that_was_asked_for(self, provider: KeyProvider, spec: KeySpec) -> None:
        key = provider.signer(provider.create("ca-1", spec))
        kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "p"
        assert f"{kind}-{key.key_size}" == spec
        assert key.public_key().key_size == key.key_size

    def test_a_key_is_there_for_the_next_process(self, provider: KeyProvider, reopened: KeyProvider) -> None:
        uri = provider.create("ca-1", KeySpec.P256)
        assert reopened.signer(uri).public_key() == provider.signer(uri).public_key()

    def test_a_key_is_loaded_once(self, provider: KeyProvider) -> None:
        uri = provider.create("ca-1", KeySpec.P256)
        assert provider.signer(uri) is provider.signer(uri)

    def test_no_key_is_ever_overwritten(self, provider: KeyProvider, reopened: KeyProvider) -> None:
        uri = provider.create("ca-1", KeySpec.P256)
        with pytest.raises(JpkiError) as refused:
            provider.create("ca-1", KeySpec.P384)
        assert (refused.value.kind, refused.value.code) == (Kind.CONFLICT, "key-exists")
        assert reopened.signer(uri).public_key() == provider.signer(uri).public_key()

    @pytest.mark.parametrize("label", ["", "../ca-1", "CA-1", "ca 1", "ca/1", "-ca", "a" * 64, "鍵"])
    def test_a_label_that_could_be_something_else_is_refused(self, provider: KeyProvider, label: str) -> None:
        with pytest.raises(JpkiError) as refused:
            provider.create(label, KeySpec.P256)
        assert refused.value.kind is Kind.MALFORMED

    def test_r19_a_key_that_is_not_found_is_an_outage(self, provider: KeyProvider, missing: KeyUri) -> None:
        for _ in range(2):
            with pytest.raises(JpkiError) as refused:
                provider.signer(missing)
            assert (refused.value.kind, refused.value.code) == (Kind.UNAVAILABLE, "key-not-found")

    @pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.P256])
    def test_a_key_cannot_be_exported_by_any_method(self, provider: KeyProvider, spec: KeySpec) -> None:
        key = provider.signer(provider.create("ca-1", spec))
        attempts: list[Callable[[], object]] = [
            key.private_numbers,
            lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            lambda: key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        ]
        for attempt in attempts:
            with pytest.raises(JpkiError) as refused:
                attempt()
            assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "key-not-exportable")
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(key)

    def test_a_key_does_nothing_but_sign(self, provider: KeyProvider) -> None:
        rsa_key = provider.signer(provider.create("ca-1", KeySpec.RSA_2048))
        ec_key = provider.signer(provider.create("ca-2", KeySpec.P256))
        assert isinstance(rsa_key, rsa.RSAPrivateKey)
        assert isinstance(ec_key, ec.EllipticCurvePrivateKey)
        sealed = rsa_key.public_key().encrypt(b"secret", padding.PKCS1v15())
        peer = ec.generate_private_key(ec.SECP256R1()).public_key()
        attempts: list[Callable[[], object]] = [
            lambda: rsa_key.decrypt(sealed, padding.PKCS1v15()),
            lambda: ec_key.exchange(ec.ECDH(), peer),
        ]
        for attempt in attempts:
            with pytest.raises(JpkiError) as refused:
                attempt()
            assert refused.value.code == "key-not-exportable"

    @pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.P256])
    def test_a_copy_of_a_key_is_the_key(self, provider: KeyProvider, spec: KeySpec) -> None:
        key = provider.signer(provider.create("ca-1", spec))
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key
