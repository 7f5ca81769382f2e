"""What differs about one serial: the audit's tale, the ledger's rows and the sealed record must say the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from jpki.clock import iso, whole_second
from jpki.generation import Generation
from jpki.ids import GenerationId, Serial, format_serial
from jpki.revocation import Reason, State, Status
from jpki.signature import assembled, check
from server.reconcile.difference import Difference, Fault
from server.reconcile.known import Known
from server.reconcile.life import Life, lived
from server.store.changes import LIVE, PENDING
from server.store.picture import Entered, Opened, Placed, Registered
from server.store.seal import SALT_OCTETS, commitment

_PENDING_STATES = (State.RESERVED, State.INTENDED, State.ISSUED)
_LIVE_STATES = (State.ACTIVE, State.HELD)
_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges what is known; `known_from` is since when the audit is whole, None where it always was."""

    generations: Mapping[GenerationId, Generation]
    known_from: datetime | None
    now: datetime

    def differences(self, known: Known) -> Iterator[Difference]:
        """Yield what differs about one serial."""
        if known.delegated is not None or known.delegate_acts:
            yield from _of_delegate(known)
        if known.lost and not known.delegate_acts:
            yield from _of_lost(known)
        elif known.acts or known.status is not None or known.registered is not None:
            yield from self._of_certificate(known)
        elif known.record or known.placed or known.entered:
            yield _difference(known.serial, Fault.ROW_MISSING, "certificate", _NOTHING)

    def _of_certificate(self, known: Known) -> Iterator[Difference]:
        serial, status, registered = known.serial, known.status, known.registered
        if status is None or registered is None:
            # What was signed and is not in the ledger is the worst that can be (rule R2).
            fault = Fault.LEDGER_LACKS if status is None and registered is None else Fault.ROW_MISSING
            yield _difference(serial, fault, known.acts[-1].act if known.acts else "status", _NOTHING)
            return
        life = lived(known.acts)
        if self._is_in_reach(registered):
            yield from _tale(known, life, status)
        yield from self._sealed(known, status, registered)
        yield from _journal(serial, status, known.entered)
        yield from self._place(known, status, registered)

    def _is_in_reach(self, registered: Registered) -> bool:
        """Tell whether the audit still tells of the certificate from its beginning on."""
        return self.known_from is None or registered.not_before >= whole_second(self.known_from)

    def _sealed(self, known: Known, status: Status, registered: Registered) -> Iterator[Difference]:
        """Hold the sealed record against the certificate's row, and its signature against the generation's key."""
        serial, record = known.serial, known.record
        if record is None:
            if status.state not in (State.RESERVED, State.VOID):
                yield _difference(serial, Fault.RECORD_DIFFERS, "a sealed record", _NOTHING)
            return
        if record.salted is None:
            yield _difference(serial, Fault.RECORD_UNREADABLE, "a sealed record", "altered")
            return
        if record.signature is None:
            if status.state in (State.ISSUED, *_LIVE_STATES):
                yield _difference(serial, Fault.SIGNATURE_DIFFERS, "a signature", _NOTHING)
            return
        octets = record.salted[SALT_OCTETS:]
        try:
            check(self.generations[status.generation].public_key, octets, record.signature)
        except InvalidSignature:
            yield _difference(serial, Fault.SIGNATURE_WRONG, f"a signature by {status.generation}", "another")
            return
        yield from _contents(octets, record.signature, registered)

    def _place(self, known: Known, status: Status, registered: Registered) -> Iterator[Difference]:
        """Hold the holder's place against the state: it is what makes a second live one impossible (rule R20)."""
        placed = known.placed
        may_be_free = status.not_after < whole_second(self.now) or self._is_compromised(status)
        expected = PENDING if status.state in _PENDING_STATES else LIVE if status.state in _LIVE_STATES else None
        if placed is None:
            if expected is not None and not may_be_free:
                yield _difference(known.serial, Fault.PLACE_DIFFERS, expected, _NOTHING)
        elif placed.stage != expected:
            yield _difference(known.serial, Fault.PLACE_DIFFERS, expected or _NOTHING, placed.stage)
        elif _owner(placed) != _owner(registered):
            yield _difference(known.serial, Fault.PLACE_DIFFERS, "its holder's place", "another's")

    def _is_compromised(self, status: Status) -> bool:
        return self.generations[status.generation].compromised_at is not None


def is_pending(known: Known) -> bool:
    """Tell whether a certificate is on its way, or was left there not long ago."""
    return known.placed is not None and known.placed.stage == PENDING


def _of_delegate(known: Known) -> Iterator[Difference]:
    """Hold the acts on a certificate of the house against its row.

    The audit of old homes does not tell of all that were made before it did.
    """
    serial, delegated = known.serial, known.delegated
    if delegated is None:
        if not known.lost:
            yield _difference(serial, Fault.LEDGER_LACKS, known.delegate_acts[-1].act, _NOTHING)
    elif known.delegate_acts and delegated.signed != (len(known.delegate_acts) > 1):
        expected = "signed" if len(known.delegate_acts) > 1 else "intended"
        yield _difference(serial, Fault.STATE_DIFFERS, expected, "signed" if delegated.signed else "intended")
    if known.status is not None:
        yield _difference(serial, Fault.SERIAL_TWICE, "one certificate", "a holder's and one of the house")


def _of_lost(known: Known) -> Iterator[Difference]:
    """Hold where a certificate stands that a restore lost in part against the audit: it is never unknown, never good.

    Its holder, record or signature may be missing, and some of its acts happened twice.
    """
    serial, status, life = known.serial, known.status, lived(known.acts)
    told = _standing(life.state, life.reason)
    if status is None:
        yield _difference(serial, Fault.LEDGER_LACKS, told, _NOTHING)
        return
    if (life.state, life.reason) != (status.state, status.reason):
        yield _difference(serial, Fault.STATE_DIFFERS, told, _standing(status.state, status.reason))
    if status.state in (State.ACTIVE, *_PENDING_STATES):
        yield _difference(serial, Fault.STATE_DIFFERS, State.REVOKED, status.state)
    if known.placed is not None and status.state is not State.HELD:
        yield _difference(serial, Fault.PLACE_DIFFERS, _NOTHING, known.placed.stage)
    yield from _journal(serial, status, known.entered)


def _tale(known: Known, life: Life, status: Status) -> Iterator[Difference]:
    """Hold what the audit tells against status and record."""
    serial, record = known.serial, known.record
    if not known.acts:
        yield _difference(serial, Fault.AUDIT_LACKS, "reserved", _NOTHING)
        return
    if life.broken_at is not None:
        yield _difference(serial, Fault.ACTS_OUT_OF_ORDER, "the order of states", f"number {life.broken_at}")
    if (life.state, life.reason) != (status.state, status.reason):
        told = _standing(life.state, life.reason)
        yield _difference(serial, Fault.STATE_DIFFERS, told, _standing(status.state, status.reason))
    if life.intended != (record is not None):
        yield _difference(serial, Fault.RECORD_DIFFERS, *_is_there(life.intended, "a sealed record"))
    if record is not None and record.salted is not None:
        yield from _told_of_record(serial, life, record)


def _told_of_record(serial: Serial, life: Life, record: Opened) -> Iterator[Difference]:
    if life.commitment is not None and life.commitment.hex() != commitment(record.salted or b""):
        yield _difference(serial, Fault.COMMITMENT_DIFFERS, "the octets that were to be signed", "others")
    if life.signed != (record.signature is not None):
        yield _difference(serial, Fault.SIGNATURE_DIFFERS, *_is_there(life.signed, "a signature"))


def _contents(octets: bytes, signature: bytes, registered: Registered) -> Iterator[Difference]:
    """Require that the sealed certificate is the one that its row tells of."""
    certificate = x509.load_der_x509_certificate(assembled(octets, signature))
    validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    if certificate.serial_number != registered.serial:
        found = format_serial(Serial(certificate.serial_number))
        yield _difference(registered.serial, Fault.RECORD_DIFFERS, format_serial(registered.serial), found)
    if validity != (whole_second(registered.not_before), whole_second(registered.not_after)):
        yield _difference(registered.serial, Fault.RECORD_DIFFERS, iso(registered.not_after), iso(validity[1]))


def _journal(serial: Serial, status: Status, entered: Entered | None) -> Iterator[Difference]:
    """Hold the status against the journal's last entry."""
    if entered is None:
        if status.position:
            yield _difference(serial, Fault.JOURNAL_DIFFERS, f"an entry at {status.position}", _NOTHING)
        return
    since = entered.effective_at if status.revoked_at is not None else None
    told = (entered.position, entered.state, entered.reason, since)
    if told != (status.position, status.state, status.reason, status.revoked_at):
        expected = f"{_standing(entered.state, entered.reason)} at {entered.position}"
        found = f"{_standing(status.state, status.reason)} at {status.position}"
        yield _difference(serial, Fault.JOURNAL_DIFFERS, expected, found)


def _owner(owned: Placed | Registered) -> tuple[str, str, str]:
    return owned.holder, owned.purpose, owned.carrier


def _standing(state: State | None, reason: Reason | None) -> str:
    return " ".join(str(each) for each in (state, reason) if each is not None) or _NOTHING


def _is_there(wanted: bool, what: str) -> tuple[str, str]:  # noqa: FBT001 - one of two ways round
    return (what, _NOTHING) if wanted else (_NOTHING, what)


def _difference(serial: Serial, fault: Fault, expected: str, found: str) -> Difference:
    return Difference(format_serial(serial), fault, expected, found)
