"""Municipalities that merge: what an authority of before does with a release that tells of it (docs/adr/0034)."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.counters import of_municipality
from enroll.municipalities import municipalities
from jpki.acts import LOCAL_OPERATOR
from jpki.case import CaseState
from jpki.certificate import Purpose
from jpki.clock import day_in_japan, system_clock, years_later
from jpki.counter import CounterCode, CounterState
from jpki.errors import JpkiError
from jpki.ids import Serial, format_serial
from server.home import Home
from server.partitions import of_this_release
from server.wiring import open_rooms
from tests.conftest import PROJECT, SteppingClock
from tests.mergers import lines_of, merged
from tests.server.after_merger import LATER
from tests.server.conftest import AgedHome, Town, certificate_in, copied, make
from tests.server.console import Jpki
from tests.server.office_world import OTHER_TOWN, POST_OFFICE, TOWN, OfficeTown, office_at, resident_of
from tests.server.people import card_key, holder_file, request, someone

CHIYODA, CHUO, NEW = "131016", "131024", "139998"
NEW_ROW = f"{NEW},東京都,千代田区,Tokyo-to,Chiyoda-ku,"
"""A new municipality of the old one's name, as many have it."""


@pytest.fixture
def merger() -> Iterator[None]:
    with merged({CHIYODA: NEW, CHUO: NEW}, NEW_ROW):
        yield


def partition_rows(home: Path) -> dict[str, str]:
    """The ids and names of all municipalities' partitions."""
    with closing(open_rooms(Home(home))) as rooms:
        found = rooms.store.partitions.named(municipalities().keys())
        return {each.id: each.name.rfc4514_string() for each in found.values()}


# --- the ledger ----------------------------------------------------------------------------------------------------


def test_r24_an_upgrade_adds_the_partition_of_a_new_municipality_once(jpki: Jpki, home: Path) -> None:
    assert jpki.done("db", "upgrade", "--home", home)["partitions"] == []
    before = partition_rows(home)
    with merged({CHIYODA: NEW, CHUO: NEW}, NEW_ROW):
        said = jpki("db", "upgrade", "--home", home)
        assert "p139998" in said.out
        assert "Chiyoda-ku 139998 CRLDP" in said.out
        assert jpki.done("db", "upgrade", "--home", home)["partitions"] == []
        after = partition_rows(home)
    new = after.pop("p139998")
    assert after == before, "all else is as it was"
    assert new.startswith("CN=Chiyoda-ku 139998 CRLDP,OU=Tokyo-to,")


@pytest.mark.usefixtures("merger")
def test_the_doctor_tells_that_the_upgrade_is_missing(jpki: Jpki, home: Path) -> None:
    def failing() -> list[str]:
        checks = json.loads(jpki("doctor", "--home", home, "--json").out)["checks"]
        return [each["code"] for each in checks if not each["ok"]]

    assert failing() == ["partition-unknown"]
    jpki.done("db", "upgrade", "--home", home)
    assert failing() == []


@pytest.mark.usefixtures("merger")
def test_nodes_that_upgrade_at_once_add_one_partition(home: Path) -> None:
    nodes = [open_rooms(Home(home)) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        added = list(threads.map(lambda rooms: rooms.store.partitions.add(of_this_release()), nodes))
    assert [each.id for one in added for each in one] == ["p139998"]
    for rooms in nodes:
        rooms.close()


@pytest.mark.usefixtures("merger")
def test_a_release_brings_its_own_partitions_to_a_new_authority_too(jpki: Jpki, tmp_path: Path) -> None:
    jpki.done("init", "--home", tmp_path / "home")
    assert jpki.done("db", "upgrade", "--home", tmp_path / "home")["partitions"] == []
    assert partition_rows(tmp_path / "home").keys() >= {"p0001", "p1742"}


@pytest.mark.slow
def test_what_was_issued_after_the_merger_is_restored_under_the_same_partition(
    jpki: Jpki, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup is of before the upgrade: what the log tells of since names a partition that is not in it."""
    backup, log, new = tmp_path / "backup", tmp_path / "log", tmp_path / "new"
    monkeypatch.setenv("JPKI_KEY_PASSPHRASE", (town.home / "secrets/key-passphrase").read_text())
    jpki.done("backup", "create", "--home", town.home, "--out", backup)
    with merged({CHIYODA: NEW, CHUO: NEW}, NEW_ROW):
        jpki.done("db", "upgrade", "--home", town.home)
        words = ("--kind", "signing", "--holder", holder_file(tmp_path, code="H-0002", municipality=NEW))
        issued = jpki.done("issue", "--home", town.home, *words, "--out", tmp_path / "issued")
        jpki.done("audit", "export", "--home", town.home, "--out", log)
    with merged({CHIYODA: NEW, CHUO: NEW}, "119997,埼玉県,前市,Saitama-ken,Mae-shi,", NEW_ROW):
        jpki.done("backup", "restore", backup, "--home", new, "--audit-log", log)
        with closing(open_rooms(Home.open(new))) as rooms:
            status = rooms.store.ledger.status(Serial(int(issued["serial"], 16)))
        assert status is not None
        assert status.partition == "p139998"
        assert partition_rows(new)["p139998"].startswith("CN=Chiyoda-ku 139998 CRLDP,OU=Tokyo-to,")


# --- renewal -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("merger")
def test_a_renewal_needs_the_present_address_and_then_names_the_new_partition(
    jpki: Jpki, aged: AgedHome, tmp_path: Path
) -> None:
    words = ("renew", aged.serials[Purpose.SIGNING], "--home", aged.home)
    refused = jpki.refused(*words, "--out", tmp_path / "one")
    assert (refused.kind, refused.code) == ("conflict", "municipality-merged")
    assert f"is Chiyoda-ku, {NEW}, by a merger" in refused.english
    present = ("--holder", holder_file(tmp_path, municipality=NEW))
    refused = jpki.refused(*words, *present, "--out", tmp_path / "two")
    assert refused.code == "partition-unknown"
    assert "jpki db upgrade" in refused.printed
    jpki.done("db", "upgrade", "--home", aged.home)
    renewed = jpki.done(*words, *present, "--out", tmp_path / "three")
    with closing(open_rooms(Home(aged.home))) as rooms:
        assert rooms.desk.record(Serial(int(renewed["serial"], 16))).status.partition == "p139998"


@pytest.mark.usefixtures("merger")
def test_an_authentication_certificate_names_no_municipality_and_is_renewed(
    jpki: Jpki, aged: AgedHome, tmp_path: Path
) -> None:
    words = ("renew", aged.serials[Purpose.AUTHENTICATION], "--home", aged.home, "--out", tmp_path / "new")
    assert jpki.done(*words)["state"] == "active"


# --- counters ------------------------------------------------------------------------------------------------------


@pytest.fixture
def office(new_home: Path, tmp_path: Path) -> Iterator[OfficeTown]:
    with office_at(copied(new_home, tmp_path / "home"), SteppingClock(system_clock())) as town:
        town.register.enter(resident_of())
        yield town


def test_the_counter_of_a_merged_municipality_is_closed_and_its_cases_go_elsewhere(office: OfficeTown) -> None:
    case = office.opened()
    with merged({TOWN: OTHER_TOWN}):
        counter = office.rooms.store.counters.counter(TOWN)
        assert (counter.state, counter.name) == (CounterState.CLOSED, "千代田区")
        acts: list[Callable[[], object]] = [
            office.opened,
            lambda: office.rooms.office.amend(case.number, case.purposes, office.front),
        ]
        for act in acts:
            with pytest.raises(JpkiError) as refused:
                act()
            assert refused.value.code == "counter-closed"
            assert f"横浜市の窓口（{OTHER_TOWN}）" in refused.value.action.ja
            assert f"the counter of Yokohama-shi, {OTHER_TOWN}," in refused.value.action.en
        assert office.rooms.office.case(case.number, office.front) == case
        taken = office.rooms.office.take_over(case.number, OTHER_TOWN, office.elsewhere)
        assert (taken.counter, taken.state) == (OTHER_TOWN, CaseState.RECEIVED)
        office.rooms.store.counters.close(TOWN, LOCAL_OPERATOR, office.now)
    assert office.rooms.store.counters.counter(TOWN).state is CounterState.CLOSED
    assert of_municipality(OTHER_TOWN) == office.rooms.store.counters.counter(OTHER_TOWN)


def test_a_post_office_goes_on_and_none_is_added_for_what_is_no_more(
    jpki: Jpki, office: OfficeTown, tmp_path: Path
) -> None:
    with merged({TOWN: OTHER_TOWN}):
        assert office.opened(counter=POST_OFFICE).counter == POST_OFFICE
        words = ("counter", "add", "po-2", "--home", tmp_path / "home", "--kind", "post-office", "--name", "x")
        refused = jpki.refused(*words, "--municipality", TOWN)
        assert refused.code == "municipality-unfit"
        assert f"it is Yokohama-shi, {OTHER_TOWN}, now" in refused.english
        jpki.done(*words, "--municipality", OTHER_TOWN)


# --- an authority that lives through one ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Founded:
    """An authority of years ago, and the signing certificates of a resident of each of two towns."""

    home: Path
    certificates: Mapping[str, x509.Certificate]

    def serial(self, town: str) -> str:
        return format_serial(Serial(self.certificates[town].serial_number))


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    """Both are in their renewal window now."""
    born = years_later(day_in_japan(system_clock() + timedelta(days=45)), -40)
    past = system_clock() - timedelta(days=4.38 * 365.25)
    rooms = make(tmp_path_factory.mktemp("merger") / "home", lambda: past)
    certificates = {
        town: rooms.desk.issue(
            replace(someone(f"H-{town}", born), municipality=municipalities()[town]),
            Purpose.SIGNING,
            request(card_key(number)),
            LOCAL_OPERATOR,
        )
        for number, town in enumerate((CHIYODA, CHUO))
    }
    rooms.close()
    return Founded(rooms.home.path, certificates)


def released(tree: Path, mergers: Mapping[str, str], *new: str) -> Path:
    """A copy of the house as a later release would be: nothing differs but the table of municipalities."""
    for room in ("jpki", "ca", "ocsp", "crl", "enroll", "signing", "hsm_adapter", "server"):
        shutil.copytree(PROJECT / room, tree / room)
    (tree / "enroll" / "municipalities.csv").write_text(
        "".join(f"{line}\n" for line in lines_of(mergers, *new)), "utf-8"
    )
    return tree


def verified(openssl: str, certificate: x509.Certificate, chain: Path, list_file: Path) -> str:
    """What openssl says of a certificate under a list, an hour after that was published anew."""
    folder = chain.parent
    (folder / "asked.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    crl = x509.load_der_x509_crl(list_file.read_bytes())
    (folder / "list.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    then = system_clock() + LATER + timedelta(hours=1)
    words: list[str | Path] = [
        openssl,
        "verify",
        "-x509_strict",
        "-attime",
        str(int(then.timestamp())),
        "-CAfile",
        chain,
    ]
    words += ["-crl_check", "-CRLfile", folder / "list.pem"]
    done = subprocess.run([*words, folder / "asked.pem"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def list_named_by(certificate: x509.Certificate) -> tuple[str, x509.Name]:
    """The list's file below HOME/crl, and the name of its distribution point."""
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    names = [name for point in points for name in point.full_name or ()]
    (directory,) = (name.value for name in names if isinstance(name, x509.DirectoryName))
    url = next(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return url.partition("/crl/")[2], directory


@pytest.mark.slow
def test_r12_an_authority_lives_through_a_merger(
    founded: Founded, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """Two towns become a third one, in a release whose code runs by itself on the home of before."""
    openssl = program("openssl")
    tree = released(tmp_path / "release", {CHIYODA: NEW, CHUO: NEW}, NEW_ROW)
    script = Path(__file__).with_name("after_merger.py")
    out, holder = tmp_path / "new", holder_file(tmp_path, code="H-0002", municipality=NEW)
    words: list[str | Path] = [founded.home, out, holder, founded.serial(CHIYODA), CHIYODA]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-P", script, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["code"] == str(tree / "enroll")
    assert told["added"] == [[{"id": "p139998", "municipality": NEW}], []]
    before = of_municipality(CounterCode(CHIYODA))
    assert before is not None
    assert told["counter"] == asdict(replace(before, state=CounterState.CLOSED))
    assert told["revoked"] == "revoked"
    assert told["failures"] == {founded.serial(CHUO): "municipality-merged"}

    new, chain, lists = certificate_in(out), out / "chain.pem", founded.home / "crl"
    assert list_named_by(new)[0] == "signing/s1/p139998.crl"
    assert "OK" in verified(openssl, new, chain, lists / list_named_by(new)[0])
    for town, said in {CHIYODA: "error 23 ", CHUO: ": OK"}.items():
        file, name = list_named_by(founded.certificates[town])
        assert said in verified(openssl, founded.certificates[town], chain, lists / file)
        crl = x509.load_der_x509_crl((lists / file).read_bytes())
        point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        assert name in [each.value for each in point.full_name or ()]
        assert Path(file).stem in told["published_later"]
    of_towns = {each["partition"]: each["municipality"] for each in told["lists"]["lists"] if each["municipality"]}
    merged_into = {place["name_romaji"]: place["merged_into"] for place in of_towns.values() if place["code"] != NEW}
    assert {name: place["code"] for name, place in merged_into.items()} == {"Chiyoda-ku": NEW, "Chuo-ku": NEW}
    assert of_towns["p139998"]["merged_into"] is None
