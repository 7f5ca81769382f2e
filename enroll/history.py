"""A holder's history in words: every look-up by a verifier, every change of a certificate, every case."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from enroll.counters import HOLDERS_PAGE
from enroll.words import STATES
from jpki.case import Case, CaseNumber, CaseState
from jpki.ids import HolderCode, Serial
from jpki.ports import JournalEntry
from jpki.revocation import Finding, State
from jpki.text import Text
from jpki.verifier import LookUp, VerifierId


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: when, of what kind (`look-up`, `status` or `case`), in words, and about what."""

    at: datetime
    what: str
    words: Text
    serial: Serial | None = None
    case: CaseNumber | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Gathers a history from the records; it holds no attribute of the holder."""

    certificates: Callable[[HolderCode], Sequence[Serial]]
    changes: Callable[[Sequence[Serial]], Sequence[JournalEntry]]
    look_ups: Callable[[Serial], Sequence[LookUp]]
    verifiers: Callable[[], Mapping[VerifierId, tuple[str, str]]]
    """By number the name and the purpose."""
    cases: Callable[[HolderCode], Sequence[Case]]

    def of(self, holder: HolderCode) -> Sequence[Line]:
        """Return all lines, the earliest first."""
        serials = self.certificates(holder)
        lines = [*self._statuses(serials), *self._look_ups(serials), *self._cases(holder)]
        return sorted(lines, key=lambda line: (line.at, line.what, line.serial or 0, line.case or ""))

    def _statuses(self, serials: Sequence[Serial]) -> Iterator[Line]:
        for entry in self.changes(serials):
            yield Line(at=entry.recorded_at, what="status", words=_changed(entry), serial=entry.serial)

    def _look_ups(self, serials: Sequence[Serial]) -> Iterator[Line]:
        names = self.verifiers()
        for look_up in (each for serial in serials for each in self.look_ups(serial)):
            name, purpose = names[look_up.verifier]
            told = _FINDINGS[look_up.finding]
            words = Text(
                f"{name}（{purpose}）の照会に「{told.ja}」と回答しました。",
                f"{name} ({purpose}) asked and was told: {told.en}.",
            )
            yield Line(at=look_up.at, what="look-up", words=words, serial=look_up.serial)

    def _cases(self, holder: HolderCode) -> Iterator[Line]:
        for case in self.cases(holder):
            kind, state = case.kind.text, STATES[case.state]
            yield Line(at=case.opened_at, what="case", words=_opened(case, kind), case=case.number)
            if case.state is not CaseState.RECEIVED:
                now = Text(f"「{kind.ja}」の申請：{state.ja}。", f"The case ({kind.en}) is {state.en}.")
                yield Line(at=case.changed_at, what="case", words=now, case=case.number)


def _changed(entry: JournalEntry) -> Text:
    if entry.state is State.REVOKED and entry.reason is not None:
        return Text(f"失効しました（{entry.reason.text.ja}）。", f"Revoked: {entry.reason.text.en}.")
    return _CHANGES[entry.state]


def _opened(case: Case, kind: Text) -> Text:
    if case.counter == HOLDERS_PAGE.code:
        return Text(
            f"利用者のページで「{kind.ja}」の申請がありました。", f"A case came by the holder's own page: {kind.en}."
        )
    return Text(
        f"窓口 {case.counter} が「{kind.ja}」の申請を受け付けました。",
        f"The counter {case.counter} took a case: {kind.en}.",
    )


_CHANGES: Mapping[State, Text] = {
    State.ACTIVE: Text("有効になりました。", "It came to life."),
    State.HELD: Text("一時停止しました。", "It was put on hold."),
    State.REVOKED: Text("失効しました。", "It was revoked."),
}
_FINDINGS: Mapping[Finding, Text] = {
    Finding.GOOD: Text("有効", "good"),
    Finding.HELD: Text("一時停止", "on hold"),
    Finding.REVOKED: Text("失効", "revoked"),
    Finding.UNKNOWN: Text("不明", "unknown"),
}
