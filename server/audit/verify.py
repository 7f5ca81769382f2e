"""Checking a chain: any change, gap, reordering, repetition or cut, by its first number.

One pass, in constant memory, over a log's lines or over the store's rows. What cannot be found stands in
docs/adr/0008.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography.exceptions import InvalidSignature

from jpki.acts import Act, AuditEvent
from jpki.signature import PublicKey, check
from jpki.text import Text
from server.audit.body import decode
from server.audit.chain import GENESIS, Entry, Head, Record, Signer, Tip, entry_hash, head_message
from server.audit.lines import Unreadable
from server.audit.trust import Trust


class Flaw(StrEnum):
    """What is wrong with an entry or a head."""

    UNREADABLE = "unreadable"
    MISSING = "missing"
    REPEATED = "repeated"
    BODY_CHANGED = "body-changed"
    BODY_MISSING = "body-missing"
    HASH_WRONG = "hash-wrong"
    UNCHAINED = "unchained"
    HEAD_MISPLACED = "head-misplaced"
    SIGNER_UNKNOWN = "signer-unknown"
    SIGNATURE_WRONG = "signature-wrong"
    REWRITTEN = "rewritten"
    ANCHOR_DIFFERS = "anchor-differs"
    CUT = "cut"

    @property
    def text(self) -> Text:
        """What is wrong, in a sentence."""
        return _FLAWS[self]


_FLAWS = {
    Flaw.UNREADABLE: Text("読めない行があります。", "a line cannot be read"),
    Flaw.MISSING: Text("記録がありません。", "the entry is missing"),
    Flaw.REPEATED: Text("記録が重複しているか、順序が違います。", "the entry is repeated, or out of order"),
    Flaw.BODY_CHANGED: Text("本文が改ざんされています。", "the body was changed"),
    Flaw.BODY_MISSING: Text("消去の記録がないのに本文がありません。", "the body is gone without an act of erasing"),
    Flaw.HASH_WRONG: Text("ハッシュが前の記録とつながりません。", "the hash does not follow from the entry before"),
    Flaw.UNCHAINED: Text("連鎖にない記録があります。", "there is something that was never chained"),
    Flaw.HEAD_MISPLACED: Text("署名が欠けているか、順序が違います。", "a signed head is missing or out of order"),
    Flaw.SIGNER_UNKNOWN: Text("署名者を信頼できません。", "the head's signer is not believed"),
    Flaw.SIGNATURE_WRONG: Text("署名が正しくありません。", "the head's signature is wrong"),
    Flaw.REWRITTEN: Text(
        "ここから次の署名までが書き換えられています。", "from here to the next head the chain was rewritten"
    ),
    Flaw.ANCHOR_DIFFERS: Text("手元に保管された署名と異なります。", "the head is not the one that was kept"),
    Flaw.CUT: Text("ここから後が切り取られています。", "from here on the audit was cut off"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: at which number, and what."""

    number: int
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Restoration:
    """An act which says that the ledger was restored, and that the chain goes on after `through` since then.

    Heads of later numbers that were signed before are no more: whoever keeps one learns how many acts were lost.
    """

    through: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found. `erased` entries lost their bodies by a signed act; those after `sealed` await their head.

    `lost` are the heads that were kept of acts lost in a disaster: `restorations` alone say so (docs/adr/0013).
    """

    entries: int
    erased: int
    heads: int
    sealed: int
    fault: Fault | None
    restorations: tuple[Restoration, ...] = ()
    lost: int = 0


Heads = dict[tuple[int, bytes], Head]
"""Heads that an auditor kept, by number and hash: before and after a restore one number may stand for two acts."""


class _Found(Exception):  # noqa: N818 - it is how a walk ends, not an error that anybody meets
    def __init__(self, number: int, flaw: Flaw) -> None:
        super().__init__()
        self.fault = Fault(number, flaw)


def verify(
    records: Iterable[Record | Unreadable],
    trust: Trust,
    anchors: Mapping[tuple[int, bytes], Head],
    end: Tip | None = None,
) -> Report:
    """Check the chain from its first entry; `end` is where its keeper says that it ends.

    `anchors` are heads that the auditor kept (`Heads`): each must still be there, or lie in what a restore lost.
    """
    walk = _Walk(trust, anchors)
    fault = None
    try:
        for record in records:
            walk.take(record)
        walk.finish(end)
    except _Found as found:
        fault = found.fault
    return Report(
        entries=walk.tip.number,
        erased=walk.erased,
        heads=walk.seals.count,
        sealed=walk.seals.last,
        fault=fault,
        restorations=tuple(walk.restorations),
        lost=walk.lost,
    )


def keep_heads(kept: Heads, records: Iterable[Record | Unreadable], trust: Trust) -> Fault | None:
    """Add to `kept` an auditor's heads and return the first thing that is wrong; entries do not count."""
    seals = _Seals(trust)
    try:
        for record in records:
            seals.take(record)
            if isinstance(record, Head):
                _keep(kept, record)
    except _Found as found:
        return found.fault
    return None


def _keep(kept: Heads, head: Head) -> None:
    if kept.setdefault((head.number, head.hash), head) != head:
        raise _Found(head.number, Flaw.ANCHOR_DIFFERS)


class _Seals:
    """Signers and heads in the order in which they must stand."""

    def __init__(self, trust: Trust) -> None:
        self.count = 0
        self.last = 0
        self._trust = trust
        self._signer: Signer | None = None
        self._key: PublicKey | None = None
        self.announced = False

    def take(self, record: Record | Unreadable) -> None:
        """Take the next record of a file of which only heads count."""
        match record:
            case Unreadable():
                raise _Found(self.last + 1, Flaw.UNREADABLE)
            case Signer():
                self.announce(record)
            case Head():
                self.require_signed(record)
            case Entry():
                pass

    def announce(self, signer: Signer) -> None:
        """Take the certificate of the heads that follow; it stands once, directly before the first of them."""
        if self.announced or (self._signer is not None and self._signer.fingerprint == signer.fingerprint):
            raise _Found(self.last + 1, Flaw.HEAD_MISPLACED)
        self._signer, self._key, self.announced = signer, self._trust.key_of(signer.certificate), True

    def require_signed(self, head: Head) -> None:
        """Require a believed signature."""
        signer = self._signer
        if signer is None or self._key is None or signer.fingerprint != head.signer:
            raise _Found(head.number, Flaw.SIGNER_UNKNOWN)
        certificate = signer.certificate
        if not certificate.not_valid_before_utc <= head.at <= certificate.not_valid_after_utc:
            raise _Found(head.number, Flaw.SIGNER_UNKNOWN)
        try:
            check(self._key, head_message(head), head.signature)
        except InvalidSignature:
            raise _Found(head.number, Flaw.SIGNATURE_WRONG) from None
        self.announced, self.last = False, head.number
        self.count += 1


class _Walk:
    """The check so far."""

    def __init__(self, trust: Trust, anchors: Mapping[tuple[int, bytes], Head]) -> None:
        self.tip = GENESIS
        self.erased = 0
        self.lost = 0
        self.restorations: list[Restoration] = []
        self.seals = _Seals(trust)
        self._anchors: dict[int, list[Head]] = defaultdict(list)
        for head in anchors.values():
            self._anchors[head.number].append(head)
        self._erased_runs: list[tuple[int, int]] = []
        self._announced_erasure = 0
        self._signed_erasure = 0

    def take(self, record: Record | Unreadable) -> None:
        """Check the next record."""
        if isinstance(record, Unreadable):
            raise _Found(self.tip.number + 1, Flaw.UNREADABLE)
        if self.seals.announced and not isinstance(record, Head):
            raise _Found(self.tip.number + 1, Flaw.HEAD_MISPLACED)
        match record:
            case Entry():
                self._entry(record)
            case Head():
                self._head(record)
            case Signer():
                self.seals.announce(record)

    def finish(self, end: Tip | None) -> None:
        """Check that nothing is cut off, and that what lost its body lost it by a signed act."""
        if end is not None and end.number > self.tip.number:
            raise _Found(self.tip.number + 1, Flaw.CUT)
        if end is not None and end != self.tip:
            raise _Found(end.number + 1, Flaw.UNCHAINED)
        cut = [head.number for heads in self._anchors.values() for head in heads if not self._is_lost(head)]
        if cut:
            raise _Found(min(self.tip.number + 1, *cut), Flaw.CUT)
        if self.seals.announced:
            raise _Found(self.tip.number, Flaw.HEAD_MISPLACED)
        for first, last in self._erased_runs:
            if last > self._signed_erasure:
                raise _Found(max(first, self._signed_erasure + 1), Flaw.BODY_MISSING)

    def _entry(self, entry: Entry) -> None:
        number = self.tip.number + 1
        if entry.number != number:
            flaw = Flaw.MISSING if entry.number > number else Flaw.REPEATED
            raise _Found(min(number, entry.number), flaw)
        if entry.opening is None:
            self._note_erased(number)
        elif entry.opening.commitment != entry.commitment:
            raise _Found(number, Flaw.BODY_CHANGED)
        else:
            self._told(number, entry.opening.body)
        if entry.hash != entry_hash(self.tip.hash, number, entry.commitment):
            raise _Found(number, Flaw.HASH_WRONG)
        self.tip = Tip(number, entry.hash)

    def _head(self, head: Head) -> None:
        last = self.seals.last
        if head.number > self.tip.number:
            raise _Found(self.tip.number + 1, Flaw.MISSING)
        if head.number < self.tip.number or head.after != last:
            raise _Found(min(head.number, last + 1), Flaw.HEAD_MISPLACED)
        self.seals.require_signed(head)
        if head.hash != self.tip.hash:
            raise _Found(last + 1, Flaw.REWRITTEN)
        for kept in self._anchors.pop(head.number, ()):
            if kept != head and not self._is_lost(kept):
                raise _Found(last + 1, Flaw.ANCHOR_DIFFERS)
        self._signed_erasure = self._announced_erasure

    def _told(self, number: int, body: str) -> None:
        """Note what the chain tells of itself: that bodies are erased, or that the ledger was restored."""
        event = _event(body)
        if event is None:
            return
        through = event.details.get("through")
        if event.act is Act.AUDIT_ERASED and isinstance(through, int):
            self._announced_erasure = max(self._announced_erasure, min(through, number - 1))
        if event.act is Act.RESTORED:
            self.restorations.append(Restoration(number - 1, event.at))

    def _is_lost(self, head: Head) -> bool:
        """Tell, and count, whether a head is of acts that a signed restore could not bring back."""
        signed = [each for each in self.restorations if each.through < self.seals.last]
        lost = any(head.number > each.through and head.at <= each.at for each in signed)
        self.lost += lost
        return lost

    def _note_erased(self, number: int) -> None:
        self.erased += 1
        if self._erased_runs and self._erased_runs[-1][1] == number - 1:
            self._erased_runs[-1] = (self._erased_runs[-1][0], number)
        else:
            self._erased_runs.append((number, number))


def _event(body: str) -> AuditEvent | None:
    """Return the act, if it is one that says something of the chain itself."""
    if Act.AUDIT_ERASED not in body and Act.RESTORED not in body:
        return None
    try:
        return decode(body)
    except (ValueError, KeyError, TypeError):
        return None
