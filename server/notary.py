"""The notary: chains what was done, signs where the chain ends, and hands out what an auditor needs to check it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ca.delegates import Delegation
from ca.profile import CARDS
from jpki.acts import SYSTEM, Act, Actor, AuditEvent
from jpki.clock import Clock, day_in_japan, iso, whole_second, years_later
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ports import KeyProvider
from jpki.randomness import Randomness
from jpki.signature import PrivateKey
from jpki.text import Text
from server.audit.chain import Head, Record, Signer, sign_head
from server.audit.file import append
from server.audit.lines import Unreadable
from server.audit.position import Position
from server.audit.trust import Trust
from server.audit.verify import Fault, Flaw, Heads, Report, verify
from server.store.audit import BATCH, SigningKey, SqlAudit, damaged
from server.store.audit_log import SqlAuditLog

_BREATH_SECONDS = 0.02
"""SQLite has one writer at a time and does not queue them: without a pause a backlog would keep out all who act."""
RENEW_KEY_BEFORE = timedelta(days=30)
YEARS_AFTER_EXPIRY = 10
"""How long the record of an issue is kept after the certificate's end (公的個人認証法施行令)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notary:
    """Looks after the audit's chain; any number may work at once, in any number of processes.

    `roots` returns the living generations of the infrastructure root, the one that signs first.
    """

    audit: SqlAudit
    log: SqlAuditLog
    keys: KeyProvider
    delegation: Delegation
    roots: Callable[[], Sequence[Generation]]
    anchor: Path | None
    clock: Clock
    randomness: Randomness

    def attest(self) -> None:
        """Chain and sign what is new, and add the heads to the anchor: the job of each minute.

        Raises:
            JpkiError: UNAVAILABLE of the ledger, the keys or the anchor; then the next minute does it.
        """
        self.chain()
        self.sign()
        if self.anchor is not None:
            append(self.anchor, self._continuing(self.log.heads))

    def chain(self) -> int:
        """Chain every act that waits; return how many there were."""
        count = 0
        while (chained := self.audit.chain(self.randomness)) == BATCH:
            count += chained
            time.sleep(_BREATH_SECONDS)
        return count + chained

    def sign(self) -> Head | None:
        """Chain what waits, and sign where the chain ends; return the new head, None where nothing is new."""
        signer, key = self.signer()
        self.chain()
        tip, last = self.log.tip(), self.log.last_head()
        if tip.number <= last:
            return None
        head = sign_head(key, signer, tip, after=last, at=whole_second(self.clock()))
        return head if self.audit.add_head(head) else None

    def export(self, file: Path) -> int:
        """Add all that is new to an exported log; return how many lines that were.

        Raises:
            JpkiError: as `attest`; CONFLICT `audit-log-foreign` when the log is of another chain.
        """
        self.sign()
        return append(file, self._continuing(self.log.records))

    def verify(self, trust: Trust, anchors: Heads) -> Report:
        """Check the whole chain in the store, with what waits chained first."""
        self.chain()
        stray = self.log.unchained_body()
        report = verify(self.log.records(), trust, anchors, end=self.log.tip())
        if report.fault is None and stray is not None:
            report = replace(report, fault=Fault(stray, Flaw.UNCHAINED))
        return report

    def erase(self, before: datetime, by: Actor) -> int:
        """Erase the bodies of all acts from before this moment; return how many there were.

        The act of erasing is chained and signed first: a body that is missing without it was stolen.

        Raises:
            JpkiError: FORBIDDEN `audit-retained` when the law still wants them; as `attest`.
        """
        kept_from = self.kept_from()
        if before > kept_from:
            raise _retained(kept_from)
        self.chain()
        through = self._last_before(before)
        if through == 0:
            return 0
        event = AuditEvent(
            at=self.clock(), actor=by, act=Act.AUDIT_ERASED, subjects=("audit",), details={"through": through}
        )
        self.audit.record(event)
        self.chain()
        announced = self.log.tip().number
        while self.log.last_head() < announced:
            self.sign()
        return self.audit.erase(through)

    def kept_from(self) -> datetime:
        """Return the moment from which on every body must be kept, whatever certificate it tells of.

        An act of that moment may be the issue of a certificate with the longest validity of all profiles.
        """
        longest = timedelta(days=max(each.longest_days for each in CARDS.values()))
        now = self.clock()
        today = day_in_japan(now)
        return now - (today - years_later(today, -YEARS_AFTER_EXPIRY)) - longest

    def _last_before(self, moment: datetime) -> int:
        """Return the last number before the first act that is not from before `moment`; 0 where no body is left."""
        last, bodies = 0, 0
        for recorded in self.log.entries():
            if recorded.event is not None and recorded.event.at >= moment:
                break
            last, bodies = recorded.number, bodies + (recorded.event is not None)
        return last if bodies else 0

    def signer(self) -> tuple[Signer, PrivateKey]:
        """Return a signing key that lasts, a new one where none has its key here: another node's has it there."""
        now, roots = self.clock(), self.roots()
        # A root near its own end cannot give a key thirty days more: the last one serves to the end.
        wanted = min([now + RENEW_KEY_BEFORE, *(root.not_after for root in roots[:1])])
        for known in self.audit.signing_keys():
            certificate = known.certificate
            if not certificate.not_valid_before_utc <= now <= wanted <= certificate.not_valid_after_utc:
                continue
            try:
                return Signer(certificate), self.keys.signer(known.key)
            except JpkiError as error:
                if error.kind is not Kind.UNAVAILABLE:
                    raise
        if not roots:
            raise no_root()
        return self._new_signer(roots[0])

    def _new_signer(self, root: Generation) -> tuple[Signer, PrivateKey]:
        certificate, uri = self.delegation.audit_key(root, SYSTEM)
        self.audit.add_signing_key(SigningKey(certificate, uri))
        return Signer(certificate), self.keys.signer(uri)

    def _continuing(
        self, read: Callable[[Position], Iterator[Record | Unreadable]]
    ) -> Callable[[Position], Iterator[Record]]:
        """Return what comes after a log's end, if the log is one of this chain."""

        def more(end: Position) -> Iterator[Record]:
            if end.tip.number and self.log.hash_at(end.tip.number) != end.tip.hash:
                raise _foreign(end.tip.number)
            for record in read(end):
                if isinstance(record, Unreadable):
                    raise damaged(record.line)
                yield record

        return more


def _retained(kept_from: datetime) -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "audit-retained",
        Text(
            f"{iso(kept_from)} 以後の監査記録は保存期間内です。",
            f"The audit must be kept from {iso(kept_from)} on.",
        ),
        Text("それより前の日付を指定してください。", "Name a date before that."),
    )


def _foreign(number: int) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "audit-log-foreign",
        Text(
            f"書き出し先の第{number}号が台帳の監査記録と異なります。別の認証局のものか、台帳が改ざん又は復旧されています。",
            f"Number {number} of the log is not that of the ledger: the log is another authority's,"
            " or the ledger was cut or changed.",
        ),
        Text(
            "書き出し先を保全し、jpki audit verify --anchor で確認してください。",
            "Keep the log safe, and check with `jpki audit verify --anchor`.",
        ),
    )


def no_root() -> JpkiError:
    """Return the error of a home whose infrastructure root cannot sign."""
    return JpkiError(
        Kind.UNAVAILABLE,
        "no-generation",
        Text("運用基盤の認証局の鍵がありません。", "The infrastructure root has no key that lives."),
        Text("新しい世代の鍵をセレモニーで作成してください。", "Make the next generation's key in a ceremony."),
    )
