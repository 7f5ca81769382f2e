"""A fresh token for each test, opened as often as the test likes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from tests.hsm_adapter.tokens import PIN, Seconds, copy_of, new_token

Open = Callable[..., Pkcs11Keys]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A token in which nothing was made yet, for copies."""
    return new_token(tmp_path_factory.mktemp("token"))


@pytest.fixture
def token(made: Token, tmp_path: Path) -> Token:
    """A fresh token in a folder of its own."""
    return copy_of(made, tmp_path)


@pytest.fixture
def seconds() -> Seconds:
    """The clock by which providers reconnect."""
    return Seconds()


@pytest.fixture
def opened(token: Token, seconds: Seconds) -> Iterator[Open]:
    """Open the token, or another one, once or several times; all is closed at the end."""
    providers: list[Pkcs11Keys] = []

    def open_token(
        pin: str = PIN, *, deadline: float = 10.0, processes: int = 2, other: Token | None = None
    ) -> Pkcs11Keys:
        keys = Pkcs11Keys(other or token, lambda: pin, deadline=deadline, processes=processes, clock=seconds)
        providers.append(keys)
        return keys

    yield open_token
    for provider in providers:
        provider.close()
