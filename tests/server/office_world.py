"""A registration office to work in: a register that a test writes, clerks with their roles, cards with their keys."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from cryptography import x509

from ca.key_policy import HolderKey, holder_key
from enroll.case_paths import Shown
from enroll.office import Application, Issued
from jpki.acts import LOCAL_OPERATOR
from jpki.card import CardFacts, CardMode
from jpki.case import Case, CaseKind
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk, Role
from jpki.clock import day_in_japan, end_of_day, years_later
from jpki.counter import Counter, CounterCode, CounterKind
from jpki.errors import JpkiError, Kind
from jpki.ids import HolderCode, Serial
from jpki.randomness import system_randomness
from jpki.resident import Registration, Resident
from jpki.revocation import State
from jpki.text import Text
from server.home import Home
from server.sample.keys import card_request
from server.wiring import Rooms, open_rooms
from tests.server.people import AskedOneByOne, someone

TOWN, OTHER_TOWN = CounterCode("131016"), CounterCode("141003")
POST_OFFICE, CONSULATE = CounterCode("po-1"), CounterCode("consulate-1")
HANA = HolderCode("H-1001")
Serials = dict[Purpose, Serial]


@dataclass
class Register(AskedOneByOne):
    """The town's register as a test has it; it counts how often it was asked."""

    residents: dict[HolderCode, Resident] = field(default_factory=dict)
    away: bool = False
    asked: int = 0

    def resident(self, code: HolderCode) -> Resident:
        self.asked += 1
        if self.away:
            raise JpkiError(Kind.UNAVAILABLE, "registry-away", Text("不通", "away"), Text("後で", "later"))
        if code not in self.residents:
            raise JpkiError(Kind.NOT_FOUND, "resident-unknown", Text("不明", "unknown"), Text("確認", "check"))
        return self.residents[code]

    def enter(self, resident: Resident) -> HolderCode:
        self.residents[resident.code] = resident
        return resident.code

    def change(self, code: HolderCode, **changes: object) -> None:
        """Write something else of a resident; names of `Holder`'s fields change the attributes."""
        old = self.residents[code]
        of_holder = {name: value for name, value in changes.items() if hasattr(old.holder, name)}
        rest = {name: value for name, value in changes.items() if name not in of_holder}
        self.residents[code] = replace(old, holder=replace(old.holder, **of_holder), **rest)  # type: ignore[arg-type]


def resident_of(code: HolderCode = HANA, age: int = 36, today: datetime | None = None, **more: object) -> Resident:
    born = years_later(day_in_japan(today), -age).replace(day=1) if today else someone().birth_date
    fields = {"registration": Registration.RESIDENT, "is_ward": False, "stay_until": None} | more
    return Resident(holder=someone(code, born), **fields)  # type: ignore[arg-type]


def clerk_row(rooms: Rooms, roles: Mapping[CounterCode, Sequence[Role]], name: str = "窓口　太郎") -> Clerk:
    wanted = {place: frozenset(those) for place, those in roles.items()}
    number = rooms.store.clerks.add(name, wanted, LOCAL_OPERATOR, rooms.clock())
    return rooms.store.clerks.clerk(number)


@dataclass
class OfficeTown:
    """One office, its register, and clerks: `front` and `second` at the town's counter, and one elsewhere."""

    rooms: Rooms
    register: Register
    front: Clerk
    second: Clerk
    elsewhere: Clerk
    cards: int = 0

    @property
    def now(self) -> datetime:
        return self.rooms.clock()

    def card(self, mode: CardMode = CardMode.ORDINARY, not_after: datetime | None = None) -> CardFacts:
        self.cards += 1
        end = not_after or end_of_day(years_later(day_in_japan(self.now), 10))
        return CardFacts(number=f"card-{self.cards}", not_after=end, mode=mode)

    def requests(self, purposes: Sequence[Purpose] = HOLDER_PURPOSES) -> dict[Purpose, x509.CertificateSigningRequest]:
        """Requests by a card's fresh keys."""
        self.cards += len(purposes)
        spec = self.rooms.profile.key
        return {purpose: card_request(spec, 5_000 + self.cards + index) for index, purpose in enumerate(purposes)}

    def keys(self, purposes: Sequence[Purpose] = HOLDER_PURPOSES) -> dict[Purpose, HolderKey]:
        return {name: holder_key(csr, self.rooms.profile.key) for name, csr in self.requests(purposes).items()}

    def application(self, kind: CaseKind = CaseKind.NEW, holder: HolderCode = HANA, **more: object) -> Application:
        fields = {"counter": TOWN, "purposes": HOLDER_PURPOSES} | more
        return Application(kind=kind, holder=holder, **fields)  # type: ignore[arg-type]

    def opened(self, kind: CaseKind = CaseKind.NEW, holder: HolderCode = HANA, **more: object) -> Case:
        return self.rooms.office.open(self.application(kind, holder, **more), self.front)

    def approved(self, kind: CaseKind = CaseKind.NEW, holder: HolderCode = HANA, **more: object) -> Case:
        case = self.opened(kind, holder, **more)
        self.rooms.office.check_identity(case.number, Shown(card=self.card()), self.front)
        return self.rooms.office.approve(case.number, self.second)

    def issued(self, kind: CaseKind = CaseKind.NEW, holder: HolderCode = HANA, **more: object) -> Issued:
        case = self.approved(kind, holder, **more)
        return self.rooms.office.issue(case.number, self.keys(case.purposes), self.front)

    def delivered(self, kind: CaseKind = CaseKind.NEW, holder: HolderCode = HANA, **more: object) -> Serials:
        issued = self.issued(kind, holder, **more)
        self.rooms.office.deliver(issued.case.number, self.front)
        return {purpose: Serial(each.serial_number) for purpose, each in issued.certificates.items()}

    def state(self, serial: Serial) -> State:
        return self.rooms.store.ledger.find([serial])[serial].status.state

    def states(self, case: Case) -> list[State]:
        return [self.state(each.serial) for each in self.rooms.store.cases.certificates(case.number)]


def furnish(rooms: Rooms, register: Register) -> OfficeTown:
    """Hire clerks, and open a post office and a consulate."""
    both = (Role.RECEPTION, Role.APPROVAL)
    for code, kind, municipality in (
        (POST_OFFICE, CounterKind.POST_OFFICE, str(TOWN)),
        (CONSULATE, CounterKind.CONSULATE, None),
    ):
        counter = Counter(code=code, kind=kind, name=code, municipality=municipality)
        rooms.store.counters.add(counter, LOCAL_OPERATOR, rooms.clock())
    everywhere = {TOWN: both, POST_OFFICE: both, CONSULATE: both}
    return OfficeTown(
        rooms=rooms,
        register=register,
        front=clerk_row(rooms, everywhere),
        second=clerk_row(rooms, {TOWN: (Role.APPROVAL,), CONSULATE: (Role.APPROVAL,)}),
        elsewhere=clerk_row(rooms, {OTHER_TOWN: both}),
    )


@contextmanager
def office_at(home: Path, clock: object) -> Iterator[OfficeTown]:
    """Open a home with a register beside it."""
    register = Register()
    rooms = open_rooms(Home(home), clock, system_randomness, register)  # type: ignore[arg-type]
    try:
        yield furnish(rooms, register)
    finally:
        rooms.close()
