"""`jpki notice`: a letter for each holder whose certificates end, and nothing of it where it does not belong."""

import re
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from ca.profile import CARD_V1, CARD_V2, Profile
from enroll.notices import renewal_notices
from enroll.paper.sheet import require_press
from enroll.renewal import last_renewable, require_open
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.campaign import Ending
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, end_of_day, start_of_day, system_clock
from jpki.errors import JpkiError
from jpki.ids import HolderCode, parse_serial
from jpki.randomness import system_randomness
from jpki.revocation import Reason
from server.founding import found
from server.home import Home
from server.settings import Settings
from server.store import campaigns
from server.wiring import open_rooms
from tests.server.conftest import AgedHome
from tests.server.console import Jpki
from tests.server.people import card_key, request, someone
from tests.server.postgresql import running


@pytest.fixture
def _printing() -> None:
    try:
        require_press()
    except JpkiError:
        pytest.skip("the libraries that print are not installed")


def held_by(aged: AgedHome) -> list[tuple[HolderCode, Purpose]]:
    rooms = open_rooms(Home(aged.home))
    found = list(rooms.store.campaigns.ending(last_renewable(rooms.profile, rooms.clock()), rooms.clock()))
    rooms.close()
    return [(each.holder, each.purpose) for each in found]


PAIR = [("H-0001", Purpose.AUTHENTICATION), ("H-0001", Purpose.SIGNING)]


@pytest.mark.slow
@pytest.mark.usefixtures("_printing")
def test_each_holder_gets_one_letter_and_its_name_tells_nothing(jpki: Jpki, aged: AgedHome, tmp_path: Path) -> None:
    out = tmp_path / "letters"
    told = jpki.done("notice", "renewal", "--home", aged.home, "--out", out)
    (letter,) = told["notices"]
    assert (letter["file"], letter["holder"]) == ("000001.pdf", "H-0001")
    assert set(letter["last_days"]) == {"signing", "authentication"}
    assert date.fromisoformat(letter["opens_on"]) <= day_in_japan(system_clock())
    assert max(letter["last_days"].values()) < told["expiring_before"]
    (file,) = out.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == ("000001.pdf", 0o600)
    assert file.read_bytes().startswith(b"%PDF-1.7")

    refused = jpki.refused("notice", "renewal", "--home", aged.home, "--out", out)
    assert (refused.exit, refused.code) == (1, "file-exists")
    assert list(out.iterdir()) == [file]
    answer = jpki("notice", "renewal", "--home", aged.home, "--out", tmp_path / "more", "--lang", "en")
    assert re.match(r"Wrote 1 renewal notices, for certificates that end by 20\d\d-\d\d-\d\d", answer.out)
    assert "H-0001" not in answer.out + answer.err


@pytest.mark.usefixtures("_printing")
def test_nobody_is_written_to_whose_certificates_end_later(jpki: Jpki, aged: AgedHome, tmp_path: Path) -> None:
    today = day_in_japan(system_clock()).isoformat()
    words = ("notice", "renewal", "--home", aged.home, "--out", tmp_path / "letters", "--expiring-before", today)
    assert jpki.done(*words) == {"schema": "jpki.notice-renewal/1", "expiring_before": today, "notices": []}


def test_a_day_that_is_none_is_a_mistake_of_usage(jpki: Jpki, aged: AgedHome, tmp_path: Path) -> None:
    words = ("notice", "renewal", "--home", aged.home, "--out", tmp_path, "--expiring-before", "tomorrow")
    assert jpki.refused(*words).exit == 64


def test_where_nothing_can_be_printed_nothing_is_begun(
    jpki: Jpki, aged: AgedHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    refused = jpki.refused("notice", "renewal", "--home", aged.home, "--out", tmp_path / "letters")
    assert (refused.exit, refused.code) == (75, "paper-unavailable")
    assert not (tmp_path / "letters").exists()


# --- who is written to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_ends_is_read_in_pages_of_any_size(aged: AgedHome, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(campaigns, "_LOOKED_UP", page)
    assert held_by(aged) == PAIR


@pytest.mark.slow
def test_postgresql_reads_the_same_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "_LOOKED_UP", 1)
    now = system_clock()
    with running() as server:
        settings = Settings(database=server.new_database("ending"))
        rooms = found(Home(tmp_path / "home"), settings, lambda: now, system_randomness)
        for number, code in enumerate(("H-2", "H-1", "H-10")):
            holder = someone(code)
            rooms.desk.issue(holder, Purpose.AUTHENTICATION, request(card_key(300 + number)), BY)
        endings = list(rooms.store.campaigns.ending(day_in_japan(now) + timedelta(days=6 * 366), now))
        rooms.close()
    assert sorted(each.holder for each in endings) == ["H-1", "H-10", "H-2"]


def test_what_was_revoked_held_or_renewed_ends_no_more(aged: AgedHome) -> None:
    rooms = open_rooms(Home(aged.home))
    signing, authentication = (parse_serial(f"0x{aged.serials[purpose]}") for purpose in HOLDER_PURPOSES)
    rooms.store.ledger.revoke([signing], Reason.AFFILIATION_CHANGED, BY, rooms.clock())
    assert held_by(aged) == PAIR[:1]
    rooms.store.ledger.hold(authentication, BY, rooms.clock())
    rooms.close()
    assert held_by(aged) == []


def test_certificates_of_a_compromised_generation_need_no_renewal(jpki: Jpki, aged: AgedHome) -> None:
    generation = jpki.done("status", aged.serials[Purpose.SIGNING], "--home", aged.home)["generation"]
    jpki.done("ceremony", "compromise", "--home", aged.home, "--generation", generation)
    assert held_by(aged) == PAIR[:1]


def ending(holder: str, purpose: Purpose, day: date) -> Ending:
    return Ending(holder=HolderCode(holder), purpose=purpose, not_after=end_of_day(day))


def test_a_notice_has_a_holders_certificates_and_the_first_day_of_their_window() -> None:
    first, later = date(2031, 4, 1), date(2031, 5, 31)
    endings = [
        ending("H-1", Purpose.AUTHENTICATION, later),
        ending("H-1", Purpose.SIGNING, first),
        ending("H-2", Purpose.AUTHENTICATION, later),
    ]
    one, two = renewal_notices(endings, CARD_V1, date(2031, 1, 5))
    assert (one.holder, list(one.last_days.items())) == (
        "H-1",
        [(Purpose.SIGNING, first), (Purpose.AUTHENTICATION, later)],
    )
    assert (one.opens_on, two.opens_on) == (date(2031, 1, 2), date(2031, 3, 1))
    assert (two.holder, dict(two.last_days)) == ("H-2", {Purpose.AUTHENTICATION: later})


@pytest.mark.parametrize("profile", [CARD_V1, CARD_V2], ids=lambda each: each.name)
@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2026, 11, 30), date(2027, 2, 28), date(2028, 2, 29)], ids=str)
def test_the_last_day_that_can_be_renewed_is_the_last(profile: Profile, today: date) -> None:
    now = start_of_day(today)
    last = last_renewable(profile, now)
    require_open(profile, end_of_day(last), now)
    with pytest.raises(JpkiError, match="renewal-closed"):
        require_open(profile, end_of_day(last + timedelta(days=1)), now)
