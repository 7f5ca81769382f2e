"""Keys as files: the contract, and what is particular to a disk."""

import base64
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hsm_adapter.software import SoftwareKeys, generate, read_key_file
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.signature import KeySpec
from tests.hsm_adapter.key_provider_contract import KeyProviderContract

PASSPHRASE = b"correct horse battery staple"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def provider(directory: Path) -> SoftwareKeys:
    return SoftwareKeys(directory, lambda: PASSPHRASE)


@pytest.fixture
def reopened(directory: Path) -> SoftwareKeys:
    return SoftwareKeys(directory, lambda: PASSPHRASE)


@pytest.fixture
def missing() -> KeyUri:
    return KeyUri("software:ca-1")


class TestSoftwareKeys(KeyProviderContract):
    """The contract on files."""


def refused(call: Callable[[], object]) -> tuple[Kind, str]:
    with pytest.raises(JpkiError) as caught:
        call()
    assert PASSPHRASE.decode() not in f"{caught.value} {caught.value.problem} {caught.value.action}"
    return caught.value.kind, caught.value.code


def test_a_key_file_is_sealed_and_for_its_owner_only(provider: SoftwareKeys, directory: Path) -> None:
    provider.create("ca-1", KeySpec.P256)
    file = directory / "ca-1.pem"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED PRIVATE KEY" in file.read_bytes()
    load_pem_private_key(file.read_bytes(), PASSPHRASE)


def test_a_wrapping_key_file_is_sealed_and_for_its_owner_only(directory: Path) -> None:
    octets = iter([b"K" * 32, b"S" * 16, b"N" * 12])
    uri = SoftwareKeys(directory, lambda: PASSPHRASE, lambda _: next(octets)).create_wrapping_key("wrap-1")
    file = directory / "wrap-1.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"K" * 32 not in base64.b64decode(file.read_bytes().splitlines()[1])
    file.write_bytes(file.read_bytes().replace(b"U1NT", b"U1NU"))
    keys = SoftwareKeys(directory, lambda: PASSPHRASE)
    assert refused(lambda: keys.wrap(uri, b"a data key")) == (Kind.FORBIDDEN, "passphrase-wrong")


def test_a_software_key_does_not_pretend_to_be_sealed(provider: SoftwareKeys) -> None:
    told = provider.attributes(provider.create("ca-1", KeySpec.P256))
    assert (told["storage"], told["extractable"], told["sensitive"]) == ("software", True, False)


def test_a_destroyed_key_is_overwritten_before_its_name_goes(provider: SoftwareKeys, directory: Path) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    with (directory / "ca-1.pem").open("rb") as still_open:
        size = len(still_open.read())
        provider.destroy(uri)
        assert list(directory.iterdir()) == []
        still_open.seek(0)
        assert still_open.read() == bytes(size)


@pytest.mark.parametrize("wrong", [b"wrong", b"correct horse battery stapl"])
def test_a_wrong_passphrase_is_refused(provider: SoftwareKeys, directory: Path, wrong: bytes) -> None:
    signs, wraps = provider.create("ca-1", KeySpec.P256), provider.create_wrapping_key("wrap-1")
    other = SoftwareKeys(directory, lambda: wrong)
    assert refused(lambda: other.signer(signs)) == (Kind.FORBIDDEN, "passphrase-wrong")
    assert refused(lambda: other.wrap(wraps, b"a data key")) == (Kind.FORBIDDEN, "passphrase-wrong")


@pytest.mark.parametrize("encoded", ["garbage", "unsealed", "empty"])
def test_a_damaged_key_file_is_refused(provider: SoftwareKeys, directory: Path, encoded: str) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    bare = generate(KeySpec.P256).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "ca-1.pem").write_bytes({"garbage": b"garbage", "unsealed": bare, "empty": b""}[encoded])
    assert refused(lambda: provider.signer(uri))[0] is Kind.FORBIDDEN


def test_a_key_of_a_kind_that_nobody_asked_for_is_refused(provider: SoftwareKeys, directory: Path) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    key = ed25519.Ed25519PrivateKey.generate()
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    (directory / "ca-1.pem").write_bytes(sealed)
    assert refused(lambda: provider.signer(uri)) == (Kind.UNPROCESSABLE, "key-kind-unknown")


def test_a_directory_that_cannot_be_made_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    keys = SoftwareKeys(tmp_path / "file" / "keys", lambda: PASSPHRASE)
    assert refused(lambda: keys.create("ca-1", KeySpec.P256)) == (Kind.UNAVAILABLE, "key-unwritable")


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond a hundred octets: what a full disk is like."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_key_that_does_not_fit_on_the_disk_leaves_nothing(provider: SoftwareKeys, directory: Path) -> None:
    with full_disk():
        assert refused(lambda: provider.create("ca-1", KeySpec.P256)) == (Kind.UNAVAILABLE, "key-unwritable")
    assert list(directory.iterdir()) == []
    provider.signer(provider.create("ca-1", KeySpec.P256))


def test_of_many_makers_of_one_key_one_succeeds(directory: Path) -> None:
    def make(_: int) -> str:
        try:
            return SoftwareKeys(directory, lambda: PASSPHRASE).create("ca-1", KeySpec.P256)
        except JpkiError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(make, range(8)))
    assert sorted(outcomes) == ["key-exists"] * 7 + ["software:ca-1"]


def test_many_threads_get_one_key(provider: SoftwareKeys) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(key) for key in pool.map(provider.signer, [uri] * 16)}) == 1


# --- a holder's own key file ---------------------------------------------------------------------------------------


def test_a_bare_key_file_needs_no_passphrase(tmp_path: Path) -> None:
    key = generate(KeySpec.P256)
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def never() -> bytes:
        pytest.fail("asked for a passphrase that is not needed")

    assert read_key_file(file, never).public_key() == key.public_key()


def test_a_sealed_key_file_needs_the_right_one(tmp_path: Path) -> None:
    key = generate(KeySpec.P256)
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)))
    loaded = read_key_file(file, lambda: PASSPHRASE)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert refused(loaded.private_numbers)[1] == "key-not-exportable"
    for wrong in (None, b"wrong"):
        assert refused(lambda: read_key_file(file, lambda: wrong))[1] == "key-unreadable"  # noqa: B023 - called at once
