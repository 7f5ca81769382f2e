"""Many threads and many processes on one token, for seconds; for minutes in `make soak`. Not one error is allowed."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_adapter.pkcs11 import Pkcs11Keys
from jpki import signature
from jpki.errors import JpkiError
from jpki.ids import KeyUri
from jpki.signature import KeySpec
from tests.hsm_adapter.conftest import Open

pytestmark = pytest.mark.slow
THREADS, WORKERS = 8, 3


@pytest.fixture
def seconds_of_soak(at_length: bool) -> float:  # noqa: FBT001 - pytest gives fixtures by name
    return 120.0 if at_length else 4.0


def use(keys: Pkcs11Keys, uris: list[KeyUri], wrapping: KeyUri, until: float) -> list[str]:
    """Sign, one and many, wrap and unwrap from many threads until then; return the errors."""
    errors: list[str] = []
    made = [0] * THREADS

    def go_on(number: int) -> None:
        while time.monotonic() < until:
            uri = uris[(number + made[number]) % len(uris)]
            try:
                message = f"{number}-{made[number]}".encode()
                signature.sign(keys.signer(uri), message)
                keys.sign_many(uri, [message] * 3)
                assert keys.unwrap(wrapping, keys.wrap(wrapping, message)) == message
            except Exception as error:  # noqa: BLE001 - whatever it is, the soak has failed
                errors.append(repr(error))
            made[number] += 1

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors if all(made) else [*errors, f"idle threads: {made}"]


def test_eight_threads_use_a_token_without_an_error(opened: Open, seconds_of_soak: float) -> None:
    keys = opened()
    uris = [keys.create(f"ca-{spec}", spec) for spec in (KeySpec.RSA_2048, KeySpec.P256, KeySpec.P384)]
    wrapping = keys.create_wrapping_key("wrap-1")
    assert use(keys, uris, wrapping, time.monotonic() + seconds_of_soak) == []


def test_many_processes_that_log_in_at_once_all_find_the_token(opened: Open) -> None:
    """SoftHSM rewrites a token at each log-in, and who starts then does not see it."""
    uri = opened().create("ca-1", KeySpec.P256)
    errors: list[str] = []
    for _ in range(4):
        together = threading.Barrier(THREADS)

        def log_in(keys: Pkcs11Keys, together: threading.Barrier = together) -> None:
            together.wait()
            try:
                signature.sign(keys.signer(uri), b"at once")
            except JpkiError as error:
                errors.append(repr(error))

        threads = [threading.Thread(target=log_in, args=(opened(processes=1),)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # the test runner's own threads
def test_prefork_workers_use_one_token_without_an_error(opened: Open, seconds_of_soak: float, tmp_path: Path) -> None:
    """Each worker inherits a provider that was used before the fork."""
    keys = opened()
    uris = [keys.create(f"ca-{spec}", spec) for spec in (KeySpec.RSA_2048, KeySpec.P256)]
    wrapping = keys.create_wrapping_key("wrap-1")
    signature.sign(keys.signer(uris[0]), b"before the fork")
    until = time.monotonic() + seconds_of_soak
    workers = [_fork(lambda: use(keys, uris, wrapping, until), tmp_path / str(number)) for number in range(WORKERS)]
    errors = use(keys, uris, wrapping, until)
    codes = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
    told = [(tmp_path / str(number)).read_text() for number in range(WORKERS)]
    assert (errors, codes, told) == ([], [0] * WORKERS, ["[]"] * WORKERS)


def _fork(work: Callable[[], list[str]], report: Path) -> int:
    """Do the work in a forked process, which writes its errors down and ends with its own signer processes."""
    worker = os.fork()
    if worker == 0:
        try:
            report.write_text(repr(work()))
        finally:
            os._exit(0 if report.exists() else 1)
    return worker
