"""Holding ceremonies: each opened in the ledger first, carried out in steps that can be taken again, and recorded.

Whatever interrupts one, `resume` goes on from what the ledger knows. A generation issues only from the moment at which
its ceremony is closed, so nothing depends on half of one (docs/adr/0009).
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ca.plan import Plan, require_attendance_only, require_next
from ca.profile import Profile
from ca.record import sign_record
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clock import Clock, iso
from jpki.errors import JpkiError, Kind
from jpki.generation import Generation
from jpki.ids import GenerationId
from jpki.text import Text
from server.home import new_directory, write_new
from server.key_acts import KeyActs
from server.store.ceremonies import Ceremony, CeremonyKind, SqlCeremonies

_READABLE = 0o644
"""A record holds no secret, and is made to be handed to an auditor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremonies:
    """Holds a home's ceremonies; `folder` is where their records lie."""

    folder: Path
    profile: Profile
    acts: KeyActs
    clock: Clock

    @property
    def ledger(self) -> SqlCeremonies:
        """The ceremonies on record."""
        return self.acts.ledger

    def found(self, plan: Plan, command: str, furnish: Callable[[Generation], None]) -> Ceremony:
        """Make the first generations; `furnish` is given the infrastructure's before the record is signed."""
        with self._floor():
            ceremony = self._open(CeremonyKind.FOUND, plan, command)
            made = self.acts.make(ceremony)
            furnish(next(each for each in made if each.purpose is Purpose.INFRASTRUCTURE))
            return self._close(ceremony, made, made)

    def new_generation(self, plan: Plan, command: str) -> Ceremony:
        """Make the next generation of one or more CAs; issuing moves to it when its lists and responders stand.

        Raises:
            JpkiError: CONFLICT `plan-unfit` or `ceremony-unfinished`, when nothing was made; else what interrupted it.
        """
        with self._floor():
            require_next(plan, self.profile, self.acts.generations.made())
            return self._carry_out(self._open(CeremonyKind.NEW_GENERATION, plan, command))

    def compromise(self, identifier: GenerationId, plan: Plan, command: str) -> Ceremony:
        """Record, committed, that a generation's key is compromised; `finish` then publishes lists and the record.

        Raises:
            JpkiError: NOT_FOUND `generation-unknown`; CONFLICT `generation-compromised` or `plan-unfit`.
        """
        require_attendance_only(plan)
        return self._open(CeremonyKind.COMPROMISE, plan, command, self.acts.generations.find(identifier).id)

    def retire(self, identifier: GenerationId, plan: Plan, command: str) -> Ceremony:
        """Destroy the key of a generation that has ended, and those of its responders and time-stamping units.

        Raises:
            JpkiError: NOT_FOUND `generation-unknown`; CONFLICT `generation-alive`, `generation-destroyed`,
                `infrastructure-missing`, `plan-unfit` or `ceremony-unfinished`.
        """
        require_attendance_only(plan)
        with self._floor():
            self._require_ended(self.acts.generations.find(identifier))
            self._infrastructure()
            return self._carry_out(self._open(CeremonyKind.RETIRE, plan, command, identifier))

    def finish(self, ceremony: Ceremony) -> Ceremony:
        """Carry out what a ceremony that was opened still lacks, and record it."""
        with self._floor():
            return self._carry_out(ceremony)

    def resume(self, command: str) -> Sequence[Ceremony]:
        """Finish every ceremony that was interrupted, return them, and write every record that is missing."""
        with self._floor():
            # The record of a compromise may wait for the very infrastructure key that another ceremony makes.
            unfinished = sorted(self.ledger.unfinished(), key=lambda each: each.kind is CeremonyKind.COMPROMISE)
            waiting = [self.ledger.say_again(each.number, command, self.clock()) for each in unfinished]
            finished = [self._carry_out(each) for each in waiting]
            for each in self.ledger.closed():
                if not self.record_file(each).exists():
                    self._write(each)
            return finished

    def record_file(self, ceremony: Ceremony) -> Path:
        """Return where a ceremony's record lies."""
        return self.folder / f"{ceremony.number:04d}-{ceremony.kind}.json"

    # --- steps -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _floor(self) -> Iterator[None]:
        """Hold one ceremony at a time in this home; the lock ends with its process, however that ends."""
        with new_directory(self.folder), (self.folder / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _open(self, kind: CeremonyKind, plan: Plan, command: str, subject: GenerationId | None = None) -> Ceremony:
        return self.ledger.open(kind, plan.as_json(), command, LOCAL_OPERATOR, self.clock(), subject)

    def _carry_out(self, ceremony: Ceremony) -> Ceremony:
        made: Sequence[Generation] = ()
        match ceremony.kind:
            case CeremonyKind.FOUND | CeremonyKind.NEW_GENERATION:
                made = self.acts.make(ceremony)
            case CeremonyKind.COMPROMISE:
                self.acts.publish()
            case CeremonyKind.RETIRE:
                ceremony = self.acts.destroy(ceremony)
        return self._close(ceremony, made, made or [self._infrastructure()])

    def _close(self, ceremony: Ceremony, made: Sequence[Generation], signers: Sequence[Generation]) -> Ceremony:
        """Sign the record, which the audit and the ledger hold before, and write it."""
        if ceremony.body is None:
            body = self.acts.body(ceremony.number, made, signers)
            ceremony = self.ledger.seal(ceremony.number, body, LOCAL_OPERATOR, self.clock())
        record = sign_record(ceremony.body or "", [(each, self.acts.keys.signer(each.key)) for each in signers])
        issuing = [each.id for each in made if each.issues_from is None]
        closed = self.ledger.close(ceremony.number, record, issuing, LOCAL_OPERATOR, self.clock())
        self._write(closed)
        return closed

    def _write(self, ceremony: Ceremony) -> None:
        write_new(self.record_file(ceremony), (ceremony.record or "").encode(), _READABLE)

    def _infrastructure(self) -> Generation:
        """Return who signs the record of a ceremony that makes no key.

        Raises:
            JpkiError: CONFLICT `infrastructure-missing`.
        """
        living = self.acts.generations.issuing(Purpose.INFRASTRUCTURE, self.clock())
        if not living:
            raise JpkiError(
                Kind.CONFLICT,
                "infrastructure-missing",
                Text(
                    "記録に署名する運用基盤の鍵がありません（期限切れ又は危殆化）。",
                    "No infrastructure key is left to sign the record: it ended, or is compromised.",
                ),
                Text(
                    "先に jpki ceremony new-generation --ca infrastructure を実行してください。",
                    "Run `jpki ceremony new-generation --ca infrastructure` first.",
                ),
            )
        return living[0]

    def _require_ended(self, generation: Generation) -> None:
        """Nothing outlives its issuer (rule R25): after its end no certificate and no list's promise lives."""
        if generation.destroyed_at is not None:
            raise JpkiError(
                Kind.CONFLICT,
                "generation-destroyed",
                Text(
                    f"世代 {generation.id} の鍵は既に廃棄済みです。",
                    f"The key of {generation.id} is destroyed already.",
                ),
                Text("何もする必要はありません。", "There is nothing to do."),
            )
        if generation.answers(self.clock()):
            end = iso(generation.not_after)
            raise JpkiError(
                Kind.CONFLICT,
                "generation-alive",
                Text(
                    f"世代 {generation.id} の証明書と失効リストは {end} まで必要です。",
                    f"Certificates and lists of generation {generation.id} need its key until {end}.",
                ),
                Text(
                    "その後に実行してください。鍵は変更していません。", "Retire it after that; the key was not touched."
                ),
            )
