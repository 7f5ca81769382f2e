"""An exported log and the public key alone: any change is found, and by its first number."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from errno import ENOSPC
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.delegate import DelegateKind
from jpki.errors import JpkiError
from jpki.signature import KeySpec
from server.audit.chain import Entry, Head, Opening, Record, Signer, Tip, extend, sign_head
from server.audit.file import append, read_lines
from server.audit.lines import Unreadable, from_line, records, to_line
from server.audit.position import Position
from server.audit.trust import Trust
from server.audit.verify import Fault, Flaw, Heads, keep_heads
from server.store.database import Database
from tests.ca.world import NOW, authority
from tests.conftest import SteppingClock
from tests.server.audit_world import TRUST, Office, heads_in, infrastructure, judged, office


@dataclass(frozen=True, slots=True)
class Log:
    """A whole log of some forty acts with four heads by two keys."""

    lines: Sequence[bytes]
    anchors: Heads

    @property
    def heads(self) -> list[int]:
        return [number for number, _ in self.anchors]

    @property
    def records(self) -> list[Record]:
        read = [from_line(line) for line in self.lines]
        return [record for record in read if record is not None]

    def line_of(self, number: int) -> int:
        return next(at for at, each in enumerate(self.records) if isinstance(each, Entry) and each.number == number)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    clock = SteppingClock(NOW)
    database = Database.at_file(folder / "jpki.sqlite", create=True)
    database.found(clock())
    here, there = office(database, clock), office(database, clock)
    for turn, node in enumerate((here, here, there, here)):
        for each in range(9):
            node.act(f"{turn}-{each}")
        node.notary.sign()
        clock.advance(days=100)
    here.notary.export(folder / "log")
    database.close()
    return folder / "log"


@pytest.fixture(scope="module")
def log(made: Path) -> Log:
    lines = list(read_lines(made))
    return Log(lines, heads_in(made))


@pytest.fixture
def here(tmp_path: Path, clock: SteppingClock) -> Office:
    clock.now = NOW
    database = Database.at_file(tmp_path / "jpki.sqlite", create=True)
    database.found(clock())
    return office(database, clock)


def test_a_whole_log_is_whole(log: Log) -> None:
    report = judged(log.lines, log.anchors)
    assert report.fault is None
    assert report.entries == report.sealed > 36
    assert report.heads == len(log.anchors) >= 4
    assert len({head.signer for head in log.anchors.values()}) >= 2


# --- any change ----------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_any_changed_octet_is_found_by_its_number(log: Log, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(log.lines) - 1))
    line = bytearray(log.lines[at])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] = data.draw(st.integers(0, 255).filter(lambda octet: octet != line[place]))
    changed = b"".join((*log.lines[:at], bytes(line), *log.lines[at + 1 :])).splitlines(keepends=True)
    report = judged(changed, log.anchors)
    assert report.fault is not None
    record = log.records[at]
    if isinstance(record, Entry):
        assert report.fault.number == record.number
    elif isinstance(record, Head):
        assert report.fault.number in (record.number, record.number + 1)


@given(data=st.data())
def test_any_changed_value_is_found_by_its_number(log: Log, data: st.DataObject) -> None:
    """As above, by somebody who writes whole records."""
    at = data.draw(st.integers(0, len(log.lines) - 1).filter(lambda at: isinstance(log.records[at], Entry)))
    entry = log.records[at]
    assert isinstance(entry, Entry)
    assert entry.opening is not None
    octets = st.binary(min_size=32, max_size=32)
    changed = data.draw(
        st.one_of(
            octets.map(lambda value: replace(entry, commitment=value)),
            octets.map(lambda value: replace(entry, hash=value)),
            octets.map(lambda value: replace(entry, opening=Opening(value, entry.opening.body))),  # type: ignore[union-attr]
            st.text().map(lambda text: replace(entry, opening=Opening(entry.opening.salt, text))),  # type: ignore[union-attr]
            st.integers(0, 100).map(lambda number: replace(entry, number=number)),
            st.just(replace(entry, opening=None)),
        ).filter(lambda each: each != entry)
    )
    report = judged([*log.lines[:at], to_line(changed), *log.lines[at + 1 :]], log.anchors)
    assert report.fault is not None
    assert report.fault.number == min(entry.number, changed.number)


@given(data=st.data())
def test_a_line_left_out_repeated_or_moved_is_found(log: Log, data: st.DataObject) -> None:
    count = len(log.lines)
    at, to = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count))
    way = data.draw(st.sampled_from(["left out", "repeated", "moved", "swapped"]))
    lines = list(log.lines)
    line = lines[at]
    if way == "left out":
        del lines[at]
    elif way == "repeated":
        lines.insert(to, line)
    elif way == "moved":
        lines.insert(to % count, lines.pop(at))
    else:
        lines[at], lines[to % count] = lines[to % count], lines[at]
    assert (judged(lines, log.anchors).fault is None) == (lines == log.lines)


@pytest.mark.parametrize(
    ("number", "change", "fault"),
    [
        (5, "left out", Fault(5, Flaw.MISSING)),
        (5, "repeated", Fault(5, Flaw.REPEATED)),
        (5, "swapped with the next", Fault(5, Flaw.MISSING)),
    ],
)
def test_the_first_bad_number_is_named(log: Log, number: int, change: str, fault: Fault) -> None:
    lines, at = list(log.lines), log.line_of(number)
    if change == "left out":
        del lines[at]
    elif change == "repeated":
        lines.insert(at + 1, lines[at])
    else:
        lines[at : at + 2] = lines[at + 1], lines[at]
    assert judged(lines).fault == fault


@given(data=st.data())
def test_any_cut_is_found_with_the_anchor(log: Log, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(log.lines) - 1))
    fault = judged(log.lines[:kept], log.anchors).fault
    assert fault is not None


def test_a_cut_behind_a_head_is_found_by_the_anchor_alone(log: Log) -> None:
    """The one thing that only an anchor tells: docs/adr/0008."""
    last = sorted(log.heads)[-2]
    cut = next(at for at, each in enumerate(log.records) if isinstance(each, Head) and each.number == last) + 1
    assert judged(log.lines[:cut]).fault is None
    assert judged(log.lines[:cut], log.anchors).fault == Fault(last + 1, Flaw.CUT)


def test_a_signer_whose_head_was_cut_off_is_found(log: Log) -> None:
    at = next(at for at, each in enumerate(log.records) if isinstance(each, Signer))
    number = sum(isinstance(each, Entry) for each in log.records[:at])
    assert judged(log.lines[: at + 1]).fault == Fault(number, Flaw.HEAD_MISPLACED)


def test_a_signer_stands_directly_before_its_head(log: Log) -> None:
    lines = list(log.lines)
    at = next(at for at, each in enumerate(log.records) if isinstance(each, Signer))
    lines.insert(at - 2, lines.pop(at))
    fault = judged(lines).fault
    assert fault is not None
    assert fault.flaw is Flaw.HEAD_MISPLACED


# --- somebody who can hash, and has keys of their own --------------------------------------------------------------


def rechained(log: Log, number: int, body: str) -> list[Record]:
    """The log with another body at `number` and every hash from there on made to fit."""
    tip = Tip(0, bytes(32))
    rewritten: list[Record] = []
    for record in log.records:
        if isinstance(record, Entry) and record.opening is not None:
            opening = replace(record.opening, body=body) if record.number == number else record.opening
            (entry,) = extend(tip, [opening])
            tip = Tip(entry.number, entry.hash)
            rewritten.append(entry)
        else:
            rewritten.append(record)
    return rewritten


@given(data=st.data())
def test_a_chain_made_anew_does_not_fit_the_next_head(log: Log, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, max(log.heads)))
    fault = judged([to_line(each) for each in rechained(log, number, "{}")]).fault
    before = max((head for head in log.heads if head < number), default=0)
    assert fault == Fault(before + 1, Flaw.REWRITTEN)


def test_a_head_by_a_clerk_of_the_same_root_is_not_believed(here: Office) -> None:
    root, _ = infrastructure()
    key = generate(KeySpec.P256)
    certificate = here.notary.delegation.client(root, key.public_key(), DelegateKind.CLERK, "clerk-1", LOCAL_OPERATOR)
    assert TRUST.key_of(certificate) is None
    here.notary.chain()
    tip = here.notary.log.tip()
    entries = [each for each in here.notary.log.records() if isinstance(each, Entry)]
    signer = Signer(certificate)
    forged = sign_head(key, signer, tip, after=0, at=NOW)
    lines = [*map(to_line, entries), to_line(signer), to_line(forged)]
    assert judged(lines).fault == Fault(tip.number, Flaw.SIGNER_UNKNOWN)
    # The same key, had the auditor been given it, would be believed: only the certificate says what it is for.
    assert judged(lines, trust=Trust.of_certificates([certificate])).fault is None


def test_a_head_from_past_its_signers_end_is_not_believed(here: Office) -> None:
    here.act("one")
    here.notary.sign()
    (signing_key,) = here.notary.audit.signing_keys()
    signer, tip = Signer(signing_key.certificate), here.notary.log.tip()
    late = sign_head(here.keys.signer(signing_key.key), signer, tip, after=0, at=NOW + timedelta(days=366))
    entries = [each for each in here.notary.log.records() if isinstance(each, Entry)]
    lines = [*map(to_line, entries), to_line(signer), to_line(late)]
    assert judged(lines).fault == Fault(tip.number, Flaw.SIGNER_UNKNOWN)


def test_a_trusted_key_is_needed(log: Log) -> None:
    other, _ = authority(Purpose.SIGNING)
    fault = judged(log.lines, trust=Trust.of_certificates([other.certificate])).fault
    assert fault == Fault(min(log.heads), Flaw.SIGNER_UNKNOWN)


def test_the_audit_key_itself_is_enough(log: Log) -> None:
    """A PEM of the public keys that signed, without any certificate."""
    signers = [each.certificate for each in log.records if isinstance(each, Signer)]
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pem = b"".join(certificate.public_key().public_bytes(*form) for certificate in signers)
    assert judged(log.lines, trust=Trust.of_pem(pem)).fault is None


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_without_a_key_is_refused(pem: bytes) -> None:
    with pytest.raises(JpkiError) as refused:
        Trust.of_pem(pem)
    assert refused.value.code == "audit-key-unreadable"


# --- the anchor ----------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_any_changed_octet_of_an_anchor_is_found(log: Log, data: st.DataObject) -> None:
    lines = [line for line, each in zip(log.lines, log.records, strict=True) if not isinstance(each, Entry)]
    at = data.draw(st.integers(0, len(lines) - 1))
    line = bytearray(lines[at])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] = data.draw(st.integers(0, 255).filter(lambda octet: octet != line[place]))
    changed = b"".join((*lines[:at], bytes(line), *lines[at + 1 :])).splitlines(keepends=True)
    assert keep_heads({}, records(changed), TRUST) is not None


def test_two_anchors_that_contradict_each_other_are_found(here: Office, tmp_path: Path) -> None:
    here.act("one")
    here.notary.export(tmp_path / "log")
    here.database.close()
    (signing_key,) = here.notary.audit.signing_keys()
    tip, signer = here.notary.log.tip(), Signer(signing_key.certificate)
    other = sign_head(here.keys.signer(signing_key.key), signer, tip, after=0, at=NOW)
    heads = heads_in(tmp_path / "log")
    lines = [to_line(signer), to_line(other)]
    assert keep_heads(heads, records(lines), TRUST) == Fault(tip.number, Flaw.ANCHOR_DIFFERS)


# --- the file grows ------------------------------------------------------------------------------------------------


def test_a_log_only_grows_and_is_the_same_however_often_it_is_written(here: Office, tmp_path: Path) -> None:
    often, once = tmp_path / "often", tmp_path / "once"
    for turn in range(4):
        here.act(f"act {turn}")
        before = often.read_bytes() if often.exists() else b""
        assert here.notary.export(often) > 0
        assert here.notary.export(often) == 0
        assert often.read_bytes().startswith(before)
    here.notary.export(once)
    assert once.read_bytes() == often.read_bytes()
    assert judged(list(read_lines(once)), heads_in(often)).fault is None


@given(data=st.data())
def test_a_log_broken_off_anywhere_is_completed(
    made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """After a power cut; only where not one line was written whole must a person look."""
    folder = tmp_path_factory.mktemp("broken")
    whole = made.read_bytes()
    size = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))
    (folder / "log").write_bytes(whole[:size])
    shutil.copy(made.with_name("jpki.sqlite"), folder / "jpki.sqlite")
    database = Database.at_file(folder / "jpki.sqlite")
    append(folder / "log", office(database, SteppingClock(NOW)).notary.log.records)  # type: ignore[arg-type]
    database.close()
    assert (folder / "log").read_bytes() == whole
    shutil.rmtree(folder)


def test_a_log_with_many_acts_after_its_last_head_is_completed(here: Office, tmp_path: Path) -> None:
    """The end of the log is looked for further up than one block."""
    here.act("first")
    here.notary.export(tmp_path / "log")
    for number in range(400):
        here.act(*(f"{number:032x}" for _ in range(10)))
    here.notary.export(tmp_path / "log")
    whole = (tmp_path / "log").read_bytes()
    cut = whole[: whole.rindex(b"\n", 0, whole.rindex(b"\n")) + 1]
    (tmp_path / "log").write_bytes(cut)
    here.notary.export(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == whole


def test_what_cannot_be_written_whole_is_taken_back(here: Office, tmp_path: Path) -> None:
    here.act("one")
    here.notary.export(tmp_path / "log")
    before = (tmp_path / "log").read_bytes()
    for _ in range(30):
        here.act(*(f"{number:032x}" for number in range(500)))
    here.notary.chain()

    def broken_off(end: Position) -> Iterator[Record]:
        for record in here.notary.log.records(end):
            assert not isinstance(record, Unreadable)
            yield record
        raise OSError(ENOSPC, "No space left on device")

    with pytest.raises(JpkiError) as refused:
        append(tmp_path / "log", broken_off)
    assert refused.value.code == "audit-log-unwritable"
    assert (tmp_path / "log").read_bytes() == before


def test_a_file_that_may_only_grow_is_enough(here: Office, tmp_path: Path) -> None:
    """`chattr +a`, where the file system knows it."""
    file = tmp_path / "log"
    file.touch()
    if subprocess.run(["chattr", "+a", file], check=False, capture_output=True, timeout=10).returncode != 0:
        pytest.skip("this file system, or this user, cannot make a file append-only")
    try:
        for turn in range(2):
            here.act(f"act {turn}")
            assert here.notary.export(file) > 0
        with pytest.raises(PermissionError):
            os.truncate(file, 0)
    finally:
        subprocess.run(["chattr", "-a", file], check=True, timeout=10)


def test_a_log_of_another_authority_is_refused_and_left_alone(here: Office, made: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(made, tmp_path / "log"))
    here.act("one")
    with pytest.raises(JpkiError) as refused:
        here.notary.export(other)
    assert refused.value.code == "audit-log-foreign"
    assert other.read_bytes() == made.read_bytes()


@pytest.mark.parametrize("content", [b"my diary", b"my diary\n", b'{"number":1}\n'])
def test_a_file_that_is_no_log_is_refused_and_left_alone(here: Office, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "diary"
    file.write_bytes(content)
    here.act("one")
    with pytest.raises(JpkiError) as refused:
        here.notary.export(file)
    assert refused.value.code == "audit-log-unreadable"
    assert file.read_bytes() == content


def test_a_place_that_cannot_be_written_is_an_outage(here: Office, tmp_path: Path) -> None:
    here.act("one")
    with pytest.raises(JpkiError) as refused:
        here.notary.export(tmp_path / "nowhere" / "log")
    assert refused.value.code == "audit-log-unwritable"
