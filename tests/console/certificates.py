"""Certificates for the sample holders of the served office, as a counter issues them."""

from collections.abc import Mapping
from datetime import date, timedelta

from ca.key_policy import holder_key
from enroll.case_paths import Shown
from enroll.office import Application
from jpki.card import CardFacts, CardMode
from jpki.case import CaseKind
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.ids import HolderCode, Serial, format_serial
from server.sample.holders import sample_code, sample_holder
from server.sample.keys import card_request
from tests.console.office import FRONT, TOWN, OfficeServed

_BORN_BEFORE = date(2005, 1, 1)


def adult(numbers: range) -> HolderCode:
    """Return the first of these sample holders who may have a signing certificate."""
    return next(sample_code(each) for each in numbers if sample_holder("hall", each).birth_date < _BORN_BEFORE)


def delivered(office: OfficeServed, holder: HolderCode) -> Mapping[Purpose, str]:
    """Issue and deliver a pair at the town's counter, and return the serials."""
    rooms, front = office.rooms, office.rooms.store.clerks.clerk(office.clerks[FRONT][0])
    number = int(holder[-8:])
    application = Application(kind=CaseKind.NEW, counter=TOWN, holder=holder, purposes=HOLDER_PURPOSES)
    case = rooms.office.open(application, front).number
    card = CardFacts(number=f"card-{number}", not_after=rooms.clock() + timedelta(days=3600), mode=CardMode.ORDINARY)
    rooms.office.check_identity(case, Shown(card=card), front)
    rooms.office.approve(case, front)
    keys = {
        purpose: holder_key(card_request(rooms.profile.key, 2 * number + index), rooms.profile.key)
        for index, purpose in enumerate(HOLDER_PURPOSES)
    }
    issued = rooms.office.issue(case, keys, front)
    rooms.office.deliver(case, front)
    return {name: format_serial(Serial(each.serial_number)) for name, each in issued.certificates.items()}
