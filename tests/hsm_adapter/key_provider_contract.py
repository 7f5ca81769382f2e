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
SPECS = [KeySpec.RSA_2048, KeySpec.P256, KeySpec.P384]

ATTRIBUTES = {
    *("kind", "storage", "sensitive", "always_sensitive", "extractable", "never_extractable"),
    *("local", "sign", "decrypt", "unwrap"),
}


def self_signed(key: PrivateKey) -> x509.Certificate:
    algorithm = SHA384() if key.key_size == 384 else SHA256()
    return (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, algorithm)
    )


def _refusal(call: Callable[[], object]) -> tuple[Kind, str]:
    with pytest.raises(JpkiError) as refused:
        call()
    return refused.value.kind, refused.value.code


def check_signs_what_pyca_builds(key: PrivateKey) -> None:
    certificate = self_signed(key)
    certificate.verify_directly_issued_by(certificate)
    request = x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, SHA256())
    assert request.is_signature_valid
    signature.check(key.public_key(), b"message", signature.sign(key, b"message"))


def check_signs_digests(key: PrivateKey) -> None:
    hashed = signature.hashing(key.public_key())
    hashed.update(b"a very long ")
    hashed.update(b"message")
    signature.check(key.public_key(), b"a very long message", signature.sign_digest(key, hashed.finalize()))


def check_signs_many(provider: KeyProvider, uri: KeyUri) -> None:
    public = provider.signer(uri).public_key()
    for count in (0, 1, 2, 101):
        messages = [str(number).encode() * 40 for number in range(count)]
        signatures = provider.sign_many(uri, messages)
        assert len(signatures) == count
        for message, each in zip(messages, signatures, strict=True):
            signature.check(public, message, each)


def check_kind(key: PrivateKey, spec: KeySpec) -> None:
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "p"
    assert f"{kind}-{key.key_size}" == spec
    assert key.public_key().key_size == key.key_size


def check_record(provider: KeyProvider, uri: KeyUri, spec: KeySpec) -> None:
    told = provider.attributes(uri)
    assert set(told) == ATTRIBUTES
    assert (told["kind"], told["sign"], told["decrypt"], told["unwrap"]) == (spec, True, False, False)


class KeyProviderContract:
    """The fixtures `provider` (empty) and `reopened` (the same keys, seen by another process) are the suite's."""

    @pytest.mark.parametrize("spec", SPECS)
    def test_a_key_signs_what_pyca_builds(self, provider: KeyProvider, spec: KeySpec) -> None:
        check_signs_what_pyca_builds(provider.signer(provider.create("ca-1", spec)))

    @pytest.mark.parametrize("spec", SPECS)
    def test_a_digest_is_signed_as_the_message_that_it_is_of(self, provider: KeyProvider, spec: KeySpec) -> None:
        check_signs_digests(provider.signer(provider.create("ca-1", spec)))

    @pytest.mark.parametrize("spec", SPECS)
    def test_many_messages_are_signed_in_their_order(self, provider: KeyProvider, spec: KeySpec) -> None:
        check_signs_many(provider, provider.create("ca-1", spec))

    @pytest.mark.parametrize("spec", SPECS)
    def test_a_key_is_of_the_kind_that_was_asked_for(self, provider: KeyProvider, spec: KeySpec) -> None:
        check_kind(provider.signer(provider.create("ca-1", spec)), spec)

    @pytest.mark.slow
    @pytest.mark.parametrize("spec", [KeySpec.RSA_3072, KeySpec.RSA_4096])
    def test_a_long_key_does_all_of_that(self, provider: KeyProvider, spec: KeySpec) -> None:
        """One key for all, as making it takes seconds."""
        uri = provider.create("ca-1", spec)
        key = provider.signer(uri)
        check_kind(key, spec)
        check_signs_what_pyca_builds(key)
        check_signs_digests(key)
        check_signs_many(provider, uri)
        check_record(provider, uri, spec)

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

    def test_what_is_wrapped_unwraps_in_the_next_process(self, provider: KeyProvider, reopened: KeyProvider) -> None:
        uri = provider.create_wrapping_key("wrap-1")
        for octets in (b"", b"k", bytes(range(32)), b"x" * 5000):
            wrapped = provider.wrap(uri, octets)
            assert len(wrapped) == 12 + len(octets) + 16
            assert reopened.unwrap(uri, wrapped) == octets
        assert provider.wrap(uri, b"k")[:12] != provider.wrap(uri, b"k")[:12]

    def test_wrapped_octets_are_sealed_as_aes_gcm_seals_them(self, provider: KeyProvider) -> None:
        one, other = provider.create_wrapping_key("wrap-1"), provider.create_wrapping_key("wrap-2")
        wrapped = provider.wrap(one, b"a data key")
        altered = [bytes([*wrapped[:at], wrapped[at] ^ 1, *wrapped[at + 1 :]]) for at in range(len(wrapped))]
        for octets in [*altered, wrapped[:-1], wrapped[:20], wrapped + b"\0", b""]:
            assert _refusal(lambda: provider.unwrap(one, octets)) == (Kind.FORBIDDEN, "wrapped-key-unreadable")  # noqa: B023 - called at once
        assert _refusal(lambda: provider.unwrap(other, wrapped)) == (Kind.FORBIDDEN, "wrapped-key-unreadable")
        assert provider.unwrap(one, wrapped) == b"a data key"

    def test_a_label_is_taken_by_a_key_of_any_kind(self, provider: KeyProvider) -> None:
        uri = provider.create_wrapping_key("wrap-1")
        provider.create("ca-1", KeySpec.P256)
        wrapped = provider.wrap(uri, b"a data key")
        taken: list[Callable[[], object]] = [
            lambda: provider.create_wrapping_key("wrap-1"),
            lambda: provider.create_wrapping_key("ca-1"),
            lambda: provider.create("wrap-1", KeySpec.P256),
        ]
        for attempt in taken:
            assert _refusal(attempt) == (Kind.CONFLICT, "key-exists")
        assert provider.unwrap(uri, wrapped) == b"a data key"

    def test_a_signing_key_does_not_wrap_and_a_wrapping_key_does_not_sign(self, provider: KeyProvider) -> None:
        signing, wrapping = provider.create("ca-1", KeySpec.P256), provider.create_wrapping_key("wrap-1")
        for attempt in (
            lambda: provider.signer(wrapping),
            lambda: provider.wrap(signing, b"a data key"),
            lambda: provider.unwrap(signing, bytes(60)),
        ):
            assert _refusal(attempt)[0] in {Kind.UNAVAILABLE, Kind.FORBIDDEN, Kind.UNPROCESSABLE}

    def test_r19_a_wrapping_key_that_is_not_found_is_an_outage(self, provider: KeyProvider, missing: KeyUri) -> None:
        outage = (Kind.UNAVAILABLE, "key-not-found")
        assert _refusal(lambda: provider.sign_many(missing, [b"message"])) == outage
        assert _refusal(lambda: provider.wrap(missing, b"a data key")) == outage
        assert _refusal(lambda: provider.unwrap(missing, bytes(60))) == outage
        assert _refusal(lambda: provider.attributes(missing)) == outage
        assert _refusal(lambda: provider.destroy(missing)) == outage

    @pytest.mark.parametrize("spec", SPECS)
    def test_the_record_of_a_key_says_its_kind_and_use(self, provider: KeyProvider, spec: KeySpec) -> None:
        check_record(provider, provider.create("ca-1", spec), spec)

    def test_the_record_of_a_wrapping_key_says_that_it_wraps_only(self, provider: KeyProvider) -> None:
        told = provider.attributes(provider.create_wrapping_key("wrap-1"))
        assert set(told) == ATTRIBUTES
        assert (told["kind"], told["sign"], told["decrypt"], told["unwrap"]) == ("aes-256", False, True, False)

    def test_a_destroyed_key_is_gone_for_every_process(self, provider: KeyProvider, reopened: KeyProvider) -> None:
        uri, other = provider.create("ca-1", KeySpec.P256), provider.create("ca-2", KeySpec.P256)
        provider.signer(uri)
        provider.destroy(uri)
        outage = (Kind.UNAVAILABLE, "key-not-found")
        for each in (provider, reopened):
            assert _refusal(lambda: each.signer(uri)) == outage  # noqa: B023 - called at once
            assert _refusal(lambda: each.destroy(uri)) == outage  # noqa: B023 - called at once
            signature.sign(each.signer(other), b"message")

    def test_a_destroyed_wrapping_key_unwraps_no_more(self, provider: KeyProvider, reopened: KeyProvider) -> None:
        uri = provider.create_wrapping_key("wrap-1")
        wrapped = provider.wrap(uri, b"a data key")
        provider.destroy(uri)
        for each in (provider, reopened):
            assert _refusal(lambda: each.unwrap(uri, wrapped)) == (Kind.UNAVAILABLE, "key-not-found")  # noqa: B023 - called at once

    @pytest.mark.parametrize("spec", [KeySpec.RSA_2048, KeySpec.P256])
    def test_a_copy_of_a_key_is_the_key(self, provider: KeyProvider, spec: KeySpec) -> None:
        key = provider.signer(provider.create("ca-1", spec))
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key
