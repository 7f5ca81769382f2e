"""A folder of its own gets what others published, and believes nothing but the very list that the mark tells of."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from crl.copies import GRACE, Copies, lagging
from jpki.acts import SYSTEM
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.errors import JpkiError, Kind
from jpki.partition import COMPLETE
from jpki.ports import DeltaMark
from jpki.text import Text
from tests.crl.authority import CHIYODA, CHUO, serial
from tests.crl.fakes import MemoryShelf, World
from tests.crl.test_publisher import number_at, serials_at, stable

NODE, OTHER = "http://node-1:8080", "http://node-2:8080"
SECOND = timedelta(seconds=1)


@dataclass
class Network:
    """What lies below the homes of nodes, by base URL; a node without a home does not answer."""

    homes: dict[str, Path]
    asked: list[str] = field(default_factory=list)
    spoil: Callable[[str, bytes], bytes] = lambda _, octets: octets

    def fetch(self, url: str, file: BinaryIO) -> None:
        self.asked.append(url)
        node = next(each for each in (NODE, OTHER) if url.startswith(each))
        text = Text("-", "-")
        if node not in self.homes:
            raise JpkiError(Kind.UNAVAILABLE, "crl-unreachable", text, text)
        path = self.homes[node] / url.removeprefix(f"{node}/")
        if not path.exists():
            raise JpkiError(Kind.UNPROCESSABLE, "crl-not-there", text, text)
        file.write(self.spoil(url, path.read_bytes()))


@dataclass
class Pair:
    """A node that publishes, and beside it one whose folder is its own; store and clock are one."""

    publishing: World
    copying: World
    network: Network

    def copies(self, *nodes: str) -> Copies:
        return Copies(
            register=self.copying.register,
            shelf=self.copying.shelf,
            generations=self.copying.generations,
            nodes=nodes or (NODE,),
            fetch=self.network.fetch,
            home=self.copying.home,
        )

    def lists(self, home: Path) -> dict[str, bytes]:
        return {str(path.relative_to(home)): path.read_bytes() for path in (home / "crl").rglob("*.crl")}

    def is_behind(self) -> bool:
        with pytest.raises(JpkiError) as refused:
            self.copies().bring()
        return refused.value.code == "crl-behind"

    def lags(self) -> list[tuple[str, bool]]:
        signing = {purpose: self.copying.generations(purpose) for purpose in HOLDER_PURPOSES}
        found = lagging(self.copying.shelf.marks(), signing, self.copying.home, self.copying.clock.now)
        return [(mark.partition, has_older) for mark, has_older in found]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    publishing = World(tmp_path / "one")
    publishing.register.partitions.append(CHUO)
    publishing.register.revoke(serial(1))
    publishing.publisher().publish_due()
    copying = World(tmp_path / "two", publishing.register, publishing.shelf, publishing.audit, publishing.clock)
    return Pair(publishing, copying, Network({NODE: publishing.home}))


def test_an_empty_folder_gets_every_list_of_every_generation(pair: Pair) -> None:
    pair.copies().bring()
    assert pair.lists(pair.copying.home) == pair.lists(pair.publishing.home)
    assert len(pair.lists(pair.copying.home)) == 14
    pair.network.asked.clear()
    pair.copies().bring()
    assert pair.network.asked == []


def test_what_changed_is_fetched_and_nothing_else(pair: Pair) -> None:
    pair.copies().bring()
    pair.publishing.register.revoke(serial(2))
    pair.publishing.publisher().publish_due()
    pair.network.asked.clear()
    pair.copies().bring()
    assert sorted(pair.network.asked) == [
        f"{NODE}/crl/signing/{generation}/{partition}.crl"
        for generation in ("s1", "s2")
        for partition in ("complete", "delta", "p0001")
    ]
    assert serials_at(stable(pair.copying)) == [serial(1), serial(2)]


def test_what_was_copied_is_not_due_and_the_next_list_is_made_out_of_it(pair: Pair) -> None:
    pair.copies().bring()
    assert pair.copying.publisher().publish_due() == []
    pair.copying.register.revoke(serial(3))
    pair.copying.publisher().publish_due()
    assert (number_at(stable(pair.copying)), serials_at(stable(pair.copying))) == (2, [serial(1), serial(3)])


def test_where_nobody_has_the_newest_a_newer_one_is_published(pair: Pair) -> None:
    pair.copies().bring()
    pair.publishing.publisher().publish_all()
    shutil.rmtree(pair.publishing.home)
    assert pair.is_behind()
    assert number_at(stable(pair.copying)) == 1
    pair.copying.publisher().publish_due()
    assert number_at(stable(pair.copying)) == 3


def test_of_several_nodes_each_is_asked_until_one_has_it_and_the_silent_one_only_once(pair: Pair) -> None:
    pair.copies(OTHER, NODE).bring()
    assert [url for url in pair.network.asked if url.startswith(OTHER)] == pair.network.asked[:1]
    assert pair.lists(pair.copying.home) == pair.lists(pair.publishing.home)
    pair.network.homes = {OTHER: pair.publishing.home / "nothing", NODE: pair.publishing.home}
    pair.publishing.publisher().publish_all()
    pair.copies(OTHER, NODE).bring()
    assert number_at(stable(pair.copying)) == 2


def _swapped(name: str, other: str) -> Callable[[Pair], Callable[[str, bytes], bytes]]:
    def spoil(pair: Pair) -> Callable[[str, bytes], bytes]:
        octets = (pair.publishing.home / "crl" / other).read_bytes()
        return lambda url, own: octets if url.endswith(name) else own

    return spoil


def _altered(pair: Pair) -> Callable[[str, bytes], bytes]:
    del pair
    return lambda url, own: own[:-1] + bytes([own[-1] ^ 1]) if url.endswith("signing/s1/p0001.crl") else own


def _cut(pair: Pair) -> Callable[[str, bytes], bytes]:
    del pair
    return lambda url, own: own[:-1] if url.endswith("signing/s1/p0001.crl") else own


def _garbage(pair: Pair) -> Callable[[str, bytes], bytes]:
    del pair
    return lambda url, own: b"<html>" if url.endswith("signing/s1/p0001.crl") else own


@pytest.mark.parametrize(
    "wrong",
    [
        _swapped("signing/s1/p0001.crl", "signing/s1/p0002.crl"),
        _swapped("signing/s1/p0001.crl", "signing/s1/complete.crl"),
        _swapped("signing/s1/p0001.crl", "signing/s2/p0001.crl"),
        _swapped("signing/s1/p0001.crl", "authentication/a1/b01.crl"),
        _altered,
        _cut,
        _garbage,
    ],
    ids=["other-partition", "complete", "other-generation", "other-ca", "altered", "cut", "garbage"],
)
def test_a_list_that_is_not_the_one_of_the_mark_is_not_taken(
    pair: Pair, wrong: Callable[[Pair], Callable[[str, bytes], bytes]]
) -> None:
    pair.network.spoil = wrong(pair)
    assert pair.is_behind()
    lacking = {"crl/signing/s1/p0001.crl"}
    assert set(pair.lists(pair.publishing.home)) - set(pair.lists(pair.copying.home)) == lacking
    assert not (pair.copying.home / "crl-archive/signing/s1/p0001-1.crl").exists()
    assert list(pair.copying.home.rglob(".*")) == []
    pair.network.spoil = lambda _, octets: octets
    pair.copies().bring()
    assert pair.lists(pair.copying.home) == pair.lists(pair.publishing.home)


@pytest.mark.parametrize(
    ("name", "other", "lacking"),
    [
        ("complete", "delta", ["complete", "delta"]),
        ("delta", "complete", ["delta"]),
        ("arl", "complete", ["arl"]),
        ("complete", "arl", ["complete", "delta"]),
    ],
)
def test_a_list_its_delta_and_the_arl_are_never_taken_for_one_another(
    pair: Pair, name: str, other: str, lacking: list[str]
) -> None:
    """All three may bear one number, and are signed by one key; a delta waits for its list."""
    pair.network.spoil = _swapped(f"signing/s1/{name}.crl", f"signing/s1/{other}.crl")(pair)
    assert pair.is_behind()
    missing = set(pair.lists(pair.publishing.home)) - set(pair.lists(pair.copying.home))
    assert missing == {f"crl/signing/s1/{each}.crl" for each in lacking}


def test_a_delta_of_another_base_is_not_taken(pair: Pair) -> None:
    pair.publishing.register.revoke(serial(2))
    pair.publishing.publisher().publish_due()
    mark = pair.copying.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]
    assert (mark.number, mark.delta and mark.delta.base) == (2, 1)
    assert isinstance(pair.copying.shelf, MemoryShelf)
    other = replace(mark, delta=DeltaMark(2, 0))
    assert pair.copying.shelf.swap(mark, other, SYSTEM)
    assert pair.is_behind()
    assert "crl/signing/s1/complete.crl" in pair.lists(pair.copying.home)
    assert "crl/signing/s1/delta.crl" not in pair.lists(pair.copying.home)


def test_r11_an_older_list_never_takes_the_place_of_a_newer(pair: Pair) -> None:
    old = pair.lists(pair.publishing.home)
    pair.publishing.publisher().publish_all()
    pair.copies().bring()
    pair.publishing.publisher().publish_all()
    pair.network.spoil = lambda url, _: old[url.removeprefix(f"{NODE}/")]
    assert pair.is_behind()
    assert number_at(stable(pair.copying)) == 2


def test_r11_a_folder_that_is_ahead_of_a_restored_store_keeps_its_lists(pair: Pair) -> None:
    backup = pair.publishing.shelf.marks()
    pair.publishing.publisher().publish_all()
    pair.copies().bring()
    assert isinstance(pair.copying.shelf, MemoryShelf)
    pair.copying.shelf.restore(backup)
    pair.network.asked.clear()
    pair.copies().bring()
    assert (number_at(stable(pair.copying)), pair.network.asked) == (2, [])


def test_a_folder_that_was_copied_without_its_second_names_does_not_lag(pair: Pair) -> None:
    pair.publishing.publisher().publish_all()
    shutil.copytree(pair.publishing.home, pair.copying.home)
    assert not stable(pair.copying).samefile(pair.copying.home / "crl-archive/signing/s1/p0001-2.crl")
    pair.copying.clock.now += GRACE + SECOND
    assert pair.lags() == []
    pair.copies().bring()
    assert pair.network.asked == []


def test_who_lags_is_told_after_a_grace_and_whether_there_is_anything_at_all(pair: Pair) -> None:
    (mark, *_) = pair.copying.shelf.marks()
    pair.copying.clock.now = mark.this_update + GRACE
    assert pair.lags() == []
    pair.copying.clock.now += SECOND
    assert len(pair.lags()) == 11
    assert {has_older for _, has_older in pair.lags()} == {False}
    pair.copies().bring()
    assert pair.lags() == []
    pair.publishing.register.revoke(serial(2), CHIYODA)
    pair.publishing.publisher().publish_due()
    pair.copying.clock.now += GRACE + SECOND
    assert sorted(pair.lags()) == sorted([(COMPLETE, True), (CHIYODA.id, True)] * 2)
