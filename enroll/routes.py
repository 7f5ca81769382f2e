"""The API's routes as data: what each takes and answers, who may use it and where, and what it does.

There is no route without a permission: the table's type asks for one. One gate (enroll/http.py) enforces them all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from pydantic import BaseModel

from ca.key_policy import HolderKey, holder_key, read_csr
from ca.validity import renewal_opens
from enroll import messages
from enroll.case_paths import Shown, role_missing, roles_of
from enroll.counters import MAY
from enroll.event_file import events_of
from enroll.history import History
from enroll.life import passages, said_by
from enroll.messages import Model
from enroll.office import Application, Office
from enroll.overseen import Oversight
from enroll.resident_events import receive
from jpki.acts import Act, AuditEvent
from jpki.case import OPEN_STATES, Case, CaseNumber, CasePlace, CaseState, Express, Step, parse_case_number
from jpki.certificate import Purpose
from jpki.clerk import EVERY_COUNTER, Clerk, ClerkId, ClerkState, Role
from jpki.counter import Counter, CounterCode
from jpki.errors import Fault, JpkiError, Kind
from jpki.ids import HolderCode, Serial, format_serial, parse_serial
from jpki.ports import CertificateRecord, EventBook
from jpki.resident_event import EventNumber, ResidentEvent, SourceName
from jpki.revocation import RevocationEvidence, Status
from jpki.text import Text


class Scope(StrEnum):
    """At which counter a role is asked for."""

    ANYWHERE = "anywhere"
    CASE = "case"
    """The counter of the case in the URL."""
    BODY = "body"
    """The counter that the body names."""
    QUERY = "query"
    EVERYWHERE = "everywhere"
    """The role must be for every counter."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Who may: one of these roles, there."""

    roles: frozenset[Role]
    scope: Scope


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the gate let through."""

    clerk: Clerk
    names: Mapping[str, str]
    """What the URL names."""
    taken: BaseModel | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the routes work with."""

    office: Office
    history: History
    counter: Callable[[CounterCode], Counter]
    counters: Callable[[], Sequence[Counter]]
    clerks: Callable[[], Sequence[Clerk]]
    change_clerk: Callable[[ClerkId, ClerkState, Clerk], Clerk]
    certificates_of: Callable[[HolderCode], Sequence[Serial]]
    by_fingerprint: Callable[[bytes], Serial | None]
    events: EventBook
    at_hand: Callable[[ClerkId], CaseNumber | None]
    """The case that lies before a clerk."""
    ocsp_answer: Callable[[Status], RevocationEvidence | None]
    """What our own responder tells a verifier of a certificate now; None where it does not answer."""
    oversight: Oversight


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route; `takes` is the type of the body, or of the query where the method is GET."""

    method: str
    path: str
    summary: Text
    permission: Permission
    takes: type[BaseModel] | None = None
    tells: type[BaseModel]
    status: int = 200
    act: Callable[[Api, Call], BaseModel]

    @property
    def name(self) -> str:
        """The operation's name."""
        words = [part.strip("<>") for part in self.path.split("/") if part]
        return "-".join([self.method.lower(), *words])


PREFIX = "/api/v1"
_LONGEST_NUMBER = 18
"""Digits; the ledger's numbers have 63 bits."""
_CLERKS = frozenset({Role.RECEPTION, Role.APPROVAL})
_READERS = _CLERKS | {Role.AUDITOR}
_ANYBODY = frozenset(Role)
OVERSEERS = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})


# --- clerks and counters -------------------------------------------------------------------------------------------


def _me(_: Api, call: Call) -> BaseModel:
    return messages.ClerkTold.of(call.clerk)


def _counters(api: Api, _: Call) -> BaseModel:
    return messages.CountersTold(counters=[counter_told(each) for each in api.counters()])


def _counter(api: Api, call: Call) -> BaseModel:
    return counter_told(api.counter(CounterCode(call.names["code"])))


def counter_told(counter: Counter) -> messages.CounterTold:
    """Return what is told of a counter."""
    return messages.CounterTold(
        code=counter.code,
        kind=counter.kind,
        name=counter.name,
        municipality=counter.municipality,
        state=counter.state,
        takes=sorted(MAY[counter.kind]),
    )


def _clerks(api: Api, _: Call) -> BaseModel:
    return messages.ClerksTold(clerks=[messages.ClerkTold.of(each) for each in api.clerks()])


def _clerk_in(state: ClerkState) -> Callable[[Api, Call], BaseModel]:
    def act(api: Api, call: Call) -> BaseModel:
        return messages.ClerkTold.of(api.change_clerk(ClerkId(call.names["id"]), state, call.clerk))

    return act


# --- cases ---------------------------------------------------------------------------------------------------------


def _open(api: Api, call: Call) -> BaseModel:
    return messages.CaseTold.of(api.office.open(_application(call), call.clerk))


def _effects(api: Api, call: Call) -> BaseModel:
    application = _application(call)
    preview = api.office.preview(application, call.clerk)
    _note_look(api, call, application.holder)
    return messages.EffectsTold.of(preview)


def _effects_of_case(api: Api, call: Call) -> BaseModel:
    preview = api.office.effects(_number(call), call.clerk)
    _note_look(api, call, preview.case.holder)
    return messages.EffectsTold.of(preview)


def _application(call: Call) -> Application:
    wish = taken(call, messages.NewCase)
    express = wish.express
    return Application(
        kind=wish.kind,
        counter=CounterCode(wish.counter),
        holder=HolderCode(wish.holder),
        purposes=wish.purposes,
        applicant=wish.applicant,
        documents=frozenset(wish.documents),
        event=wish.event,
        express=None if express is None else Express(ground=express.ground, happened_on=express.happened_on),
    )


def _cases(api: Api, call: Call) -> BaseModel:
    wanted = taken(call, messages.CasesWanted)
    cursor = wanted.cursor
    after = None if cursor is None else CasePlace(cursor.startswith("o"), CaseNumber(cursor[1:]))
    states = OPEN_STATES if wanted.state is None else (CaseState(wanted.state),)
    counter, now = CounterCode(wanted.counter), api.office.clock()
    found = api.office.book.at_counter(counter, states, after, wanted.limit + 1, now)
    page = found[: wanted.limit]
    following = _cursor(page[-1][0]) if len(found) > len(page) else None
    return messages.CasesTold(cases=[messages.CaseTold.of(each) for _, each in page], next=following)


def _cursor(place: CasePlace) -> str:
    return f"{'o' if place.is_overdue else 'n'}{place.number}"


def _case(api: Api, call: Call) -> BaseModel:
    return messages.CaseTold.of(api.office.case(_number(call), call.clerk))


def _resident(api: Api, call: Call) -> BaseModel:
    return messages.ResidentTold.of(api.office.resident(_number(call), call.clerk))


def _possibilities(api: Api, call: Call) -> BaseModel:
    found = api.office.possibilities(_number(call), call.clerk)
    return messages.PossibilitiesTold(
        possibilities=[messages.PossibilityTold.of(purpose, rules) for purpose, rules in found.items()]
    )


def _terminal(api: Api, call: Call) -> BaseModel:
    number = api.at_hand(call.clerk.id)
    found = None if number is None else api.office.at_terminal(number, call.clerk)
    return messages.TerminalTold() if found is None else messages.TerminalTold.of(*found)


def _amend(api: Api, call: Call) -> BaseModel:
    purposes = taken(call, messages.Amendment).purposes
    return messages.CaseTold.of(api.office.amend(_number(call), purposes, call.clerk))


def _present_card(api: Api, call: Call) -> BaseModel:
    card = taken(call, messages.CardRead).facts()
    return messages.CaseTold.of(api.office.present_card(_number(call), card, call.clerk))


def _case_certificates(api: Api, call: Call) -> BaseModel:
    case, records = api.office.certificates(_number(call), call.clerk)
    _note_look(api, call, case.holder)
    return messages.CertificatesTold(certificates=[_certificate_told(api, each) for each in records])


def _check_identity(api: Api, call: Call) -> BaseModel:
    check = taken(call, messages.IdentityCheck)
    shown = Shown(card=None if check.card is None else check.card.facts(), documents=frozenset(check.documents))
    return messages.CaseTold.of(api.office.check_identity(_number(call), shown, call.clerk))


def _issue(api: Api, call: Call) -> BaseModel:
    keys = _keys(taken(call, messages.Issuance), api)
    issued = api.office.issue(_number(call), keys, call.clerk)
    return messages.IssuedTold.of(issued.case, issued.certificates)


def _keys(issuance: messages.Issuance, api: Api) -> Mapping[Purpose, HolderKey]:
    keys, faults = {}, []
    for purpose, octets in issuance.octets().items():
        try:
            keys[purpose] = holder_key(read_csr(octets), api.office.profile.key)
        except JpkiError as error:
            faults.append(Fault(error.code, error.problem, f"/requests/{purpose}"))
    if faults:
        raise messages.invalid(faults)
    return keys


def _refuse(api: Api, call: Call) -> BaseModel:
    shown = Shown(ground=taken(call, messages.Refusal).ground)
    return messages.CaseTold.of(api.office.refuse(_number(call), shown, call.clerk))


def _take_over(api: Api, call: Call) -> BaseModel:
    counter = CounterCode(taken(call, messages.AtCounter).counter)
    return messages.CaseTold.of(api.office.take_over(_number(call), counter, call.clerk))


def _stepping(step: Callable[[Office], Callable[[CaseNumber, Clerk], Case]]) -> Callable[[Api, Call], BaseModel]:
    def act(api: Api, call: Call) -> BaseModel:
        return messages.CaseTold.of(step(api.office)(_number(call), call.clerk))

    return act


# --- holders and certificates --------------------------------------------------------------------------------------


def _search(api: Api, call: Call) -> BaseModel:
    identifier = taken(call, messages.Wanted).identifier.strip()
    serials, cases = _readings(api, identifier)
    records = api.office.desk.ledger.find(serials)
    holders = {record.holder for record in records.values()} | {case.holder for case in cases}
    for holder in sorted(holders):
        _note_look(api, call, holder)
    return messages.Found(
        certificates=[_certificate_told(api, records[each]) for each in serials if each in records],
        cases=[_case_found(each, call.clerk) for each in cases],
    )


def _readings(api: Api, identifier: str) -> tuple[Sequence[Serial], Sequence[Case]]:
    """Take the identifier for all that it can be: a case number, a fingerprint, a serial, a holder code."""
    book = api.office.book
    try:
        return [], [book.case(parse_case_number(identifier))]
    except JpkiError as error:
        if error.code == "case-unknown":
            return [], []
    serials: list[Serial] = []
    digits = identifier.replace(":", "").replace(" ", "").lower()
    if len(digits) == 64 and set(digits) <= set("0123456789abcdef"):
        found = api.by_fingerprint(bytes.fromhex(digits))
        serials += [] if found is None else [found]
    try:
        serials.append(parse_serial(identifier))
    except JpkiError as error:
        if error.code == "serial-ambiguous":
            raise
    holder = HolderCode(identifier)
    of_holder = api.certificates_of(holder)
    return list(dict.fromkeys([*serials, *of_holder])), book.of_holder(holder)


def _case_found(case: Case, clerk: Clerk) -> messages.CaseFound:
    own = clerk.may(_READERS, case.counter)
    told = messages.CaseTold.of(case) if own else None
    return messages.CaseFound(number=case.number, counter=case.counter, case=told)


def _certificate_told(api: Api, record: CertificateRecord) -> messages.CertificateTold:
    return messages.CertificateTold.of(record, api.office.clock())


def _certificate(api: Api, call: Call) -> BaseModel:
    return _certificate_told(api, _looked_at(api, call))


def _timeline(api: Api, call: Call) -> BaseModel:
    record = _looked_at(api, call)
    found = passages(record, api.history.changes([record.serial]))
    return messages.TimelineTold(passages=[messages.PassageTold.of(each) for each in found])


def _details(api: Api, call: Call) -> BaseModel:
    record = _looked_at(api, call)
    octets = api.office.desk.ledger.certificates([record.serial]).get(record.serial)
    if octets is None:
        raise _never_signed(record.serial)
    opens = renewal_opens(api.office.profile, record.validity.not_after)
    return messages.DetailsTold.of(record, opens, said_by(x509.load_der_x509_certificate(octets)))


def _answer(api: Api, call: Call) -> BaseModel:
    return messages.AnswerTold.of(api.ocsp_answer(_looked_at(api, call).status))


def _looked_at(api: Api, call: Call) -> CertificateRecord:
    record = api.office.desk.record(parse_serial(call.names["serial"]))
    _note_look(api, call, record.holder)
    return record


def _never_signed(serial: Serial) -> JpkiError:
    return JpkiError(
        Kind.NOT_FOUND,
        "certificate-never-signed",
        Text(f"証明書 {format_serial(serial)} は発行されていません。", f"{format_serial(serial)} was never signed."),
        Text("状態と履歴だけを確認できます。", "Its state and its timeline are all there is."),
    )


def _certificates(api: Api, call: Call) -> BaseModel:
    holder = _holder(call)
    _note_look(api, call, holder)
    serials = api.certificates_of(holder)
    records = api.office.desk.ledger.find(serials)
    return messages.CertificatesTold(certificates=[_certificate_told(api, records[each]) for each in serials])


def _history(api: Api, call: Call) -> BaseModel:
    holder, wanted = _holder(call), taken(call, messages.HistoryWanted)
    _note_look(api, call, holder)
    lines = api.history.of(holder)
    # Lines are only ever added at the late end: a count from the early end stays where it is.
    end = min(len(lines), len(lines) if wanted.cursor is None else int(wanted.cursor))
    begin = max(0, end - wanted.limit)
    entries = [
        messages.HistoryEntry(
            at=line.at,
            what=line.what,
            words=messages.Words.of(line.words),
            serial=None if line.serial is None else format_serial(line.serial),
            case=line.case,
        )
        for line in reversed(lines[begin:end])
    ]
    return messages.HistoryTold(entries=entries, next=str(begin) if begin else None)


def _suspend(api: Api, call: Call) -> BaseModel:
    counter = CounterCode(taken(call, messages.AtCounter).counter)
    return messages.CaseTold.of(api.office.suspend(_holder(call), counter, call.clerk))


def _note_look(api: Api, call: Call, holder: HolderCode) -> None:
    """Tell the audit who looked a holder up: curiosity leaves a trace."""
    event = AuditEvent(
        at=api.office.clock(),
        actor=call.clerk.actor(None),
        act=Act.HOLDER_LOOKED_UP,
        subjects=(f"holder/{holder}",),
    )
    api.office.audit.record(event)


# --- what registers tell -------------------------------------------------------------------------------------------


def _receive_events(api: Api, call: Call) -> BaseModel:
    handed_in = taken(call, messages.EventsHandedIn)
    told = [
        (number, _of_source(event, handed_in.counter))
        for number, event in events_of(handed_in.events, api.office.clock())
    ]
    received, wrong = receive(api.events, told, call.clerk.actor(None), api.office.clock())
    return messages.EventsReceived.of(received, wrong)


def _of_source(event: ResidentEvent | JpkiError, source: str) -> ResidentEvent | JpkiError:
    """Return the event, or why it is none: a town's system tells what its own register knows."""
    if isinstance(event, JpkiError) or event.source == source:
        return event
    return JpkiError(
        Kind.FORBIDDEN,
        "source-foreign",
        Text("別の台帳の異動です。", "This is another register's event."),
        Text("counter と source を同じにしてください。", "`counter` and `source` must be the same."),
    )


def _events(api: Api, call: Call) -> BaseModel:
    wanted = taken(call, messages.EventsWanted)
    after = 0 if wanted.cursor is None else int(wanted.cursor)
    found = api.events.listed(wanted.state, after, wanted.limit + 1, _source(wanted.counter))
    page = found[: wanted.limit]
    following = str(page[-1].number) if len(found) > len(page) else None
    return messages.EventsTold(events=[messages.EventTold.of(each) for each in page], next=following)


def _settle(api: Api, call: Call) -> BaseModel:
    wish = taken(call, messages.SettlementTaken)
    by, now = call.clerk.actor(None), api.office.clock()
    settled = api.events.settle(_event(call), wish.state, wish.because, by, now, _source(wish.counter))
    return messages.EventTold.of(settled)


def _source(counter: str | None) -> SourceName | None:
    return None if counter is None else SourceName(counter)


# --- the table -----------------------------------------------------------------------------------------------------


def _step(
    name: str,
    step: Step,
    summary: Text,
    act: Callable[[Api, Call], BaseModel],
    takes: type[BaseModel] = messages.Nothing,
    tells: type[BaseModel] = messages.CaseTold,
) -> Route:
    return Route(
        method="POST",
        path=f"/cases/<number>/{name}",
        summary=summary,
        permission=Permission(roles_of(step), Scope.CASE),
        takes=takes,
        tells=tells,
        act=act,
    )


ROUTES: Sequence[Route] = (
    Route(
        method="GET",
        path="/me",
        summary=Text("自分の役割を見る", "Who am I, and what may I do"),
        permission=Permission(_ANYBODY, Scope.ANYWHERE),
        tells=messages.ClerkTold,
        act=_me,
    ),
    Route(
        method="GET",
        path="/counters",
        summary=Text("追加された窓口の一覧", "The counters that were added"),
        permission=Permission(_ANYBODY, Scope.ANYWHERE),
        tells=messages.CountersTold,
        act=_counters,
    ),
    Route(
        method="GET",
        path="/counters/<code>",
        summary=Text("窓口とその取扱い", "A counter, and what it takes"),
        permission=Permission(_ANYBODY, Scope.ANYWHERE),
        tells=messages.CounterTold,
        act=_counter,
    ),
    Route(
        method="GET",
        path="/clerks",
        summary=Text("職員の一覧", "All clerks"),
        permission=Permission(OVERSEERS, Scope.EVERYWHERE),
        tells=messages.ClerksTold,
        act=_clerks,
    ),
    Route(
        method="POST",
        path="/clerks/<id>/suspension",
        summary=Text("職員を停止する", "Suspend a clerk"),
        permission=Permission(frozenset({Role.ADMINISTRATOR}), Scope.EVERYWHERE),
        takes=messages.Nothing,
        tells=messages.ClerkTold,
        act=_clerk_in(ClerkState.SUSPENDED),
    ),
    Route(
        method="POST",
        path="/clerks/<id>/resumption",
        summary=Text("職員の停止を解く", "Let a clerk act again"),
        permission=Permission(frozenset({Role.ADMINISTRATOR}), Scope.EVERYWHERE),
        takes=messages.Nothing,
        tells=messages.ClerkTold,
        act=_clerk_in(ClerkState.ACTIVE),
    ),
    Route(
        method="POST",
        path="/cases",
        summary=Text("申請を受け付ける", "Open a case"),
        permission=Permission(roles_of(Step.OPEN), Scope.BODY),
        takes=messages.NewCase,
        tells=messages.CaseTold,
        status=201,
        act=_open,
    ),
    Route(
        method="POST",
        path="/effects",
        summary=Text(
            "申請を受け付けると証明書がどうなるか（監査に残る）", "What a case would do to certificates; audited"
        ),
        permission=Permission(roles_of(Step.OPEN), Scope.BODY),
        takes=messages.NewCase,
        tells=messages.EffectsTold,
        act=_effects,
    ),
    Route(
        method="GET",
        path="/cases",
        summary=Text("窓口の未了の申請", "A counter's open cases"),
        permission=Permission(_READERS, Scope.QUERY),
        takes=messages.CasesWanted,
        tells=messages.CasesTold,
        act=_cases,
    ),
    Route(
        method="GET",
        path="/cases/<number>",
        summary=Text("申請を見る", "A case"),
        permission=Permission(_READERS, Scope.CASE),
        tells=messages.CaseTold,
        act=_case,
    ),
    Route(
        method="GET",
        path="/cases/<number>/certificates",
        summary=Text("申請で交付する証明書（監査に残る）", "What a case delivers; audited"),
        permission=Permission(_READERS, Scope.CASE),
        tells=messages.CertificatesTold,
        act=_case_certificates,
    ),
    Route(
        method="GET",
        path="/cases/<number>/effects",
        summary=Text("申請により証明書がどうなるか（監査に残る）", "What a case will do to certificates; audited"),
        permission=Permission(_READERS, Scope.CASE),
        tells=messages.EffectsTold,
        act=_effects_of_case,
    ),
    Route(
        method="POST",
        path="/cases/<number>/resident",
        summary=Text("住民の記録を本人確認のために見る（監査に残る）", "See what the register answers; audited"),
        permission=Permission(_CLERKS, Scope.CASE),
        takes=messages.Nothing,
        tells=messages.ResidentTold,
        act=_resident,
    ),
    Route(
        method="GET",
        path="/cases/<number>/possibilities",
        summary=Text(
            "発行できる証明書の種類と、できない理由（監査に残る）", "Which kinds are possible, or why not; audited"
        ),
        permission=Permission(_CLERKS, Scope.CASE),
        tells=messages.PossibilitiesTold,
        act=_possibilities,
    ),
    _step("amendment", Step.AMEND, Text("証明書の種類を改める", "Ask for other kinds"), _amend, messages.Amendment),
    _step("card", Step.PRESENT_CARD, Text("カードを読み取った", "A card was read"), _present_card, messages.CardRead),
    _step(
        "identity-check",
        Step.CHECK_IDENTITY,
        Text("本人確認をした", "The identity was checked"),
        _check_identity,
        messages.IdentityCheck,
    ),
    _step("approval", Step.APPROVE, Text("承認する", "Approve"), _stepping(lambda office: office.approve)),
    _step(
        "issuance",
        Step.ISSUE,
        Text("証明書を発行する（再送には同じ証明書）", "Issue; a retry gets the same certificates"),
        _issue,
        messages.Issuance,
        messages.IssuedTold,
    ),
    _step("delivery", Step.DELIVER, Text("交付する", "Hand over"), _stepping(lambda office: office.deliver)),
    _step(
        "completion",
        Step.COMPLETE,
        Text("失効・一時停止・解除・暗証番号の再設定を行う", "Revoke, hold, release, or reset the PIN"),
        _stepping(lambda office: office.complete),
    ),
    _step("refusal", Step.REFUSE, Text("不受理にする", "Refuse"), _refuse, messages.Refusal),
    _step("cancellation", Step.CANCEL, Text("取り下げる", "Cancel"), _stepping(lambda office: office.cancel)),
    _step(
        "return",
        Step.RETURN,
        Text("本人確認に差し戻す", "Send back to the check"),
        _stepping(lambda office: office.send_back),
    ),
    Route(
        method="POST",
        path="/cases/<number>/take-over",
        summary=Text("他の窓口の申請を引き継ぐ", "Go on with another counter's case"),
        permission=Permission(roles_of(Step.TAKE_OVER), Scope.BODY),
        takes=messages.AtCounter,
        tells=messages.CaseTold,
        act=_take_over,
    ),
    Route(
        method="GET",
        path="/terminal",
        summary=Text("手元の申請のためにカードの端末がすること", "What the terminal does for the case at hand"),
        permission=Permission(roles_of(Step.PRESENT_CARD), Scope.ANYWHERE),
        tells=messages.TerminalTold,
        act=_terminal,
    ),
    Route(
        method="POST",
        path="/search",
        summary=Text(
            "発行番号・利用者コード・申請番号・指紋で探す（監査に残る）",
            "Find by serial, holder code, case number or fingerprint; audited",
        ),
        permission=Permission(_READERS, Scope.ANYWHERE),
        takes=messages.Wanted,
        tells=messages.Found,
        act=_search,
    ),
    Route(
        method="GET",
        path="/certificates/<serial>",
        summary=Text("証明書の状態（監査に残る）", "How a certificate stands; audited"),
        permission=Permission(_READERS, Scope.ANYWHERE),
        tells=messages.CertificateTold,
        act=_certificate,
    ),
    Route(
        method="GET",
        path="/certificates/<serial>/timeline",
        summary=Text("証明書の一生（監査に残る）", "A certificate's life; audited"),
        permission=Permission(_READERS, Scope.ANYWHERE),
        tells=messages.TimelineTold,
        act=_timeline,
    ),
    Route(
        method="GET",
        path="/certificates/<serial>/details",
        summary=Text(
            "証明書の個人に関わらない内容（監査に残る）", "What a certificate says but of its holder; audited"
        ),
        permission=Permission(_READERS, Scope.ANYWHERE),
        tells=messages.DetailsTold,
        act=_details,
    ),
    Route(
        method="GET",
        path="/certificates/<serial>/answer",
        summary=Text("検証者への今の回答（OCSP）（監査に残る）", "What OCSP tells verifiers now; audited"),
        permission=Permission(_READERS, Scope.ANYWHERE),
        tells=messages.AnswerTold,
        act=_answer,
    ),
    Route(
        method="GET",
        path="/holders/<code>/certificates",
        summary=Text("利用者の証明書（監査に残る）", "A holder's certificates; audited"),
        permission=Permission(_READERS, Scope.ANYWHERE),
        tells=messages.CertificatesTold,
        act=_certificates,
    ),
    Route(
        method="GET",
        path="/holders/<code>/history",
        summary=Text("利用者の履歴（監査に残る）", "A holder's history; audited"),
        permission=Permission(_READERS, Scope.ANYWHERE),
        takes=messages.HistoryWanted,
        tells=messages.HistoryTold,
        act=_history,
    ),
    Route(
        method="POST",
        path="/holders/<code>/suspension",
        summary=Text("紛失の届出で一時停止する（24時間）", "Take a call about a lost card, day and night"),
        permission=Permission(roles_of(Step.OPEN), Scope.BODY),
        takes=messages.AtCounter,
        tells=messages.CaseTold,
        status=201,
        act=_suspend,
    ),
    Route(
        method="POST",
        path="/resident-events",
        summary=Text(
            "住民の異動を通知する（再送しても変わらない）", "Tell of residents; telling it again changes nothing"
        ),
        permission=Permission(frozenset({Role.REGISTER}), Scope.BODY),
        takes=messages.EventsHandedIn,
        tells=messages.EventsReceived,
        act=_receive_events,
    ),
    Route(
        method="GET",
        path="/resident-events",
        summary=Text(
            "住民の異動（既定は要確認のもの）", "Resident events; those on the work list, unless another state is named"
        ),
        permission=Permission(_READERS, Scope.QUERY),
        takes=messages.EventsWanted,
        tells=messages.EventsTold,
        act=_events,
    ),
    Route(
        method="POST",
        path="/resident-events/<event>/settlement",
        summary=Text("要確認の異動を片付ける", "Take an event off the work list"),
        permission=Permission(frozenset({Role.APPROVAL}), Scope.BODY),
        takes=messages.SettlementTaken,
        tells=messages.EventTold,
        act=_settle,
    ),
)


def require_permitted(api: Api, route: Route, call: Call) -> None:
    """Require that the clerk may use the route: first the role anywhere, then at the counter that it is about.

    Raises:
        JpkiError: FORBIDDEN `role-missing`; NOT_FOUND or MALFORMED of a case number.
    """
    roles = route.permission.roles
    if not call.clerk.may(roles, _place(api, route, call) if call.clerk.may(roles, None) else EVERY_COUNTER):
        raise role_missing(roles)


def _place(api: Api, route: Route, call: Call) -> CounterCode | None:
    match route.permission.scope:
        case Scope.ANYWHERE:
            return None
        case Scope.EVERYWHERE:
            return EVERY_COUNTER
        case Scope.CASE:
            return api.office.book.case(_number(call)).counter
        case Scope.BODY | Scope.QUERY:
            counter = getattr(call.taken, "counter")  # noqa: B009 - such a route takes something with a counter
            return EVERY_COUNTER if counter is None else CounterCode(counter)


def _number(call: Call) -> CaseNumber:
    return parse_case_number(call.names["number"])


def _event(call: Call) -> EventNumber:
    text = call.names["event"]
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return EventNumber(int(text))
    raise JpkiError(
        Kind.MALFORMED,
        "event-number-malformed",
        Text("異動の番号ではありません。", "This is no number of a resident event."),
        Text("異動の一覧の番号を使ってください。", "Take it from the list of events."),
    )


def _holder(call: Call) -> HolderCode:
    code = call.names["code"]
    is_word = 0 < len(code) <= 64 and code.isascii() and all(each.isalnum() or each in "-_" for each in code)
    if is_word and not (len(code) == 12 and code.isdigit()):
        return HolderCode(code)
    raise messages.no_holder_code()


def taken(call: Call, model: type[Model]) -> Model:
    """Return what the route takes, as its own type."""
    assert isinstance(call.taken, model)  # noqa: S101 - the gate has read it by the route's type
    return call.taken
