"""Resident events as they are told: read strictly, a line at a time, and never repeated when they are wrong."""

import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enroll.event_file import LONGEST_LINE, as_line, events_in, events_of, read_event
from jpki.errors import JpkiError
from jpki.ids import HolderCode
from jpki.resident_event import Doubt, Kind, ResidentEvent, SourceName
from tests.conftest import PROJECT

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
FIELDS = {
    "source": "131016",
    "sequence": 7,
    "kind": "moved",
    "holder": "H-0001",
    "effective_at": "2026-11-27T09:00:00+09:00",
}
EVENT = ResidentEvent(
    source=SourceName("131016"),
    sequence=7,
    kind=Kind.MOVED,
    holder=HolderCode("H-0001"),
    effective_at=datetime(2026, 11, 27, tzinfo=UTC),
)


def code_of(fields: object) -> str:
    with pytest.raises(JpkiError) as refused:
        read_event(fields, NOW)
    assert "花子" not in str(refused.value) + refused.value.problem.ja
    return refused.value.code


def test_an_event_is_read_whatever_its_time_zone() -> None:
    assert read_event(FIELDS, NOW) == EVENT
    assert read_event(FIELDS | {"effective_at": "2026-11-27T00:00:00Z"}, NOW) == EVENT


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_written_is_read(kind: Kind) -> None:
    event = ResidentEvent(
        source=EVENT.source, sequence=8, kind=kind, holder=EVENT.holder, effective_at=EVENT.effective_at
    )
    assert list(events_in(io.BytesIO(as_line(event) * 2), NOW)) == [(1, event), (2, event)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", ""),
        ("source", "花子"),
        ("source", "a" * 33),
        ("sequence", 0),
        ("sequence", -1),
        ("sequence", True),
        ("sequence", 1.0),
        ("sequence", "1"),
        ("sequence", 1 << 63),
        ("kind", "花子"),
        ("kind", ["moved"]),
        ("holder", "123456789012"),
        ("holder", "日本　花子"),
        ("holder", None),
        ("effective_at", "2026-11-27T09:00:00"),
        ("effective_at", "2026-11-27"),
        ("effective_at", "花子"),
        ("effective_at", 20261127),
        ("effective_at", "0001-01-01T00:00:00+14:00"),
        ("effective_at", "1999-01-01T00:00:00Z"),
        ("effective_at", (NOW + timedelta(days=367)).isoformat()),
    ],
)
def test_r21_a_wrong_field_is_named_and_not_repeated(field: str, value: object) -> None:
    with pytest.raises(JpkiError) as refused:
        read_event(FIELDS | {field: value}, NOW)
    assert refused.value.code == "event-invalid"
    assert refused.value.problem.en == f"Wrong in the event: {field}."


@pytest.mark.parametrize("fields", [None, [], "花子", 1, {}, FIELDS | {"name": "日本　花子"}])
def test_r21_an_event_has_these_fields_and_no_attribute(fields: object) -> None:
    assert code_of(fields) == "event-malformed"


def test_a_wrong_line_is_told_by_its_number_and_the_others_are_read() -> None:
    good = as_line(EVENT)
    lines = [good, b"\n", b"{\n", b"\xff\xfe\n", b"[" * 3000 + b"\n", b" " * 100_000 + good, good.rstrip()]
    read = list(events_in(io.BytesIO(b"".join(lines)), NOW))
    assert [number for number, each in read if each == EVENT] == [1, 7]
    assert [number for number, each in read if isinstance(each, JpkiError)] == [3, 4, 5, 6]


def test_the_items_of_a_request_are_read_as_lines_are() -> None:
    read = list(events_of([FIELDS, "花子", FIELDS], NOW))
    assert [number for number, each in read if each == EVENT] == [1, 3]
    assert [number for number, each in read if isinstance(each, JpkiError)] == [2]


@pytest.mark.parametrize("spare", [-2, -1, 0, 1, 2])
def test_a_line_may_be_so_long_and_no_longer(spare: int) -> None:
    line = as_line(EVENT).rstrip()
    padded = line + b" " * (LONGEST_LINE - 1 + spare - len(line)) + b"\n"
    (first, second) = events_in(io.BytesIO(padded + line), NOW)
    assert second == (2, EVENT)
    assert (first == (1, EVENT)) is (spare <= 0)


def test_the_documents_name_every_kind_field_and_doubt() -> None:
    document = (PROJECT / "docs" / "registry.md").read_text("utf-8")
    words = [*FIELDS, *Kind, *Doubt]
    assert [word for word in words if re.search(rf"(?<![\w-]){word}(?![\w-])", document) is None] == []


@given(st.binary(max_size=300))
def test_no_octets_do_more_than_be_wrong(octets: bytes) -> None:
    for number, read in events_in(io.BytesIO(octets + b"\n" + as_line(EVENT)), NOW):
        last = number
        assert isinstance(read, JpkiError | ResidentEvent)
    assert read == EVENT
    assert last == octets.count(b"\n") + 2


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_no_value_does_more_than_be_wrong(value: object) -> None:
    for field in FIELDS:
        try:
            read_event(json.loads(json.dumps(FIELDS | {field: value})), NOW)
        except JpkiError as error:
            assert error.code == "event-invalid"  # noqa: PT017 - most values are wrong, and some are not
