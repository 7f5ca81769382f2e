"""Keys in a token: the contract against SoftHSM, and what is particular to a device that can be wrong, gone or hung."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import SubjectKeyIdentifier

from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from hsm_adapter.software import generate
from hsm_adapter.uri import Pkcs11Uri
from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.ids import KeyUri
from jpki.signature import KeySpec
from tests.hsm_adapter.conftest import Open
from tests.hsm_adapter.key_provider_contract import KeyProviderContract
from tests.hsm_adapter.tokens import PIN, Seconds, code

pytestmark = pytest.mark.slow
_ECDSA = ec.ECDSA(SHA256())


@pytest.fixture
def provider(opened: Open) -> Pkcs11Keys:
    return opened()


@pytest.fixture
def reopened(opened: Open) -> Pkcs11Keys:
    return opened()


@pytest.fixture
def missing(token: Token) -> KeyUri:
    return Pkcs11Uri(token=token.label, object="ca-9").key_uri


class TestPkcs11Keys(KeyProviderContract):
    """The contract on SoftHSM."""


def children() -> set[int]:
    """The signer processes of this one."""
    files = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = {int(pid) for file in files for pid in file.read_text().split()}
    return {pid for pid in found if b"hsm_adapter.signer" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_a_wrong_pin_is_tried_once_and_no_more(opened: Open, missing: KeyUri) -> None:
    wrong = opened("00000000")
    assert code(lambda: wrong.signer(missing)) == (Kind.FORBIDDEN, "pin-wrong")
    before = children()
    assert code(lambda: wrong.create("ca-1", KeySpec.P256)) == (Kind.FORBIDDEN, "pin-wrong")
    assert children() == before


def test_a_token_that_is_not_there_is_an_outage(token: Token, missing: KeyUri) -> None:
    other = Token(module=token.module, label="elsewhere", environment=token.environment)
    gone = Pkcs11Keys(other, lambda: PIN)
    assert code(lambda: gone.create("ca-1", KeySpec.P256)) == (Kind.UNAVAILABLE, "token-not-found")
    assert code(lambda: gone.signer(missing)) == (Kind.UNAVAILABLE, "token-unknown")
    gone.close()


def test_a_module_that_is_not_there_is_an_outage(token: Token, missing: KeyUri) -> None:
    broken = Pkcs11Keys(Token(module=Path("/nonexistent.so"), label=token.label), lambda: PIN)
    assert code(lambda: broken.signer(missing)) == (Kind.UNAVAILABLE, "hsm-unavailable")
    broken.close()


def test_a_key_that_came_from_outside_is_refused_for_an_authority_and_serves_a_signer(
    token: Token, opened: Open, tmp_path: Path, program: Callable[[str], str]
) -> None:
    pem = tmp_path / "imported.pem"
    pem.write_bytes(generate(KeySpec.RSA_2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ["--import", str(pem), "--token", token.label, "--label", "imported", "--id", "A1", "--pin", PIN]
    environment = {**os.environ, **token.environment}
    subprocess.run([program("softhsm2-util"), *words], check=True, capture_output=True, env=environment)
    uri = Pkcs11Uri(token=token.label, object="imported").key_uri
    keys = opened()
    assert code(lambda: keys.signer(uri)) == (Kind.FORBIDDEN, "key-not-sealed")
    signature.sign(keys.foreign_signer(uri), b"a tax return")


def test_a_key_is_named_by_the_hash_of_its_public_key(provider: Pkcs11Keys) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    public = provider.signer(uri).public_key()
    assert Pkcs11Uri.parse(uri).id == SubjectKeyIdentifier.from_public_key(public).digest


def test_a_key_in_a_token_is_sealed(provider: Pkcs11Keys) -> None:
    sealed = {
        "storage": "token",
        "sensitive": True,
        "always_sensitive": True,
        "extractable": False,
        "never_extractable": True,
        "local": True,
    }
    for uri in (provider.create("ca-1", KeySpec.P256), provider.create_wrapping_key("wrap-1")):
        assert sealed.items() <= provider.attributes(uri).items()


def test_a_key_that_another_process_destroyed_is_an_outage_where_it_was_loaded(
    provider: Pkcs11Keys, reopened: Pkcs11Keys
) -> None:
    uri = provider.create("ca-1", KeySpec.P256)
    key = reopened.signer(uri)
    signature.sign(key, b"x")
    provider.destroy(uri)
    assert code(lambda: signature.sign(key, b"x")) == (Kind.UNAVAILABLE, "key-not-found")


def test_a_hung_token_costs_its_deadline_and_the_next_request_is_served(opened: Open, seconds: Seconds) -> None:
    keys = opened(deadline=1.0, processes=1)
    key = keys.signer(keys.create("ca-1", KeySpec.P256))
    (process,) = children()
    os.kill(process, signal.SIGSTOP)
    begun = time.monotonic()
    assert code(lambda: signature.sign(key, b"x")) == (Kind.UNAVAILABLE, "hsm-timeout")
    assert time.monotonic() - begun < 3
    seconds.now += 2
    signature.sign(key, b"x")
    assert process not in children()


def test_a_killed_process_is_replaced(opened: Open, seconds: Seconds) -> None:
    keys = opened(processes=1)
    key = keys.signer(keys.create("ca-1", KeySpec.P256))
    (process,) = children()
    os.kill(process, signal.SIGKILL)
    try:
        signature.sign(key, b"x")
    except JpkiError as error:
        assert error.code == "hsm-unavailable"  # noqa: PT017 - the request that met the death may fail, the next may not
    seconds.now += 2
    signature.sign(key, b"x")


def test_many_threads_sign_without_an_error(opened: Open) -> None:
    keys = opened(processes=2)
    uris = [keys.create(f"ca-{number}", spec) for number, spec in enumerate((KeySpec.RSA_2048, KeySpec.P256))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: signature.sign(keys.signer(uris[n % 2]), str(n).encode()), range(400)))


def test_one_signature_passes_between_the_batches_of_many(opened: Open) -> None:
    keys = opened(processes=1)
    uri = keys.create("ca-1", KeySpec.RSA_2048)
    key = keys.signer(uri)
    with ThreadPoolExecutor(1) as thread:
        many = thread.submit(keys.sign_many, uri, [b"x"] * 1500)
        time.sleep(0.2)
        passed = 0
        while not many.done():
            signature.sign(key, b"x")
            passed += 1
    assert passed > 10


def test_signer_processes_end_with_their_parent(token: Token) -> None:
    story = f"""
import os, sys, time
from pathlib import Path
from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from jpki.signature import KeySpec
token = Token(module=Path({str(token.module)!r}), label={token.label!r}, environment={dict(token.environment)!r})
Pkcs11Keys(token, lambda: {PIN!r}, processes=1).create("ca-1", KeySpec.P256)
print(*(file.read_text() for file in Path("/proc/self/task").glob("*/children")), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert pids
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_secret_of_ours_is_in_the_signer_s_environment(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "canary passphrase")
    opened(processes=1).create("ca-1", KeySpec.P256)
    (process,) = children()
    environment = Path(f"/proc/{process}/environ").read_bytes()
    assert b"canary" not in environment
    assert PIN.encode() not in environment + Path(f"/proc/{process}/cmdline").read_bytes()
