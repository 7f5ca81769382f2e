"""The audit as administrators and auditors read it over the API: page by page, its newest head, a check, its lines."""

from dataclasses import dataclass
from datetime import timedelta

from enroll import overseen
from enroll.messages import Words
from enroll.overseen import MOST_LINES
from enroll.oversight_words import ACTS
from jpki.certificate import Purpose
from jpki.clock import start_of_day
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server.audit.chain import Entry, Head, Signer, Tip
from server.audit.file import read_lines
from server.audit.lines import Unreadable, records, to_line
from server.audit.position import START, Position
from server.audit.trust import Trust
from server.audit.verify import Heads, Report, keep_heads
from server.notary import Notary
from server.store.audit import damaged
from server.store.audit_log import Recorded, Wanted
from server.store.generations import SqlGenerations

_DAY = timedelta(days=1)
MOST_CHECKED = 200_000
"""Acts that are checked while somebody waits: some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReading:
    """Reads the audit of one home; it signs nothing."""

    notary: Notary
    generations: SqlGenerations

    def page(self, wanted: overseen.AuditWanted) -> overseen.AuditTold:
        """Return a page of acts, the latest first; those that wait are chained before the first page is read.

        Raises:
            JpkiError: CONFLICT `audit-damaged`; UNAVAILABLE of the ledger.
        """
        before = None if wanted.cursor is None else int(wanted.cursor)
        if before is None:
            self.notary.chain()
        sought = Wanted(act=wanted.act, actor=wanted.actor)
        if wanted.day is not None:
            begin = start_of_day(wanted.day)
            sought = Wanted(act=wanted.act, actor=wanted.actor, since=begin, until=begin + _DAY)
        found, following = self.notary.log.latest(sought, before, wanted.limit)
        return overseen.AuditTold(
            lines=[_line(each) for each in found], next=None if following is None else str(following)
        )

    def chain(self) -> overseen.ChainTold:
        """Return where the chain ends, and its newest head, checked against the chain and the roots' keys."""
        head = self.notary.log.newest_head()
        told = None
        if head is not None:
            told = overseen.HeadTold(number=head.number, at=head.at, signer=head.signer.hex(), holds=self._holds(head))
        return overseen.ChainTold(entries=self.notary.log.tip().number, head=told)

    def verification(self) -> overseen.VerificationTold:
        """Check the whole chain, with the anchor's heads where this home has one.

        Raises:
            JpkiError: TOO_LARGE `audit-too-long`; UNAVAILABLE of the ledger.
        """
        entries = self.notary.log.tip().number
        if entries > MOST_CHECKED:
            raise _too_long(entries)
        trust, heads = self._trust(), Heads()
        anchor = self.notary.anchor
        if anchor is not None and anchor.is_file():
            fault = keep_heads(heads, records(read_lines(anchor)), trust)
            if fault is not None:
                return _told(Report(entries=0, erased=0, heads=0, sealed=0, fault=fault))
        return _told(self.notary.verify(trust, heads))

    def lines(self, cursor: str | None) -> overseen.LinesTold:
        """Return the log's next lines, up to the newest head: what an auditor can check with `jpki audit verify`.

        Raises:
            JpkiError: MALFORMED `cursor-malformed`; CONFLICT `audit-damaged`.
        """
        log, last = self.notary.log, self.notary.log.last_head()
        position = START if cursor is None else self._position(cursor)
        lines: list[str] = []
        for record in log.records(position):
            match record:
                case Unreadable():
                    raise damaged(record.line)
                case Entry() if record.number > last:
                    break
                case Entry():
                    position = Position(Tip(record.number, record.hash), headed=False, signer=position.signer)
                case Head():
                    position = Position(position.tip, headed=True, signer=position.signer)
                case Signer():
                    position = Position(position.tip, position.headed, record.fingerprint)
            lines.append(to_line(record).decode().rstrip("\n"))
            if len(lines) == MOST_LINES:
                return overseen.LinesTold(lines=lines, next=_cursor(position))
        return overseen.LinesTold(lines=lines, next=None)

    def _trust(self) -> Trust:
        return Trust.of_certificates(root.certificate for root in self.generations.ever(Purpose.INFRASTRUCTURE))

    def _holds(self, head: Head) -> bool:
        signer = self.notary.log.signer(head.signer)
        if signer is None or self.notary.log.hash_at(head.number) != head.hash:
            return False
        return keep_heads({}, [signer, head], self._trust()) is None

    def _position(self, cursor: str) -> Position:
        number, headed, signer = cursor.split("-")
        digest = self.notary.log.hash_at(int(number))
        if digest is None:
            raise _no_cursor()
        return Position(Tip(int(number), digest), headed=headed == "1", signer=bytes.fromhex(signer) or None)


def _cursor(position: Position) -> str:
    signer = b"" if position.signer is None else position.signer
    return f"{position.tip.number}-{int(position.headed)}-{signer.hex()}"


def _line(recorded: Recorded) -> overseen.AuditLine:
    event = recorded.event
    if event is None:
        return overseen.AuditLine(
            number=recorded.number, at=None, role=None, actor=None, act=None, words=None, subjects=[], details={}
        )
    return overseen.AuditLine(
        number=recorded.number,
        at=event.at,
        role=event.actor.role,
        actor=event.actor.name,
        act=event.act,
        words=Words.of(ACTS[event.act]),
        subjects=list(event.subjects),
        details=event.details,
    )


def _told(report: Report) -> overseen.VerificationTold:
    fault = report.fault
    return overseen.VerificationTold(
        whole=fault is None,
        entries=report.entries,
        erased=report.erased,
        heads=report.heads,
        sealed=report.sealed,
        restorations=len(report.restorations),
        number=None if fault is None else fault.number,
        fault=None if fault is None else Words.of(fault.flaw.text),
    )


def _too_long(entries: int) -> JpkiError:
    return JpkiError(
        Kind.TOO_LARGE,
        "audit-too-long",
        Text(
            f"監査記録は{entries}件あり、画面では{MOST_CHECKED}件まで検証します。",
            f"The audit has {entries} acts; here at most {MOST_CHECKED} are checked.",
        ),
        Text("jpki audit verify で検証してください。", "Check it with `jpki audit verify`."),
    )


def _no_cursor() -> JpkiError:
    return JpkiError(
        Kind.MALFORMED,
        "cursor-malformed",
        Text("この位置からは続けられません。", "Nothing goes on from there."),
        Text("はじめから取得してください。", "Begin at the beginning."),
    )
