"""Orders to the CA: what the rules of the office make of a holder's wish for a certificate."""

from dataclasses import dataclass
from datetime import datetime

from ca.issuer import Order
from ca.key_policy import HolderKey
from ca.profile import Profile
from ca.validity import validity
from enroll.eligibility import require_eligible
from enroll.renewal import birthday_of, not_renewable, require_open
from jpki.case import CaseMark
from jpki.certificate import Carrier, Purpose
from jpki.clock import day_in_japan
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.ports import CertificateRecord
from jpki.revocation import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which profile and when a certificate is issued; `latest_end` is what it must not outlive.

    `case` is the case in which it is issued, where there is one.
    """

    profile: Profile
    now: datetime
    latest_end: datetime | None
    case: CaseMark | None = None


def first_order(
    holder: Holder,
    purpose: Purpose,
    carrier: Carrier,
    key: HolderKey,
    terms: Terms,
    replaces: Serial | None = None,
) -> Order:
    """Return the order of a first certificate, or of one after the last was revoked or ended.

    In a re-issue it `replaces` one that lives or is on hold, whenever that ends.

    Raises:
        JpkiError: FORBIDDEN `too-young`; UNPROCESSABLE `validity-empty`.
    """
    require_eligible(holder, purpose, day_in_japan(terms.now))
    return Order(
        holder=holder.code,
        disclosed=holder if purpose is Purpose.SIGNING else None,
        carrier=carrier,
        key=key,
        validity=validity(terms.profile, holder.birth_date, terms.now, renewal=False, not_later_than=terms.latest_end),
        renews=replaces,
        case=terms.case,
    )


def renewal_order(old: CertificateRecord, holder: Holder | None, key: HolderKey, terms: Terms) -> Order:
    """Return the order of a live certificate's successor; `holder` is known for a signing certificate.

    Raises:
        JpkiError: CONFLICT `not-live` or `renewal-closed`; FORBIDDEN `too-young`; UNPROCESSABLE `validity-empty`.
    """
    if old.status.state is not State.ACTIVE or not old.validity.holds(terms.now):
        raise not_renewable(old.serial)
    require_open(terms.profile, old.validity.not_after, terms.now)
    if holder is not None:
        require_eligible(holder, old.purpose, day_in_japan(terms.now))
    birth_date = birthday_of(old.validity.not_after) if holder is None else holder.birth_date
    return Order(
        holder=old.holder,
        disclosed=holder if old.purpose is Purpose.SIGNING else None,
        carrier=old.carrier,
        key=key,
        validity=validity(terms.profile, birth_date, terms.now, renewal=True, not_later_than=terms.latest_end),
        renews=old.serial,
        case=terms.case,
    )
