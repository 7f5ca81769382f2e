"""The entries of the next list out of the last one's file, against all of them encoded anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from crl.builder import Edition, signed_around
from crl.entries import Entries
from crl.increment import Base, NotCarriedOver, carry_over
from jpki import der
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import RevokedEntry, ShelfMark
from jpki.revocation import Reason
from jpki.signature import algorithm_for, sign
from tests.crl.authority import CHIYODA, CHUO, TODAY, generation, key_of
from tests.crl.writing import encode, list_of

EDITION = Edition(number=5, this_update=TODAY, next_update=TODAY + timedelta(days=2))
SIGNER = generation("s1")
LATE = datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC)


def entry(number: int) -> RevokedEntry:
    """An entry of some kind; all the house's kinds come, and their lengths."""
    return RevokedEntry(spread(number), LATE if number % 11 == 0 else TODAY, list(Reason)[number % 7])


def spread(number: int) -> Serial:
    return Serial((1 << 126) + (number << 110) + number * 7919)


def mark(entries: int) -> ShelfMark:
    return ShelfMark(
        purpose=SIGNER.purpose,
        partition=CHIYODA.id,
        number=EDITION.number,
        this_update=TODAY,
        next_update=EDITION.next_update,
        epoch=1,
        position=1,
        ending_after=None,
        entries=entries,
    )


def carried(
    octets: bytes, count: int, changes: Mapping[Serial, RevokedEntry | None], of: Partition | None = CHIYODA
) -> tuple[bytes, int, int | None, int | None]:
    """The entries that come out of this file, their number, and the first and last serial."""
    with TemporaryFile(buffering=0) as file, TemporaryFile() as spool:
        file.write(octets)
        entries = Entries(spool)
        carry_over(Base(file, mark(count), SIGNER, of), changes, entries)
        return b"".join(entries.blocks()), entries.count, entries.first, entries.last


def anew(entries: Sequence[RevokedEntry]) -> tuple[bytes, int, int | None, int | None]:
    ends = (entries[0].serial, entries[-1].serial) if entries else (None, None)
    return encode(entries), len(entries), *ends


numbers = st.integers(0, 9999)


@given(
    before=st.one_of(
        st.sets(numbers, max_size=200), st.integers(0, 3000).map(lambda count: set(range(0, 9999, 9999 // (count + 1))))
    ),
    changed=st.dictionaries(numbers, st.booleans(), max_size=20),
)
def test_what_is_carried_over_is_what_is_built_anew(before: set[int], changed: dict[int, bool]) -> None:
    base = [entry(number) for number in sorted(before)]
    now = {
        spread(number): replace(entry(number + 1), serial=spread(number)) for number, is_on in changed.items() if is_on
    }
    changes = {spread(number): now.get(spread(number)) for number in changed}
    expected = {each.serial: each for each in base if each.serial not in changes} | now
    octets = list_of(base, EDITION, SIGNER, CHIYODA, key_of("s1"))
    assert carried(octets, len(base), changes) == anew([expected[each] for each in sorted(expected)])


BASE = [entry(number) for number in range(300)]
LIST = list_of(BASE, EDITION, SIGNER, CHIYODA, key_of("s1"))


def altered(at: int) -> bytes:
    octets = bytearray(LIST)
    octets[at] ^= 1
    return bytes(octets)


def in_another_form() -> bytes:
    """Signed, and with entries that are none of ours: of two octets' serials."""
    octets = encode([RevokedEntry(Serial(1000 + number), TODAY, Reason.SUPERSEDED) for number in range(2000)])
    frame = signed_around([octets], len(octets), EDITION, SIGNER, CHIYODA, key_of("s1"))
    return frame.head + octets + frame.tail


def otherwise_signed() -> bytes:
    """A list whose signature fits, under the name of another algorithm in both places."""
    other = der.sequence(der.object_identifier("1.2.840.113549.1.1.12"), der.tlv(der.Tag.NULL))
    ours = algorithm_for(SIGNER.public_key).identifier
    to_be_signed = x509.load_der_x509_crl(LIST).tbs_certlist_bytes.replace(ours, other)
    return der.sequence(to_be_signed, other, der.bit_string(sign(key_of("s1"), to_be_signed)))


@pytest.mark.parametrize(
    "file",
    [
        *(lambda at=at: altered(at) for at in (0, 3, 12, 30, 120, 300, len(LIST) // 2, len(LIST) - 300, len(LIST) - 1)),
        lambda: LIST[:-1],
        lambda: LIST + b"\x00",
        lambda: b"",
        lambda: list_of(BASE, EDITION, SIGNER, CHIYODA, key_of("s2")),
        lambda: list_of(BASE, replace(EDITION, number=4), SIGNER, CHIYODA, key_of("s1")),
        lambda: list_of(BASE, replace(EDITION, this_update=TODAY - timedelta(days=1)), SIGNER, CHIYODA, key_of("s1")),
        lambda: list_of(BASE, EDITION, SIGNER, CHUO, key_of("s1")),
        lambda: list_of(BASE, EDITION, SIGNER, None, key_of("s1")),
        lambda: list_of(BASE, replace(EDITION, base=4), SIGNER, CHIYODA, key_of("s1")),
        in_another_form,
        otherwise_signed,
    ],
    ids=[
        *("outer", "inner", "version", "algorithm", "name", "entry", "middle", "extension", "signature"),
        *("cut", "followed", "empty", "key", "number", "time", "partition", "complete", "delta", "form", "named"),
    ],
)
def test_nothing_is_carried_over_from_another_file(file: Callable[[], bytes]) -> None:
    with pytest.raises(NotCarriedOver):
        carried(file(), len(BASE), {spread(7): None, Serial(1 << 126): None})


def test_a_complete_list_is_carried_over_into_a_complete_list_alone() -> None:
    complete = list_of(BASE, EDITION, SIGNER, None, key_of("s1"))
    assert carried(complete, 300, {}, of=None) == anew(BASE)
    with pytest.raises(NotCarriedOver):
        carried(LIST, 300, {}, of=None)


def test_a_base_url_more_is_no_other_partition() -> None:
    renamed = replace(CHIYODA, base_urls=(*CHIYODA.base_urls, "http://new.test"))
    assert carried(LIST, 300, {spread(5): None}, of=renamed) == anew([*BASE[:5], *BASE[6:]])


LONG = 30_000
AT_A_BLOCK = (1 << 20) // 51
"""The entry that the end of the first block cuts in two."""


@pytest.mark.parametrize("changed", [range(0), range(0, LONG, 7), [0, LONG - 1]], ids=["at the cut", "many", "ends"])
@pytest.mark.parametrize("reason", [Reason.UNSPECIFIED, None], ids=["shorter", "gone"])
def test_a_list_of_several_blocks_is_carried_over(changed: Sequence[int], reason: Reason | None) -> None:
    base = [RevokedEntry(spread(2 * number), TODAY, Reason.SUPERSEDED) for number in range(LONG)]
    concerned = {*changed, *range(AT_A_BLOCK - 3, AT_A_BLOCK + 4)}
    now = {base[each].serial: replace(base[each], reason=reason) if reason else None for each in concerned}
    now |= {spread(2 * each + 1): entry(2 * each + 1) for each in (*concerned, LONG)}
    expected = {each.serial: each for each in base} | now
    octets = list_of(base, EDITION, SIGNER, CHIYODA, key_of("s1"))
    assert carried(octets, LONG, now) == anew([each for _, each in sorted(expected.items()) if each is not None])
