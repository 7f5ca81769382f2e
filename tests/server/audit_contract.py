"""What the audit must do on every database."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.errors import JpkiError, Kind
from server.audit.file import read_lines
from server.audit.verify import Fault, Flaw
from server.notary import RENEW_KEY_BEFORE
from server.store import audit
from server.wiring import Store
from tests.ca.world import NOW, FolderKeys
from tests.conftest import SteppingClock
from tests.server.audit_world import Office, infrastructure, judged, office


def subjects_of(here: Office, since: int = 0) -> list[str]:
    return [subject for each in here.notary.log.entries(since) if each.event for subject in each.event.subjects]


def tamper(here: Office, *statements: str) -> None:
    """Change the store behind the house's back."""
    with here.database.writing() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _write_and_fail(here: Office, event: AuditEvent) -> None:
    with here.database.writing() as connection:
        audit.write(connection, event)
        connection.execute(text("SELECT * FROM nowhere"))


SHORTEN = (
    "DELETE FROM audit_head WHERE number > {0}",
    "DELETE FROM audit_body WHERE number > {0}",
    "DELETE FROM audit_chain WHERE number > {0}",
    "UPDATE audit_tip SET number = {0}, hash = (SELECT hash FROM audit_chain WHERE number = {0})",
)
"""A cut by somebody who knows the tables, so that only an anchor tells."""

TAMPERINGS: dict[str, tuple[Sequence[str], Fault]] = {
    "a body changed": (
        ["UPDATE audit_body SET body = replace(body, 'local', 'other') WHERE number = 5"],
        Fault(5, Flaw.BODY_CHANGED),
    ),
    "two bodies exchanged": (
        [
            "CREATE TEMPORARY TABLE held AS SELECT * FROM audit_body WHERE number IN (3, 5)",
            "DELETE FROM audit_body WHERE number IN (3, 5)",
            "INSERT INTO audit_body SELECT 8 - number, salt, body FROM held",
            "DROP TABLE held",
        ],
        Fault(3, Flaw.BODY_CHANGED),
    ),
    "a body deleted": (["DELETE FROM audit_body WHERE number = 5"], Fault(5, Flaw.BODY_MISSING)),
    "a commitment changed": (
        ["UPDATE audit_chain SET commitment = hash WHERE number = 2"],
        Fault(2, Flaw.BODY_CHANGED),
    ),
    "a hash changed": (["UPDATE audit_chain SET hash = commitment WHERE number = 6"], Fault(6, Flaw.HASH_WRONG)),
    "an entry deleted": (
        ["DELETE FROM audit_body WHERE number = 3", "DELETE FROM audit_chain WHERE number = 3"],
        Fault(3, Flaw.MISSING),
    ),
    "the last entries deleted": (
        ["DELETE FROM audit_body WHERE number > 8", "DELETE FROM audit_chain WHERE number > 8"],
        Fault(9, Flaw.CUT),
    ),
    "an entry added": (
        ["INSERT INTO audit_chain SELECT number + 1, commitment, hash FROM audit_chain WHERE number = 9"],
        Fault(10, Flaw.HASH_WRONG),
    ),
    "the tip set back": (["UPDATE audit_tip SET number = 8"], Fault(9, Flaw.UNCHAINED)),
    "a head deleted": (["DELETE FROM audit_head WHERE after = 0"], Fault(1, Flaw.HEAD_MISPLACED)),
    "a head changed": (
        ["UPDATE audit_head SET line = replace(line, '2026', '2027') WHERE after = 0"],
        Fault(4, Flaw.SIGNATURE_WRONG),
    ),
    "a signer deleted": (["DELETE FROM audit_signer"], Fault(4, Flaw.SIGNER_UNKNOWN)),
}
"""What was done to nine entries with heads at 4 and 8, and the fault that names it."""


class AuditContract:
    """The fixtures `store` and `clock` come from the implementation's tests."""

    @pytest.fixture
    def here(self, store: Store, clock: SteppingClock, tmp_path: Path) -> Office:
        clock.now = NOW
        return office(store.database, clock, anchor=tmp_path / "anchor")

    @pytest.fixture
    def nine(self, here: Office) -> Office:
        """Nine entries: the birth of the audit key (two of them) and seven acts, signed at 4 and at 8."""
        for number in range(1, 3):
            here.act(f"act {number}")
        here.notary.attest()
        for number in range(5, 9):
            here.act(f"act {number}")
        here.notary.attest()
        here.act("act 9")
        here.notary.chain()
        return here

    def test_acts_are_numbered_without_a_gap_and_signed(self, nine: Office) -> None:
        assert [each.number for each in nine.notary.log.entries()] == list(range(1, 10))
        report = nine.verify()
        assert (report.entries, report.sealed, report.heads, report.fault) == (9, 8, 2, None)

    def test_an_act_is_in_the_transaction_that_it_tells_of(self, here: Office) -> None:
        event = AuditEvent(at=NOW, actor=LOCAL_OPERATOR, act=Act.SIGNED, subjects=("never",))

        with pytest.raises(JpkiError):
            _write_and_fail(here, event)
        assert here.notary.chain() == 0

    def test_a_batch_is_one_act_on_many(self, here: Office) -> None:
        serials = [f"{number:032x}" for number in range(500)]
        here.act(*serials)
        here.notary.chain()
        assert subjects_of(here) == serials
        (found,) = here.notary.log.entries(subject=serials[321])
        assert found.number == 1

    def test_the_number_is_a_cursor(self, nine: Office) -> None:
        assert subjects_of(nine, since=7) == ["act 8", "act 9"]
        assert list(nine.notary.log.entries(since=9)) == []
        assert [each.number for each in nine.notary.log.entries(subject="act 6")] == [6]
        assert list(nine.notary.log.entries(subject="act")) == []

    def test_many_writers_and_several_notaries_make_one_chain(self, store: Store, here: Office) -> None:
        writers, acts = 6, 40
        nodes = [office(store.database, here.clock) for _ in range(3)]

        def write(writer: int) -> None:
            for number in range(acts):
                here.act(f"{writer}/{number}")

        def attest(node: Office) -> None:
            for _ in range(15):
                node.notary.attest()

        with ThreadPoolExecutor(writers + len(nodes)) as pool:
            done = [*pool.map(write, range(writers)), *pool.map(attest, nodes)]
        assert len(done) == writers + len(nodes)
        here.notary.attest()
        report = here.verify()
        assert report.fault is None
        told = [subject for subject in subjects_of(here) if "/" in subject]
        assert sorted(told) == sorted(f"{writer}/{number}" for writer in range(writers) for number in range(acts))
        for writer in range(writers):
            mine = [subject for subject in told if subject.startswith(f"{writer}/")]
            assert mine == [f"{writer}/{number}" for number in range(acts)]

    # --- what is wrong is found ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("what", TAMPERINGS)
    def test_tampering_is_found_by_its_first_number(self, nine: Office, what: str) -> None:
        statements, fault = TAMPERINGS[what]
        tamper(nine, *statements)
        assert nine.verify().fault == fault

    def test_a_body_that_tells_of_no_act_is_named_by_whoever_reads(self, nine: Office) -> None:
        tamper(nine, "UPDATE audit_body SET body = replace(body, 'certificate signed', 'nonsense') WHERE number = 5")
        with pytest.raises(JpkiError) as refused:
            list(nine.notary.log.entries())
        assert refused.value.code == "audit-damaged"
        assert "5" in refused.value.problem.en

    @pytest.mark.parametrize("kept", [1, 4, 6])
    def test_a_cut_before_the_last_exported_head_is_found(self, nine: Office, tmp_path: Path, kept: int) -> None:
        tamper(nine, *(statement.format(kept) for statement in SHORTEN))
        assert nine.verify().fault is None
        assert nine.verify(tmp_path / "anchor").fault == Fault(kept + 1, Flaw.CUT)

    def test_a_store_that_was_cut_is_not_exported_to_the_anchor(self, nine: Office, tmp_path: Path) -> None:
        before = (tmp_path / "anchor").read_bytes()
        tamper(nine, *(statement.format(4) for statement in SHORTEN))
        nine.act("after the cut")
        with pytest.raises(JpkiError) as refused:
            nine.notary.attest()
        assert refused.value.code == "audit-log-foreign"
        assert (tmp_path / "anchor").read_bytes() == before

    def test_the_anchor_holds_heads_only_and_grows(self, nine: Office, tmp_path: Path) -> None:
        before = (tmp_path / "anchor").read_bytes()
        assert b"local" not in before
        assert before.count(b'"head"') == 2
        nine.notary.attest()
        after = (tmp_path / "anchor").read_bytes()
        assert after.startswith(before)
        assert after.count(b'"head"') == 3
        nine.notary.attest()
        assert (tmp_path / "anchor").read_bytes() == after

    # --- erasing ---------------------------------------------------------------------------------------------------

    @pytest.fixture
    def aged(self, nine: Office, tmp_path: Path) -> Office:
        """The nine entries are 23 years old, exported long ago, and an act of 9 years ago follows."""
        nine.notary.export(tmp_path / "old-log")
        nine.clock.advance(days=365 * 14)
        nine.act("much later")
        nine.notary.attest()
        nine.clock.advance(days=365 * 9)
        return nine

    def test_bodies_are_erased_after_their_retention_and_the_chain_stays_whole(
        self, aged: Office, tmp_path: Path
    ) -> None:
        assert aged.notary.erase(NOW + timedelta(days=365), LOCAL_OPERATOR) == 9
        report = aged.verify(tmp_path / "anchor", tmp_path / "old-log")
        assert (report.erased, report.fault) == (9, None)
        read = {each.number: each.event for each in aged.notary.log.entries()}
        assert [number for number, event in read.items() if event is None] == list(range(1, 10))
        erasure = next(event for event in read.values() if event and event.act is Act.AUDIT_ERASED)
        assert erasure.details == {"through": 9}
        aged.notary.export(tmp_path / "new-log")
        assert judged(list(read_lines(tmp_path / "new-log"))).erased == 9

    def test_what_is_erased_is_nowhere_in_the_tables(self, aged: Office) -> None:
        aged.notary.erase(NOW + timedelta(days=365), LOCAL_OPERATOR)
        with aged.database.reading() as connection:
            left = connection.execute(text("SELECT number FROM audit_body ORDER BY number")).scalars().all()
            assert connection.execute(text("SELECT count(*) FROM audit_outbox")).scalar_one() == 0
        assert min(left) == 10

    def test_erasing_again_finds_nothing_and_says_nothing(self, aged: Office) -> None:
        aged.notary.erase(NOW + timedelta(days=365), LOCAL_OPERATOR)
        entries = aged.verify().entries
        assert aged.notary.erase(NOW + timedelta(days=365), LOCAL_OPERATOR) == 0
        assert aged.verify().entries == entries

    def test_a_body_stolen_beyond_what_was_erased_is_found(self, aged: Office) -> None:
        aged.notary.erase(NOW + timedelta(days=365), LOCAL_OPERATOR)
        tamper(aged, "DELETE FROM audit_body WHERE number = 11")
        assert aged.verify().fault == Fault(11, Flaw.BODY_MISSING)

    def test_an_erasure_that_nobody_signed_excuses_nothing(self, nine: Office) -> None:
        erasure = AuditEvent(
            at=NOW, actor=LOCAL_OPERATOR, act=Act.AUDIT_ERASED, subjects=("audit",), details={"through": 3}
        )
        nine.notary.audit.record(erasure)
        tamper(nine, "DELETE FROM audit_body WHERE number <= 3")
        assert nine.verify().fault == Fault(1, Flaw.BODY_MISSING)
        nine.notary.sign()
        assert nine.verify().fault is None

    def test_nothing_is_erased_within_its_retention(self, nine: Office) -> None:
        with pytest.raises(JpkiError) as refused:
            nine.notary.erase(nine.notary.kept_from() + timedelta(seconds=1), LOCAL_OPERATOR)
        assert (refused.value.kind, refused.value.code) == (Kind.FORBIDDEN, "audit-retained")
        assert nine.verify().erased == 0

    # --- the key that signs ----------------------------------------------------------------------------------------

    def test_the_key_is_renewed_when_thirty_days_are_left_and_not_before(self, nine: Office) -> None:
        (first,) = nine.notary.audit.signing_keys()
        nine.clock.now = first.certificate.not_valid_after_utc - RENEW_KEY_BEFORE
        nine.notary.attest()
        assert len(nine.notary.audit.signing_keys()) == 1
        nine.clock.advance(seconds=1)
        nine.notary.attest()
        assert len(nine.notary.audit.signing_keys()) == 2
        assert nine.verify().fault is None

    def test_a_node_without_the_key_makes_its_own(self, nine: Office, store: Store) -> None:
        there = office(store.database, nine.clock)
        there.act("there")
        there.notary.attest()
        nine.act("here")
        nine.notary.attest()
        assert len(nine.notary.audit.signing_keys()) == 2
        report = nine.verify()
        assert (report.heads, report.fault) == (4, None)

    def test_the_last_key_of_a_root_serves_to_its_end(self, here: Office) -> None:
        root, _ = infrastructure()
        here.clock.now = root.not_after - timedelta(days=5)
        for number in range(3):
            here.act(f"act {number}")
            here.notary.attest()
        (only,) = here.notary.audit.signing_keys()
        assert only.certificate.not_valid_after_utc == root.not_after

    def test_without_any_key_acts_are_chained_and_signed_later(self, here: Office, store: Store) -> None:
        bare = office(store.database, here.clock, FolderKeys())
        bare.act("one")
        with pytest.raises(JpkiError) as refused:
            bare.notary.attest()
        assert refused.value.kind is Kind.UNAVAILABLE
        assert bare.keys.labels == set()
        report = bare.verify()
        assert (report.entries, report.sealed, report.fault) == (1, 0, None)
        here.notary.attest()
        assert here.verify().sealed >= 1

    def test_of_two_heads_for_one_stretch_the_first_stands(self, nine: Office) -> None:
        late = nine.notary.sign()
        assert late is not None
        assert nine.notary.audit.add_head(late) is False
        assert nine.verify().heads == 3
