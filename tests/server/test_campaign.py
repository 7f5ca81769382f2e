"""Campaigns: everyone renewed once, nobody lost and nobody doubled, whatever stops in the middle."""

import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select, update

from enroll.campaign import Worker
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import CampaignId, CampaignState, ItemState
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, system_clock
from jpki.errors import JpkiError
from jpki.ids import HolderCode, Serial, format_serial
from jpki.randomness import system_randomness
from jpki.resident import Registration, taken_at_word
from jpki.revocation import Reason, State
from server.campaigns import worker_of
from server.founding import found
from server.home import Home
from server.sample.cards import SampleCards
from server.sample.holders import CODE_PREFIX, sample_holder
from server.sample.town import populate
from server.settings import Settings
from server.store import tables
from server.store.database import Database
from server.wiring import Rooms, open_rooms
from tests import forked
from tests.conftest import SteppingClock
from tests.crl.fakes import Crash, Fuse
from tests.server.conftest import copied
from tests.server.console import Jpki
from tests.server.office_world import Register
from tests.server.people import of_few_towns
from tests.server.postgresql import running

pytestmark = pytest.mark.slow

FOUR_YEARS_AND_A_HALF = timedelta(days=1643)
"""Later than that the first generation issues no more: certificates would outlive it."""
HORIZON = timedelta(days=85)
ONE = CampaignId(1)


def nothing(*_: object) -> None:
    """Told, and does nothing."""


def aged(folder: Path, settings: Settings, holders: int) -> Home:
    """A home of years ago whose holders' certificates are about to end, a third of them within the horizon."""
    past = system_clock() - FOUR_YEARS_AND_A_HALF
    rooms = found(Home(folder), settings, lambda: past, system_randomness)
    with of_few_towns():
        populate(rooms, "campaign", holders, nothing)
    rooms.close()
    return rooms.home


@pytest.fixture(scope="module")
def aged_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return aged(tmp_path_factory.mktemp("campaign") / "home", Settings(), 40).path


@pytest.fixture
def home(aged_home: Path, tmp_path: Path) -> Path:
    return copied(aged_home, tmp_path / "home")


@pytest.fixture
def present() -> SteppingClock:
    return SteppingClock(system_clock())


@pytest.fixture
def rooms(home: Path, present: SteppingClock) -> Iterator[Rooms]:
    opened = open_rooms(Home(home), present)
    yield opened
    opened.close()


def first_day_not_covered() -> str:
    return (day_in_japan(system_clock()) + HORIZON).isoformat()


def opened(rooms: Rooms) -> set[Serial]:
    """Open a campaign, and return what it is to renew."""
    ending_by = day_in_japan(rooms.clock()) + HORIZON
    campaign = rooms.store.campaigns.open(ending_by, BY, rooms.clock())
    assert campaign.total > 8
    item = tables.campaign_item
    with rooms.store.database.reading() as connection:
        return set(connection.execute(select(item.c.serial).where(item.c.campaign == campaign.id)).scalars())


def worker(rooms: Rooms) -> Worker:
    return worker_of(rooms, SampleCards(rooms.profile.key), nothing)


def finish(at: Worker) -> None:
    while at.work(ONE)[1]:
        pass


def check_everyone_was_renewed_once(rooms: Rooms, wanted: set[Serial]) -> None:
    """Each old one is superseded by exactly one live successor, nothing is pending, and nothing lives unsigned."""
    certificate, status = tables.certificate, tables.status
    with rooms.store.database.reading() as connection:
        rows = connection.execute(
            select(certificate.c.renews, certificate.c.serial, status.c.state).join(
                status, status.c.serial == certificate.c.serial
            )
        ).all()
        pending = connection.execute(select(tables.place).where(tables.place.c.stage == "pending")).all()
    alive = Counter(row.renews for row in rows if row.renews is not None and row.state == State.ACTIVE)
    assert alive == Counter(wanted)
    assert pending == []
    assert not any(row.state in (State.RESERVED, State.INTENDED, State.ISSUED) for row in rows)
    for record in rooms.store.ledger.find(list(wanted)).values():
        assert (record.status.state, record.status.reason) == (State.REVOKED, Reason.SUPERSEDED)
    new = [row.serial for row in rows if row.renews in wanted and row.state == State.ACTIVE]
    assert set(rooms.store.ledger.certificates(new)) == set(new)
    campaign = rooms.store.campaigns.campaign(ONE)
    assert campaign.counts[ItemState.DONE] == campaign.total == len(wanted)


# --- the whole of it -----------------------------------------------------------------------------------------------


def test_a_campaign_renews_all_that_end_in_time_and_nothing_else(jpki: Jpki, home: Path, tmp_path: Path) -> None:
    words = ("campaign", "renew", "--home", home, "--expiring-before", first_day_not_covered())
    planned = jpki.done(*words, "--dry-run")
    assert "campaign" not in planned
    assert jpki.done("campaign", "status", "--home", home)["campaigns"] == []
    total = sum(week["count"] for week in planned["forecast"])
    begun = jpki.done(*words)["campaign"]
    assert (begun["id"], begun["total"], begun["left"]) == (1, total, total)
    out = tmp_path / "out"
    done = jpki.done("campaign", "run", "1", "--home", home, "--cards", "sample", "--out", out, "--workers", "2")
    assert (done["counts"]["done"], done["left"]) == (total, 0)
    bundles = [x509.load_pem_x509_certificates(file.read_bytes()) for file in sorted(out.iterdir())]
    assert len({each.serial_number for bundle in bundles for each in bundle}) == total
    rooms = open_rooms(Home(home))
    wanted = set(rooms.store.ledger.successors(_all_serials(rooms)))
    check_everyone_was_renewed_once(rooms, wanted)
    horizon = day_in_japan(rooms.clock()) + HORIZON
    for record in rooms.store.ledger.find(list(_all_serials(rooms))).values():
        ends_in_time = rooms.clock() <= record.validity.not_after and day_in_japan(record.validity.not_after) < horizon
        assert (record.serial in wanted) <= ends_in_time
        assert not (ends_in_time and record.status.state is State.ACTIVE)
    rooms.close()
    assert jpki.done(*words)["campaign"]["total"] == 0


def _all_serials(rooms: Rooms) -> Sequence[Serial]:
    with rooms.store.database.reading() as connection:
        return connection.execute(select(tables.certificate.c.serial)).scalars().all()


def test_a_renewed_signing_certificate_ends_with_the_renewed_authentication_certificate(rooms: Rooms) -> None:
    wanted = opened(rooms)
    finish(worker(rooms))
    successors = rooms.store.ledger.find([each.serial for each in rooms.store.ledger.successors(list(wanted)).values()])
    ends: dict[str, dict[Purpose, object]] = {}
    for record in successors.values():
        ends.setdefault(record.holder, {})[record.purpose] = record.validity.not_after
    pairs = [each for each in ends.values() if len(each) == len(HOLDER_PURPOSES)]
    assert len(pairs) > 3
    assert all(each[Purpose.SIGNING] == each[Purpose.AUTHENTICATION] for each in pairs)


def test_the_window_of_renewal_holds_for_campaigns_too(jpki: Jpki, home: Path) -> None:
    refused = jpki.refused("campaign", "renew", "--home", home, "--expiring-before", "2099-01-01")
    assert (refused.exit, refused.code) == (1, "renewal-closed")


def test_a_paused_campaign_gives_out_nothing_and_a_cancelled_one_never_again(
    jpki: Jpki, home: Path, rooms: Rooms
) -> None:
    wanted = opened(rooms)
    assert jpki.done("campaign", "pause", "1", "--home", home)["state"] == CampaignState.PAUSED
    assert worker(rooms).work(ONE) == (0, False)
    jpki.done("campaign", "resume", "1", "--home", home)
    taken = rooms.store.campaigns.take(ONE, 2, rooms.clock())
    assert (len(taken.serials), taken.left) == (2, True)
    after = jpki.done("campaign", "cancel", "1", "--home", home)
    assert (after["counts"]["cancelled"], after["counts"]["taken"]) == (len(wanted) - 2, 2)
    for words in (("resume", "1"), ("retry", "1"), ("pause", "1")):
        assert jpki.refused("campaign", *words, "--home", home).code == "campaign-cancelled"
    assert jpki.refused("campaign", "status", "7", "--home", home).code == "campaign-unknown"


def test_cards_whose_requests_have_not_come_wait_for_a_retry(
    jpki: Jpki, home: Path, rooms: Rooms, tmp_path: Path
) -> None:
    chosen = opened(rooms)
    records = rooms.store.ledger.find(list(chosen))
    # Signing certificates come first: one beside an authentication certificate that is not renewed gains nothing.
    wanted = sorted(chosen, key=lambda serial: (records[serial].purpose is Purpose.AUTHENTICATION, serial))
    requests = SampleCards(rooms.profile.key)(list(records.values()))
    folder = tmp_path / "cards"
    folder.mkdir()
    for serial in wanted[1:]:
        (folder / f"{format_serial(serial)}.csr").write_bytes(requests[serial])
    (folder / f"{format_serial(wanted[1])}.csr").write_bytes(b"no request")
    run = ("campaign", "run", "1", "--home", home, "--cards", folder, "--workers", "1", "--out")
    first = jpki.done(*run, tmp_path / "first")
    assert (first["counts"]["failed"], first["left"]) == (2, 0)
    with rooms.store.database.reading() as connection:
        errors = set(connection.execute(select(tables.campaign_item.c.error)).scalars())
    assert errors == {None, "request-missing", "csr-malformed"}
    for serial in wanted[:2]:
        (folder / f"{format_serial(serial)}.csr").write_bytes(requests[serial])
    assert jpki.done("campaign", "retry", "1", "--home", home)["retried"] == 2
    jpki.done(*run, tmp_path / "second")
    check_everyone_was_renewed_once(rooms, set(wanted))


def test_one_revoked_while_it_is_renewed_fails_alone(rooms: Rooms) -> None:
    wanted = opened(rooms)
    victim = min(wanted)

    def move_house(certificates: Sequence[x509.Certificate]) -> None:
        del certificates
        if rooms.store.ledger.find([victim])[victim].status.state is State.ACTIVE:
            rooms.store.ledger.revoke([victim], Reason.AFFILIATION_CHANGED, BY, rooms.clock())

    finish(replace(worker(rooms), hand_over=move_house))
    campaign = rooms.store.campaigns.campaign(ONE)
    assert (campaign.counts[ItemState.DONE], campaign.counts[ItemState.FAILED]) == (len(wanted) - 1, 1)
    assert rooms.store.ledger.successors([victim]) == {}


def errors(rooms: Rooms) -> dict[Serial, str]:
    return dict(rooms.store.campaigns.failures(ONE, None, 1000))


def known(rooms: Rooms, wanted: Collection[Serial]) -> Register:
    """A register that says of all that are renewed what sample holders are."""
    holders = {each.holder for each in rooms.store.ledger.find(list(wanted)).values()}
    numbers = {code: int(code.removeprefix(CODE_PREFIX)) for code in holders}
    with of_few_towns():
        return Register({code: taken_at_word(sample_holder("campaign", number)) for code, number in numbers.items()})


def pair(rooms: Rooms, wanted: Collection[Serial]) -> dict[Purpose, Serial]:
    """The two certificates of one holder, both to be renewed."""
    found: dict[HolderCode, dict[Purpose, Serial]] = {}
    for record in rooms.store.ledger.find(sorted(wanted)).values():
        found.setdefault(record.holder, {})[record.purpose] = record.serial
    return next(each for each in found.values() if len(each) == len(HOLDER_PURPOSES))


FORBIDDEN = {
    "a dead person's": ({"registration": Registration.ENDED}, HOLDER_PURPOSES, "register-ended"),
    "a ward's": ({"is_ward": True}, (Purpose.SIGNING,), "ward-no-signing"),
    "one of a stay that is over": ({"stay_until": date(2026, 1, 1)}, HOLDER_PURPOSES, "stay-ended"),
    "one that says something else": ({"name": "日本　移子", "name_substitutes": "00000"}, (Purpose.SIGNING,), None),
}


@pytest.mark.parametrize(("changes", "purposes", "code"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_the_register_forbids_fails_alone_and_can_be_retried(
    rooms: Rooms, changes: dict[str, object], purposes: Sequence[Purpose], code: str | None
) -> None:
    wanted = opened(rooms)
    register, both = known(rooms, wanted), pair(rooms, wanted)
    asking = replace(worker(rooms), registry=register)
    holder = rooms.desk.record(both[Purpose.SIGNING]).holder
    before = register.residents[holder]
    register.change(holder, **changes)
    finish(asking)
    assert errors(rooms) == {both[purpose]: code or "register-disagrees" for purpose in purposes}
    assert all(rooms.desk.record(both[each]).status.state is State.ACTIVE for each in purposes)
    register.enter(before)
    assert rooms.store.campaigns.retry(ONE, BY, rooms.clock()) == len(purposes)
    finish(asking)
    check_everyone_was_renewed_once(rooms, wanted)


def test_whom_the_register_does_not_know_fails_alone_and_a_register_that_is_away_stops_all(
    rooms: Rooms, present: SteppingClock
) -> None:
    wanted = opened(rooms)
    register, both = known(rooms, wanted), pair(rooms, wanted)
    stranger = register.residents.pop(rooms.desk.record(both[Purpose.SIGNING]).holder)
    register.away = True
    asking = replace(worker(rooms), registry=register)
    with pytest.raises(JpkiError, match="registry-away"):
        finish(asking)
    assert errors(rooms) == {}
    register.away = False
    present.advance(minutes=6)
    finish(asking)
    assert errors(rooms) == dict.fromkeys(both.values(), "resident-unknown")
    register.enter(stranger)
    rooms.store.campaigns.retry(ONE, BY, rooms.clock())
    finish(asking)
    check_everyone_was_renewed_once(rooms, wanted)


def test_a_register_is_asked_only_about_those_whose_cards_have_asked(rooms: Rooms) -> None:
    wanted = opened(rooms)
    register = known(rooms, wanted)
    finish(replace(worker(rooms), registry=register, requests=lambda _: {}))
    assert register.asked == 0
    assert set(errors(rooms).values()) == {"request-missing"}


def ends_with_card(rooms: Rooms, serials: Collection[Serial], end: datetime) -> None:
    certificate = tables.certificate
    with rooms.store.database.writing() as connection:
        connection.execute(update(certificate).where(certificate.c.serial.in_(serials)).values(card_end=end))


def test_what_ends_with_its_card_is_told_beforehand_and_not_renewed(jpki: Jpki, home: Path, rooms: Rooms) -> None:
    wanted = opened(rooms)
    both = pair(rooms, wanted)
    end = max(rooms.desk.record(each).validity.not_after for each in both.values())
    ends_with_card(rooms, both.values(), end)
    words = ("campaign", "renew", "--home", home, "--expiring-before", first_day_not_covered(), "--dry-run")
    planned = jpki.done(*words)["forecast"]
    assert sum(week["with_card"] for week in planned) == 2
    assert "2 of them end with their cards" in jpki(*words, "--lang", "en").out
    finish(worker(rooms))
    assert errors(rooms) == dict.fromkeys(both.values(), "nothing-gained")
    assert all(rooms.desk.record(each).status.state is State.ACTIVE for each in both.values())
    later = end + timedelta(days=365)
    ends_with_card(rooms, both.values(), later)
    rooms.store.campaigns.retry(ONE, BY, rooms.clock())
    finish(worker(rooms))
    check_everyone_was_renewed_once(rooms, wanted)
    new = rooms.store.ledger.successors(list(both.values())).values()
    records = rooms.store.ledger.find([each.serial for each in new]).values()
    assert {(each.validity.not_after, each.card_end) for each in records} == {(later, later)}


def test_a_signing_certificate_waits_for_the_other_that_could_not_be_renewed(rooms: Rooms) -> None:
    wanted = opened(rooms)
    both = pair(rooms, wanted)
    cards = SampleCards(rooms.profile.key)
    late = both[Purpose.AUTHENTICATION]
    finish(replace(worker(rooms), requests=lambda records: cards([each for each in records if each.serial != late])))
    assert errors(rooms) == {late: "request-missing", both[Purpose.SIGNING]: "nothing-gained"}
    rooms.store.campaigns.retry(ONE, BY, rooms.clock())
    finish(worker(rooms))
    check_everyone_was_renewed_once(rooms, wanted)


def test_progress_tells_when_it_will_be_done(rooms: Rooms, present: SteppingClock) -> None:
    total = len(opened(rooms))
    assert rooms.store.campaigns.campaign(ONE).finish(present()) is None
    taken = rooms.store.campaigns.take(ONE, 4, present())
    present.advance(seconds=10)
    rooms.store.campaigns.finish(ONE, taken, {serial: serial for serial in taken.serials}, {})
    campaign = rooms.store.campaigns.campaign(ONE)
    assert campaign.finish(present()) == present() + timedelta(seconds=10) / 4 * (total - 4)


# --- whatever stops in the middle ----------------------------------------------------------------------------------


def fused(at: Worker, fuse: Fuse) -> Worker:
    """The same worker, in a process that dies when the fuse has burnt down: from then on nothing of it works."""
    ledger = fuse.port(at.ledger)
    authority = replace(
        at.delivery.authority, ledger=ledger, issuer=replace(at.delivery.authority.issuer, ledger=ledger)
    )
    delivery = replace(at.delivery, authority=authority, ledger=ledger, publisher=fuse.port(at.delivery.publisher))
    return replace(
        at,
        book=fuse.port(at.book),
        ledger=ledger,
        delivery=delivery,
        hand_over=fuse.call(at.hand_over),
        requests=at.requests,
    )


def test_a_worker_that_dies_at_any_step_loses_and_doubles_nothing(
    aged_home: Path, tmp_path: Path, present: SteppingClock, *, at_length: bool
) -> None:
    """In `make test` every fourth step; in which order the steps come depends on nothing."""
    begun = present()
    for steps in range(0, 400, 1 if at_length else 4):
        present.now = begun
        rooms = open_rooms(Home(copied(aged_home, tmp_path / f"{steps}")), present)
        wanted = opened(rooms)
        try:
            finish(fused(worker(rooms), Fuse(steps)))
        except Crash:
            crashed = True
        else:
            crashed = False
        present.advance(minutes=6)
        finish(worker(rooms))
        check_everyone_was_renewed_once(rooms, wanted)
        rooms.close()
        shutil.rmtree(tmp_path / f"{steps}")
        if not crashed:
            break
    assert steps > 20


def test_what_a_dead_worker_left_of_a_cancelled_campaign_is_closed(rooms: Rooms, present: SteppingClock) -> None:
    """Nobody takes it up any more: it is abandoned once its lease and ten minutes have passed."""
    opened(rooms)
    with pytest.raises(Crash):
        finish(fused(worker(rooms), Fuse(20)))
    present.advance(minutes=11)
    assert rooms.store.ledger.discard_abandoned(BY, present()) == 0
    assert rooms.store.campaigns.close_abandoned(present()) == 0
    rooms.store.campaigns.change(ONE, CampaignState.CANCELLED, BY, present())
    assert rooms.store.ledger.discard_abandoned(BY, present()) > 0
    assert rooms.store.ledger.discard_abandoned(BY, present()) == 0
    counts = rooms.store.campaigns.campaign(CampaignId(1)).counts
    assert counts[ItemState.TAKEN] > 0
    assert rooms.store.campaigns.close_abandoned(present()) == counts[ItemState.TAKEN]
    after = rooms.store.campaigns.campaign(CampaignId(1)).counts
    assert (after.get(ItemState.TAKEN, 0), after[ItemState.CANCELLED]) == (
        0,
        counts[ItemState.TAKEN] + counts[ItemState.CANCELLED],
    )


def node(home: Home, out: Path) -> BaseProcess:
    words = ("campaign", "run", "1", "--home", home.path, "--cards", "sample", "--out", out, "--workers", "1")
    return forked.node(*words, said=home.path.with_name("said"))


def test_two_nodes_on_postgresql_one_of_them_killed_again_and_again(tmp_path: Path, present: SteppingClock) -> None:
    with running() as server:
        url = server.new_database("campaign")
        home = aged(tmp_path / "home", Settings(database=url), 150)
        rooms = open_rooms(home, present)
        wanted = opened(rooms)
        steady = node(home, tmp_path / "out-0")
        for attempt in range(1, 6):
            victim = node(home, tmp_path / f"out-{attempt}")
            time.sleep(0.2 + 0.15 * attempt)
            victim.kill()
            victim.join()
            end_leases(rooms.store.database)
        steady.join(60)
        assert steady.exitcode == 0
        check_everyone_was_renewed_once(rooms, wanted)
        rooms.close()


def end_leases(database: Database) -> None:
    """Let five minutes pass for whoever has taken something: the dead, and the living who are too slow."""
    item = tables.campaign_item
    with database.writing() as connection:
        ended = update(item).where(item.c.state == ItemState.TAKEN).values(taken_until=datetime(2000, 1, 1, tzinfo=UTC))
        connection.execute(ended)


def test_a_worker_that_was_too_slow_does_not_undo_what_another_did(rooms: Rooms, present: SteppingClock) -> None:
    wanted = opened(rooms)
    slow = rooms.store.campaigns.take(ONE, 500, present())
    present.advance(minutes=6)
    finish(worker(rooms))
    rooms.store.campaigns.finish(ONE, slow, {}, dict.fromkeys(slow.serials, "state-changed"))
    check_everyone_was_renewed_once(rooms, wanted)
