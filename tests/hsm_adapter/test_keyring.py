"""Several tokens as one key provider: each role's keys and PIN apart."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hsm_adapter.keyring import Keyring
from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from hsm_adapter.roles import Role, role_of
from hsm_adapter.uri import Pkcs11Uri
from jpki import signature
from jpki.errors import Kind
from jpki.ids import KeyUri
from jpki.signature import KeySpec
from tests.hsm_adapter.tokens import code, new_token

LABELS = {Role.CA: "ca-signing-s1", Role.OCSP: "ocsp-s1-abcd", Role.INFRASTRUCTURE: "ca-infrastructure-i1"}


@pytest.mark.parametrize(
    ("label", "role"),
    [
        *((label, role) for role, label in LABELS.items()),
        ("ca-authentication-a12", Role.CA),
        ("wrap-1", Role.INFRASTRUCTURE),
        ("audit-1", Role.INFRASTRUCTURE),
        ("ocspresponder", Role.INFRASTRUCTURE),
    ],
)
def test_a_label_tells_whose_key_it_is(label: str, role: Role) -> None:
    assert role_of(label) is role


@pytest.fixture
def tokens(tmp_path: Path) -> dict[Role, Token]:
    return {role: new_token(tmp_path, label=f"jpki {role}", pin=pin_of(role)) for role in Role}


def pin_of(role: Role) -> str:
    return f"{len(role)}{len(role)}{len(role)}{len(role)}"


@pytest.fixture
def keyring(tokens: dict[Role, Token]) -> Iterator[Keyring]:
    made = Keyring({role: Pkcs11Keys(token, partial(pin_of, role)) for role, token in tokens.items()})
    yield made
    made.close()


@pytest.mark.slow
def test_each_role_s_keys_lie_in_its_own_token_and_are_found_there(keyring: Keyring) -> None:
    for role, label in LABELS.items():
        uri = keyring.create(label, KeySpec.P256)
        assert Pkcs11Uri.parse(uri).token == f"jpki {role}"
        key = keyring.signer(uri)
        signature.sign(key, b"message")
        (made,) = keyring.sign_many(uri, [b"message"])
        signature.check(key.public_key(), b"message", made)
        assert keyring.attributes(uri)["kind"] == "p-256"
        keyring.destroy(uri)
        assert code(lambda: keyring.signer(uri)) == (Kind.UNAVAILABLE, "key-not-found")  # noqa: B023 - called at once


@pytest.mark.slow
def test_a_wrapping_key_is_the_infrastructure_s(keyring: Keyring) -> None:
    uri = keyring.create_wrapping_key("wrap-1")
    assert Pkcs11Uri.parse(uri).token == "jpki infrastructure"
    assert keyring.unwrap(uri, keyring.wrap(uri, b"a data key")) == b"a data key"


@pytest.mark.slow
def test_a_role_without_a_token_uses_the_cas(tokens: dict[Role, Token]) -> None:
    keyring = Keyring({Role.CA: Pkcs11Keys(tokens[Role.CA], lambda: pin_of(Role.CA))})
    for label in LABELS.values():
        assert Pkcs11Uri.parse(keyring.create(label, KeySpec.P256)).token == "jpki ca"
    keyring.close()


@pytest.mark.slow
def test_whoever_answers_ocsp_needs_no_other_pin(tokens: dict[Role, Token], keyring: Keyring) -> None:
    uri, root = keyring.create(LABELS[Role.OCSP], KeySpec.P256), keyring.create(LABELS[Role.CA], KeySpec.P256)

    def none() -> str:
        pytest.fail("asked for a PIN that is not needed")

    pins = {Role.CA: none, Role.OCSP: lambda: pin_of(Role.OCSP), Role.INFRASTRUCTURE: none}
    door = Keyring({role: Pkcs11Keys(tokens[role], pin) for role, pin in pins.items()})
    signature.sign(door.signer(uri), b"an answer")
    with pytest.raises(pytest.fail.Exception):
        door.signer(root)
    door.close()


@pytest.mark.slow
def test_a_key_of_a_token_that_is_not_in_the_settings_is_told_as_such(keyring: Keyring) -> None:
    foreign = KeyUri("pkcs11:token=elsewhere;object=ca-1;type=private")
    assert code(lambda: keyring.signer(foreign)) == (Kind.UNAVAILABLE, "token-unknown")
