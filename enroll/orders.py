"""Orders to the CA: what the rules of the office make of a holder's wish for a certificate."""

from dataclasses import dataclass
from datetime import datetime

from ca.issuer import Order
from ca.key_policy import HolderKey
from ca.profile import Profile
from ca.validity import validity
from enroll.eligibility import latest_end, require_entitled
from enroll.renewal import birthday_of, not_renewable, require_open
from jpki.case import CaseMark
from jpki.certificate import Carrier, Purpose
from jpki.clock import day_in_japan
from jpki.ids import Serial
from jpki.ports import CertificateRecord
from jpki.resident import Resident
from jpki.revocation import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which profile and when a certificate is issued, and what it must not outlive.

    `card_end` is the end of the card that it is written to, where it is known; `beside` that of the certificate that it
    ends with. `case` is the case in which it is issued, where there is one.
    """

    profile: Profile
    now: datetime
    card_end: datetime | None = None
    beside: datetime | None = None
    case: CaseMark | None = None


def first_order(
    resident: Resident,
    purpose: Purpose,
    carrier: Carrier,
    key: HolderKey,
    terms: Terms,
    replaces: Serial | None = None,
) -> Order:
    """Return the order of a first certificate, or of one after the last was revoked or ended.

    In a re-issue it `replaces` one that lives or is on hold, whenever that ends.

    Raises:
        JpkiError: FORBIDDEN, as `require_entitled`; UNPROCESSABLE `validity-empty`.
    """
    require_entitled(resident, purpose, day_in_japan(terms.now))
    holder, cap = resident.holder, latest_end(terms.card_end, resident, terms.beside)
    return Order(
        holder=holder.code,
        disclosed=holder if purpose is Purpose.SIGNING else None,
        carrier=carrier,
        key=key,
        validity=validity(terms.profile, holder.birth_date, terms.now, renewal=False, not_later_than=cap),
        card_end=terms.card_end,
        renews=replaces,
        case=terms.case,
    )


def renewal_order(old: CertificateRecord, resident: Resident | None, key: HolderKey, terms: Terms) -> Order:
    """Return the order of a live certificate's successor; `resident` is known for a signing certificate.

    It is written to the old one's card where `terms` know no other.

    Raises:
        JpkiError: CONFLICT `not-live` or `renewal-closed`; FORBIDDEN, as `require_entitled`; UNPROCESSABLE
            `validity-empty`.
    """
    if old.status.state is not State.ACTIVE or not old.validity.holds(terms.now):
        raise not_renewable(old.serial)
    require_open(terms.profile, old.validity.not_after, terms.now)
    if resident is not None:
        require_entitled(resident, old.purpose, day_in_japan(terms.now))
    card_end = old.card_end if terms.card_end is None else terms.card_end
    birth_date = birthday_of(old.validity.not_after) if resident is None else resident.holder.birth_date
    cap = latest_end(card_end, resident, terms.beside)
    return Order(
        holder=old.holder,
        disclosed=resident.holder if resident is not None and old.purpose is Purpose.SIGNING else None,
        carrier=old.carrier,
        key=key,
        validity=validity(terms.profile, birth_date, terms.now, renewal=True, not_later_than=cap),
        card_end=card_end,
        renews=old.serial,
        case=terms.case,
    )
