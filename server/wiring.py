"""The one place where concrete classes meet: a home becomes rooms that work together."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ca.authority import Authority
from ca.ceremony import RootMaker
from ca.delegates import Delegation
from ca.issuer import Issuer, Partitions
from ca.profile import CARDS, Profile
from ca.recorder import Recorder
from crl.archive import Archive
from crl.copies import Copies
from crl.partition import bucket_of
from crl.publisher import Publisher
from enroll.delivery import Delivery
from enroll.desk import Desk
from enroll.office import Office
from enroll.own_suspension import OwnSuspension
from enroll.registry_client import RegistryClient
from enroll.resident_events import EventWorker
from hsm_adapter.keyring import Keyring
from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from hsm_adapter.roles import Role
from hsm_adapter.software import SoftwareKeys
from jpki.acts import REGISTERS, SYSTEM
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, system_clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import Generations, KeyProvider, ResidentRegistry, RevocationSource
from jpki.randomness import Randomness, system_randomness
from ocsp.follower import Follower
from ocsp.responder import Responder
from ocsp.response import NotIssued, Unknown
from server.admission import RegisteredOnly
from server.ceremonies import Ceremonies
from server.evidence import LedgerEvidence
from server.home import PINS, Home
from server.jobs import ARCHIVE, COPIES, EVENTS, TIME_STAMPING, Maintenance, until_idle
from server.key_acts import KeyActs
from server.list_fetch import NodeFetch
from server.notary import Notary
from server.registry_tls import context_for
from server.responders import IssuerBook
from server.revocation_sources import revocation_sources
from server.sandbox import open_sandbox
from server.settings import Settings, TokenSettings, read_settings
from server.stamping import TimeStampingUnits
from server.store.audit import SqlAudit
from server.store.audit_log import SqlAuditLog
from server.store.blocked_keys import SqlBlockedKeys
from server.store.campaigns import SqlCampaigns
from server.store.cases import SqlCases
from server.store.ceremonies import SqlCeremonies
from server.store.clerks import SqlClerks
from server.store.console_sessions import SqlConsoleSessions
from server.store.counters import SqlCounters
from server.store.database import Database
from server.store.delegates import SqlDelegates
from server.store.devices import SqlDevices
from server.store.events import SqlEvents
from server.store.generations import SqlGenerations
from server.store.journal import SqlJournal
from server.store.leases import SqlLeases
from server.store.ledger import SqlLedger
from server.store.partitions import SqlPartitions
from server.store.picture import SqlPictures
from server.store.replies import SqlReplies
from server.store.reseal import SqlSeals
from server.store.samples import SqlSamples
from server.store.seal import Seal
from server.store.shelf import SqlShelf
from server.store.verifiers import SqlVerifiers
from signing.sandbox import Sandbox
from signing.tsa import TimeStampAuthority

_PLACES = min(4, os.cpu_count() or 1)
"""How many uploaded files a process has judged at once, each in a process of its own that may take a core and 1 GiB."""
_WAITING = 2
"""How many more wait for a place. With the four they leave two of a worker's eight threads to whoever asks else."""
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The home's records."""

    database: Database
    ledger: SqlLedger
    partitions: SqlPartitions
    generations: SqlGenerations
    delegates: SqlDelegates
    ceremonies: SqlCeremonies
    shelf: SqlShelf
    audit: SqlAudit
    audit_log: SqlAuditLog
    leases: SqlLeases
    seals: SqlSeals
    campaigns: SqlCampaigns
    events: SqlEvents
    blocked_keys: SqlBlockedKeys
    samples: SqlSamples
    journal: SqlJournal
    pictures: SqlPictures
    verifiers: SqlVerifiers
    counters: SqlCounters
    clerks: SqlClerks
    cases: SqlCases
    replies: SqlReplies
    console_sessions: SqlConsoleSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """One authority, ready to work."""

    home: Home
    settings: Settings
    profile: Profile
    clock: Clock
    randomness: Randomness
    keys: KeyProvider
    store: Store
    desk: Desk
    office: Office
    own_suspension: OwnSuspension
    publisher: Publisher
    delegation: Delegation
    notary: Notary
    ceremonies: Ceremonies
    issuers: IssuerBook
    admission: RegisteredOnly | None
    """Who may ask, in `registered` mode."""
    responder: Responder
    units: TimeStampingUnits
    time_stamps: TimeStampAuthority
    sandbox: Sandbox
    """Where strangers' files are judged; its processes start with the first file, or before."""
    revocation: Sequence[RevocationSource]
    """Who is asked about the certificates of other CAs, where jpki.toml names somebody."""
    registry: ResidentRegistry | None
    """The register of residents, where jpki.toml names one."""
    events: EventWorker
    maintenance: Maintenance

    def living(self, purpose: Purpose) -> Sequence[Generation]:
        """Return the purpose's generations that are trusted now, the one that issues first."""
        return self.store.generations.live(purpose, self.clock())

    def served(self, purpose: Purpose) -> Sequence[Generation]:
        """Return the purpose's generations for which lists and responders are signed here."""
        return _served(self.store, self.keys, self.clock)(purpose)

    def close(self) -> None:
        """Follow the ledger no more, write what waits, and close it and the keys."""
        self.responder.close()
        if self.admission is not None:
            self.admission.close()
        self.sandbox.close()
        self.store.database.close()
        self.keys.close()

    def evidence(self) -> LedgerEvidence:
        """Return the ledger's word for document validation."""
        return LedgerEvidence(self.every_generation, self.store.ledger.status, self.clock)

    def every_generation(self) -> Sequence[Generation]:
        """Return every generation of both CAs there ever was."""
        return [each for purpose in HOLDER_PURPOSES for each in self.store.generations.ever(purpose)]


def open_rooms(
    home: Home,
    clock: Clock = system_clock,
    randomness: Randomness = system_randomness,
    registry: ResidentRegistry | None = None,
) -> Rooms:
    """Open the home's ledger and put the rooms together; no key is loaded before it is used.

    Raises:
        JpkiError: of the settings; UNAVAILABLE `database-unavailable`; CONFLICT `database-foreign` or `-outdated`.
    """
    settings = read_settings(home.settings)
    database, keys = database_of(home, settings), keys_of(home, settings)
    database.require_current()
    return assemble(home, settings, keys, store_of(database, keys, randomness), clock, randomness, registry)


def database_of(home: Home, settings: Settings, *, create: bool = False) -> Database:
    """Return the ledger's database that the settings name; `create` makes the SQLite file where that is the one."""
    if settings.database is not None:
        return Database.at_url(settings.database)
    return Database.at_file(home.database, create=create)


def keys_of(home: Home, settings: Settings) -> KeyProvider:
    """Return the key provider that the settings name; nothing is opened before the first key is asked for."""
    if settings.pkcs11 is None:
        return SoftwareKeys(home.keys, home.passphrase)
    own = home.softhsm / "softhsm2.conf"
    environment = {"SOFTHSM2_CONF": str(own)} if own.is_file() else {}

    def opened(role: Role, named: TokenSettings) -> Pkcs11Keys:
        token = Token(module=Path(named.module), label=named.token, environment=environment)
        return Pkcs11Keys(token, lambda: home.secret(PINS[role]).decode())

    return Keyring({role: opened(role, named) for role, named in settings.pkcs11.by_role.items()})


def registry_of(settings: Settings, clock: Clock) -> ResidentRegistry | None:
    """Return the way to the register of residents that the settings name, None where they name none."""
    named = settings.registry
    return None if named is None else RegistryClient(url=named.url, tls=cache(lambda: context_for(named)), clock=clock)


def store_of(database: Database, keys: KeyProvider, randomness: Randomness) -> Store:
    """Return the records of one database, sealed under keys that `keys` wraps."""
    seal = Seal(keys, randomness)
    return Store(
        database=database,
        ledger=SqlLedger(database, seal),
        partitions=SqlPartitions(database),
        generations=SqlGenerations(database),
        delegates=SqlDelegates(database),
        ceremonies=SqlCeremonies(database),
        shelf=SqlShelf(database),
        audit=SqlAudit(database),
        audit_log=SqlAuditLog(database),
        leases=SqlLeases(database),
        seals=SqlSeals(database, seal),
        campaigns=SqlCampaigns(database),
        events=SqlEvents(database),
        blocked_keys=SqlBlockedKeys(database),
        samples=SqlSamples(database),
        journal=SqlJournal(database),
        pictures=SqlPictures(database, seal),
        verifiers=SqlVerifiers(database),
        counters=SqlCounters(database),
        clerks=SqlClerks(database),
        cases=SqlCases(database, seal),
        replies=SqlReplies(database, seal),
        console_sessions=SqlConsoleSessions(database),
    )


def assemble(
    home: Home,
    settings: Settings,
    keys: KeyProvider,
    store: Store,
    clock: Clock,
    randomness: Randomness,
    registry: ResidentRegistry | None = None,
) -> Rooms:
    """Put the rooms together from their parts; without a `registry` it is the one that the settings name."""
    registry = registry or registry_of(settings, clock)
    served = _served(store, keys, clock)
    profile = CARDS[settings.profile]
    publisher = Publisher(
        register=store.partitions,
        shelf=store.shelf,
        generations=served,
        signer=keys.signer,
        audit=store.audit,
        home=home.path,
        base_url=settings.base_url,
        clock=clock,
    )
    copies = Copies(
        register=store.partitions,
        shelf=store.shelf,
        generations=served,
        nodes=settings.nodes,
        fetch=NodeFetch(home, lambda: store.generations.live(Purpose.INFRASTRUCTURE, clock())),
        home=home.path,
    )
    issuer = Issuer(
        profile=profile,
        base_url=settings.base_url,
        ledger=store.ledger,
        keys=keys,
        generations=lambda purpose: store.generations.issuing(purpose, clock()),
        partitions=_partitions(store.partitions, settings.base_url),
        clock=clock,
        randomness=randomness,
    )
    authority = Authority(issuer=issuer, ledger=store.ledger, clock=clock)
    recorder = Recorder(ledger=store.delegates, clock=clock, randomness=randomness)
    delegation = Delegation(keys=keys, recorder=recorder, book=store.delegates, clock=clock, randomness=randomness)
    notary = Notary(
        audit=store.audit,
        log=store.audit_log,
        keys=keys,
        delegation=delegation,
        roots=lambda: store.generations.live(Purpose.INFRASTRUCTURE, clock()),
        anchor=None if settings.audit_anchor is None else Path(settings.audit_anchor),
        clock=clock,
        randomness=randomness,
    )
    acts = KeyActs(
        keys=keys,
        ledger=store.ceremonies,
        generations=store.generations,
        delegates=store.delegates,
        roots=RootMaker(keys=keys, recorder=recorder, clock=clock),
        delegation=delegation,
        publish=publisher.publish_due,
        clock=clock,
    )
    desk = Desk(
        authority=authority,
        ledger=store.ledger,
        delivery=Delivery(authority=authority, ledger=store.ledger, publisher=publisher),
        profile=profile,
        municipality_of=store.partitions.municipality_of,
        on_devices=SqlDevices(store.database).serials,
        registry=registry,
        clock=clock,
    )
    office = Office(
        desk=desk,
        book=store.cases,
        registry=registry,
        counters=store.counters.counter,
        audit=store.audit,
        profile=profile,
        clock=clock,
        randomness=randomness,
    )
    admission = None
    if settings.verifiers == "registered":
        admission = RegisteredOnly(store.verifiers.admitted, store.verifiers.record, clock)
    units = TimeStampingUnits(
        book=store.delegates,
        keys=keys,
        delegation=delegation,
        live=lambda purpose: store.generations.live(purpose, clock()),
        ever=store.generations.ever,
        clock=clock,
    )
    events = EventWorker(
        book=store.events,
        ledger=store.ledger,
        authority=authority,
        registry=registry,
        clock=clock,
        by=REGISTERS,
    )
    issuers = IssuerBook(lambda purpose: store.generations.answering(purpose, clock()), store.delegates, keys, clock)
    return Rooms(
        home=home,
        settings=settings,
        profile=profile,
        clock=clock,
        randomness=randomness,
        keys=keys,
        store=store,
        desk=desk,
        office=office,
        own_suspension=OwnSuspension(desk=desk, book=store.cases, profile=profile, clock=clock, randomness=randomness),
        publisher=publisher,
        delegation=delegation,
        notary=notary,
        ceremonies=Ceremonies(folder=home.ceremonies, profile=profile, acts=acts, clock=clock),
        issuers=issuers,
        admission=admission,
        responder=Responder(
            issuers,
            store.ledger.status,
            clock,
            Follower(store.journal.since, issuers.refresh),
            signs_at_once=settings.pkcs11 is None,
            not_issued=Unknown() if settings.ocsp_not_issued == "unknown" else NotIssued(),
            admission=admission,
        ),
        units=units,
        time_stamps=TimeStampAuthority(units.credential, store.database.latest, clock, randomness),
        sandbox=open_sandbox(_PLACES, waiting=_WAITING, patience=_PATIENCE),
        revocation=revocation_sources(settings.revocation, clock, randomness),
        registry=registry,
        events=events,
        maintenance=Maintenance(
            store.leases,
            _jobs(delegation, publisher, store, served, clock)
            | {"audit": notary.attest, TIME_STAMPING: units.renew, "cases": office.expire_due},
            clock,
            ({COPIES: copies.bring} if settings.nodes else {}) | {ARCHIVE: Archive(home.path, clock).tidy},
            {EVENTS: lambda: until_idle(events.work)},
        ),
    )


def _jobs(
    delegation: Delegation,
    publisher: Publisher,
    store: Store,
    served: Generations,
    clock: Clock,
) -> dict[str, Callable[[], object]]:
    def renew_responders() -> None:
        delegation.renew_responders([each for purpose in HOLDER_PURPOSES for each in served(purpose)], SYSTEM)

    def close_abandoned() -> None:
        store.ledger.discard_abandoned(SYSTEM, clock())
        store.campaigns.close_abandoned(clock())

    return {"abandoned": close_abandoned, "responders": renew_responders, "crl": publisher.publish_due}


def _served(store: Store, keys: KeyProvider, clock: Clock) -> Generations:
    """Return what tells which generations answer and can be signed for.

    A compromised key may have been taken away: the others do not wait for it, nor does a door that needs no key.
    """
    return lambda purpose: [
        each
        for each in store.generations.answering(purpose, clock())
        if each.compromised_at is None or _has_key(keys, each)
    ]


def _has_key(keys: KeyProvider, generation: Generation) -> bool:
    try:
        keys.signer(generation.key)
    except JpkiError:
        return False
    return True


def _partitions(partitions: SqlPartitions, base_url: str) -> Partitions:
    """Choose the rows, and add the present base URL where no certificate of a partition named it yet.

    What a row says is kept once it has the present base URL: names never change, and URLs are only added.
    """
    kept: dict[str, Partition] = {}

    def choose(wanted: Sequence[tuple[Holder | None, Serial]]) -> list[Partition]:
        names = [bucket_of(serial) if holder is None else holder.municipality.code for holder, serial in wanted]
        chosen = {name: kept[name] for name in set(names) if name in kept}
        for name, row in partitions.named(set(names) - kept.keys()).items():
            chosen[name] = replace(row, base_urls=tuple(dict.fromkeys((*row.base_urls, base_url))))
            if base_url in row.base_urls:
                kept[name] = row
        return [chosen[name] for name in names]

    return choose
