"""What the office's API takes and answers, as types; the OpenAPI document is made of them (enroll/openapi.py).

Nothing that is not named here is taken, and what is wrong is told by field and never repeated (rule R21).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from enroll.case_paths import FOUR_EYES, Wants
from enroll.eligibility import Rule
from enroll.life import Passage, Said
from enroll.preview import Effect, Preview
from jpki.card import CardFacts, CardMode
from jpki.case import Applicant, Case, CaseKind, CaseState, Document, ExpressGround, Ground
from jpki.certificate import Purpose
from jpki.clerk import Clerk, ClerkState, Role
from jpki.clock import whole_second
from jpki.counter import CounterKind, CounterState
from jpki.errors import Fault, JpkiError, Kind
from jpki.event import Event
from jpki.holder import Gender
from jpki.ids import format_serial
from jpki.ports import CertificateRecord
from jpki.resident import Registration, Resident
from jpki.resident_event import Doubt, EventState, Listed, Received, Settlement
from jpki.resident_event import Kind as EventKind
from jpki.revocation import Finding, Reason, RevocationEvidence, State
from jpki.text import Text

CODE = r"^(?![0-9]{12}$)[A-Za-z0-9_-]{1,64}$"
"""A holder code; twelve digits could be a My Number, which has no place here."""
COUNTER = r"^[A-Za-z0-9-]{1,16}$"
LARGEST_BODY = 65_536
"""Octets."""
MOST_ON_A_PAGE = 100
MOST_EVENTS = 500
"""In one body; a file holds any number (`jpki events import`)."""


def _years(moment: datetime) -> datetime:
    if moment.tzinfo is None or not 1900 <= moment.year <= 2200:
        raise ValueError
    return moment


# pydantic's own patterns know no look-ahead, so twelve digits are refused by the function and told by the schema.
def _no_number(code: str) -> str:
    if len(code) == 12 and code.isdigit():
        raise ValueError
    return code


HolderField = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    AfterValidator(_no_number),
    Field(json_schema_extra={"pattern": CODE}),
]
CounterField = Annotated[str, StringConstraints(pattern=COUNTER)]
Moment = Annotated[datetime, AfterValidator(_years)]
Purposes = Annotated[tuple[Purpose, ...], Field(min_length=1, max_length=2)]
Request = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{4,22000}={0,2}$")]
"""PKCS#10 in base64 of its DER."""


class Taken(BaseModel):
    """A body, or the query of a URL."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


# --- what is taken -------------------------------------------------------------------------------------------------


class ExpressWish(Taken):
    """A wish for express issue, and the day of what gives the right to it."""

    ground: ExpressGround
    happened_on: date


class NewCase(Taken):
    """A case to open: what the holder came for."""

    kind: CaseKind
    counter: CounterField
    holder: HolderField
    purposes: Purposes
    applicant: Applicant = Applicant.HOLDER
    documents: Annotated[tuple[Document, ...], Field(max_length=2)] = ()
    event: Event | None = None
    express: ExpressWish | None = None


class CardRead(Taken):
    """The card as the terminal reads it."""

    number: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,32}$")]
    not_after: Moment
    mode: CardMode

    def facts(self) -> CardFacts:
        """Return what the rules need to know."""
        return CardFacts(number=self.number, not_after=self.not_after, mode=self.mode)


class Amendment(Taken):
    """The kinds of certificates that are asked for from now on."""

    purposes: Purposes


class IdentityCheck(Taken):
    """What was shown at the counter."""

    card: CardRead | None = None
    documents: Annotated[tuple[Document, ...], Field(max_length=2)] = ()


class Issuance(Taken):
    """A request (PKCS#10, base64 of DER) for each kind of certificate."""

    requests: Annotated[dict[Purpose, Request], Field(min_length=1, max_length=2)]

    def octets(self) -> Mapping[Purpose, bytes]:
        """Return the requests' DER.

        Raises:
            JpkiError: UNPROCESSABLE `body-invalid`, naming what is no base64.
        """
        found, faults = {}, []
        for purpose, text in self.requests.items():
            try:
                found[purpose] = base64.b64decode(text, validate=True)
            except binascii.Error:
                faults.append(Fault("base64-malformed", _BASE64, f"/requests/{purpose}"))
        if faults:
            raise invalid(faults)
        return found


class Refusal(Taken):
    """Why a case is refused."""

    ground: Ground


class AtCounter(Taken):
    """The counter at which something is done."""

    counter: CounterField


class Wanted(Taken):
    """Anything that names a certificate, a holder or a case."""

    identifier: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class EventsHandedIn(Taken):
    """What a town's register tells: events as docs/registry.md writes them, all of the source that the counter is."""

    counter: CounterField
    events: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MOST_EVENTS)]


class EventsWanted(Taken):
    """Which page of the events in a state; those that one town's register told, or, without a counter, all."""

    counter: CounterField | None = None
    state: Annotated[EventState, Field(strict=False)] = EventState.REFUSED
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE, strict=False)] = 50


class SettlementTaken(Taken):
    """How an event leaves the work list of a town, or, without a counter, of all."""

    counter: CounterField | None = None
    state: Literal[EventState.DONE, EventState.IGNORED]
    because: Settlement


class Nothing(Taken):
    """An empty object."""


class CasesWanted(Taken):
    """Which page of a counter's open cases; of those in one state, where one is named."""

    counter: CounterField
    state: Literal["received", "identity-checked", "approved", "issued"] | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[on][0-9A-Z-]{16}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE, strict=False)] = 50


class HistoryWanted(Taken):
    """Which page of a history."""

    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE, strict=False)] = 50


# --- what is answered ----------------------------------------------------------------------------------------------


class Words(Told):
    """A sentence in both languages."""

    ja: str
    en: str

    @classmethod
    def of(cls, text: Text) -> Self:
        """Return the sentence."""
        return cls(ja=text.ja, en=text.en)


class ClerkTold(Told):
    """A clerk; the name is told to administrators and auditors, and to the clerk."""

    id: str
    name: str
    state: ClerkState
    roles: dict[str, list[Role]]

    @classmethod
    def of(cls, clerk: Clerk) -> Self:
        """Return what is told of a clerk."""
        roles = {str(place): sorted(those) for place, those in clerk.roles.items()}
        return cls(id=clerk.id, name=clerk.name, state=clerk.state, roles=roles)


class ClerksTold(Told):
    """All clerks."""

    clerks: list[ClerkTold]


class CounterTold(Told):
    """A counter, and the kinds of cases that it takes."""

    code: str
    kind: CounterKind
    name: str
    municipality: str | None
    state: CounterState
    takes: list[CaseKind]


class CountersTold(Told):
    """Counters that were added; every municipality has one under its code besides."""

    counters: list[CounterTold]


class ExpressTold(Told):
    """Express issue, and why."""

    ground: ExpressGround
    happened_on: date


class CardTold(Told):
    """The card of a case."""

    number: str
    not_after: datetime
    mode: CardMode


class CaseTold(Told):
    """A case as it stands; `due` is the last day of an express issue.

    `four_eyes` are the reasons why not the one who checked the identity may approve it.
    """

    number: str
    kind: CaseKind
    state: CaseState
    version: int
    counter: str
    holder: str
    purposes: list[Purpose]
    applicant: Applicant
    documents: list[Document]
    event: Event | None
    express: ExpressTold | None
    due: date | None
    card: CardTold | None
    ground: Ground | None
    opened_at: datetime
    changed_at: datetime
    expires_at: datetime
    opened_by: str
    checked_by: str | None
    approved_by: str | None
    four_eyes: list[Words]

    @classmethod
    def of(cls, case: Case) -> Self:
        """Return what is told of a case."""
        express, card = case.express, case.card
        return cls(
            number=case.number,
            kind=case.kind,
            state=case.state,
            version=case.version,
            counter=case.counter,
            holder=case.holder,
            purposes=list(case.purposes),
            applicant=case.applicant,
            documents=sorted(case.documents),
            event=case.event,
            express=None if express is None else ExpressTold(ground=express.ground, happened_on=express.happened_on),
            due=case.due,
            card=None if card is None else CardTold(number=card.number, not_after=card.not_after, mode=card.mode),
            ground=case.ground,
            opened_at=case.opened_at,
            changed_at=case.changed_at,
            expires_at=case.expires_at,
            opened_by=case.opened_by,
            checked_by=case.checked_by,
            approved_by=case.approved_by,
            four_eyes=[Words.of(each.words) for each in FOUR_EYES if each.asks(case)],
        )


class CasesTold(Told):
    """A page of open cases, overdue express ones first; `next` is the cursor of the page that follows, if one does."""

    cases: list[CaseTold]
    next: str | None


class IssuedTold(Told):
    """A case, and its certificates (base64 of DER) to be written to the card."""

    case: CaseTold
    certificates: dict[Purpose, str]

    @classmethod
    def of(cls, case: Case, certificates: Mapping[Purpose, x509.Certificate]) -> Self:
        """Return what is told to the terminal that writes the card."""
        encoded = {
            purpose: base64.b64encode(each.public_bytes(Encoding.DER)).decode()
            for purpose, each in certificates.items()
        }
        return cls(case=CaseTold.of(case), certificates=encoded)


class ResidentTold(Told):
    """What the register answered, to be compared with what lies on the counter; the look is in the audit.

    The substitutes have a `1` for each character that stands for one which cannot be encoded, else a `0`.
    """

    name: str
    name_substitutes: str
    birth_date: date
    gender: Gender
    address: str
    address_substitutes: str
    registration: Registration
    is_ward: bool
    stay_until: date | None

    @classmethod
    def of(cls, resident: Resident) -> Self:
        """Return what is shown."""
        holder = resident.holder
        return cls(
            name=holder.name,
            name_substitutes=holder.name_substitutes,
            birth_date=holder.birth_date,
            gender=holder.gender,
            address=holder.address,
            address_substitutes=holder.address_substitutes,
            registration=resident.registration,
            is_ward=resident.is_ward,
            stay_until=resident.stay_until,
        )


class RuleTold(Told):
    """A rule that forbids something, in words, and where it comes from."""

    code: str
    problem: Words
    source: Words


class PossibilityTold(Told):
    """Whether a case may be about this kind of certificate, and every rule that forbids it."""

    purpose: Purpose
    is_possible: bool
    broken: list[RuleTold]

    @classmethod
    def of(cls, purpose: Purpose, broken: Sequence[Rule]) -> Self:
        """Return what is told of a kind."""
        rules = [
            RuleTold(code=each.code, problem=Words.of(each.problem), source=Words.of(each.source)) for each in broken
        ]
        return cls(purpose=purpose, is_possible=not broken, broken=rules)


class PossibilitiesTold(Told):
    """What is possible in a case as things stand, by kind of certificate."""

    possibilities: list[PossibilityTold]


class TerminalTold(Told):
    """What the counter's terminal has to do for the case that lies before this clerk, if one does.

    `card` is the number of the card that was read for it: no other card is touched.
    """

    case: str | None = None
    kind: CaseKind | None = None
    state: CaseState | None = None
    purposes: list[Purpose] = []
    card: str | None = None
    wants: Wants | None = None

    @classmethod
    def of(cls, case: Case, wants: Wants | None) -> Self:
        """Return what is told of a case."""
        card = None if case.card is None else case.card.number
        return cls(
            case=case.number,
            kind=case.kind,
            state=case.state,
            purposes=list(case.purposes),
            card=card,
            wants=wants,
        )


class CertificateTold(Told):
    """A certificate and how it stands; nothing of what it discloses."""

    serial: str
    purpose: Purpose
    carrier: str
    holder: str
    not_before: datetime
    not_after: datetime
    state: State
    is_expired: bool
    reason: Reason | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, record: CertificateRecord, now: datetime) -> Self:
        """Return what is told of a certificate."""
        status = record.status
        return cls(
            serial=format_serial(record.serial),
            purpose=record.purpose,
            carrier=record.carrier,
            holder=record.holder,
            not_before=record.validity.not_before,
            not_after=record.validity.not_after,
            state=status.state,
            is_expired=record.validity.not_after < whole_second(now),
            reason=status.reason,
            revoked_at=status.revoked_at,
        )


class PassageTold(Told):
    """One point of a certificate's life: the state that began there, or none at the end of its validity."""

    at: datetime
    state: State | None
    words: Words

    @classmethod
    def of(cls, passage: Passage) -> Self:
        """Return what is told of it."""
        return cls(at=passage.at, state=passage.state, words=Words.of(passage.words))


class TimelineTold(Told):
    """A certificate's life, the earliest first."""

    passages: list[PassageTold]


class DetailsTold(Told):
    """What a certificate says of itself, and nothing of what it says of its holder.

    `renewal_opens` is the first day on which it may be renewed.
    """

    serial: str
    serial_decimal: str
    generation: str
    partition: str
    profile: str
    renewal_opens: date
    issuer: str
    key: str
    signature: str
    policies: list[str]
    crl_urls: list[str]
    ocsp_urls: list[str]
    fingerprint: str

    @classmethod
    def of(cls, record: CertificateRecord, renewal_opens: date, said: Said) -> Self:
        """Return what is told; `said` is read from its octets."""
        return cls(
            serial=format_serial(record.serial),
            serial_decimal=str(record.serial),
            generation=record.status.generation,
            partition=record.status.partition,
            profile=record.profile_hash,
            renewal_opens=renewal_opens,
            issuer=said.issuer,
            key=said.key,
            signature=said.signature,
            policies=list(said.policies),
            crl_urls=list(said.crl_urls),
            ocsp_urls=list(said.ocsp_urls),
            fingerprint=said.fingerprint.hex(":"),
        )


class AnswerTold(Told):
    """What our OCSP responder tells a verifier now; `finding` is None where it answers nobody just now."""

    finding: Finding | None
    as_of: datetime | None
    revoked_at: datetime | None
    reason: Reason | None

    @classmethod
    def of(cls, evidence: RevocationEvidence | None) -> Self:
        """Return what is told of an answer."""
        if evidence is None:
            return cls(finding=None, as_of=None, revoked_at=None, reason=None)
        return cls(
            finding=evidence.finding,
            as_of=evidence.as_of,
            revoked_at=evidence.revoked_at,
            reason=evidence.reason,
        )


class EffectTold(Told):
    """What a case would make of one certificate: the state that it would be in, and why."""

    serial: str
    purpose: Purpose
    carrier: str
    state: State
    becomes: State
    reason: Reason | None

    @classmethod
    def of(cls, effect: Effect) -> Self:
        """Return what is told of an effect."""
        record = effect.record
        return cls(
            serial=format_serial(record.serial),
            purpose=record.purpose,
            carrier=record.carrier,
            state=record.status.state,
            becomes=effect.becomes,
            reason=effect.reason,
        )


class EffectsTold(Told):
    """What a case would do to the holder's live certificates; `four_eyes` as in a case."""

    effects: list[EffectTold]
    four_eyes: list[Words]

    @classmethod
    def of(cls, preview: Preview) -> Self:
        """Return what is told of a preview."""
        effects = [EffectTold.of(each) for each in preview.effects]
        return cls(effects=effects, four_eyes=CaseTold.of(preview.case).four_eyes)


class CertificatesTold(Told):
    """A holder's certificates, the latest first."""

    certificates: list[CertificateTold]


class CaseFound(Told):
    """A case that was found: another counter's is told by its number and counter alone."""

    number: str
    counter: str
    case: CaseTold | None


class Found(Told):
    """What bears the identifier."""

    certificates: list[CertificateTold]
    cases: list[CaseFound]


class HistoryEntry(Told):
    """One line of a holder's history."""

    at: datetime
    what: str
    words: Words
    serial: str | None
    case: str | None


class HistoryTold(Told):
    """A page of a history, the latest first; `next` is the cursor of the page that follows, if one does."""

    entries: list[HistoryEntry]
    next: str | None


class WrongEvent(Told):
    """An event that was not received: which of those handed in, from 1 on, and what is wrong with it."""

    number: int
    code: str
    problem: Words


class EventsReceived(Told):
    """What became of events that were handed in."""

    new: int
    repeated: int
    contradicting: int
    wrong: list[WrongEvent]

    @classmethod
    def of(cls, received: Received, wrong: Sequence[tuple[int, JpkiError]]) -> Self:
        """Return what is told of them."""
        refused = [WrongEvent(number=n, code=each.code, problem=Words.of(each.problem)) for n, each in wrong]
        return cls(new=received.new, repeated=received.repeated, contradicting=received.contradicting, wrong=refused)


class EventTold(Told):
    """A resident event as it stands; `doubt` is why it is, or was, on the work list."""

    number: int
    source: str
    sequence: int
    kind: EventKind
    holder: str
    effective_at: datetime
    received_at: datetime
    state: EventState
    doubt: Doubt | None
    words: Words | None
    because: Settlement | None

    @classmethod
    def of(cls, listed: Listed) -> Self:
        """Return what is told of an event."""
        event, doubt = listed.event, listed.doubt
        return cls(
            number=listed.number,
            source=event.source,
            sequence=event.sequence,
            kind=event.kind,
            holder=event.holder,
            effective_at=event.effective_at,
            received_at=listed.received_at,
            state=listed.state,
            doubt=doubt,
            words=None if doubt is None else Words.of(doubt.text),
            because=listed.because,
        )


class EventsTold(Told):
    """A page of events; `next` is the cursor of the page that follows, if one does."""

    events: list[EventTold]
    next: str | None


class Problem(Told):
    """A refusal (RFC 9457); `errors` are all reasons where there are several."""

    type: str
    title: str
    status: int
    code: str
    problem: Words
    action: Words
    errors: list["ProblemDetail"] = []


class ProblemDetail(Told):
    """One reason; `pointer` names a field (RFC 6901)."""

    pointer: str | None = None
    code: str
    problem: Words


Model = TypeVar("Model", bound=BaseModel)

# --- reading -------------------------------------------------------------------------------------------------------

_BASE64 = Text("base64の文字列ではありません。", "This is no base64.")
_MALFORMED = Text("JSONのオブジェクトではありません。", "This is no JSON object.")
_PROBLEMS: Mapping[str, Text] = {
    "missing": Text("必須の項目です。", "This field is required."),
    "extra_forbidden": Text("この項目はありません。", "There is no such field."),
    "enum": Text("決められた値ではありません。", "This is none of the values that are taken."),
    "string_type": Text("文字列にしてください。", "This must be a string."),
    "string_pattern_mismatch": Text("使えない文字か長さです。", "This has characters or a length that are not taken."),
    "string_too_long": Text("長すぎます。", "This is too long."),
    "string_too_short": Text("短すぎます。", "This is too short."),
    "too_long": Text("多すぎます。", "These are too many."),
    "too_short": Text("少なすぎます。", "These are too few."),
    "date_from_datetime_parsing": Text("日付（YYYY-MM-DD）ではありません。", "This is no date (YYYY-MM-DD)."),
    "date_parsing": Text("日付（YYYY-MM-DD）ではありません。", "This is no date (YYYY-MM-DD)."),
    "datetime_parsing": Text("日時（RFC 3339）ではありません。", "This is no time (RFC 3339)."),
    "datetime_from_date_parsing": Text("日時（RFC 3339）ではありません。", "This is no time (RFC 3339)."),
}
_WRONG = Text("この値は使えません。", "This value is not taken.")


def read(model: type[Model], octets: bytes) -> Model:
    """Read a body.

    Raises:
        JpkiError: MALFORMED `body-malformed`; UNPROCESSABLE `body-invalid`, naming every field that is wrong.
    """
    try:
        return model.model_validate_json(octets)
    except ValidationError as error:
        raise _refused(error) from None


def read_query(model: type[Model], fields: Mapping[str, Sequence[str]]) -> Model:
    """Read a query; a name that comes twice is wrong.

    Raises:
        JpkiError: UNPROCESSABLE `body-invalid`, as `read`.
    """
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise invalid([Fault("repeated", _WRONG, f"/{name}") for name in repeated if name in model.model_fields])
    try:
        return model.model_validate({name: values[0] for name, values in fields.items()})
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> JpkiError:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if any(each["type"] in ("json_invalid", "model_type") and not each["loc"] for each in details):
        return JpkiError(
            Kind.MALFORMED,
            "body-malformed",
            _MALFORMED,
            Text("API の説明（/api/docs）を確認してください。", "See /api/docs."),
        )
    return invalid(
        [Fault(each["type"].replace("_", "-"), _words(each["type"]), _pointer(each["loc"])) for each in details]
    )


def _words(kind: str) -> Text:
    return _PROBLEMS.get(kind, _WRONG)


def _pointer(place: Sequence[int | str]) -> str:
    """Return where it is; a name that the caller chose is left out, for it may say anything (rule R21)."""
    known = [str(part) for part in place if isinstance(part, int) or part in _names()]
    return "".join(f"/{part}" for part in known)


@cache
def _names() -> frozenset[str]:
    """Return every name that we gave to something that is taken, wherever its type is written down."""
    models: list[type[Taken]] = [Taken]
    for model in models:
        models += model.__subclasses__()
    return frozenset({name for model in models for name in model.model_fields} | {"signing", "authentication"})


def no_holder_code() -> JpkiError:
    """Return the refusal of what is no holder code."""
    return JpkiError(
        Kind.MALFORMED,
        "holder-code-malformed",
        Text("利用者コードではありません。", "This is no holder code."),
        Text(
            "英数字・ハイフン・下線64字以内（12桁の数字は不可）。",
            "At most 64 letters, digits, - and _; not 12 digits.",
        ),
    )


def invalid(faults: Sequence[Fault]) -> JpkiError:
    """Return the refusal of a body whose fields are wrong."""
    return JpkiError(
        Kind.UNPROCESSABLE,
        "body-invalid",
        Text("項目に誤りがあります。", "Some fields are wrong."),
        Text("示された項目を直してください。", "Correct the fields that are named."),
        faults,
    )
