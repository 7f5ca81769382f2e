"""Who is at the office's door: a clerk by client certificate, in measure, and locked out for a while after refusals.

Refusals are counted in the ledger, over all processes and nodes. The measure of requests is kept by each process.
"""

import threading
from collections import OrderedDict
from datetime import datetime

from jpki.clerk import Clerk, ClerkState
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.text import Text
from server import access
from server.store.clerks import SqlClerks

MOST_REFUSALS = 20
"""In the present minute and the one before it; one more request is refused, whatever it is."""
MOST_REQUESTS = 1200
"""Of one clerk in a minute, at one process."""
_MOST_KNOWN = 10_000


class ClerkGate:
    """See `enroll.http.Gate`; safe to share between threads."""

    def __init__(self, clerks: SqlClerks, clock: Clock) -> None:
        self._clerks = clerks
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def clerk(self) -> Clerk:
        """Return who sent the present request."""
        certificate = access.client()
        if certificate is None:
            raise _missing()
        known = self._clerks.bearer(certificate, _minute(self._clock()) - 1)
        if known is None:
            raise _unknown()
        found, refusals = known
        self._require_measure(found)
        if refusals >= MOST_REFUSALS:
            raise _locked_out()
        if found.state is ClerkState.SUSPENDED:
            self.refused(found)
            raise _suspended()
        return found

    def refused(self, clerk: Clerk) -> None:
        """Count a refusal."""
        self._clerks.refused(clerk.id, _minute(self._clock()))

    def _require_measure(self, clerk: Clerk) -> None:
        minute = _minute(self._clock())
        with self._lock:
            began, count = self._counts.pop(clerk.id, (minute, 0))
            count = count + 1 if began == minute else 1
            self._counts[clerk.id] = (minute, count)
            if len(self._counts) > _MOST_KNOWN:
                self._counts.popitem(last=False)
        if count > MOST_REQUESTS:
            raise _too_many()


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _missing() -> JpkiError:
    return JpkiError(
        Kind.UNAUTHENTICATED,
        "client-certificate-missing",
        Text("職員のクライアント証明書がありません。", "There is no clerk's client certificate."),
        Text(
            "jpki serve --tls で応答し、職員の証明書で接続してください。",
            "Serve with --tls, and connect with a clerk's certificate.",
        ),
    )


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "clerk-unknown",
        Text("この証明書は職員のものではありません。", "This certificate is no clerk's."),
        Text("管理者に確認してください（jpki clerk list）。", "Ask the administrator (`jpki clerk list`)."),
    )


def _suspended() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "clerk-suspended",
        Text("この職員は停止中です。", "This clerk is suspended."),
        Text("管理者に確認してください。", "Ask the administrator."),
    )


def _locked_out() -> JpkiError:
    return JpkiError(
        Kind.LIMITED,
        "locked-out",
        Text("拒否が続いたため、しばらく受け付けません。", "There were too many refusals: wait a while."),
        Text("1分ほど待ち、権限を確認してください。", "Wait a minute, and check what you may do."),
    )


def _too_many() -> JpkiError:
    return JpkiError(
        Kind.LIMITED,
        "too-many-requests",
        Text("要求が多すぎます。", "There are too many requests."),
        Text("1分ほど待ってください。", "Wait a minute."),
    )
