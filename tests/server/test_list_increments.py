"""Whatever is done, in whatever order: a list carried over from the last one is the one built anew, to the octet; and
what a verifier makes of any list that still holds, and of the newest delta, is the newest list.
"""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import insert, update

from crl.builder import Edition
from crl.publisher import Publisher
from jpki.acts import LOCAL_OPERATOR as BY
from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.ids import PartitionId, Serial
from jpki.partition import ARL, COMPLETE, DELTA
from jpki.ports import Revocations, ShelfMark
from jpki.randomness import system_randomness
from jpki.revocation import Reason, State, Status
from server.store import tables
from server.store.database import Database
from server.store.partitions import SqlPartitions
from server.wiring import Store, store_of
from tests.ca import world
from tests.conftest import SteppingClock
from tests.crl.combining import base_of, combined, entries_of, number_of
from tests.crl.fakes import Crash, Fuse
from tests.crl.writing import list_of
from tests.server.generations_contract import compromise
from tests.server.ledger_contract import furnished
from tests.server.pictures import pictured

LISTED = 400
"""Entries at the beginning, in two partitions: so many that a few changes are carried over."""
PARTITIONS = ("p0001", "p0002")
_, KEYS = world.authority(Purpose.SIGNING)


@cache
def second_generation() -> Generation:
    return world.generation_in(KEYS, Purpose.SIGNING, 2)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with certificates that are revoked, on hold and alive, and end soon, some later, or never here."""
    file = tmp_path_factory.mktemp("ledger") / "jpki.sqlite"
    database = Database.at_file(file, create=True)
    database.found(world.NOW)
    furnished(database)
    with database.writing() as connection:
        urls = [{"partition": each, "base_url": world.BASE_URL, "added": 1} for each in PARTITIONS]
        connection.execute(insert(tables.partition_url), urls)
        rows = [row_of(Serial((1 << 126) + (number << 100)), number, world.NOW) for number in range(LISTED + 60)]
        connection.execute(insert(tables.status), rows)
    database.close()
    return file


def row_of(serial: Serial, number: int, now: datetime) -> dict[str, object]:
    reason = list(Reason)[number % len(Reason)]
    state = State.HELD if reason is Reason.CERTIFICATE_HOLD else State.REVOKED
    if number >= LISTED:
        state, reason = (State.ACTIVE, State.ACTIVE, State.INTENDED)[number % 3], None  # type: ignore[assignment]
    return {
        "serial": serial,
        "generation": "s1",
        "partition": PARTITIONS[number % 2],
        "not_after": now + timedelta(hours=number % 90 * 20),
        "state": state,
        "reason": reason,
        "revoked_at": None if reason is None else now - timedelta(seconds=number * 999),
        "position": 0,
    }


REMOVED = x509.ReasonFlags.remove_from_crl


class CountingPartitions(SqlPartitions):
    """Counts how often a list is built anew."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.anew = 0

    @contextmanager
    def revocations(
        self, purpose: Purpose, partition: PartitionId, ending_after: datetime | None
    ) -> Iterator[Revocations]:
        self.anew += partition != ARL
        with super().revocations(purpose, partition, ending_after) as picture:
            yield picture


class Lists(RuleBasedStateMachine):
    """A ledger at work, and a publisher."""

    told: ClassVar[Counter[str]] = Counter()
    """How many lists were published, and how many of them built anew, over all examples."""

    def __init__(self, ledger: Path, folder: Path) -> None:
        super().__init__()
        folder.mkdir()
        self.home = folder
        self.clock = SteppingClock(world.NOW)
        self.database = Database.at_file(Path(shutil.copy(ledger, folder)))
        self.store: Store = store_of(self.database, world.wrapping_keys(), system_randomness)
        self.register = CountingPartitions(self.database)
        self.publisher = Publisher(
            register=self.register,
            shelf=self.store.shelf,
            generations=self.generations,
            signer=KEYS.signer,
            audit=self.store.audit,
            home=folder,
            base_url=world.BASE_URL,
            clock=self.clock,
        )
        self.serials: dict[State, list[Serial]] = {
            state: sorted(each.serial for each in statuses(self.store) if each.state is state) for state in State
        }
        self.numbers = count(LISTED)
        self.safe = True
        self.complete: dict[str, dict[int, x509.CertificateRevocationList]] = {}
        """The complete lists that were published, by generation and number."""
        self.begun = 0
        """The last complete list that no delta led to."""
        self.lost: set[int] = set()
        """Complete lists of which a file is gone."""
        self.publish()
        # Each example begins with a delta that takes back what its base holds.
        self.release(0)
        self.publish()

    def generations(self, purpose: Purpose) -> Sequence[Generation]:
        return self.store.generations.answering(purpose, self.clock()) if purpose is Purpose.SIGNING else []

    def teardown(self) -> None:
        self.database.close()

    # --- what is done ------------------------------------------------------------------------------------------------

    @rule(numbers=st.lists(st.integers(0, (1 << 126) - 1), min_size=1, max_size=3, unique=True))
    def issue(self, numbers: list[int]) -> None:
        for number in numbers:
            serial = Serial((1 << 126) + number)
            if self.store.ledger.status(serial) is not None:
                continue
            row = row_of(serial, LISTED + number % 90 // 3 * 3, self.clock())
            with self.database.writing() as connection:
                connection.execute(insert(tables.status), [row])
            self.serials[State.ACTIVE].append(serial)

    def taken(self, state: State, which: int) -> Serial | None:
        """One that was in this state when it was last seen, and has not ended."""
        serials = self.serials[state]
        serial = serials.pop(which % len(serials)) if serials else None
        status = None if serial is None else self.store.ledger.status(serial)
        return serial if status is not None and status.state is state and status.not_after >= self.clock() else None

    @rule(which=st.integers(0, 999), reason=st.sampled_from([each for each in Reason if each != "certificateHold"]))
    def revoke(self, which: int, reason: Reason) -> None:
        if (serial := self.taken(State.ACTIVE, which)) is not None:
            self.store.ledger.revoke([serial], reason, BY, self.clock())

    @rule(which=st.integers(0, 999))
    def hold(self, which: int) -> None:
        if (serial := self.taken(State.ACTIVE, which)) is not None:
            self.store.ledger.hold(serial, BY, self.clock())
            self.serials[State.HELD].append(serial)

    @rule(which=st.integers(0, 999))
    def release(self, which: int) -> None:
        if (serial := self.taken(State.HELD, which)) is not None:
            self.store.ledger.release(serial, BY, self.clock())
            self.serials[State.ACTIVE].append(serial)

    @rule(which=st.integers(0, 999))
    def discard(self, which: int) -> None:
        if (serial := self.taken(State.INTENDED, which)) is not None:
            self.store.ledger.discard([serial], BY, self.clock())

    @rule(hours=st.integers(1, 60))
    def wait(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    # --- what happens seldom -----------------------------------------------------------------------------------------

    @precondition(lambda self: self.safe)
    @rule(what=st.sampled_from(["compromise", "generation"]))
    def ceremony(self, what: str) -> None:
        self.safe = False
        if what == "compromise":
            compromise(self.store, self.clock())
        else:
            self.store.generations.add(second_generation(), 2)

    @rule(what=st.sampled_from(["restore", "alter", "lose", "exchange"]), which=st.integers(1, 12))
    def trouble(self, what: str, which: int) -> None:
        files = sorted((self.home / "crl-archive" / "signing").rglob("*.crl"), key=lambda file: file.stat().st_mtime_ns)
        if what == "restore":
            with self.database.writing() as connection:
                connection.execute(update(tables.ledger).values(epoch=tables.ledger.c.epoch + 1))
        elif len(files) < 2:
            pass  # what was lost before is not published again yet
        elif what == "lose":
            for lost in files[-which:][:1]:
                lost.unlink()
                name, _, number = lost.stem.partition("-")
                if name == COMPLETE:
                    self.lost.add(int(number))
        elif what == "alter":
            for file in [file for file in files if not file.stem.startswith(("delta", "arl"))][-3:]:
                octets = bytearray(file.read_bytes())
                # The lowest bit of a serial in the midst: the entry stays one.
                octets[octets.index(b"\x02\x10", len(octets) // 2) + 17] ^= 1
                file.write_bytes(octets)
        else:
            # Another list under the newest one's name, signed as well.
            for newest in files[-which:][:1]:
                newest.write_bytes(files[-1].read_bytes())

    @rule(steps=st.integers(0, 120))
    def crash(self, steps: int) -> None:
        """A publisher dies; what it wrote last may have landed, and be seen, or not."""
        fuse = Fuse(steps)
        fused = replace(
            self.publisher,
            register=fuse.port(self.register),
            shelf=fuse.port(self.store.shelf),
            audit=fuse.port(self.store.audit),
            signer=fuse.call(KEYS.signer),
        )
        with suppress(Crash):
            fused.publish_all()
        mark = self.store.shelf.newest(Purpose.SIGNING, [COMPLETE])[COMPLETE]
        if mark.delta is not None and mark.delta.base == mark.number:
            self.begun = mark.number
        for each in self.generations(Purpose.SIGNING):
            known = self.complete.setdefault(each.id, {})
            for file in (self.home / "crl-archive" / "signing" / each.id).glob("complete-*.crl"):
                if int(file.stem.partition("-")[2]) > max(known, default=0):
                    landed = parsed(file)
                    known[number_of(landed)] = landed
            if self.stable(each, DELTA).exists():
                delta, complete = parsed(self.stable(each, DELTA)), parsed(self.stable(each, COMPLETE))
                assert base_of(delta) <= number_of(delta) <= number_of(complete)

    # --- what must be so ---------------------------------------------------------------------------------------------

    @rule()
    def publish(self) -> None:
        before = self.register.anew
        marks = [mark for mark in self.publisher.publish_all() if mark.partition != ARL]
        self.told["published"] += len(marks)
        self.told["anew"] += self.register.anew - before
        assert len(marks) == 1 + len(PARTITIONS)
        self.require_lists(marks)
        self.require_delta(next(mark for mark in marks if mark.partition == COMPLETE))
        self.require_arl()

    def stable(self, generation: Generation, name: str) -> Path:
        return self.home / "crl" / "signing" / generation.id / f"{name}.crl"

    def require_lists(self, marks: Sequence[ShelfMark]) -> None:
        partitions = {each.id: each for each in self.register.partitions_in_use(Purpose.SIGNING)}
        for mark in marks:
            wanted = pictured(self.store, mark.partition, ending_after=mark.ending_after)
            edition = Edition(
                number=mark.number,
                this_update=mark.this_update,
                next_update=mark.next_update,
                freshest=world.BASE_URL if mark.partition == COMPLETE else None,
            )
            assert (mark.position, mark.entries) == (wanted.position, len(wanted.entries))
            for each in self.generations(Purpose.SIGNING):
                built = list_of(wanted.entries, edition, each, partitions.get(mark.partition), KEYS.signer(each.key))
                octets = self.stable(each, mark.partition).read_bytes()
                assert octets == built, f"{mark.partition} under {each.id}"

    def require_delta(self, mark: ShelfMark) -> None:
        """With it, whatever complete list a verifier holds from the base on becomes the newest one."""
        assert mark.delta is not None
        for each in self.generations(Purpose.SIGNING):
            newest, delta = parsed(self.stable(each, COMPLETE)), parsed(self.stable(each, DELTA))
            assert delta.is_signature_valid(each.public_key)
            assert number_of(delta) == number_of(newest) == mark.number
            assert (delta.last_update_utc, delta.next_update_utc) == (newest.last_update_utc, newest.next_update_utc)
            assert (base_of(delta), len(delta)) == (mark.delta.base, mark.delta.entries)
            earlier = self.complete.setdefault(each.id, {})
            for number, complete in earlier.items():
                if number >= mark.delta.base:
                    assert combined(complete, delta) == entries_of(newest), f"{number} to {mark.number}"
                    self.told["combined"] += 1
            if mark.delta.base == mark.number:
                self.told["begun"] += 1
                self.begun = mark.number
                assert len(delta) == 0
            else:
                assert mark.delta.base in earlier, "no complete list of this generation bears the base's number"
                removed = [reason for _, reason in entries_of(delta).values() if reason is REMOVED]
                self.told["removed"] += len(removed)
            earlier[mark.number] = newest
        self.require_reach(mark)

    def require_reach(self, mark: ShelfMark) -> None:
        """The delta is of every complete list that holds, from the last beginning on."""
        assert mark.delta is not None
        of_each = [self.complete[each.id] for each in self.generations(Purpose.SIGNING)]
        for number in set(of_each[0]).intersection(*of_each) - self.lost:
            until = of_each[0][number].next_update_utc
            assert until is not None
            if number >= self.begun and until >= mark.this_update:
                assert number >= mark.delta.base

    def require_arl(self) -> None:
        roots = {
            (each.certificate.serial_number, each.compromised_at)
            for each in self.store.generations.ever(Purpose.SIGNING)
            if each.compromised_at is not None
        }
        for each in self.generations(Purpose.SIGNING):
            arl = parsed(self.stable(each, ARL))
            assert arl.is_signature_valid(each.public_key)
            assert {(serial, moment) for serial, (moment, _) in entries_of(arl).items()} == roots


def parsed(file: Path) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(file.read_bytes())


def statuses(store: Store) -> Iterator[Status]:
    with store.pictures.taken() as picture:
        yield from picture.statuses()


@pytest.mark.slow
def test_r09_r11_a_list_carried_over_is_the_one_built_anew(ledger: Path, tmp_path: Path, *, at_length: bool) -> None:
    numbers = count()
    Lists.told.clear()
    run_state_machine_as_test(
        lambda: Lists(ledger, tmp_path / str(next(numbers))),  # type: ignore[arg-type] # it takes any maker
        settings=settings(max_examples=150 if at_length else 12, stateful_step_count=25),
    )
    carried_over = Lists.told["published"] - Lists.told["anew"]
    assert min(Lists.told["anew"], carried_over) > 10, Lists.told
    assert Lists.told["combined"] > Lists.told["begun"] > 0, Lists.told
    assert Lists.told["removed"] > 0, Lists.told
