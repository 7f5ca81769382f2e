"""What is answered again, and what ends it: the journal, time, and the ledger's absence (rules R7, R16, R26)."""

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponse, OCSPResponseStatus, load_der_ocsp_response
from hypothesis import given
from hypothesis import strategies as st

from jpki import oids
from jpki.clock import whole_second
from jpki.errors import JpkiError, Kind
from jpki.ids import PartitionId, Serial
from jpki.ports import JournalChanges, JournalEntry
from jpki.revocation import Reason, State, Status
from jpki.text import Text
from ocsp.cache import AT_MOST, REUSE, Cache, Standing
from ocsp.cert_id import CertId, IssuerHashes
from ocsp.follower import Follower
from ocsp.live import SignedAnswer
from ocsp.request import MalformedRequest, parse_request, sole_cert_id
from ocsp.responder import Answer, Outcome, Responder
from ocsp.response import Period
from tests.ocsp.authority import (
    GOOD,
    HELD,
    NEVER_ISSUED,
    NOW,
    cert_id,
    issuer,
    ledger,
    nonce_extension,
    question,
    status,
)

QUESTION = question(cert_id(GOOD))
AWAY = JpkiError(Kind.UNAVAILABLE, "database-unavailable", Text("不通", "away"), Text("待つ", "wait"))


@dataclass
class World:
    """A ledger and its journal, a clock, and how often the ledger was asked."""

    rows: dict[Serial, Status] = field(default_factory=ledger)
    entries: list[JournalEntry] = field(default_factory=list)
    epoch: int = 1
    away: bool = False
    now: datetime = NOW
    asked: int = 0
    slowness: float = 0
    issuers_change: bool = False
    meanwhile: Callable[[], object] | None = None

    def status(self, serial: Serial) -> Status | None:
        self.asked += 1
        if self.away:
            raise AWAY
        found = self.rows.get(serial)
        if self.meanwhile is not None:
            self.meanwhile()
        return found

    def journal(self, position: int, at_most: int) -> JournalChanges:
        time.sleep(self.slowness)
        if self.away:
            raise AWAY
        return JournalChanges(self.epoch, len(self.entries), self.entries[position : position + at_most])

    def refresh(self) -> bool:
        changed, self.issuers_change = self.issuers_change, False
        return changed

    def revoke(self, serial: Serial = GOOD, partition: str | None = "p0001") -> None:
        self.rows[serial] = status(serial, State.REVOKED, Reason.KEY_COMPROMISE)
        self.tell(serial, partition)

    def tell(self, serial: Serial, partition: str | None = "p0001") -> None:
        entry = JournalEntry(
            position=len(self.entries) + 1,
            serial=serial,
            partition=None if partition is None else PartitionId(partition),
            state=State.REVOKED,
            reason=Reason.KEY_COMPROMISE,
            listed=True,
            effective_at=self.now,
            recorded_at=self.now,
        )
        self.entries.append(entry)

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def follower(world: World) -> Follower:
    return Follower(world.journal, world.refresh)


@pytest.fixture
def responder(world: World, follower: Follower) -> Iterator[Responder]:
    """A responder that follows the journal."""
    responder = Responder(lambda: [issuer()], world.status, world.clock, follower)
    responder.start()
    assert follower.standing() is Standing.CURRENT
    yield responder
    responder.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, which rule R16 gives a second, and a busy machine a few."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ask(responder: Responder, data: bytes = QUESTION) -> Answer:
    return responder.answer("POST", "", {}, data)


def read(answer: Answer) -> OCSPResponse:
    return load_der_ocsp_response(answer.body)


def says(responder: Responder, data: bytes = QUESTION) -> OCSPCertStatus:
    return read(ask(responder, data)).certificate_status


# --- given again -----------------------------------------------------------------------------------------------


def test_an_answer_is_given_again_however_it_is_asked_for(responder: Responder, world: World) -> None:
    first = ask(responder)
    with_defaults = question(cert_id(GOOD), before=b"\xa0\x03\x02\x01\x00")
    path = base64.b64encode(QUESTION).decode()
    for again in (ask(responder), ask(responder, with_defaults), responder.answer("GET", path, {}, b"")):
        assert again == first._replace(outcome=Outcome.KEPT)
    assert world.asked == 1
    assert responder.answer("GET", path, {"if-none-match": first.headers["ETag"]}, b"").status == 304


def test_each_way_to_name_the_issuer_has_its_own_answer(responder: Responder, world: World) -> None:
    for algorithm in (oids.SHA1, oids.SHA256, oids.SHA384, oids.SHA512):
        data = question(cert_id(GOOD, algorithm=algorithm))
        assert read(ask(responder, data)).issuer_name_hash == read(ask(responder, data)).issuer_name_hash
        assert cert_id(GOOD, algorithm=algorithm) in ask(responder, data).body
    assert world.asked == 1


def test_an_answer_to_a_nonce_is_signed_each_time_of_a_known_status(responder: Responder, world: World) -> None:
    data = question(cert_id(GOOD), extensions=(nonce_extension(b"n" * 16),))
    first, second = ask(responder, data), ask(responder, data)
    assert first.body != second.body
    assert first.headers["Cache-Control"] == "no-store"
    assert world.asked == 1
    assert ask(responder).headers["Cache-Control"].startswith("max-age=60,")


def test_an_answer_is_signed_anew_after_five_minutes(responder: Responder, world: World) -> None:
    ask(responder)
    world.now += REUSE - timedelta(seconds=1)
    assert read(ask(responder)).this_update_utc == whole_second(NOW)
    world.now += timedelta(seconds=1)
    assert read(ask(responder)).this_update_utc == whole_second(world.now)


def test_caches_are_told_how_long_an_answer_holds_from_now_on(responder: Responder, world: World) -> None:
    ask(responder)
    world.now += timedelta(minutes=4)
    headers = ask(responder).headers
    assert headers["Cache-Control"].startswith("max-age=60,")
    assert headers["Expires"] == "Mon, 23 Nov 2026 03:09:05 GMT"


def test_a_clock_that_went_back_gives_no_answer_of_the_future(responder: Responder, world: World) -> None:
    ask(responder)
    world.now -= timedelta(minutes=1)
    assert read(ask(responder)).this_update_utc == whole_second(world.now)


def test_r15_an_unknown_serial_is_looked_up_each_time(responder: Responder, world: World) -> None:
    for _ in range(2):
        assert says(responder, question(cert_id(NEVER_ISSUED))) is OCSPCertStatus.UNKNOWN
    assert world.asked == 2
    world.rows[NEVER_ISSUED] = status(NEVER_ISSUED, State.ACTIVE)
    assert says(responder, question(cert_id(NEVER_ISSUED))) is OCSPCertStatus.GOOD


def test_what_needs_the_ledger_is_not_answered_at_once(responder: Responder) -> None:
    nonce = question(cert_id(GOOD), extensions=(nonce_extension(b"n"),))
    for data in (QUESTION, nonce):
        assert responder.answer_at_once("POST", "", {}, data) is None
    ask(responder)
    for data in (QUESTION, nonce, b"", b"garbage"):
        assert responder.answer_at_once("POST", "", {}, data) is not None


def test_a_key_in_a_token_signs_nothing_at_once(world: World, follower: Follower) -> None:
    responder = Responder(lambda: [issuer()], world.status, world.clock, follower, signs_at_once=False)
    responder.start()
    assert follower.standing() is Standing.CURRENT
    nonce = question(cert_id(GOOD), extensions=(nonce_extension(b"n"),))
    ask(responder)
    assert responder.answer_at_once("POST", "", {}, QUESTION) is not None
    assert responder.answer_at_once("POST", "", {}, nonce) is None
    responder.close()


# --- until the journal tells of a change -----------------------------------------------------------------------


def test_r16_a_revocation_shows_within_a_second(responder: Responder, world: World) -> None:
    nonce = question(cert_id(GOOD), extensions=(nonce_extension(b"n"),))
    assert {says(responder), says(responder, nonce)} == {OCSPCertStatus.GOOD}
    world.revoke()
    until(lambda: says(responder) is OCSPCertStatus.REVOKED)
    assert says(responder, nonce) is OCSPCertStatus.REVOKED


def test_r26_changes_of_others_end_nothing(responder: Responder, world: World) -> None:
    ask(responder)
    asked = world.asked
    world.revoke(HELD)
    until(lambda: says(responder, question(cert_id(HELD))) is OCSPCertStatus.REVOKED)
    assert says(responder) is OCSPCertStatus.GOOD
    assert world.asked == asked + 1


def test_r26_what_was_read_before_a_change_is_not_kept_after_it(
    responder: Responder, world: World, follower: Follower
) -> None:
    """The change is committed, and heard of, between the look at the ledger and the signature."""

    def revoked_meanwhile() -> None:
        world.meanwhile = None
        world.revoke()
        until(lambda: follower.position == len(world.entries))

    world.meanwhile = revoked_meanwhile
    assert says(responder) is OCSPCertStatus.GOOD
    assert says(responder) is OCSPCertStatus.REVOKED


@pytest.mark.parametrize("change", ["compromise", "epoch", "issuers"])
def test_r26_some_changes_end_everything(responder: Responder, world: World, change: str) -> None:
    ask(responder)
    world.rows[GOOD] = status(GOOD, State.REVOKED, Reason.KEY_COMPROMISE)
    match change:
        case "compromise":
            world.tell(Serial(1), None)
        case "epoch":
            world.epoch += 1
        case "issuers":
            world.issuers_change = True
    until(lambda: says(responder) is OCSPCertStatus.REVOKED)


def test_r26_a_journal_that_lost_its_end_is_followed_anew(
    responder: Responder, world: World, follower: Follower
) -> None:
    """As where the database's stand-by takes over, and lacks what was committed last."""
    for number in range(3):
        world.tell(Serial(number + 10))
    until(lambda: follower.position == len(world.entries))
    assert says(responder) is OCSPCertStatus.GOOD
    lost, world.away = world.entries[1:], True
    until(lambda: follower.standing() is Standing.AWAY)
    world.entries = world.entries[:1]
    world.revoke()
    world.away = False
    until(lambda: says(responder) is OCSPCertStatus.REVOKED)
    assert follower.position == len(world.entries) < len(lost) + 1


def test_r26_many_changes_are_all_heard_of(responder: Responder, world: World) -> None:
    ask(responder)
    for number in range(2500):
        world.tell(Serial(number + 10))
    world.revoke()
    until(lambda: says(responder) is OCSPCertStatus.REVOKED)


def test_r16_who_has_not_heard_of_all_is_not_current(responder: Responder, world: World, follower: Follower) -> None:
    """Five pages of changes, each of which takes a third of the second that rule R16 gives."""
    ask(responder)
    world.slowness = 0.35
    for number in range(4500):
        world.tell(Serial(number + 10))
    until(lambda: follower.position >= 1000)
    until(lambda: follower.standing() is Standing.AWAY)
    assert follower.position < len(world.entries)
    world.slowness = 0
    until(lambda: follower.standing() is Standing.CURRENT)
    assert follower.position == len(world.entries)


# --- while the ledger is away ----------------------------------------------------------------------------------


@pytest.fixture
def forsaken(responder: Responder, world: World, follower: Follower) -> Responder:
    """The responder after it gave one answer and the ledger went away."""
    ask(responder)
    world.away = True
    until(lambda: follower.standing() is Standing.AWAY)
    return responder


def test_r07_what_was_signed_goes_on_until_its_end(forsaken: Responder, world: World) -> None:
    world.now += timedelta(minutes=14)
    assert says(forsaken) is OCSPCertStatus.GOOD
    assert read(ask(forsaken)).this_update_utc == whole_second(NOW)
    world.now = whole_second(NOW) + timedelta(minutes=15)
    assert read(ask(forsaken)).response_status is OCSPResponseStatus.TRY_LATER


def test_r07_no_cache_outlives_the_answer(forsaken: Responder, world: World) -> None:
    world.now = whole_second(NOW) + timedelta(minutes=14, seconds=50)
    assert ask(forsaken).headers["Cache-Control"].startswith("max-age=10,")


def test_r07_nothing_is_signed_while_the_ledger_is_away(forsaken: Responder, world: World) -> None:
    asked = world.asked
    nonce = question(cert_id(GOOD), extensions=(nonce_extension(b"n" * 16),))
    answer = ask(forsaken, nonce)
    assert read(answer).this_update_utc == whole_second(NOW)
    assert answer.headers["Cache-Control"] == "no-store"
    for data in (question(cert_id(HELD)), question(cert_id(GOOD), cert_id(HELD))):
        assert read(ask(forsaken, data)).response_status is OCSPResponseStatus.TRY_LATER
    assert world.asked == asked


def test_r07_all_is_well_again_when_the_ledger_is_back(forsaken: Responder, world: World) -> None:
    world.revoke()
    assert says(forsaken) is OCSPCertStatus.GOOD
    world.away = False
    until(lambda: says(forsaken) is OCSPCertStatus.REVOKED)


def test_without_a_follower_every_answer_is_the_ledgers(world: World) -> None:
    responder = Responder(lambda: [issuer()], world.status, world.clock)
    assert says(responder) is OCSPCertStatus.GOOD
    world.revoke()
    assert says(responder) is OCSPCertStatus.REVOKED


def test_after_the_follower_stopped_every_answer_is_the_ledgers(responder: Responder, world: World) -> None:
    assert says(responder) is OCSPCertStatus.GOOD
    responder.close()
    world.revoke()
    assert says(responder) is OCSPCertStatus.REVOKED


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_r16_a_follower_that_ended_by_itself_is_believed_for_a_second_at_most(world: World) -> None:
    def broken(position: int, at_most: int) -> JournalChanges:
        if world.away:
            raise RuntimeError
        return world.journal(position, at_most)

    follower = Follower(broken, world.refresh)
    responder = Responder(lambda: [issuer()], world.status, world.clock, follower)
    responder.start()
    assert says(responder) is OCSPCertStatus.GOOD
    world.away = True
    until(lambda: follower.standing() is Standing.UNFOLLOWED)
    world.away = False
    world.revoke()
    assert says(responder) is OCSPCertStatus.REVOKED
    responder.close()


# --- bounds ----------------------------------------------------------------------------------------------------


def test_the_one_asked_for_least_recently_goes_first() -> None:
    cache = Cache(lambda: Standing.CURRENT, at_most=2)
    period = Period(whole_second(NOW), whole_second(NOW) + timedelta(minutes=15))
    asked = [CertId(bytes([n]), IssuerHashes(b"", b"", b""), Serial(n)) for n in range(3)]
    signed = [SignedAnswer(bytes([n]), period, fields=b"", told=()) for n in range(3)]
    for n in (0, 1):
        cache.keep_answer(asked[n], signed[n], cache.mark())
        cache.keep_status(status(Serial(n), State.ACTIVE), cache.mark())
    assert cache.answer(asked[0].raw, NOW) is signed[0]
    assert cache.status(Serial(0)) is not None
    cache.keep_answer(asked[2], signed[2], cache.mark())
    cache.keep_status(status(Serial(2), State.ACTIVE), cache.mark())
    assert [cache.answer(each.raw, NOW) for each in asked] == [signed[0], None, signed[2]]
    assert [cache.status(each.serial) is None for each in asked] == [False, True, False]
    cache.forget([each.serial for each in asked])
    assert [cache.answer(each.raw, NOW) for each in asked] == [None, None, None]
    assert AT_MOST >= 100_000


@given(st.binary(max_size=140))
def test_no_other_request_passes_for_one_that_is_known(noise: bytes) -> None:
    for data in (noise, QUESTION[:8] + noise, QUESTION + noise, noise + QUESTION):
        raw = sole_cert_id(data)
        if raw is not None and raw == cert_id(GOOD):
            assert parse_request(data).cert_ids[0].raw == raw


@given(st.integers(0, len(QUESTION) - 1), st.integers(0, 255))
def test_a_changed_octet_never_names_a_known_certificate(at: int, value: int) -> None:
    changed = QUESTION[:at] + bytes([value]) + QUESTION[at + 1 :]
    if changed != QUESTION and sole_cert_id(changed) == cert_id(GOOD):
        with pytest.raises(MalformedRequest):
            parse_request(changed)
        raise AssertionError


@pytest.mark.parametrize("algorithm", [oids.SHA1, oids.SHA256])
def test_the_short_way_sees_the_certid_that_the_parser_sees(algorithm: str) -> None:
    data = question(cert_id(GOOD, algorithm=algorithm))
    assert sole_cert_id(data) == parse_request(data).cert_ids[0].raw
    assert sole_cert_id(question(cert_id(GOOD), cert_id(HELD))) is None
    assert sole_cert_id(question(cert_id(GOOD), extensions=(nonce_extension(b"n"),))) is None
