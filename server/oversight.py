"""What administrators and auditors are told of this home: how far it is set up, and its CAs; see `enroll.oversight`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from enroll import overseen
from enroll.messages import Words
from enroll.overseen import Oversight, SetupState
from hsm_adapter.uri import SCHEME, Pkcs11Uri
from jpki.acts import Act, Actor
from jpki.campaign import Issued
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clerk import Clerk, ClerkState, Role
from jpki.clock import day_in_japan, end_of_day, start_of_day
from jpki.counter import Counter, CounterCode
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import GenerationId, Serial, format_serial
from jpki.partition import COMPLETE
from jpki.signature import spec_of
from jpki.text import Text
from ocsp.live import ANSWER_LIFE
from server.audit_reading import AuditReading
from server.health import Check
from server.standing import standing
from server.store.audit_log import Wanted
from server.store.ceremonies import Ceremony, CeremonyKind
from server.wiring import Rooms

_TLS_MARGIN = timedelta(days=30)
_BACKUP_EVERY = timedelta(days=1)
_HOME = '--home "$JPKI_HOME"'
_CEREMONIES: Mapping[CeremonyKind, Text] = {
    CeremonyKind.FOUND: Text("認証局の開設", "the authority was founded"),
    CeremonyKind.NEW_GENERATION: Text("次の世代の鍵の作成", "the next generation's key"),
    CeremonyKind.COMPROMISE: Text("危殆化した鍵の失効", "a compromised key's end"),
    CeremonyKind.RETIRE: Text("終わった世代の鍵の廃棄", "an ended generation's key was destroyed"),
}


def oversight_of(rooms: Rooms, fresh: Mapping[str, Check]) -> Oversight:
    """Return what the routes for administrators and auditors work with.

    `fresh` are the checks of /readyz that hold when lists and responders are fresh here.
    """
    store, reading = rooms.store, AuditReading(notary=rooms.notary, generations=rooms.store.generations)

    def add_counter(counter: Counter, by: Actor) -> None:
        store.counters.add(counter, by, rooms.clock())

    def close_counter(code: CounterCode, by: Actor) -> None:
        store.counters.close(code, by, rooms.clock())

    return Oversight(
        campaigns=store.campaigns,
        town_of=store.partitions.municipality_of,
        issued=partial(_issued, rooms),
        audit=reading.page,
        chain=reading.chain,
        verification=reading.verification,
        lines=reading.lines,
        overview=lambda clerks: overseen.OverviewTold(
            setup=list(_setup(rooms, fresh, clerks)),
            lists=list(_lists(rooms)),
            responders=list(_responders(rooms)),
            answer_minutes=int(ANSWER_LIFE.total_seconds()) // 60,
        ),
        authority=lambda: _authority(rooms),
        add_counter=add_counter,
        close_counter=close_counter,
    )


def _issued(rooms: Rooms, wish: overseen.RevocationNew) -> Issued:
    """Return what was issued as it says.

    Raises:
        JpkiError: NOT_FOUND `generation-unknown`; UNPROCESSABLE `partition-unknown`.
    """
    store, town = rooms.store, wish.municipality
    return Issued(
        generation=None if wish.generation is None else store.generations.find(GenerationId(wish.generation)).id,
        partition=None if town is None else store.partitions.named({town})[town].id,
        since=None if wish.issued_from is None else start_of_day(wish.issued_from),
        until=None if wish.issued_until is None else end_of_day(wish.issued_until),
    )


# --- setting up ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Point:
    """What was found about one point of the setting-up."""

    state: SetupState
    note: Text | None = None


def _setup(rooms: Rooms, fresh: Mapping[str, Check], clerks: Sequence[Clerk]) -> Iterator[overseen.SetupTold]:
    settings = rooms.settings
    host = urlsplit(settings.base_url).hostname or "ra.example.jp"
    points = (
        (
            "registry",
            Text("住民基本台帳の照会先", "The register of residents that is asked"),
            _given(settings.registry),
            '[registry]\nurl = "https://…"',
        ),
        (
            "tls",
            Text("TLSのサーバー証明書", "A certificate for TLS"),
            _tls(rooms),
            f"jpki tls certify {_HOME} --host {host}",
        ),
        (
            "clerks",
            Text("受付の職員と、別の承認の職員", "A clerk who takes cases, and another who approves"),
            _clerks(clerks),
            f"jpki clerk add {_HOME} --name … --counter 131016 --role approval --out …",
        ),
        (
            "audit-anchor",
            Text("監査記録の署名の保管先（別の場所）", "A place elsewhere for signed heads of the audit"),
            _given(settings.audit_anchor),
            'audit_anchor = "/…/audit.anchor"',
        ),
        (
            "freshness",
            Text("新しいOCSPレスポンダと失効リスト", "Fresh OCSP responders and revocation lists"),
            _fresh(fresh),
            f"jpki crl publish {_HOME}",
        ),
        (
            "security-contact",
            Text("脆弱性の連絡先（公開）", "A public contact for weaknesses"),
            _given(settings.security_contact),
            'security_contact = "mailto:…"',
        ),
        (
            "backup",
            Text("1日以内のバックアップ", "A backup of the last day"),
            _backup(rooms),
            f"jpki backup create {_HOME} --out …",
        ),
    )
    for name, words, point, command in points:
        note = None if point.note is None else Words.of(point.note)
        yield overseen.SetupTold(name=name, words=Words.of(words), state=point.state, note=note, command=command)


def _given(value: object) -> _Point:
    return _Point(SetupState.MISSING if value is None else SetupState.DONE)


def _tls(rooms: Rooms) -> _Point:
    """Look at the certificate's file; a proxy that ends TLS has one of its own, which nobody sees from here."""
    try:
        certificate = x509.load_pem_x509_certificate(rooms.home.tls_certificate.read_bytes())
    except FileNotFoundError:
        return _Point(SetupState.UNKNOWN if rooms.settings.client_cert_proxy else SetupState.MISSING)
    except (OSError, ValueError):
        return _Point(SetupState.MISSING)
    end = certificate.not_valid_after_utc
    note = Text(f"{day_in_japan(end)} まで", f"until {day_in_japan(end)}")
    return _Point(SetupState.DONE if end - rooms.clock() >= _TLS_MARGIN else SetupState.MISSING, note)


def _clerks(clerks: Sequence[Clerk]) -> _Point:
    active = [each for each in clerks if each.state is ClerkState.ACTIVE]
    takers = {each.id for each in active if each.may({Role.RECEPTION}, None)}
    approvers = {each.id for each in active if each.may({Role.APPROVAL}, None)}
    pair = any(taker != approver for taker in takers for approver in approvers)
    note = Text(f"受付 {len(takers)}人、承認 {len(approvers)}人", f"{len(takers)} take cases, {len(approvers)} approve")
    return _Point(SetupState.DONE if pair else SetupState.MISSING, note)


def _fresh(fresh: Mapping[str, Check]) -> _Point:
    for check in fresh.values():
        try:
            warning = check()
        except JpkiError as error:
            return _Point(SetupState.MISSING, error.problem)
        if warning is not None:
            return _Point(SetupState.MISSING, warning.problem)
    return _Point(SetupState.DONE)


def _backup(rooms: Rooms) -> _Point:
    """Look for the act in the audit's latest part."""
    found, more = rooms.store.audit_log.latest(Wanted(act=Act.BACKUP_MADE), None, 1)
    if not found:
        return _Point(SetupState.UNKNOWN if more is not None else SetupState.MISSING)
    event = found[0].event
    assert event is not None  # noqa: S101 - it was found by its act
    day = day_in_japan(event.at)
    recent = rooms.clock() - event.at <= _BACKUP_EVERY
    return _Point(SetupState.DONE if recent else SetupState.MISSING, Text(f"最後は {day}", f"the last one on {day}"))


# --- the CAs -------------------------------------------------------------------------------------------------------


def _authority(rooms: Rooms) -> overseen.AuthorityTold:
    made = [each for purpose in Purpose for each in rooms.store.generations.ever(purpose)]
    keys = {each.id: _key(rooms, each) for each in made}
    issuing = {issuers[0].id for issuers in (rooms.living(purpose) for purpose in Purpose) if issuers}
    ceremonies = [*rooms.store.ceremonies.unfinished(), *rooms.store.ceremonies.closed()]
    return overseen.AuthorityTold(
        generations=[
            overseen.GenerationTold(
                id=each.id,
                purpose=each.purpose,
                words=Words.of(standing(rooms, each)),
                is_current=each.id in issuing,
                kind=spec_of(each.public_key),
                fingerprint=each.certificate.fingerprint(SHA256()).hex(),
                not_before=each.not_before,
                not_after=each.not_after,
                issue_until=each.issue_until,
                key=keys[each.id],
            )
            for each in made
        ],
        responders=list(_responders(rooms)),
        lists=list(_lists(rooms)),
        tokens=list(_tokens(made, keys)),
        ceremonies=[_ceremony(each) for each in sorted(ceremonies, key=lambda each: -each.number)],
    )


def _key(rooms: Rooms, generation: Generation) -> overseen.KeyTold | None:
    if generation.destroyed_at is not None:
        return None
    try:
        attributes = rooms.keys.attributes(generation.key)
    except JpkiError as error:
        return overseen.KeyTold(attributes={}, problem=Words.of(error.problem))
    return overseen.KeyTold(attributes=dict(attributes), problem=None)


def _tokens(
    made: Sequence[Generation], keys: Mapping[GenerationId, overseen.KeyTold | None]
) -> Iterator[overseen.TokenTold]:
    """Yield where the keys are that are not destroyed; a place stands as well as the worst of its keys."""
    places: dict[str, list[overseen.KeyTold]] = {}
    for each in made:
        key = keys[each.id]
        if key is not None:
            place = Pkcs11Uri.parse(each.key).token if each.key.startswith(SCHEME) else "software"
            places.setdefault(place, []).append(key)
    for name, held in places.items():
        problem = next((key.problem for key in held if key.problem is not None), None)
        yield overseen.TokenTold(name=name, works=problem is None, problem=problem)


def _responders(rooms: Rooms) -> Iterator[overseen.ResponderTold]:
    """Yield the responder of each generation that lives longest: it is the one that answers."""
    now = rooms.clock()
    for purpose in HOLDER_PURPOSES:
        for generation in rooms.store.generations.answering(purpose, now):
            for responder in rooms.store.delegates.responders(generation.id)[:1]:
                yield overseen.ResponderTold(
                    generation=generation.id,
                    purpose=purpose,
                    serial=format_serial(Serial(responder.certificate.serial_number)),
                    not_after=responder.certificate.not_valid_after_utc,
                )


def _lists(rooms: Rooms) -> Iterator[overseen.ListTold]:
    for purpose, group in groupby(rooms.store.shelf.marks(), key=lambda mark: mark.purpose):
        marks = list(group)
        complete = next((mark for mark in marks if mark.partition == COMPLETE), None)
        if complete is not None:
            yield overseen.ListTold(
                purpose=purpose,
                number=complete.number,
                this_update=complete.this_update,
                next_update=complete.next_update,
                entries=complete.entries,
                lists=sum(len(mark.lists) for mark in marks),
                first_end=min(mark.next_update for mark in marks),
            )


def _ceremony(ceremony: Ceremony) -> overseen.CeremonyTold:
    return overseen.CeremonyTold(
        number=ceremony.number,
        kind=ceremony.kind,
        words=Words.of(_CEREMONIES[ceremony.kind]),
        opened_at=ceremony.opened_at,
        closed=ceremony.record is not None,
    )
