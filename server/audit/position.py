"""How far a log was written, and what comes next in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from server.audit.chain import GENESIS, Entry, Head, Record, Signer, Tip
from server.audit.lines import Unreadable


@dataclass(frozen=True, slots=True)
class Position:
    """Where a log ends: at which entry or head, and whose heads were announced last.

    `headed` tells that the head of that number, where there is one, is in the log as well.
    """

    tip: Tip
    headed: bool
    signer: bytes | None


START = Position(GENESIS, headed=True, signer=None)


def position_after(latest: Sequence[Record], *, whole: bool) -> Position | None:
    """Return where a log ends whose last records are these, or which they are as a `whole`.

    None where they hold no head and are not the whole: the last signer stands further up then.
    """
    tip: Tip | None = None
    signer: bytes | None = None
    for record in reversed(latest):
        match record:
            case Signer():
                signer = signer or record.fingerprint
            case Entry():
                tip = tip or Tip(record.number, record.hash)
            case Head():
                end = tip or Tip(record.number, record.hash)
                return Position(end, headed=tip is None, signer=signer or record.signer)
    return Position(tip or GENESIS, headed=tip is None, signer=signer) if whole else None


def announced(
    records: Iterable[Record | Unreadable], signers: Mapping[bytes, Signer], last: bytes | None
) -> Iterator[Record | Unreadable]:
    """Put each head's signer before it, where the head before had another; `last` is the signer announced before."""
    for record in records:
        if isinstance(record, Head) and record.signer != last and record.signer in signers:
            last = record.signer
            yield signers[last]
        yield record
