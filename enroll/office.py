"""The registration office: cases from the counter to the certificate, and to its end.

A step is decided by `enroll.case_paths.decide`, checked against `enroll.eligibility`, and written by compare-and-swap.
Certificates come and go through the desk, as all do. Whatever ends a certificate may be done twice; what brings one to
life happens in one transaction with the case's step (docs/adr/0025).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ca.issuer import Order
from ca.key_policy import HolderKey
from ca.profile import Profile
from enroll import case_paths, orders
from enroll.case_paths import NOTHING, Shown, Wants, decide, role_missing
from enroll.delivery import serial_of
from enroll.desk import Desk
from enroll.effects import effects
from enroll.eligibility import (
    EARLY,
    OF_CARDS,
    OF_COUNTERS,
    ON_DELIVERY,
    Facts,
    Rule,
    possibilities,
    require_kept,
)
from enroll.orders import Terms
from enroll.preview import Preview, foreseen
from jpki.acts import SYSTEM, Act, Actor, AuditEvent
from jpki.card import CardFacts
from jpki.case import (
    Applicant,
    Case,
    CaseCertificate,
    CaseKind,
    CaseMark,
    CaseNumber,
    CaseState,
    Change,
    Document,
    Express,
    Step,
    new_case_number,
)
from jpki.certificate import CARD, HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk, Role
from jpki.clock import Clock, whole_second
from jpki.counter import Counter, CounterCode
from jpki.errors import Fault, JpkiError, Kind
from jpki.event import Event
from jpki.ids import HolderCode
from jpki.ports import AuditSink, CaseBook, CertificateRecord, ResidentRegistry
from jpki.randomness import Randomness
from jpki.resident import Resident
from jpki.revocation import Reason, State
from jpki.text import Text

IN_DOUBT_AFTER = timedelta(seconds=30)
"""What a case ordered and did not get in so long was left by a crash: it is closed, and a retry takes a new serial."""
_FIRST_SIGNED = (Purpose.AUTHENTICATION, Purpose.SIGNING)
"""A signing certificate ends with the authentication certificate, so that one comes first."""
_PENDING = (State.RESERVED, State.INTENDED, State.ISSUED)
_COMPLETED = (State.ISSUED, State.ACTIVE, State.HELD, State.REVOKED)
_CLERKS = frozenset({Role.RECEPTION, Role.APPROVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What a holder, or somebody for one, came for."""

    kind: CaseKind
    counter: CounterCode
    holder: HolderCode
    purposes: tuple[Purpose, ...]
    applicant: Applicant = Applicant.HOLDER
    documents: frozenset[Document] = frozenset()
    event: Event | None = None
    express: Express | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A case and the certificates that wait in it to be written to the card."""

    case: Case
    certificates: Mapping[Purpose, x509.Certificate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What clerks do with cases; who may do it is checked in here, whichever door the clerk came through."""

    desk: Desk
    book: CaseBook
    registry: ResidentRegistry | None
    counters: Callable[[CounterCode], Counter]
    audit: AuditSink
    profile: Profile
    clock: Clock
    randomness: Randomness

    # --- steps -----------------------------------------------------------------------------------------------------

    def open(self, application: Application, clerk: Clerk) -> Case:
        """Take a case.

        Raises:
            JpkiError: FORBIDDEN `role-missing`, `counter-may-not`, `counter-closed` or `not-eligible`; UNPROCESSABLE
                `application-unfit`; NOT_FOUND `counter-unknown`.
        """
        case = self._drafted(application, clerk)
        self.book.open(case, clerk.actor(case.counter), self.clock())
        return case

    def preview(self, application: Application, clerk: Clerk) -> Preview:
        """Return what the case would make of the holder's certificates if it were opened and went through.

        Raises:
            JpkiError: as `open`.
        """
        return self._foreseen(self._drafted(application, clerk))

    def amend(self, number: CaseNumber, purposes: Collection[Purpose], clerk: Clerk) -> Case:
        """Let the applicant ask for other kinds of certificates, before the approval; the case begins again.

        Raises:
            JpkiError: as `decide`; FORBIDDEN `not-eligible`.
        """
        case, counter = self.book.with_counter(number)
        shown = Shown(purposes=_ordered(purposes))
        change = decide(case, Step.AMEND, clerk, counter, self.clock(), shown)
        require_kept(self._facts(change.after, counter, None), EARLY)
        return self._swap(change, clerk)

    def present_card(self, number: CaseNumber, card: CardFacts, clerk: Clerk) -> Case:
        """Note which card lies in the counter's reader; what its rules forbid is refused at once.

        Raises:
            JpkiError: as `decide`; FORBIDDEN `not-eligible`.
        """
        case, counter = self.book.with_counter(number)
        change = decide(case, Step.PRESENT_CARD, clerk, counter, self.clock(), Shown(card=card))
        require_kept(self._facts(change.after, counter, None, {}), OF_CARDS)
        return self._swap(change, clerk)

    def check_identity(self, number: CaseNumber, shown: Shown, clerk: Clerk) -> Case:
        """Note that whoever stands at the counter was identified; where certificates are issued the register is asked.

        Raises:
            JpkiError: as `decide`; FORBIDDEN `not-eligible`, with all reasons; of the register.
        """
        case, counter = self.book.with_counter(number)
        resident = None
        change = decide(case, Step.CHECK_IDENTITY, clerk, counter, self.clock(), shown)
        if case.kind.issues:
            resident = self._registered(case.holder)
        require_kept(self._facts(change.after, counter, resident))
        return self._swap(replace(change, resident=resident), clerk)

    def approve(self, number: CaseNumber, clerk: Clerk) -> Case:
        """Approve a case; where two pairs of eyes are asked for, not by who checked the identity.

        Raises:
            JpkiError: as `decide`.
        """
        return self._step(number, Step.APPROVE, clerk)

    def issue(self, number: CaseNumber, keys: Mapping[Purpose, HolderKey], clerk: Clerk) -> Issued:
        """Sign the case's certificates for the keys that its card made; a retry gets those that were completed (R4).

        What a re-issue is about was approved by now: before anything is signed, it ends or holds the old certificates.

        Raises:
            JpkiError: as `decide`; CONFLICT `register-changed` (the case has gone back), `case-busy`; FORBIDDEN
                `not-eligible`; UNPROCESSABLE `keys-unfit`; of the register and the desk.
        """
        case, counter = self.book.with_counter(number)
        if case.state is CaseState.ISSUED and clerk.may(case_paths.WHO[Step.ISSUE], case.counter):
            return self._issued_again(case, keys, clerk, counter)
        by = clerk.actor(case.counter)
        change = decide(case, Step.ISSUE, clerk, counter, self.clock())
        _require_keys(case, keys)
        resident = self._unchanged(case, by)
        live = self.desk.on_card(case.holder)
        require_kept(self._facts(case, counter, resident, live))
        live = self._happened(case, live, by)
        certificates = self._completed(case, keys, by)
        for purpose in (each for each in _FIRST_SIGNED if each in case.purposes and each not in certificates):
            order = self._order(case, purpose, keys[purpose], resident, live, certificates.get(Purpose.AUTHENTICATION))
            certificates[purpose] = self.desk.sign(order, by)
        for certificate in certificates.values():
            self.desk.delivery.ensure_lists([serial_of(certificate)])
        fingerprints = {serial_of(each): each.fingerprint(SHA256()) for each in certificates.values()}
        return Issued(case=self._swap(replace(change, fingerprints=fingerprints), clerk), certificates=certificates)

    def deliver(self, number: CaseNumber, clerk: Clerk) -> Case:
        """Hand over: the certificates come to life, what they replace is superseded, the attributes are erased.

        Raises:
            JpkiError: as `decide`; CONFLICT `register-changed`, `certificate-lost` or `signing-outlives` (the case has
                gone back); FORBIDDEN `not-eligible`; of the register.
        """
        case, counter = self.book.with_counter(number)
        by = clerk.actor(case.counter)
        change = decide(case, Step.DELIVER, clerk, counter, self.clock())
        resident = self._unchanged(case, by)
        # What else lives is none of these rules' business, and the ledger's own.
        require_kept(self._facts(case, counter, resident, {}), ON_DELIVERY)
        waiting = self._waiting(case)
        if {each.purpose for each in waiting} != set(case.purposes):
            self._go_back(case, by)
            raise _lost(case.number)
        try:
            self.desk.activate([each.serial for each in waiting], by, change)
        except JpkiError as error:
            # Another case brought one to life since this one's were signed.
            if error.code == "signing-outlives":
                self._go_back(case, by)
            raise
        return change.after

    def complete(self, number: CaseNumber, clerk: Clerk) -> Case:
        """Do what a case of which no certificate comes is about: revoke, hold, release, or let the PIN be reset.

        Raises:
            JpkiError: as `decide`; CONFLICT `not-live`, or `held-again` where the hold is younger than the case; of the
                desk.
        """
        case, counter = self.book.with_counter(number)
        by = clerk.actor(case.counter)
        change = decide(case, Step.COMPLETE, clerk, counter, self.clock())
        live = self.desk.on_card(case.holder)
        if case.kind is CaseKind.RELEASE:
            record = live.get(Purpose.AUTHENTICATION)
            if record is None:
                raise _nothing_held(case.number)
            held_at = record.status.revoked_at
            if held_at is not None and held_at > case.opened_at:
                raise _held_again(case.number)
            self.desk.release(record.serial, by, change)
            return change.after
        self._happened(case, live, by)
        return self._swap(change, clerk)

    def refuse(self, number: CaseNumber, shown: Shown, clerk: Clerk) -> Case:
        """Refuse a case, on a ground of the closed list; what was issued in it and not delivered is discarded."""
        return self._step(number, Step.REFUSE, clerk, shown)

    def cancel(self, number: CaseNumber, clerk: Clerk) -> Case:
        """End a case that its applicant withdraws; what was issued in it and not delivered is discarded."""
        return self._step(number, Step.CANCEL, clerk)

    def send_back(self, number: CaseNumber, clerk: Clerk) -> Case:
        """Send a case back to have the identity checked again; what was issued in it is discarded."""
        return self._step(number, Step.RETURN, clerk)

    def take_over(self, number: CaseNumber, counter: CounterCode, clerk: Clerk) -> Case:
        """Go on with another counter's case here; whoever knows the number may, and the audit tells of it.

        Raises:
            JpkiError: as `decide`; FORBIDDEN `not-eligible`, where that counter takes no such case; NOT_FOUND
                `counter-unknown`.
        """
        taking = self.counters(counter)
        change = decide(self.book.case(number), Step.TAKE_OVER, clerk, taking, self.clock())
        require_kept(self._facts(change.after, taking, None, {}), OF_COUNTERS)
        self.book.swap(change, clerk.actor(counter), self.clock())
        return change.after

    def suspend(self, holder: HolderCode, counter: CounterCode, clerk: Clerk) -> Case:
        """Take a holder's call about a lost card, day and night, and put both certificates on hold: a case in one go.

        Raises:
            JpkiError: as `open`.
        """
        application = Application(
            kind=CaseKind.HOLD, counter=counter, holder=holder, purposes=HOLDER_PURPOSES, event=Event.CARD_LOST
        )
        case = self.open(application, clerk)
        self.check_identity(case.number, NOTHING, clerk)
        return self.complete(case.number, clerk)

    def expire_due(self) -> int:
        """End the cases whose time is over, and return how many they were; see `enroll.case_paths.LIFE`."""
        overdue = self.book.overdue(self.clock())
        for case in overdue:
            self.book.swap(case_paths.expire(case, self.clock()), SYSTEM, self.clock())
            self._discard(case.number, SYSTEM)
        return len(overdue)

    # --- looking ---------------------------------------------------------------------------------------------------

    def case(self, number: CaseNumber, clerk: Clerk, roles: Collection[Role] = _CLERKS | {Role.AUDITOR}) -> Case:
        """Return a case of one of the clerk's counters.

        Raises:
            JpkiError: NOT_FOUND `case-unknown`; FORBIDDEN `role-missing`.
        """
        case = self.book.case(number)
        if not clerk.may(roles, case.counter):
            raise role_missing(frozenset(roles))
        return case

    def effects(self, number: CaseNumber, clerk: Clerk) -> Preview:
        """Return what a case will make of the holder's certificates if it goes through now.

        Raises:
            JpkiError: as `case`.
        """
        return self._foreseen(self.case(number, clerk))

    def resident(self, number: CaseNumber, clerk: Clerk) -> Resident:
        """Show what the register answers, to compare it with what lies on the counter; the audit tells of it.

        Until the identity is checked the register is asked each time, and nothing of its answer stays.

        Raises:
            JpkiError: as `case`; NOT_FOUND `resident-erased`; of the register.
        """
        case = self.case(number, clerk, _CLERKS)
        resident = self._answer(case)
        if resident is None:
            raise _erased(number)
        self._note_shown(case, clerk)
        return resident

    def possibilities(self, number: CaseNumber, clerk: Clerk) -> Mapping[Purpose, Sequence[Rule]]:
        """Return by kind of certificate which rules forbid it in this case; the audit tells who saw it.

        Raises:
            JpkiError: as `case`; CONFLICT `case-closed` or `case-expired`; of the register.
        """
        case = self.case(number, clerk, _CLERKS)
        case_paths.require_open(case, self.clock())
        found = possibilities(self._facts(case, self.counters(case.counter), self._answer(case)))
        self._note_shown(case, clerk)
        return found

    def certificates(self, number: CaseNumber, clerk: Clerk) -> tuple[Case, Sequence[CertificateRecord]]:
        """Return a case and the certificates that it is to deliver or delivered; none that was discarded on the way.

        Raises:
            JpkiError: as `case`.
        """
        case = self.case(number, clerk)
        statuses = [(record, record.status) for _, record in self._records(number)]
        return case, [
            record
            for record, status in statuses
            if status.state in _COMPLETED and status.reason is not Reason.UNSPECIFIED
        ]

    def at_terminal(self, number: CaseNumber, clerk: Clerk) -> tuple[Case, Wants | None] | None:
        """Return the case at a clerk's hand and what it needs of the card in the reader; None for another counter's."""
        case = self.book.case(number)
        if not clerk.may(case_paths.WHO[Step.PRESENT_CARD], case.counter):
            return None
        return case, case_paths.wants(case, self.clock())

    # --- inside ----------------------------------------------------------------------------------------------------

    def _drafted(self, application: Application, clerk: Clerk) -> Case:
        counter = self.counters(application.counter)
        case_paths.require_may_open(application.kind, counter, clerk)
        _require_fit(application)
        now = self.clock()
        case = Case(
            number=new_case_number(now, self.randomness),
            kind=application.kind,
            state=CaseState.RECEIVED,
            version=1,
            counter=counter.code,
            holder=application.holder,
            purposes=_ordered(application.purposes),
            applicant=application.applicant,
            documents=application.documents,
            event=application.event,
            express=application.express,
            card=None,
            opened_at=now,
            changed_at=now,
            expires_at=now + case_paths.LIFE[application.kind],
            opened_by=clerk.id,
        )
        require_kept(self._facts(case, counter, None), EARLY)
        return case

    def _foreseen(self, case: Case) -> Preview:
        def beside(purpose: Purpose) -> Iterator[CertificateRecord]:
            serials = self.desk.on_devices([case.holder], purpose, self.clock()).get(case.holder, ())
            yield from self.desk.ledger.find(serials).values()

        return Preview(case, list(foreseen(case, self.desk.on_card(case.holder), beside)))

    def _registered(self, holder: HolderCode) -> Resident:
        """Ask the register.

        Raises:
            JpkiError: UNAVAILABLE `registry-away`, too, where none is configured.
        """
        if self.registry is None:
            raise _no_registry()
        return self.registry.resident(holder)

    def _answer(self, case: Case) -> Resident | None:
        """Return what the register answered when the identity was checked, or before that what it answers now."""
        if case.kind.issues and case.state is CaseState.RECEIVED and self.clock() < case.expires_at:
            return self._registered(case.holder)
        return self.book.resident(case.number)

    def _note_shown(self, case: Case, clerk: Clerk) -> None:
        event = AuditEvent(
            at=self.clock(),
            actor=clerk.actor(case.counter),
            act=Act.RESIDENT_SHOWN,
            subjects=(f"case/{case.number}",),
        )
        self.audit.record(event)

    def _facts(
        self,
        case: Case,
        counter: Counter,
        resident: Resident | None,
        live: Mapping[Purpose, CertificateRecord] | None = None,
    ) -> Facts:
        return Facts(
            case=case,
            counter=counter.kind,
            profile=self.profile,
            resident=resident,
            live=self.desk.on_card(case.holder) if live is None else live,
            now=self.clock(),
        )

    def _swap(self, change: Change, clerk: Clerk) -> Case:
        self.book.swap(change, clerk.actor(change.before.counter), self.clock())
        return change.after

    def _step(self, number: CaseNumber, step: Step, clerk: Clerk, shown: Shown = NOTHING) -> Case:
        case, counter = self.book.with_counter(number)
        after = self._swap(decide(case, step, clerk, counter, self.clock(), shown), clerk)
        if after.state.is_closed or after.state is CaseState.RECEIVED:
            # Nothing of it can come to life any more; if this is not reached, it is closed as abandoned.
            self._discard(number, clerk.actor(case.counter))
        return after

    def _unchanged(self, case: Case, by: Actor) -> Resident:
        """Ask the register again; where it tells otherwise than when the identity was checked, the case goes back."""
        now, then = self._registered(case.holder), self.book.resident(case.number)
        if now != then:
            self._go_back(case, by)
            raise _register_changed(case.number)
        return now

    def _go_back(self, case: Case, by: Actor) -> None:
        self.book.swap(case_paths.return_changed(case, self.clock()), by, self.clock())
        self._discard(case.number, by)

    def _records(self, number: CaseNumber) -> Sequence[tuple[CaseCertificate, CertificateRecord]]:
        ordered = self.book.certificates(number)
        if not ordered:
            return []
        records = self.desk.ledger.find([each.serial for each in ordered])
        return [(each, records[each.serial]) for each in ordered]

    def _waiting(self, case: Case) -> Sequence[CaseCertificate]:
        return [each for each, record in self._records(case.number) if record.status.state is State.ISSUED]

    def _discard(self, number: CaseNumber, by: Actor) -> None:
        left = [each.serial for each, record in self._records(number) if record.status.state in _PENDING]
        if left:
            self.desk.authority.discard(left, by)

    def _completed(self, case: Case, keys: Mapping[Purpose, HolderKey], by: Actor) -> dict[Purpose, x509.Certificate]:
        """Return what an earlier try under the same approval completed, for the same keys; close what is in doubt."""
        kept, doubtful = {}, []
        for each, record in self._records(case.number):
            if record.status.state not in _PENDING:
                continue
            certificate = self._fitting(case, each, record, keys)
            if certificate is not None:
                kept[each.purpose] = certificate
                continue
            if self.clock() - record.validity.not_before < IN_DOUBT_AFTER:
                raise _busy(case.number)
            doubtful.append(each.serial)
        if doubtful:
            self.desk.authority.discard(doubtful, by)
        return kept

    def _fitting(
        self, case: Case, link: CaseCertificate, record: CertificateRecord, keys: Mapping[Purpose, HolderKey]
    ) -> x509.Certificate | None:
        if record.status.state is not State.ISSUED or link.version != case.version or link.purpose not in keys:
            return None
        octets = self.desk.ledger.certificates([link.serial]).get(link.serial)
        certificate = None if octets is None else x509.load_der_x509_certificate(octets)
        fits = certificate is not None and certificate.public_key() == keys[link.purpose].public_key
        return certificate if fits else None

    def _issued_again(self, case: Case, keys: Mapping[Purpose, HolderKey], clerk: Clerk, counter: Counter) -> Issued:
        """Answer a retry of what was done: the same certificates, if they are for the same keys."""
        found = {}
        for link in self._waiting(case):
            octets = self.desk.ledger.certificates([link.serial])[link.serial]
            found[link.purpose] = x509.load_der_x509_certificate(octets)
        same = {
            purpose
            for purpose, each in found.items()
            if purpose in keys and each.public_key() == keys[purpose].public_key
        }
        if same != set(case.purposes):
            decide(case, Step.ISSUE, clerk, counter, self.clock())
        return Issued(case=case, certificates=found)

    def _order(
        self,
        case: Case,
        purpose: Purpose,
        key: HolderKey,
        resident: Resident,
        live: Mapping[Purpose, CertificateRecord],
        authentication: x509.Certificate | None,
    ) -> Order:
        assert case.card is not None  # noqa: S101 - the rule `card-missing` is kept
        beside = None
        if purpose is Purpose.SIGNING and authentication is not None:
            beside = authentication.not_valid_after_utc
        elif purpose is Purpose.SIGNING and Purpose.AUTHENTICATION in live:
            beside = live[Purpose.AUTHENTICATION].validity.not_after
        terms = Terms(
            profile=self.profile,
            now=self.clock(),
            card_end=whole_second(case.card.not_after),
            beside=beside,
            case=CaseMark(case.number, case.version),
        )
        old = live.get(purpose)
        if case.kind is CaseKind.RENEWAL and old is not None:
            return orders.renewal_order(old, resident, key, terms)
        replaces = None if old is None else old.serial
        return orders.first_order(resident, purpose, CARD, key, terms, replaces)

    def _happened(
        self, case: Case, live: Mapping[Purpose, CertificateRecord], by: Actor
    ) -> Mapping[Purpose, CertificateRecord]:
        """Do to the card's certificates what the case's event does, and return those that live on or are on hold.

        That may be done twice: what a retry finds has ended is not among those that live.
        """
        reasons = {} if case.event is None else effects(case.event, case.purposes)
        for purpose, reason in reasons.items():
            self._end(live.get(purpose), reason, by)
        return {
            purpose: record
            for purpose, record in live.items()
            if reasons.get(purpose, Reason.CERTIFICATE_HOLD) is Reason.CERTIFICATE_HOLD
        }

    def _end(self, record: CertificateRecord | None, reason: Reason, by: Actor) -> None:
        """Hold or revoke; what another ended meanwhile has ended."""
        if record is None:
            return
        try:
            if reason is Reason.CERTIFICATE_HOLD:
                if record.status.state is State.ACTIVE:
                    self.desk.hold(record.serial, by)
            else:
                self.desk.revoke(record.serial, reason, by)
        except JpkiError as error:
            if error.code != "already-revoked":
                raise


def _ordered(purposes: Collection[Purpose]) -> tuple[Purpose, ...]:
    return tuple(each for each in HOLDER_PURPOSES if each in purposes)


def _require_fit(application: Application) -> None:
    """Require that what is applied for is of one piece.

    Raises:
        JpkiError: UNPROCESSABLE `application-unfit`, naming every field.
    """
    faults = []
    events = case_paths.EVENTS[application.kind]
    if not application.purposes:
        faults.append(
            Fault(
                "purposes-missing", Text("証明書の種類がありません。", "No kind of certificate is named."), "/purposes"
            )
        )
    if (application.event is None) == bool(events) or (
        application.event is not None and application.event not in events
    ):
        names = ", ".join(sorted(events)) or "-"
        told = Text(f"この申請の事由は {names} のいずれかです。", f"The event of such a case is one of: {names}.")
        faults.append(Fault("event-unfit", told, "/event"))
    if application.express is not None and application.kind not in (CaseKind.NEW, CaseKind.REISSUE):
        told = Text("特急発行は新規と再発行だけです。", "Express issue is for a new card or a re-issue.")
        faults.append(Fault("express-unfit", told, "/express"))
    if faults:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "application-unfit",
            Text("申請の内容が揃っていません。", "The application does not fit together."),
            Text("示された項目を直してください。", "Correct the fields that are named."),
            faults,
        )


def _require_keys(case: Case, keys: Mapping[Purpose, HolderKey]) -> None:
    if set(keys) != set(case.purposes):
        names = ", ".join(case.purposes)
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "keys-unfit",
            Text(f"証明書要求が必要な種類：{names}", f"A request is needed for each of: {names}."),
            Text("カードで鍵ペアを作り直してください。", "Make the key pairs on the card, one for each."),
        )


def _no_registry() -> JpkiError:
    return JpkiError(
        Kind.UNAVAILABLE,
        "registry-away",
        Text("住民の記録の照会先が設定されていません。", "No resident registry is configured."),
        Text("jpki.toml に照会先を設定してください。", "Name one in jpki.toml."),
    )


def _register_changed(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "register-changed",
        Text(
            f"住民の記録が変わったため、申請 {number} は本人確認からやり直しです。",
            f"The register tells otherwise now: the case {number} begins again.",
        ),
        Text("本人確認をやり直してください。", "Check the identity again."),
    )


def _lost(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "certificate-lost",
        Text(
            f"申請 {number} の証明書は失効したため、本人確認からやり直しです。",
            f"A certificate of the case {number} was revoked: the case begins again.",
        ),
        Text("本人確認をやり直してください。", "Check the identity again."),
    )


def _busy(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "case-busy",
        Text(f"申請 {number} は発行処理中です。", f"The case {number} is being issued just now."),
        Text(
            f"{IN_DOUBT_AFTER.seconds}秒待ってもう一度実行してください。",
            f"Try again in {IN_DOUBT_AFTER.seconds} seconds.",
        ),
    )


def _nothing_held(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "not-live",
        Text(f"申請 {number} の証明書は一時停止中ではありません。", f"The case {number}: no certificate is on hold."),
        Text("申請を取り下げてください。", "Cancel the case."),
    )


def _held_again(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.CONFLICT,
        "held-again",
        Text(
            f"申請 {number} の後に、証明書は改めて一時停止されました。",
            f"The certificate was put on hold again after the case {number} was opened.",
        ),
        Text("申請を取り下げ、新しい申請を受け付けてください。", "Cancel the case, and open a new one."),
    )


def _erased(number: CaseNumber) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "resident-erased",
        Text(f"申請 {number} に住民の記録はありません。", f"The case {number} holds no answer of the register."),
        Text("本人確認の前か、申請の終了後です。", "The identity was not checked yet, or the case has ended."),
    )
