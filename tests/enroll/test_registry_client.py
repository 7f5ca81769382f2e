"""The way to a register of residents: bounded, strict, and mute about whom it asked for (rule R21)."""

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from enroll.registry_client import AT_ONCE, LARGEST_ANSWER, SCHEMA, SCHEMA_OF_MANY, RegistryClient
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode
from jpki.resident import Registration
from tests.conftest import PROJECT
from tests.mergers import merged
from tests.ocsp.servers import replying, talking

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOLDER = json.loads((PROJECT / "examples" / "holder.json").read_text("utf-8"))
CODE = HolderCode(HOLDER["code"])
RESIDENT = {"holder": HOLDER, "registration": "resident", "is_ward": False, "stay_until": None}
OK = b"HTTP/1.1 200 OK\r\n"


def client(url: str, seconds: float = 2) -> RegistryClient:
    return RegistryClient(url=url, tls=lambda: None, clock=lambda: NOW, seconds=seconds)


def answer(resident: object, **more: object) -> bytes:
    return json.dumps({"schema": SCHEMA, "resident": resident} | more).encode()


def refused(url: str) -> JpkiError:
    with pytest.raises(JpkiError) as error:
        client(url, 0.5).resident(CODE)
    told = f"{error.value} {error.value.problem.ja} {error.value.action.ja} {error.value.__cause__!r}"
    assert not [value for value in HOLDER.values() if value in told]
    return error.value


def test_r21_the_code_travels_in_the_body_and_in_no_url() -> None:
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + b"Connection: close\r\n\r\n" + answer(RESIDENT))

    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        heard.append(body)
        return 200, {}, answer(RESIDENT)

    with replying(reply) as url:
        client(f"{url}residents").resident(CODE)
    assert json.loads(heard[0]) == {"holder": CODE}
    with talking(talk) as url:
        assert client(url).resident(CODE).code == CODE


def test_an_answer_is_read_whole() -> None:
    told = RESIDENT | {"registration": "abroad", "is_ward": True, "stay_until": "2027-03-31"}
    with replying(lambda _: (200, {}, answer(told))) as url:
        resident = client(url).resident(CODE)
    assert resident.registration is Registration.ABROAD
    assert resident.is_ward
    assert resident.stay_until == date(2027, 3, 31)
    assert resident.holder.name == HOLDER["name"]
    assert HOLDER["name"] not in repr(resident)


def test_whom_the_register_does_not_know_is_said_by_the_register() -> None:
    with replying(lambda _: (200, {}, answer(None))) as url:
        assert refused(url).code == "resident-unknown"
    with replying(lambda _: (404, {}, b"")) as url:
        assert refused(url).code == "registry-unreadable"


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_register_in_trouble_is_away(status: int) -> None:
    with replying(lambda _: (status, {}, answer(RESIDENT))) as url:
        error = refused(url)
    assert (error.code, error.kind) == ("registry-away", Kind.UNAVAILABLE)


WRONG = {
    "no JSON": b"<html>",
    "not UTF-8": b"\xff",
    "a list": b"[]",
    "deep": b"[" * 60_000,
    "another schema": json.dumps({"schema": "jpki.resident/2", "resident": RESIDENT}).encode(),
    "more beside": answer(RESIDENT, more=1),
    "another person": answer(RESIDENT | {"holder": HOLDER | {"code": "H-0002"}}),
    "more of the person": answer(RESIDENT | {"my_number": "1"}),
    "less of the person": answer({key: RESIDENT[key] for key in ("holder", "registration", "is_ward")}),
    "no registration": answer(RESIDENT | {"registration": "gone"}),
    "a word for a truth": answer(RESIDENT | {"is_ward": "no"}),
    "a number for a truth": answer(RESIDENT | {"is_ward": 0}),
    "no day": answer(RESIDENT | {"stay_until": "soon"}),
    "a number for a day": answer(RESIDENT | {"stay_until": 20270331}),
    "no such holder": answer(RESIDENT | {"holder": HOLDER | {"name": "half"}}),
    "no holder": answer(RESIDENT | {"holder": None}),
    "too large": answer(RESIDENT) + b" " * LARGEST_ANSWER,
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_r21_what_is_no_answer_is_refused_and_not_repeated(body: bytes) -> None:
    with replying(lambda _: (200, {}, body)) as url:
        error = refused(url)
    assert (error.code, error.kind) == ("registry-unreadable", Kind.INTERNAL)


def answers(*residents: object) -> bytes:
    return json.dumps({"schema": SCHEMA_OF_MANY, "residents": residents}).encode()


def test_many_are_asked_about_in_few_questions_and_each_has_an_answer_of_its_own() -> None:
    codes = [HolderCode(f"H-{number:04}") for number in range(1, AT_ONCE + 4)]
    heard: list[int] = []

    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked = json.loads(body)["holders"]
        heard.append(len(asked))
        told: dict[str, object] = {"H-0002": None, "H-0003": {"holder": "half"}, "H-0004": RESIDENT}
        own = [told.get(code, RESIDENT | {"holder": HOLDER | {"code": code}}) for code in asked]
        return 200, {}, answers(*own)

    with replying(reply) as url:
        found = client(url).each_resident([*codes, *codes])
    assert heard == [AT_ONCE, 3]
    wrong = {code: told.code for code, told in found.items() if isinstance(told, JpkiError)}
    assert wrong == {"H-0002": "resident-unknown", "H-0003": "registry-unreadable", "H-0004": "registry-unreadable"}
    assert [told.code for told in found.values() if not isinstance(told, JpkiError)] == [
        code for code in codes if code not in wrong
    ]


@pytest.mark.parametrize(
    "body",
    [answers(), answers(RESIDENT, RESIDENT), answer(RESIDENT), answers(RESIDENT) + b" " * 8 * LARGEST_ANSWER, b"[]"],
    ids=["too few", "too many", "about one", "too large", "no object"],
)
def test_r21_what_is_no_answer_about_many_is_none_about_any(body: bytes) -> None:
    with replying(lambda _: (200, {}, body)) as url, pytest.raises(JpkiError) as refusal:
        client(url).each_resident([CODE])
    assert refusal.value.code == "registry-unreadable"
    assert HOLDER["name"] not in repr(refusal.value.__cause__)


def test_an_answer_of_before_a_merger_is_refused_and_the_municipality_of_now_is_named() -> None:
    with replying(lambda _: (200, {}, answer(RESIDENT))) as url, merged({HOLDER["municipality"]: "131024"}):
        error = refused(url)
    assert (error.code, error.kind) == ("registry-outdated", Kind.CONFLICT)
    assert "東京都中央区、131024" in error.problem.ja
    assert "Chuo-ku, 131024" in error.problem.en


def dripping(connection: socket.socket) -> None:
    connection.sendall(OK + b"\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "talk",
    [
        lambda connection: connection.sendall(OK + b"Content-Length: 100000\r\n\r\n{"),
        lambda connection: connection.sendall(b"SSH-2.0\r\n"),
        lambda _: time.sleep(2),
        dripping,
    ],
    ids=["half", "no HTTP", "silent", "dripping"],
)
def test_whoever_does_not_answer_in_time_is_away(talk: Callable[[socket.socket], object]) -> None:
    with talking(talk) as url:
        begun = time.monotonic()
        assert refused(url).code == "registry-away"
        assert time.monotonic() - begun < 1.5


def test_an_endless_answer_is_read_no_further_than_it_may_be_long() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b" " * 65_536)

    with talking(talk) as url:
        assert refused(url).code == "registry-unreadable"


def test_nobody_there_is_away(tmp_path: Path) -> None:
    del tmp_path
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/").code == "registry-away"
