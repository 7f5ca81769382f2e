"""A card in a file: its owner's alone, whole at every instant, and of one reader at a time."""

import json
import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from enroll.card.file import card_at, make_card
from enroll.card.state import CounterAct
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError
from jpki.signature import check, sign
from tests.enroll.card.cards import PINS, certified, furnished, leave, new_state, plainly

AUTHENTICATION = Purpose.AUTHENTICATION


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "card.json"
    make_card(file, furnished().state)
    return file


def tries(file: Path) -> int:
    return int(json.loads(file.read_text())["slots"]["authentication"]["pin"]["left"])


def test_a_card_is_tomorrow_what_it_is_today(file: Path) -> None:
    with card_at(file, stretch=plainly) as card:
        facts = card.facts
        keys = [card.public_key(each) for each in HOLDER_PURPOSES]
        certificate = card.signing_certificate(PINS[Purpose.SIGNING])
        request = card.request(Purpose.SIGNING)
    with card_at(file, stretch=plainly) as card:
        assert card.facts == facts
        assert [card.public_key(each) for each in HOLDER_PURPOSES] == keys
        assert card.signing_certificate(PINS[Purpose.SIGNING]) == certificate
        check(keys[1], b"here", sign(card.unlocked(HOLDER_PURPOSES[1], PINS[HOLDER_PURPOSES[1]]), b"here"))
        assert card.load(certified(request)) is Purpose.SIGNING
        card.unlock({AUTHENTICATION: "1212"}, leave(CounterAct.UNLOCK))
    with card_at(file, stretch=plainly) as card, pytest.raises(JpkiError, match="leave-used"):
        card.unlock({AUTHENTICATION: "1212"}, leave(CounterAct.UNLOCK))


def test_the_file_is_its_owners_alone_from_the_first_octet_to_the_last(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with card_at(file, stretch=plainly) as card:
        card.unlocked(AUTHENTICATION, PINS[AUTHENTICATION])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["card.json"]


def test_no_card_is_made_over_another(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(JpkiError, match="card-exists"):
        make_card(file, new_state())
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == ["card.json"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": "jpki.card/2"}', '{"schema": "jpki.card/1"}', "\x00"])
def test_what_is_no_card_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "card.json"
    file.write_text(content)
    with pytest.raises(JpkiError, match="card-file-unusable"), card_at(file):
        pass
    assert file.read_text() == content
    with pytest.raises(JpkiError, match="card-file-unusable"), card_at(tmp_path / "none.json"):
        pass


def test_a_card_is_in_one_reader_at_a_time(file: Path) -> None:
    order: list[str] = []
    inserted, waited = threading.Event(), threading.Event()

    def second() -> None:
        inserted.wait()
        waited.set()
        with card_at(file, stretch=plainly) as card:
            order.append("second")
            assert card.tries[AUTHENTICATION] == 2

    thread = threading.Thread(target=second)
    thread.start()
    with card_at(file, stretch=plainly) as card:
        inserted.set()
        # The state is replaced while the other waits for the one that is no card any more.
        with pytest.raises(JpkiError, match="pin-wrong"):
            card.unlocked(AUTHENTICATION, "0000")
        waited.wait()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def killed_at(steps: int, file: Path) -> bool:
    """Guess a PIN in a process that is killed at this call of the system; tell whether it was killed in time."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_guess, args=(steps, file))
    process.start()
    process.join(30)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _guess(steps: int, file: Path) -> None:
    """Count the calls that touch the disk, and die at one of them."""
    left = [steps]

    def dying(name: str) -> None:
        call = getattr(os, name)

        def counted(*arguments: object, **more: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **more)

        setattr(os, name, counted)

    for name in ("open", "fsync", "replace", "close", "dup", "lseek"):
        dying(name)
    with card_at(file, stretch=plainly) as card:
        try:
            card.unlocked(AUTHENTICATION, "0000")
        except JpkiError:
            # This is the answer: whoever hears it is to have paid for it.
            file.with_name("heard").touch()


@pytest.mark.slow
def test_a_guess_that_is_killed_at_any_call_leaves_a_whole_card_and_is_paid_for_once_heard(file: Path) -> None:
    original = file.read_bytes()
    counts: list[int] = []
    for steps in range(1, 60):
        file.write_bytes(original)
        file.with_name("heard").unlink(missing_ok=True)
        alive = not killed_at(steps, file)
        counts.append(tries(file))
        assert not file.with_name("heard").exists() or counts[-1] == 2
        with card_at(file, stretch=plainly) as card:
            card.unlocked(AUTHENTICATION, PINS[AUTHENTICATION])
        if alive:
            break
    else:
        pytest.fail("it was never left alone")
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {3, 2}
