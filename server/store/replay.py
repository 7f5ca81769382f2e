"""Replaying the audit over a restored ledger: what happened after the backup (docs/adr/0013).

A certificate of which the backup knows nothing has no holder here, and its octets are gone. It may be out, so it ends
revoked: never unknown to OCSP, never good. What the backup knows goes on as the audit says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, or_, select, update

from jpki.acts import Act, Actor, AuditEvent
from jpki.campaign import CampaignState, ItemState
from jpki.case import CaseState, Step
from jpki.clerk import ClerkId, ClerkState
from jpki.clock import whole_second
from jpki.ids import GenerationId, Serial
from jpki.revocation import Reason, State, Status
from jpki.verifier import VerifierState
from server.store import cases, clerks, tables, verifiers
from server.store.changes import LIVE, journal, note, required_statuses
from server.store.generations import let_die
from server.store.reserving import use_partitions
from server.store.rows import statuses_of

_BATCH = 500
_PENDING_STATES = (State.RESERVED, State.INTENDED, State.ISSUED)
LIST_MARGIN = 1000
"""CRL numbers that are left out after a restore, beside one for each minute of which nothing is known (rule R11)."""


@dataclass(slots=True)
class Replayed:
    """What a replay did: how many acts it took over and certificates it had to revoke, and what it could not know."""

    acts: int = 0
    lost_certificates: int = 0
    lost_generations: set[str] = field(default_factory=set)


class Replay:
    """The state of a replay, within the transaction that restores."""

    def __init__(self, connection: Connection) -> None:
        self.outcome = Replayed()
        self.epoch: int = connection.execute(select(tables.ledger.c.epoch)).scalar_one()
        self._connection = connection
        self._keys: dict[Serial, bytes] = {}
        self._incomplete: set[Serial] = set()
        self._delegates: dict[Serial, str] = {}
        self._generations: set[str] = set(connection.execute(select(tables.generation.c.id)).scalars())

    def take(self, event: AuditEvent) -> None:
        """Let an act happen again; of most nothing is to be done."""
        act = _ACTS.get(event.act)
        if act is not None:
            act(self, event)
        if event.act is not Act.CLOCK_ACCEPTED:
            clock = tables.clock
            self._run(update(clock).where(clock.c.latest < event.at).values(latest=event.at))
        self.outcome.acts += 1

    def key_of(self, serial: Serial) -> str:
        """Return where the key of a certificate of the house lives, or lived."""
        known = select(tables.delegate.c.key_uri).where(tables.delegate.c.serial == serial)
        return self._delegates.get(serial) or self._connection.execute(known).scalar_one()

    def finish(self, by: Actor, at: datetime) -> None:
        """Begin the new epoch, close what may be out and is not on record, and leave out CRL numbers."""
        self._run(update(tables.ledger).values(epoch=self.epoch + 1))
        latest: datetime = self._connection.execute(select(tables.clock.c.latest)).scalar_one()
        unknown_minutes = max(timedelta(), at - latest) // timedelta(minutes=1)
        self._run(update(tables.crl).values(number=tables.crl.c.number + LIST_MARGIN + unknown_minutes))
        doubtful = self._in_doubt()
        for start in range(0, len(doubtful), _BATCH):
            self._close(doubtful[start : start + _BATCH], by, at)
        told = sorted((self._incomplete - set(doubtful)).union(self._lost_delegates()))
        for start in range(0, len(told), _BATCH):
            note(self._connection, at, by, Act.RECORD_LOST, told[start : start + _BATCH])

    # --- certificates ----------------------------------------------------------------------------------------------

    def reserved(self, event: AuditEvent) -> None:
        """Take up the certificates that the backup does not know; whatever became of them, they may be signed."""
        generation = str(event.details["generation"])
        if generation not in self._generations:
            self.outcome.lost_generations.add(generation)
            return
        known = self._statuses(event)
        words = {name: str(event.details[name]).split() for name in ("partitions", "base_urls", "ends", "keys")}
        unknown = [
            (serial, *each)
            for serial, *each in zip(_serials(event), *words.values(), strict=True)
            if serial not in known
        ]
        if not unknown:
            return
        use_partitions(self._connection, [(partition, base_url) for _, partition, base_url, _, _ in unknown])
        rows = [
            {
                "serial": serial,
                "generation": generation,
                "partition": partition,
                "not_after": datetime.fromisoformat(end),
                "state": State.RESERVED,
                "position": 0,
            }
            for serial, partition, _, end, _ in unknown
        ]
        self._connection.execute(insert(tables.status), rows)
        self._keys |= {serial: bytes.fromhex(key) for serial, _, _, _, key in unknown}
        self._incomplete |= {serial for serial, *_ in unknown}

    def voided(self, event: AuditEvent) -> None:
        """Close what was never signed."""
        serials = self._in(event, State.RESERVED)
        self._run(update(tables.status).where(tables.status.c.serial.in_(serials)).values(state=State.VOID))
        self._free(serials)
        for serial in serials:
            self._keys.pop(serial, None)

    def activated(self, event: AuditEvent) -> None:
        """Make live what the backup has whole; of anything else the octets or the signature are lost."""
        serials, place = self._in(event, State.ISSUED), tables.place
        if serials:
            self._run(update(place).where(place.c.serial.in_(serials)).values(stage=LIVE, since=event.at))
            self._journal(serials, State.ACTIVE, None, event.at)

    def revoked(self, event: AuditEvent) -> None:
        """Revoke, whatever is known of the certificates."""
        serials = self._in(event, *_PENDING_STATES, State.ACTIVE, State.HELD)
        if serials:
            self._incomplete.update(self._in(event, State.RESERVED, State.INTENDED))
            self._free(serials)
            self._journal(serials, State.REVOKED, Reason(str(event.details["reason"])), event.at)

    def held(self, event: AuditEvent) -> None:
        """Put on hold, one of which nothing else is known as well."""
        if serials := self._in(event, *_PENDING_STATES, State.ACTIVE):
            self._incomplete.update(self._in(event, State.RESERVED, State.INTENDED))
            self._journal(serials, State.HELD, Reason.CERTIFICATE_HOLD, event.at)

    def released(self, event: AuditEvent) -> None:
        """Make live again what has a holder; the others stay on hold, and end revoked."""
        certificate = tables.certificate
        held = select(certificate.c.serial).where(certificate.c.serial.in_(self._in(event, State.HELD)))
        if serials := self._connection.execute(held).scalars().all():
            self._journal(serials, State.ACTIVE, None, event.at)

    def _in_doubt(self) -> Sequence[Serial]:
        """Return what may be signed and out and is not on record: all that was on its way, and all without a holder."""
        status, certificate = tables.status, tables.certificate
        unknown = ~exists().where(certificate.c.serial == status.c.serial)
        on_its_way = status.c.state.in_(_PENDING_STATES)
        query = select(status.c.serial).where(or_(on_its_way, (status.c.state == State.HELD) & unknown))
        return self._connection.execute(query.order_by(status.c.serial)).scalars().all()

    def _close(self, serials: Sequence[Serial], by: Actor, at: datetime) -> None:
        key, blocked = tables.holder_key, tables.blocked_key
        own = self._connection.execute(select(key.c.key_hash).where(key.c.serial.in_(serials))).scalars()
        keys = {*own, *(self._keys[serial] for serial in serials if serial in self._keys)}
        keys -= set(self._connection.execute(select(blocked.c.key_hash).where(blocked.c.key_hash.in_(keys))).scalars())
        if keys:
            self._connection.execute(insert(blocked), [{"key_hash": each, "since": at} for each in keys])
        self._free(serials)
        note(self._connection, at, by, Act.RECORD_LOST, serials)
        note(self._connection, at, by, Act.REVOKED, serials, reason=Reason.UNSPECIFIED)
        self._journal(serials, State.REVOKED, Reason.UNSPECIFIED, at)
        self.outcome.lost_certificates += len(serials)

    def _statuses(self, event: AuditEvent) -> Mapping[Serial, Status]:
        return statuses_of(self._connection, _serials(event))

    def _in(self, event: AuditEvent, *states: State) -> list[Serial]:
        """Return the act's certificates that are in one of these states, in the act's order."""
        found = self._statuses(event)
        return [serial for serial in _serials(event) if serial in found and found[serial].state in states]

    def _journal(self, serials: Sequence[Serial], state: State, reason: Reason | None, at: datetime) -> None:
        required_statuses(self._connection, serials)
        journal(self._connection, serials, state, reason, at)

    def _free(self, serials: Sequence[Serial]) -> None:
        self._run(delete(tables.place).where(tables.place.c.serial.in_(serials)))

    # --- generations, keys, lists, campaigns, the clock --------------------------------------------------------------

    def compromised(self, event: AuditEvent) -> None:
        """Let a generation die."""
        for generation in event.subjects:
            let_die(self._connection, GenerationId(generation), event.at)

    def key_destroyed(self, event: AuditEvent) -> None:
        """Note that a generation's key is no more."""
        table = tables.generation
        self._run(update(table).where(table.c.id.in_(event.subjects)).values(destroyed_at=event.at))

    def key_blocked(self, event: AuditEvent) -> None:
        """Block a key."""
        table = tables.blocked_key
        for key_hash in map(bytes.fromhex, event.subjects):
            if self._connection.execute(select(table).where(table.c.key_hash == key_hash)).first() is None:
                self._run(insert(table).values(key_hash=key_hash, since=event.at))

    def list_numbered(self, event: AuditEvent) -> None:
        """Raise a list's number to one that was used; the list itself is gone, and due."""
        purpose, partition = event.subjects[0].split("/")
        number, crl = int(event.details["number"]), tables.crl
        same = (crl.c.purpose == purpose, crl.c.partition == partition)
        values = {
            "number": number,
            "this_update": whole_second(event.at),
            "next_update": datetime.fromisoformat(str(event.details["next_update"])),
            "entries": event.details["entries"],
        }
        if self._connection.execute(select(crl).where(*same)).first() is None:
            self._run(insert(crl).values(purpose=purpose, partition=partition, position=0, **values))
        else:
            self._run(update(crl).where(*same, crl.c.number < number).values(**values))

    def campaign_changed(self, event: AuditEvent) -> None:
        """Pause, resume or cancel; what workers did meanwhile stands in no campaign, and is given out again."""
        if "state" not in event.details:
            return
        number, state = int(event.subjects[0].removeprefix("campaign/")), CampaignState(str(event.details["state"]))
        item = tables.campaign_item
        self._run(update(tables.campaign).where(tables.campaign.c.id == number).values(state=state))
        if state is CampaignState.CANCELLED:
            waiting = update(item).where(item.c.campaign == number, item.c.state == ItemState.WAITING)
            self._run(waiting.values(state=ItemState.CANCELLED))

    def verifier_registered(self, event: AuditEvent) -> None:
        """Register a verifier that the backup does not know."""
        verifiers.add_verifier(self._connection, _verifier(event), event.details)

    def verifier_certified(self, event: AuditEvent) -> None:
        """Let a verifier bear a certificate that is out."""
        certificate = Serial(int(str(event.details["certificate"]), 16))
        alone = bool(event.details["alone"])
        verifiers.add_certificate(self._connection, _verifier(event), certificate, alone=alone)

    def verifier_changed(self, event: AuditEvent) -> None:
        """Suspend a verifier, or let it ask again."""
        state = VerifierState(str(event.details["state"]))
        verifiers.set_state(self._connection, _verifier(event), state)

    def clerk_added(self, event: AuditEvent) -> None:
        """Add a clerk whom the backup does not know, under the id alone: the audit knows no names."""
        clerk = _clerk(event)
        clerks.add_clerk(self._connection, clerk, clerk, clerks.heard(str(event.details["roles"])))

    def clerk_certified(self, event: AuditEvent) -> None:
        """Let a clerk bear a certificate that is out."""
        certificate = Serial(int(str(event.details["certificate"]), 16))
        alone = bool(event.details["alone"])
        clerks.add_certificate(self._connection, _clerk(event), certificate, alone=alone)

    def clerk_changed(self, event: AuditEvent) -> None:
        """Suspend a clerk, or let the clerk act again."""
        clerks.set_state(self._connection, _clerk(event), ClerkState(str(event.details["state"])))

    def case_moved(self, event: AuditEvent) -> None:
        """Move a case that the backup knows; where it has ended since, its attributes are erased again."""
        case, number = tables.case, event.subjects[0].removeprefix("case/")
        state = CaseState(str(event.details["state"]))
        values: dict[str, object] = {"state": state, "version": event.details["version"], "changed_at": event.at}
        values |= {name: event.details[name] for name in ("counter", "purposes") if name in event.details}
        values |= _by_whose_hands(event, state)
        self._run(update(case).where(case.c.number == number).values(values))
        if state.is_closed or state is CaseState.RECEIVED:
            cases.forget(self._connection, number)

    def clock_accepted(self, event: AuditEvent) -> None:
        """Take a clock that went back on purpose."""
        self._run(update(tables.clock).values(latest=event.at))

    def bodies_erased(self, event: AuditEvent) -> None:
        """Erase the audit's bodies again that the law wanted no longer."""
        self._run(delete(tables.audit_body).where(tables.audit_body.c.number <= event.details["through"]))

    def restored(self, event: AuditEvent) -> None:
        """Keep clear of the epochs of earlier restores."""
        self.epoch = max(self.epoch, int(event.details["epoch"]))

    def delegate_intended(self, event: AuditEvent) -> None:
        """Remember a certificate of the house."""
        for serial in _serials(event):
            self._delegates[serial] = str(event.details.get("key", ""))

    def _lost_delegates(self) -> Sequence[Serial]:
        """Return the certificates of the house, made after the backup, whose octets are lost."""
        table = tables.delegate
        known = select(table.c.serial).where(table.c.serial.in_(self._delegates))
        return sorted(set(self._delegates) - set(self._connection.execute(known).scalars()))

    def _run(self, statement: Any) -> None:  # noqa: ANN401 - SQLAlchemy's insert, update and delete have no common type
        self._connection.execute(statement)


def _by_whose_hands(event: AuditEvent, state: CaseState) -> Mapping[str, str | None]:
    """Return who has checked and approved since a case's step: four eyes are asked for after a restore, too."""
    if state is CaseState.RECEIVED:
        return {"checked_by": None, "approved_by": None}
    column = {Step.CHECK_IDENTITY: "checked_by", Step.APPROVE: "approved_by"}.get(Step(str(event.details["step"])))
    return {} if column is None else {column: event.actor.name.partition("@")[0]}


_ACTS: Mapping[Act, Callable[[Replay, AuditEvent], None]] = {
    Act.RESERVED: Replay.reserved,
    Act.VOIDED: Replay.voided,
    Act.ACTIVATED: Replay.activated,
    Act.REVOKED: Replay.revoked,
    Act.HELD: Replay.held,
    Act.RELEASED: Replay.released,
    Act.GENERATION_COMPROMISED: Replay.compromised,
    Act.KEY_DESTROYED: Replay.key_destroyed,
    Act.KEY_BLOCKED: Replay.key_blocked,
    Act.CRL_WILL_SIGN: Replay.list_numbered,
    Act.CRL_PUBLISHED: Replay.list_numbered,
    Act.CAMPAIGN_CHANGED: Replay.campaign_changed,
    Act.VERIFIER_REGISTERED: Replay.verifier_registered,
    Act.VERIFIER_CERTIFIED: Replay.verifier_certified,
    Act.VERIFIER_CHANGED: Replay.verifier_changed,
    Act.CLERK_ADDED: Replay.clerk_added,
    Act.CLERK_CERTIFIED: Replay.clerk_certified,
    Act.CLERK_CHANGED: Replay.clerk_changed,
    Act.CASE_STEP: Replay.case_moved,
    Act.CLOCK_ACCEPTED: Replay.clock_accepted,
    Act.AUDIT_ERASED: Replay.bodies_erased,
    Act.RESTORED: Replay.restored,
    Act.DELEGATE_WILL_SIGN: Replay.delegate_intended,
}
"""What is to be done again, by act. "Will be signed" and "signed" change nothing: see `Replay.reserved`."""


def _serials(event: AuditEvent) -> list[Serial]:
    return [Serial(int(each, 16)) for each in event.subjects]


def _clerk(event: AuditEvent) -> ClerkId:
    return ClerkId(event.subjects[0].removeprefix("clerk/"))


def _verifier(event: AuditEvent) -> int:
    return int(event.subjects[0].removeprefix("verifier/"))
