"""A token that is cut off, hangs, or is taken away: callers learn it in time, and the service heals by itself."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from jpki import signature
from jpki.errors import JpkiError, Kind
from jpki.signature import KeySpec, PrivateKey
from tests.hsm_adapter.conftest import Open
from tests.hsm_adapter.tokens import P11_KIT_CLIENT, NetworkHsm, Seconds, code

pytestmark = pytest.mark.slow
DEADLINE = 1.5
PAUSE = 2.0


@pytest.fixture
def hsm(token: Token) -> Iterator[NetworkHsm]:
    """An HSM on a network, running."""
    if not P11_KIT_CLIENT.exists():
        pytest.skip("the outside program p11-kit is not installed")
    made = NetworkHsm(token)
    made.start()
    yield made
    made.close()


@pytest.fixture
def keys(hsm: NetworkHsm, opened: Open) -> Pkcs11Keys:
    return opened(other=hsm.token, deadline=DEADLINE)


@pytest.fixture
def key(keys: Pkcs11Keys) -> PrivateKey:
    return keys.signer(keys.create("ca-1", KeySpec.P256))


def outcome(key: PrivateKey) -> tuple[str, float]:
    """Sign once, and tell how it ended and how many seconds it took."""
    begun = time.monotonic()
    try:
        signature.sign(key, b"x")
    except JpkiError as error:
        return error.code if error.kind is Kind.UNAVAILABLE else error.kind, time.monotonic() - begun
    return "served", time.monotonic() - begun


def healed(key: PrivateKey) -> bool:
    """Tell whether one probe is served, and then eight at once."""
    return outcome(key)[0] == "served" and {ended for ended, _ in from_eight_threads(key)} == {"served"}


def from_eight_threads(key: PrivateKey) -> list[tuple[str, float]]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(lambda _: outcome(key), range(8)))


def test_a_killed_server_is_an_outage_at_once_and_heals_when_it_is_back(
    hsm: NetworkHsm, key: PrivateKey, seconds: Seconds
) -> None:
    assert outcome(key)[0] == "served"
    hsm.kill()
    assert {ended for ended, _ in from_eight_threads(key)} <= {"hsm-unavailable", "token-not-found"}
    for _ in range(2):
        seconds.now += PAUSE
        assert outcome(key)[0] in {"hsm-unavailable", "token-not-found"}
    hsm.start()
    seconds.now += PAUSE
    assert healed(key)


def test_a_hung_server_costs_each_caller_one_deadline_at_most(
    hsm: NetworkHsm, key: PrivateKey, seconds: Seconds
) -> None:
    hsm.signal(signal.SIGSTOP)
    ended = from_eight_threads(key)
    assert {"hsm-timeout"} <= {each for each, _ in ended} <= {"hsm-timeout", "hsm-busy", "hsm-unavailable"}
    assert max(took for _, took in ended) < DEADLINE + 2
    # From now on nobody waits, but for one that probes.
    assert max(took for _, took in from_eight_threads(key)) < DEADLINE / 2
    seconds.now += PAUSE
    waited = [took for _, took in from_eight_threads(key) if took > DEADLINE / 2]
    assert len(waited) == 1
    hsm.signal(signal.SIGCONT)
    seconds.now += PAUSE
    assert healed(key)


def test_a_server_that_was_started_again_is_reached_by_a_new_session(
    hsm: NetworkHsm, key: PrivateKey, seconds: Seconds
) -> None:
    assert outcome(key)[0] == "served"
    hsm.kill()
    hsm.start()
    outcome(key)
    seconds.now += PAUSE
    assert healed(key)


def test_an_outage_in_the_middle_of_many_returns_none_of_them(
    hsm: NetworkHsm, keys: Pkcs11Keys, seconds: Seconds
) -> None:
    uri = keys.create("ca-1", KeySpec.RSA_2048)
    keys.sign_many(uri, [b"x"])
    with ThreadPoolExecutor(1) as thread:
        many = thread.submit(keys.sign_many, uri, [b"x"] * 100_000)
        time.sleep(0.5)
        hsm.kill()
        assert code(many.result) in {(Kind.UNAVAILABLE, "hsm-unavailable"), (Kind.UNAVAILABLE, "token-not-found")}
    hsm.start()
    seconds.now += PAUSE
    assert len(keys.sign_many(uri, [b"x"] * 100)) == 100


def test_r19_a_token_directory_taken_away_is_an_outage_that_makes_no_key(
    opened: Open, seconds: Seconds, tmp_path: Path
) -> None:
    keys = opened()
    uri = keys.create("ca-1", KeySpec.P256)
    key = keys.signer(uri)
    tokens, away = tmp_path / "tokens", tmp_path / "away"
    tokens.rename(away)
    for _ in range(3):
        seconds.now += PAUSE
        assert outcome(key)[0] in {"key-not-found", "hsm-unavailable", "token-not-found"}
        assert code(lambda: keys.create("ca-1", KeySpec.P256))[0] is Kind.UNAVAILABLE
    assert not tokens.exists()
    away.rename(tokens)
    seconds.now += PAUSE
    assert outcome(key)[0] == "served"
    assert code(lambda: keys.create("ca-1", KeySpec.P256)) == (Kind.CONFLICT, "key-exists")
