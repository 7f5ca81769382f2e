"""Taking the places of new certificates: the law's rule of one live certificate, and no key in two (rules R17, R20)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, insert, or_, select
from sqlalchemy.exc import IntegrityError

from jpki.acts import Actor
from jpki.campaign import CampaignState, ItemState
from jpki.case import CaseState
from jpki.clock import iso, whole_second
from jpki.ids import Serial
from jpki.ports import Reservation
from jpki.revocation import Reason, State
from server.store import refusals, tables
from server.store.among import Among
from server.store.blocked_keys import require_not_blocked
from server.store.bulk import Bulk
from server.store.changes import LIVE, PENDING, discard, required_statuses
from server.store.delegates import require_unused

ABANDONED_AFTER = timedelta(minutes=10)
"""A certificate pending for longer was left by a crash; the next order of the same holder closes it."""

_Place = tuple[str, str, str]
"""Holder, purpose and carrier."""


def require_free(connection: Connection, wanted: Sequence[Reservation], by: Actor, at: datetime) -> None:
    """Require that serials, places and keys are free; what was abandoned or has ended makes room.

    Raises:
        JpkiError: CONFLICT `certificate-pending`, `certificate-live`, `not-live`, `key-reused` or `serial-taken`.
    """
    require_unused(connection, [each.serial for each in wanted])
    _free_places(connection, wanted, by, at)
    _free_keys(connection, wanted)


def take_places(connection: Connection, wanted: Sequence[Reservation], at: datetime) -> None:
    """Take a pending place, and the key, for every reservation, and write what is known of its certificate.

    Raises:
        JpkiError: UNPROCESSABLE `key-blocked`; CONFLICT `certificate-live`, where another order was done between the
            look and this.
    """
    _insert(connection, wanted, at)
    require_not_blocked(connection, [each.key_hash for each in wanted])
    _require_none_came_to_life(connection, wanted)
    use_partitions(connection, [(each.partition, each.base_url) for each in wanted])


def told_of(wanted: Sequence[Reservation]) -> dict[str, str]:
    """Return what the audit tells of reservations, each a word for every subject: what a restore needs to revoke them.

    Nothing tells of a holder (rule R21); `keys` are hashes of public keys.
    """
    words: dict[str, list[str]] = {
        "partitions": [each.partition for each in wanted],
        "base_urls": [each.base_url for each in wanted],
        "ends": [iso(each.validity.not_after) for each in wanted],
        "keys": [each.key_hash.hex() for each in wanted],
    }
    return {name: " ".join(each) for name, each in words.items()}


def _require_none_came_to_life(connection: Connection, wanted: Sequence[Reservation]) -> None:
    """Look again once the pending places are taken: only until then could another order leave one and come to life."""
    place, renewed = tables.place, [each.renews for each in wanted if each.renews is not None]
    another = select(place.c.serial, place.c.not_after).where(
        _same_place(wanted), place.c.stage == LIVE, ~Among(place.c.serial, renewed)
    )
    for row in connection.execute(another):
        raise refusals.live_exists(row.serial, row.not_after)


def _free_places(connection: Connection, wanted: Sequence[Reservation], by: Actor, at: datetime) -> None:
    taken = _places(connection, wanted)
    ended = _ended(connection, [stages[LIVE].serial for stages in taken.values() if LIVE in stages], at)
    for each in wanted:
        stages = taken.get(_place_of(each), {})
        pending, live = stages.get(PENDING), stages.get(LIVE)
        if pending is not None:
            if pending.since > at - ABANDONED_AFTER or _waits_in_case(connection, pending.serial):
                raise refusals.pending()
            discard(connection, [pending.serial], by, at)
        if live is not None and live.serial in ended:
            live = None
        if live is not None and live.serial != each.renews:
            raise refusals.live_exists(live.serial, live.not_after)
        if each.renews is not None and live is None:
            raise refusals.not_live(each.renews)
    if ended:
        connection.execute(delete(tables.place).where(tables.place.c.serial.in_(ended)))


def _waits_in_case(connection: Connection, serial: Serial) -> bool:
    return bool(connection.execute(select(_in_case(serial))).scalar())


def _in_case(serial: ColumnElement[Any] | Serial) -> ColumnElement[bool]:
    """Return the condition that a certificate waits in a case to be delivered: it ends with the case, not before."""
    link, case = tables.case_certificate, tables.case
    return exists().where(link.c.serial == serial, case.c.number == link.c.number, case.c.state == CaseState.ISSUED)


def _ended(connection: Connection, serials: Sequence[Serial], at: datetime) -> set[Serial]:
    """Return those whose live places are theirs no more: they expired, or their generation was compromised."""
    if not serials:
        return set()
    status, generation = tables.status, tables.generation
    now = whole_second(at)
    query = (
        select(status.c.serial)
        .join(generation, generation.c.id == status.c.generation)
        .where(
            Among(status.c.serial, serials),
            or_(status.c.not_after < now, status.c.state == State.REVOKED, generation.c.compromised_at.is_not(None)),
        )
    )
    doubtful = connection.execute(query).scalars().all()
    statuses = required_statuses(connection, doubtful) if doubtful else []
    return {each.serial for each in statuses if each.not_after < now or each.state is State.REVOKED}


def _places(connection: Connection, wanted: Sequence[Reservation]) -> Mapping[_Place, Mapping[str, Row[Any]]]:
    found: dict[_Place, dict[str, Row[Any]]] = defaultdict(dict)
    for row in connection.execute(select(tables.place).where(_same_place(wanted))).all():
        found[row.holder, row.purpose, row.carrier][row.stage] = row
    return found


def _same_place(wanted: Sequence[Reservation]) -> ColumnElement[bool]:
    """Return the condition that a place is one of those wanted: for each kind its holders."""
    holders: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in wanted:
        holders[each.purpose, each.carrier].append(each.holder)
    place = tables.place
    return or_(
        *(
            and_(place.c.purpose == purpose, place.c.carrier == carrier, Among(place.c.holder, those))
            for (purpose, carrier), those in holders.items()
        )
    )


def _place_of(reservation: Reservation) -> _Place:
    return reservation.holder, reservation.purpose, reservation.carrier


def _free_keys(connection: Connection, wanted: Sequence[Reservation]) -> None:
    """Refuse a key that another certificate bears, or may bear.

    A holder may try again with the key of an order that left no certificate: what was signed of it, if anything was,
    is revoked.
    """
    holders = {each.key_hash: each.holder for each in wanted}
    key, record = tables.holder_key, tables.certificate_record
    bearers = connection.execute(
        select(
            key.c.key_hash,
            tables.status.c.state,
            tables.status.c.reason,
            tables.certificate.c.holder,
            record.c.signature,
        )
        .join(tables.status, tables.status.c.serial == key.c.serial)
        .join(tables.certificate, tables.certificate.c.serial == key.c.serial)
        .outerjoin(record, record.c.serial == key.c.serial)
        .where(key.c.key_hash.in_(holders))
    ).all()
    for bearer in bearers:
        discarded = bearer.state == State.VOID or bearer.reason == Reason.UNSPECIFIED
        left_nothing = discarded and bearer.signature is None
        if not (left_nothing and bearer.holder == holders[bearer.key_hash]):
            raise refusals.key_reused()
    if len(holders) != len(wanted):
        raise refusals.key_reused()
    if bearers:
        connection.execute(delete(key).where(key.c.key_hash.in_([bearer.key_hash for bearer in bearers])))


def _insert(connection: Connection, wanted: Sequence[Reservation], at: datetime) -> None:
    _CERTIFICATES.execute(
        connection,
        [
            (
                each.serial,
                each.purpose.value,
                each.carrier,
                each.holder,
                each.profile_hash,
                each.validity.not_before,
                each.validity.not_after,
                each.renews,
                each.card_end,
            )
            for each in wanted
        ],
    )
    _STATUSES.execute(
        connection,
        [
            (each.serial, each.generation, each.partition, each.validity.not_after, State.RESERVED.value, 0)
            for each in wanted
        ],
    )
    # In one order, so that two orders for the same holders never wait for each other.
    _PLACES.execute(
        connection,
        [
            (*_place_of(each), PENDING, each.serial, at, each.validity.not_after)
            for each in sorted(wanted, key=_place_of)
        ],
    )
    _KEYS.execute(connection, [(each.key_hash, each.serial) for each in wanted])


_CERTIFICATES = Bulk(
    insert(tables.certificate),
    ("serial", "purpose", "carrier", "holder", "profile_hash", "not_before", "not_after", "renews", "card_end"),
)
_STATUSES = Bulk(insert(tables.status), ("serial", "generation", "partition", "not_after", "state", "position"))
_PLACES = Bulk(insert(tables.place), ("holder", "purpose", "carrier", "stage", "serial", "since", "not_after"))
_KEYS = Bulk(insert(tables.holder_key), ("key_hash", "serial"))


def use_partitions(connection: Connection, names: Iterable[tuple[str, str]]) -> None:
    """Note the base URLs under which new certificates name their partitions (rule R12).

    Another order may note one in the same moment, and then it is noted; in one order, so that two never wait for each
    other.
    """
    urls = tables.partition_url
    named = sorted(set(names))
    known: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(select(urls).where(urls.c.partition.in_({partition for partition, _ in named}))):
        known[row.partition].add(row.base_url)
    for partition, base_url in named:
        if base_url not in known[partition]:
            known[partition].add(base_url)
            added = len(known[partition])
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(insert(urls).values(partition=partition, base_url=base_url, added=added))


def abandoned(connection: Connection, at: datetime) -> Sequence[Serial]:
    """Return the certificates that a crash left pending, but for those that a campaign or a case will finish.

    One that was cancelled finishes what its workers took, and nobody takes up what a dead one left.
    """
    place, certificate, item, campaign = tables.place, tables.certificate, tables.campaign_item, tables.campaign
    goes_on = or_(campaign.c.state != CampaignState.CANCELLED, item.c.taken_until >= at)
    in_campaign = exists().where(
        item.c.serial == certificate.c.renews,
        item.c.state == ItemState.TAKEN,
        campaign.c.id == item.c.campaign,
        campaign.c.reason.is_(None),
        goes_on,
    )
    query = (
        select(place.c.serial)
        .join(certificate, certificate.c.serial == place.c.serial)
        .where(place.c.stage == PENDING, place.c.since <= at - ABANDONED_AFTER, ~in_campaign, ~_in_case(place.c.serial))
    )
    return connection.execute(query).scalars().all()
