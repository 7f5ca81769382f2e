"""Copies of the lists that other nodes published, for a node whose folder is its own.

The newest mark in the store decides which list is current, on every node. A list that this folder lacks is fetched
from the other nodes' doors, and becomes a numbered file here once it is the very publication that the mark tells of,
signed by its generation's key: what came over the network is believed for that alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from crl.certificate_list import read_list
from crl.files import ListFiles, land, locked, nameless, staged
from crl.increment import require_publication
from crl.partition import authorities
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import PartitionId
from jpki.partition import ARL, COMPLETE, DELTA, Partition, crl_url
from jpki.ports import CrlShelf, Generations, RevocationRegister, ShelfMark
from jpki.text import Text

_BLOCK = 1 << 20
GRACE = timedelta(minutes=3)
"""How long a publication may take to be on every node: who publishes links it, and the others ask each minute."""

Fetch = Callable[[str, BinaryIO], object]
"""Writes what is at a URL to a file.

Raises:
    JpkiError: UNAVAILABLE where nobody answers there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Brings the folder below `home` up to the store's marks; `nodes` are the base URLs of the other nodes' doors."""

    register: RevocationRegister
    shelf: CrlShelf
    generations: Generations
    nodes: Sequence[str]
    fetch: Fetch
    home: Path

    def bring(self) -> None:
        """Fetch every list that this folder lacks; nothing is asked twice of a node that does not answer.

        Raises:
            JpkiError: UNAVAILABLE `crl-behind` where a list is still lacking, `crl-unwritable` of the disk.
        """
        nodes = list(self.nodes)
        signing = {purpose: self.generations(purpose) for purpose in HOLDER_PURPOSES}
        lacking = [
            mark
            for mark in self.shelf.marks()
            for generation in signing[mark.purpose]
            if not self._has(mark, generation, nodes)
        ]
        if lacking:
            raise behind(lacking[0])

    def _has(self, mark: ShelfMark, generation: Generation, nodes: list[str]) -> bool:
        """Tell whether the lists of one generation stand under their stable names, brought if need be.

        A delta comes after its list: beside a complete list never stands the delta of a later one.
        """
        for which in mark.lists:
            files = ListFiles(self.home, which, [generation])
            if not files.show(mark.number):
                if not files.landed(mark.number):
                    self._copy(_Wanted(mark, generation, which), files.numbered(generation, mark.number), nodes)
                with locked(self.home):
                    files.link(mark.number)
            if not files.show(mark.number):
                return False
        return True

    def _copy(self, wanted: "_Wanted", target: Path, nodes: list[str]) -> None:
        """Write the list to `target` from the first node that has it; nodes that do not answer leave `nodes`."""
        mark, generation = wanted.mark, wanted.generation
        partition = self._partition(wanted)
        if partition is None and mark.partition != COMPLETE:
            return
        for node in tuple(nodes):
            with nameless(self.home) as file:
                try:
                    self.fetch(crl_url(node, mark.purpose, generation.id, wanted.which), file)
                except JpkiError as error:
                    if error.kind is Kind.UNAVAILABLE:
                        nodes.remove(node)
                    continue
                if _is_publication(file, wanted, partition):
                    with staged([(target, _octets_of(file))]) as waiting:
                        land(waiting)
                    return

    def _partition(self, wanted: "_Wanted") -> Partition | None:
        if wanted.mark.partition == ARL:
            return authorities(wanted.generation)
        return self.register.partition_in_use(wanted.mark.purpose, wanted.mark.partition)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One generation's signature of a publication: its list, or the delta of that."""

    mark: ShelfMark
    generation: Generation
    which: PartitionId

    @property
    def base(self) -> int | None:
        """The number that the delta is of, None where the list is none."""
        return self.mark.delta.base if self.which == DELTA and self.mark.delta is not None else None


def _is_publication(file: BinaryIO, wanted: _Wanted, partition: Partition | None) -> bool:
    file.seek(0)
    with suppress(JpkiError, ValueError):
        found = read_list(file)
        require_publication(found.head, wanted.mark, partition, base_number=wanted.base)
        return found.is_signed_by(wanted.generation.certificate.public_key())
    return False


def _octets_of(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block


def lagging(
    marks: Sequence[ShelfMark], signing: Mapping[Purpose, Sequence[Generation]], home: Path, now: datetime
) -> Iterator[tuple[ShelfMark, bool]]:
    """Yield whose lists should stand in the folder below `home` by now and do not, and whether an older one does."""
    for mark in marks:
        if now - mark.this_update > GRACE:
            for generation in signing[mark.purpose]:
                lists = [ListFiles(home, each, [generation]) for each in mark.lists]
                if not all(each.show(mark.number) for each in lists):
                    yield mark, all(each.stable(generation).exists() for each in lists)


def behind(mark: ShelfMark) -> JpkiError:
    """Return what is said of a folder that lacks the list of a mark."""
    name = f"{mark.purpose}/{mark.partition}"
    return JpkiError(
        Kind.UNAVAILABLE,
        "crl-behind",
        Text(
            f"失効リスト {name} の最新版（第{mark.number}号、{iso(mark.this_update)}）がこのノードにありません。",
            f"This node lacks the newest list {name}, number {mark.number} of {iso(mark.this_update)}.",
        ),
        Text(
            "発行するノードと接続（jpki.toml の nodes）を確認してください。"
            "CA鍵のあるノードでは jpki crl publish でも直ります。",
            "Check the node that publishes and the way to it (`nodes` in jpki.toml); where the CA keys are,"
            " `jpki crl publish` helps too.",
        ),
    )
