"""A home whose keys are in tokens: one for each role, or one for all; and what everybody sees while they are away."""

import re
import shutil
import stat
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.revocation import State
from server.app import create_app
from server.cli.frame import run
from server.home import Home
from server.wiring import Rooms, open_rooms
from tests.hsm_adapter.tokens import SOFTHSM, new_token
from tests.server.console import Jpki
from tests.server.people import HOLDER_FILE, card_key, holder_file, request, someone
from tests.server.test_cli_serve import serving

pytestmark = pytest.mark.slow
PIN_FILES = ("token-pin", "ocsp-token-pin", "infrastructure-token-pin")


@pytest.fixture(scope="session")
def three_tokens(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Path:
    """A home with SoftHSM tokens of its own."""
    program("softhsm2-util")
    home = tmp_path_factory.mktemp("tokens") / "home"
    assert run(["init", "--home", str(home), "--keys", "pkcs11", "--json"]) == 0
    return home


@pytest.fixture
def rooms(three_tokens: Path) -> Iterator[Rooms]:
    opened = open_rooms(Home.open(three_tokens))
    yield opened
    opened.close()


@contextmanager
def away(home: Path) -> Iterator[None]:
    """Take the tokens away, and bring them back."""
    tokens = home / "softhsm/tokens"
    tokens.rename(home / "softhsm/away")
    try:
        yield
    finally:
        (home / "softhsm/away").rename(tokens)


# --- a token for each role -----------------------------------------------------------------------------------------


def test_init_makes_a_token_and_a_pin_for_each_role(three_tokens: Path) -> None:
    tables = tomllib.loads((three_tokens / "jpki.toml").read_text())["pkcs11"]
    labels = [tables["token"], tables["ocsp"]["token"], tables["infrastructure"]["token"]]
    assert [label.rpartition("-")[0] for label in labels] == ["jpki-ca", "jpki-ocsp", "jpki-infrastructure"]
    pins = [three_tokens / "secrets" / name for name in PIN_FILES]
    assert len({pin.read_bytes() for pin in pins}) == 3
    assert {stat.S_IMODE(pin.stat().st_mode) for pin in pins} == {0o400}
    assert not any(pin.read_text() in (three_tokens / "jpki.toml").read_text() for pin in pins)


def test_each_key_lies_in_its_role_s_token(rooms: Rooms) -> None:
    root = rooms.living(Purpose.SIGNING)[0]
    infrastructure = rooms.living(Purpose.INFRASTRUCTURE)[0]
    (responder,) = rooms.store.delegates.responders(root.id)
    assert root.key.startswith("pkcs11:token=jpki-ca-")
    assert responder.key.startswith("pkcs11:token=jpki-ocsp-")
    assert infrastructure.key.startswith("pkcs11:token=jpki-infrastructure-")


def test_the_ocsp_door_works_with_its_own_pin_alone(
    jpki: Jpki, installed: Path, three_tokens: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    holder = holder_file(tmp_path, code="H-0301")
    words = ("issue", "--home", three_tokens, "--kind", "signing", "--holder", holder)
    jpki.done(*words, "--out", tmp_path / "card")
    home = shutil.copytree(three_tokens, tmp_path / "home")
    for name in ("token-pin", "infrastructure-token-pin"):
        (home / "secrets" / name).unlink()
    with serving(installed, home, "--door", "ocsp", "--door", "crl") as begun:
        assert answer(begun.url, tmp_path / "card", program) == "good"
    refused = jpki.refused("crl", "publish", "--all", "--home", home)
    assert (refused.exit, refused.code) == (1, "secret-missing")
    assert "JPKI_PIN" in refused.english


def test_a_wrong_pin_ends_serve_before_any_worker_tries_it(
    jpki: Jpki, three_tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPKI_OCSP_PIN", "00000000")
    refused = jpki.refused("serve", "--home", three_tokens, "--port", "0", "--door", "ocsp", "--workers", "4")
    assert (refused.exit, refused.code) == (1, "pin-wrong")


def answer(url: str, card: Path, program: Callable[[str], str]) -> str:
    """Ask about the certificate as openssl does, and return the word that it prints."""
    chain, certificate = card / "chain.pem", card / "certificate.pem"
    words: list[str | Path] = ["-issuer", chain, "-CAfile", chain, "-cert", certificate, "-url", f"{url}/ocsp"]
    said = subprocess.run([program("openssl"), "ocsp", *words], capture_output=True, text=True, check=False)
    found = re.search(r"certificate\.pem: (\w+)|Responder Error: (\w+)", said.stdout + said.stderr)
    assert found is not None, said
    return found[1] or found[2]


# --- tokens that the operator names --------------------------------------------------------------------------------


@pytest.fixture
def own_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens `one`, `two` and `three`, as they would be in an operator's HSM, with a PIN each."""
    for name, variable in (("one", "JPKI_PIN"), ("two", "JPKI_OCSP_PIN"), ("three", "JPKI_INFRASTRUCTURE_PIN")):
        token = new_token(tmp_path, label=name, pin=f"1234{name}")
        monkeypatch.setenv(variable, f"1234{name}")
    monkeypatch.setenv("SOFTHSM2_CONF", token.environment["SOFTHSM2_CONF"])


def uri(name: str) -> str:
    return f"pkcs11:token={name}?module-path={SOFTHSM}"


@pytest.mark.usefixtures("own_tokens")
def test_one_token_may_hold_all_keys(jpki: Jpki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for name in ("JPKI_OCSP_PIN", "JPKI_INFRASTRUCTURE_PIN"):
        monkeypatch.delenv(name)
    assert not jpki.done("init", "--home", home, "--keys", uri("one"))["trial_passphrase"]
    assert set(tomllib.loads((home / "jpki.toml").read_text())["pkcs11"]) == {"module", "token"}
    words = ("issue", "--home", home, "--kind", "signing", "--holder", HOLDER_FILE, "--out", tmp_path / "card")
    jpki.done(*words)
    assert jpki.done("doctor", "--home", home)["healthy"]


@pytest.mark.usefixtures("own_tokens")
def test_the_operator_may_name_a_token_for_each_role(jpki: Jpki, tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = ("--ocsp-keys", uri("two"), "--infrastructure-keys", uri("three"))
    jpki.done("init", "--home", home, "--keys", uri("one"), *own)
    rooms = open_rooms(Home.open(home))
    root = rooms.living(Purpose.SIGNING)[0]
    (responder,), infrastructure = rooms.store.delegates.responders(root.id), rooms.living(Purpose.INFRASTRUCTURE)[0]
    uris = (root.key, responder.key, infrastructure.key)
    assert [uri.split(";")[0] for uri in uris] == ["pkcs11:token=one", "pkcs11:token=two", "pkcs11:token=three"]
    rooms.close()


@pytest.mark.parametrize(
    "words",
    [
        ["--keys", uri("one"), "--ocsp-keys", uri("one")],
        ["--keys", uri("one"), "--ocsp-keys", uri("two"), "--infrastructure-keys", uri("two")],
        ["--keys", "software", "--ocsp-keys", uri("two")],
        ["--keys", "pkcs11", "--infrastructure-keys", uri("two")],
        ["--keys", uri("one"), "--ocsp-keys", "software"],
        ["--keys", uri("one"), "--ocsp-keys", "pkcs11:token=two"],
    ],
)
def test_tokens_that_cannot_be_told_apart_are_a_mistake_of_usage(jpki: Jpki, tmp_path: Path, words: list[str]) -> None:
    assert jpki.refused("init", "--home", tmp_path / "home", *words).exit == 64
    assert not (tmp_path / "home").exists()


# --- tokens that are away ------------------------------------------------------------------------------------------


def test_a_route_that_needs_a_key_is_503_with_retry_after_while_the_token_is_away(
    rooms: Rooms, three_tokens: Path
) -> None:
    key = rooms.living(Purpose.SIGNING)[0].key
    app = create_app(rooms, [])
    app.add_url_rule("/signs", view_func=lambda: str(len(rooms.keys.sign_many(key, [b"x"]))))
    client = app.test_client()
    assert client.get("/signs").status_code == 200
    with away(three_tokens):
        refused = client.get("/signs")
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0


def test_ocsp_says_try_later_while_the_token_is_away_and_heals_by_itself(
    jpki: Jpki, installed: Path, three_tokens: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    holder = holder_file(tmp_path, code="H-0302")
    words = ("issue", "--home", three_tokens, "--kind", "signing", "--holder", holder)
    jpki.done(*words, "--out", tmp_path / "card")
    with serving(installed, three_tokens, "--door", "ocsp") as begun:
        assert answer(begun.url, tmp_path / "card", program) == "good"
        with away(three_tokens):
            assert [answer(begun.url, tmp_path / "card", program) for _ in range(3)] == ["trylater"] * 3
        deadline = time.monotonic() + 20
        while answer(begun.url, tmp_path / "card", program) != "good":
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_worker_that_begins_while_the_token_is_away_says_try_later_too(rooms: Rooms, three_tokens: Path) -> None:
    with away(three_tokens), pytest.raises(JpkiError) as refused:
        rooms.issuers()
    assert refused.value.kind is Kind.UNAVAILABLE


def test_nothing_is_lost_when_the_token_goes_away_before_the_signature(rooms: Rooms, three_tokens: Path) -> None:
    """What was intended is closed and listed, never forgotten; the next try gets a serial of its own."""
    rooms.keys.signer(rooms.living(Purpose.SIGNING)[0].key)
    holder = someone("H-0303")
    with away(three_tokens), pytest.raises(JpkiError) as refused:
        rooms.desk.issue(holder, Purpose.SIGNING, request(card_key(301)), LOCAL_OPERATOR)
    assert refused.value.kind is Kind.UNAVAILABLE
    with rooms.store.database.reading() as connection:
        states = connection.exec_driver_sql(
            "SELECT state, count(*) FROM status JOIN certificate USING (serial) WHERE holder = 'H-0303' GROUP BY state"
        ).all()
    # Closed either way: before "will sign" it is void, and from then on revoked.
    assert [count for state, count in states if state in {State.VOID, State.REVOKED}] == [1]
    again = open_rooms(rooms.home)
    issued = again.desk.issue(holder, Purpose.SIGNING, request(card_key(302)), LOCAL_OPERATOR)
    assert again.desk.authority.record(Serial(issued.serial_number)).status.state is State.ACTIVE
    again.close()
