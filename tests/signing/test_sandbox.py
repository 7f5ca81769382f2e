"""The sandbox: whatever becomes of the process that judges, there is a verdict that says so, and others are judged."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import IO

import pytest
from cryptography import x509

from jpki.errors import JpkiError, Kind
from jpki.revocation import Finding, RevocationEvidence
from server.sandbox import open_sandbox
from server.stored_evidence import Collector
from signing import caps
from signing.intake import Format
from signing.policies import GENERAL
from signing.report import FileVerdict
from signing.samples import tax_return_pdf, tax_return_xtx
from signing.sandbox import Budget, Sandbox
from signing.sign import sign
from signing.time_stamper import Level, Stamping
from signing.validation import TrustAnchor, Validation
from signing.verdict import Decision
from signing.verify import judge
from signing.wire import Anchor, Limits, Terms
from tests.signing.stamps import DAY, list_of, make_clockhouse, terms
from tests.signing.town import NOW, Outage, Town, good, revoked

ODD = "tests.signing.odd_server"
SMALL = Budget(limits=Limits(memory=512 * 1024 * 1024, processor_seconds=1), seconds=3.0)


@contextmanager
def octets(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


@pytest.fixture(scope="module")
def odd() -> Iterator[Sandbox]:
    with Sandbox(4, budget=SMALL, server=ODD) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with open_sandbox(2) as sandbox:
        yield sandbox


Order = Callable[[str], FileVerdict]


@pytest.fixture
def ordered(odd: Sandbox, town: Town) -> Order:
    """Have a file judged whose process does as it says."""

    def order(words: str) -> FileVerdict:
        with octets(words.encode()) as file:
            return odd.judge(file, town.validation())

    return order


# --- what can become of a process ----------------------------------------------------------------------------------

HARM = {
    "exit 0": "ended without a verdict",
    "exit 3": "ended without a verdict",
    "kill SIGKILL": "SIGKILL",
    "kill SIGSEGV": "SIGSEGV",
    "kill SIGSTOP": "too long",
    "sleep 60": "too long",
    "fill": "memory",
    "overflow": "SIGSEGV",
    "hang-up": "ended without a verdict",
    "say 00": "too long",
    "say ffffffff": "no valid form",
    "say 0000000" + "2" + b"{}".hex(): "no valid form",
    "say 00000010" + b'{"kind":"ready"}'.hex(): "no valid form",
}


@pytest.mark.slow
@pytest.mark.parametrize(("order", "named"), HARM.items(), ids=HARM)
def test_whatever_harm_comes_to_the_process_is_a_verdict_that_names_it(ordered: Order, order: str, named: str) -> None:
    begun = time.monotonic()
    verdict = ordered(order)
    assert verdict.decision is Decision.UNREADABLE
    assert named in verdict.sentence.en
    assert verdict.sentence.ja
    assert time.monotonic() - begun < 10
    assert "good" in ordered("ask 1").sentence.en


@pytest.mark.slow
def test_processor_time_is_counted_apart_from_the_clock(town: Town) -> None:
    patient = replace(SMALL, seconds=60.0)
    with Sandbox(1, budget=patient, server=ODD) as spinning, octets(b"spin") as file:
        assert "processor time" in spinning.judge(file, town.validation()).sentence.en


@pytest.mark.slow
def test_others_are_judged_while_one_hangs(ordered: Order) -> None:
    ordered("sleep 0")
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(ordered, "sleep 60")
        begun = time.monotonic()
        for _ in range(5):
            assert ordered("sleep 0").decision is Decision.UNDECIDED
        assert not hanging.done()
        assert time.monotonic() - begun < SMALL.seconds
        assert "too long" in hanging.result().sentence.en


# --- what the process may do ---------------------------------------------------------------------------------------


def test_a_process_that_judges_can_open_start_and_import_nothing(ordered: Order) -> None:
    assert ordered("rights").sentence.ja == "nothing"


@pytest.mark.slow
def test_it_is_nobodys_where_the_service_is_roots_and_knows_no_secret_of_it(
    monkeypatch: pytest.MonkeyPatch, town: Town
) -> None:
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", "canary")
    with Sandbox(1, server=ODD) as fresh, octets(b"state") as file:
        told = fresh.judge(file, town.validation()).sentence.ja
    assert told == f"uid={os.geteuid() or 65534} kept=0 secrets=[]"


def test_a_module_that_was_forgotten_is_an_outage_and_never_a_verdict(ordered: Order) -> None:
    with pytest.raises(JpkiError) as caught:
        ordered("import")
    assert (caught.value.kind, caught.value.code) == (Kind.UNAVAILABLE, "validation-unprepared")
    assert "antigravity" in caught.value.problem.en


def test_an_encoding_that_a_file_makes_up_is_none(ordered: Order) -> None:
    assert ordered("decode made-up").sentence.ja == "unknown"


@pytest.mark.slow
def test_a_process_that_nobody_waits_for_is_killed(odd: Sandbox, ordered: Order) -> None:
    assert "too long" in ordered("sleep 60").sentence.en
    _until(lambda: len(_pids_of(odd)[1]) == 1, 2)  # The one that waits for the next file.


@pytest.mark.slow
def test_every_file_has_a_process_of_its_own(ordered: Order) -> None:
    assert len({ordered("sleep 0").sentence.en for _ in range(3)}) == 3


# --- what it asks --------------------------------------------------------------------------------------------------


class Slow:
    """A source that takes its time."""

    def evidence(self, _certificate: x509.Certificate, _issuer: x509.Certificate, at: datetime) -> RevocationEvidence:
        time.sleep(SMALL.seconds + 0.5)
        return RevocationEvidence(finding=Finding.GOOD, source="slow", as_of=at)


@pytest.mark.slow
def test_the_wait_for_a_word_on_revocation_is_not_the_files_fault(odd: Sandbox, town: Town) -> None:
    validation = replace(town.validation(), revocation=[Slow()])
    with octets(b"ask 1") as file:
        assert odd.judge(file, validation).sentence.ja == "good"


def test_a_source_that_is_away_has_no_say(odd: Sandbox, town: Town) -> None:
    with octets(b"ask 1") as file:
        assert odd.judge(file, town.validation(Outage())).sentence.ja == "None"


@pytest.mark.parametrize("more", [0, 1])
def test_questions_are_counted(ordered: Order, more: int) -> None:
    verdict = ordered(f"ask {caps.MOST_QUESTIONS + more}")
    assert ("no valid form" in verdict.sentence.en) is bool(more)


class Broken:
    """A source with a fault of its own."""

    def evidence(self, _certificate: x509.Certificate, _issuer: x509.Certificate, _at: datetime) -> None:
        raise ZeroDivisionError


def test_a_fault_of_ours_is_not_told_of_the_file(odd: Sandbox, town: Town) -> None:
    validation = replace(town.validation(), revocation=[Broken()])
    with octets(b"ask 1") as file, pytest.raises(ZeroDivisionError):
        odd.judge(file, validation)


# --- verdicts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Format.PDF, Format.PADES, Format.XML, Format.CMS])
@pytest.mark.parametrize("show", [True, False])
def test_a_verdict_is_the_same_as_without_the_sandbox(sandbox: Sandbox, town: Town, form: Format, show: bool) -> None:  # noqa: FBT001 - parametrized
    plain = tax_return_xtx("見本", 2025) if form is Format.XML else tax_return_pdf(["Income"])
    for source in (good(), revoked(NOW), revoked(NOW.replace(year=2027))):
        validation = town.validation(source, show=show, at=NOW)
        with octets(sign(plain, town.holder, form, NOW)) as file:
            assert sandbox.judge(file, validation) == judge(file, validation)


def test_a_document_beside_its_signature_goes_into_the_sandbox_too(sandbox: Sandbox, town: Town) -> None:
    signed = sign(b"content", town.holder, Format.CMS, NOW, detached=True)
    with octets(signed) as file, octets(b"content") as right, octets(b"Content") as wrong:
        for content in (right, wrong, None):
            judged = sandbox.judge(file, town.validation(), GENERAL, content)
            assert judged == judge(file, town.validation(), GENERAL, content)
        assert sandbox.judge(file, town.validation(), GENERAL, right).decision is Decision.ACCEPT


def test_a_long_list_that_a_document_holds_is_read_there(sandbox: Sandbox, town: Town) -> None:
    """A partition's has thousands of entries; to read them takes no thread, of which the process may have none."""
    house, keeper = make_clockhouse(), town.credential(town.holder.certificate, town.root.certificate)
    collect = Collector([list_of(town.root, NOW, others=10_000)], None)
    stamping = Stamping(stamper=house.stamper(), collect=collect, level=Level.LT)
    document = sign(tax_return_pdf(["Income"]), keeper, Format.PDF, NOW, stamping=stamping)
    validation = terms(town, house, sources=[], now=NOW + 300 * DAY)
    with octets(document) as file:
        judged = sandbox.judge(file, validation)
        assert judged == judge(file, validation)
    assert judged.decision is Decision.ACCEPT


def test_the_terms_leave_out_nothing_of_a_validation() -> None:
    told = {field.name for field in fields(Terms)}
    asked = {field.name for field in fields(Validation)}
    assert asked - told == {"revocation", "clock", "read_stored"}
    assert told - asked == {"sources", "now", "reads_stored", "policy"}


def test_the_terms_leave_out_nothing_of_an_anchor() -> None:
    assert {field.name for field in fields(Anchor)} == {field.name for field in fields(TrustAnchor)}


# --- how many at once ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_so_many_are_judged_and_wait_at_once(town: Town) -> None:
    with Sandbox(1, waiting=1, server=ODD) as narrow, ThreadPoolExecutor(3) as threads:

        def order(words: bytes) -> FileVerdict:
            with octets(words) as file:
                return narrow.judge(file, town.validation())

        order(b"sleep 0")
        begun = time.monotonic()
        futures = [threads.submit(order, b"sleep 1") for _ in range(3)]
        refused = [error for future in futures if (error := future.exception()) is not None]
        assert [(error.kind, error.code) for error in refused if isinstance(error, JpkiError)] == [
            (Kind.UNAVAILABLE, "validation-busy")
        ]
        assert time.monotonic() - begun >= 2
        assert order(b"sleep 0").decision is Decision.UNDECIDED


@pytest.mark.slow
def test_nobody_waits_for_a_place_for_ever(town: Town) -> None:
    with Sandbox(1, waiting=1, patience=0.2, server=ODD) as narrow, ThreadPoolExecutor(1) as threads:

        def order(words: bytes) -> FileVerdict:
            with octets(words) as file:
                return narrow.judge(file, town.validation())

        order(b"sleep 0")
        holding = threads.submit(order, b"sleep 2")
        time.sleep(0.2)
        with pytest.raises(JpkiError, match="validation-busy"):
            order(b"sleep 0")
        assert holding.result().decision is Decision.UNDECIDED


# --- life and death ------------------------------------------------------------------------------------------------


def _pids_of(sandbox: Sandbox) -> tuple[int, list[int]]:
    """Return the fork server and its children, as the kernel knows them."""
    (server,) = (int(each) for each in _children(os.getpid()) if ODD.encode() in _command(int(each)))
    del sandbox
    return server, [int(each) for each in _children(server)]


def _children(pid: int) -> list[str]:
    return [each for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds
        time.sleep(0.01)
    return time.monotonic() - begun


SERVICE = """
import sys, tempfile
from datetime import UTC, datetime
from server.sandbox import open_sandbox
from server.stored_evidence import Collector
from signing.sandbox import Sandbox
from signing.validation import TrustAnchor, Validation
sandbox = Sandbox(2, server="tests.signing.odd_server")
file = tempfile.TemporaryFile()
file.write(b"sleep 8"); file.flush()
sandbox.judge(file, Validation(anchors=(), revocation=(), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["service", "server"])
def test_what_is_started_dies_with_what_started_it(victim: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE]) as service:
        # One judges, and one waits for the next file.
        _until(lambda: any(len(_children(int(each))) == 2 for each in _children(service.pid)), 30)
        (server,) = (int(each) for each in _children(service.pid))
        started = [server, *map(int, _children(server))]
        os.kill(service.pid if victim == "service" else server, signal.SIGKILL)
        assert _until(lambda: all(map(_is_gone, started))) < 1
        service.kill()


@pytest.mark.slow
def test_a_process_that_was_killed_while_it_waited_for_a_file_is_no_loss(odd: Sandbox, ordered: Order) -> None:
    ordered("sleep 0")
    server, _ = _pids_of(odd)
    _until(lambda: len(_pids_of(odd)[1]) == 1)
    (waiting,) = _pids_of(odd)[1]
    os.kill(waiting, signal.SIGKILL)
    _until(lambda: _pids_of(odd)[1] not in ([], [waiting]))
    assert ordered("sleep 0").decision is Decision.UNDECIDED
    assert _pids_of(odd)[0] == server


@pytest.mark.slow
def test_a_server_that_was_killed_is_started_anew(odd: Sandbox, ordered: Order) -> None:
    ordered("sleep 0")
    server, _ = _pids_of(odd)
    os.kill(server, signal.SIGKILL)
    assert ordered("sleep 0").decision is Decision.UNDECIDED
    assert _pids_of(odd)[0] != server


@pytest.mark.slow
def test_a_server_killed_while_it_judges_is_started_anew(odd: Sandbox, ordered: Order) -> None:
    ordered("sleep 0")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ordered, "sleep 1")
        time.sleep(0.5)
        os.kill(_pids_of(odd)[0], signal.SIGKILL)
        assert waiting.result().decision is Decision.UNDECIDED


@pytest.mark.slow
def test_a_server_that_never_starts_is_an_outage(town: Town) -> None:
    with Sandbox(1, server="tests.signing.expect") as none, octets(b"x") as file:
        with pytest.raises(JpkiError) as caught:
            none.judge(file, town.validation())
        assert (caught.value.kind, caught.value.code) == (Kind.UNAVAILABLE, "validation-away")


def test_a_server_that_stands_still_is_an_outage_and_no_fault_of_the_file(town: Town) -> None:
    with Sandbox(1, start_seconds=0.1, server="tests.signing.still_server") as still, octets(b"x") as file:
        with pytest.raises(JpkiError) as caught:
            still.judge(file, town.validation())
        assert (caught.value.kind, caught.value.code) == (Kind.UNAVAILABLE, "validation-away")


@pytest.mark.slow
def test_nothing_is_left_of_a_thousand_files(odd: Sandbox, ordered: Order) -> None:
    ordered("sleep 0")
    server, _ = _pids_of(odd)

    def held() -> list[int]:
        return [len(list(Path(f"/proc/{each}/fd").iterdir())) for each in ("self", server)]

    _until(lambda: len(_pids_of(odd)[1]) == 1)
    time.sleep(0.5)
    before = held()
    with ThreadPoolExecutor(4) as threads:
        orders = ["sleep 0", "exit 0", "kill SIGKILL", "say ffffffff"] * 50
        for _ in threads.map(ordered, orders):
            pass
    _until(lambda: len(_pids_of(odd)[1]) == 1)  # The one that waits for the next file.
    _until(lambda: held() == before)
    assert threading.active_count() < 20
