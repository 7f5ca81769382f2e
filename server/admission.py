"""Who may ask in `registered` mode, and the record of what each was told (see `jpki.ports.Admission`).

What is told is written by a thread, four times a second, in one transaction: no answer waits for it. A worker that is
killed loses what it told in that quarter of a second; while the ledger is away what waits grows, up to `MOST_WAITING`
look-ups, and is lost if the worker is killed then. Beyond that nobody is answered: no look-up is without a record.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from jpki.clock import Clock, day_in_japan, end_of_day
from jpki.errors import JpkiError, Kind
from jpki.ids import Serial
from jpki.revocation import Finding
from jpki.text import Text
from jpki.verifier import Admitted, LookUp, VerifierId

MOST_WAITING = 100_000
_PAUSE_SECONDS = 0.25
_AT_ONCE = 5_000
"""How many look-ups are written in one transaction."""
_log = logging.getLogger(__name__)

Register = Callable[[date], Mapping[Serial, Admitted]]
"""See `server.store.verifiers.SqlVerifiers.admitted`."""
Record = Callable[[Sequence[LookUp], Mapping[VerifierId, int], date], None]
"""See `server.store.verifiers.SqlVerifiers.record`."""


_Told = tuple[datetime, VerifierId, Serial, Finding]
"""What will be a `LookUp`: an answer that is known costs a few microseconds, and this is made with each."""


class RegisteredOnly:
    """The register as it stood a quarter of a second ago, and what is to be written; safe to share between threads.

    A quota counts over all processes; each hears of the others' share as late, so a quota may be passed by what they
    answer in that time.
    """

    def __init__(self, register: Register, record: Record, clock: Clock) -> None:
        self._register = register
        self._record = record
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._admitted: Mapping[Serial, Admitted] = {}
        self._told: list[_Told] = []
        self._unwritten: Counter[VerifierId] = Counter()

    def start(self) -> None:
        """Read the register, and go on reading and writing until `close`; call it once, after the fork.

        Raises:
            JpkiError: UNAVAILABLE of the ledger.
        """
        self.keep_up()
        self._thread = threading.Thread(target=self._run, name="admission", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what waits, and end."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._keep_up_or_log()

    def admit(self, client: Serial | None) -> VerifierId:
        """Return who bears the client certificate."""
        known = None if client is None else self._admitted.get(client)
        if known is None:
            raise _unregistered()
        if len(self._told) >= MOST_WAITING:
            raise _unwritten()
        if known.quota is not None and known.used + self._unwritten[known.verifier] >= known.quota:
            raise _used_up(known.quota)
        return known.verifier

    def note(self, verifier: VerifierId, told: Sequence[tuple[Serial, Finding]]) -> None:
        """Have it written what the verifier is told; of what is no certificate of ours only that it was asked."""
        now = self._clock()
        with self._lock:
            self._told += [(now, verifier, serial, finding) for serial, finding in told]
            self._unwritten[verifier] += len(told)

    def keep_up(self) -> None:
        """Write what waits, then read the register.

        Raises:
            JpkiError: UNAVAILABLE of the ledger; then what is not written waits on.
        """
        while batch := self._told[:_AT_ONCE]:
            day = day_in_japan(batch[0][0])
            tomorrow = end_of_day(day) + timedelta(seconds=1)
            # What was told before midnight and after it is written apart.
            through = next((at for at, each in enumerate(batch) if each[0] >= tomorrow), len(batch))
            batch = batch[:through]
            used = Counter(verifier for _, verifier, _, _ in batch)
            self._record([LookUp(*each) for each in batch if each[-1] is not Finding.UNKNOWN], used, day)
            with self._lock:
                del self._told[: len(batch)]
                self._unwritten -= used
        self._admitted = self._register(day_in_japan(self._clock()))

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            self._keep_up_or_log()

    def _keep_up_or_log(self) -> None:
        try:
            self.keep_up()
        except JpkiError as error:
            _log.error("look-ups wait to be written: %s", error.code)


def _unregistered() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "verifier-unregistered",
        Text(
            "失効情報は、登録された検証者だけに提供しています。",
            "Only registered verifiers are told how certificates stand.",
        ),
        Text(
            "認証局から交付されたクライアント証明書で接続してください。未登録なら認証局に届け出てください。",
            "Connect with the client certificate that the authority gave you; if you have none, register with it.",
        ),
    )


def _used_up(quota: int) -> JpkiError:
    return JpkiError(
        Kind.LIMITED,
        "quota-used-up",
        Text(
            f"本日の照会の上限（{quota}件）に達しました。",
            f"Today's quota of {quota} certificates is used up.",
        ),
        Text(
            "日本時間の翌日に再開できます。上限の変更は認証局に相談してください。",
            "It begins anew at midnight in Japan; talk with the authority about a larger one.",
        ),
    )


def _unwritten() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "look-ups-unwritten",
        Text(
            "照会の記録を台帳に書き込めないため、応答を止めています。",
            "Look-ups cannot be written to the ledger, so none is answered.",
        ),
        Text("しばらくしてからもう一度問い合わせてください。", "Ask again in a while."),
    )
