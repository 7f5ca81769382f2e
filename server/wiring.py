"""The one place where concrete classes meet: a home becomes rooms that work together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ca.authority import Authority
from ca.delegates import Delegation
from ca.issuer import Issuer, Partitions
from ca.profile import CARDS, Profile
from crl.partition import bucket_of
from crl.publisher import Publisher
from enroll.desk import Desk
from hsm_adapter.pkcs11 import Pkcs11Keys, Token
from hsm_adapter.software import SoftwareKeys
from jpki.acts import SYSTEM
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock, system_clock
from jpki.generation import Generation
from jpki.holder import Holder
from jpki.ids import Serial
from jpki.partition import Partition
from jpki.ports import KeyProvider
from jpki.randomness import Randomness, system_randomness
from ocsp.responder import Responder
from server.evidence import LedgerEvidence
from server.home import PIN, Home
from server.jobs import Maintenance
from server.responders import IssuerBook
from server.settings import Settings, read_settings
from server.store.audit import SqlAudit
from server.store.blocked_keys import SqlBlockedKeys
from server.store.database import Database
from server.store.devices import SqlDevices
from server.store.generations import SqlGenerations
from server.store.journal import SqlJournal
from server.store.leases import SqlLeases
from server.store.ledger import SqlLedger
from server.store.partitions import SqlPartitions
from server.store.samples import SqlSamples
from server.store.shelf import SqlShelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The home's records."""

    database: Database
    ledger: SqlLedger
    partitions: SqlPartitions
    generations: SqlGenerations
    shelf: SqlShelf
    audit: SqlAudit
    leases: SqlLeases
    blocked_keys: SqlBlockedKeys
    samples: SqlSamples
    journal: SqlJournal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """One authority, ready to work."""

    home: Home
    settings: Settings
    profile: Profile
    clock: Clock
    keys: KeyProvider
    store: Store
    desk: Desk
    publisher: Publisher
    delegation: Delegation
    issuers: IssuerBook
    responder: Responder
    maintenance: Maintenance

    def living(self, purpose: Purpose) -> Sequence[Generation]:
        """Return the purpose's generations that live now, the newest first."""
        return self.store.generations.live(purpose, self.clock())

    def close(self) -> None:
        """Close the ledger and the keys."""
        self.store.database.close()
        self.keys.close()

    def evidence(self) -> LedgerEvidence:
        """Return the ledger's word for document validation."""
        return LedgerEvidence(self.every_generation, self.store.ledger.status, self.clock)

    def every_generation(self) -> Sequence[Generation]:
        """Return every generation of both CAs there ever was."""
        return [each for purpose in HOLDER_PURPOSES for each in self.store.generations.ever(purpose)]


def open_rooms(home: Home, clock: Clock = system_clock, randomness: Randomness = system_randomness) -> Rooms:
    """Open the home's ledger and put the rooms together; no key is loaded before it is used.

    Raises:
        JpkiError: of the settings; UNAVAILABLE `database-unavailable`; CONFLICT `database-foreign` or `-outdated`.
    """
    settings = read_settings(home.settings)
    database = database_of(home, settings)
    database.require_current()
    return assemble(home, settings, keys_of(home, settings), store_of(database), clock, randomness)


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
    token = Token(
        module=Path(settings.pkcs11.module),
        label=settings.pkcs11.token,
        environment={"SOFTHSM2_CONF": str(own)} if own.is_file() else {},
    )
    return Pkcs11Keys(token, lambda: home.secret(PIN).decode())


def store_of(database: Database) -> Store:
    """Return the records of one database."""
    return Store(
        database=database,
        ledger=SqlLedger(database),
        partitions=SqlPartitions(database),
        generations=SqlGenerations(database),
        shelf=SqlShelf(database),
        audit=SqlAudit(database),
        leases=SqlLeases(database),
        blocked_keys=SqlBlockedKeys(database),
        samples=SqlSamples(database),
        journal=SqlJournal(database),
    )


def assemble(
    home: Home, settings: Settings, keys: KeyProvider, store: Store, clock: Clock, randomness: Randomness
) -> Rooms:
    """Put the rooms together from their parts."""

    def living(purpose: Purpose) -> Sequence[Generation]:
        return store.generations.live(purpose, clock())

    profile = CARDS[settings.profile]
    publisher = Publisher(
        register=store.partitions,
        shelf=store.shelf,
        generations=living,
        signer=keys.signer,
        audit=store.audit,
        home=home.path,
        clock=clock,
    )
    issuer = Issuer(
        profile=profile,
        base_url=settings.base_url,
        ledger=store.ledger,
        keys=keys,
        generations=living,
        partitions=_partitions(store.partitions, settings.base_url),
        clock=clock,
        randomness=randomness,
    )
    authority = Authority(issuer=issuer, ledger=store.ledger, clock=clock)
    delegation = Delegation(keys=keys, audit=store.audit, clock=clock, randomness=randomness)
    desk = Desk(
        authority=authority,
        ledger=store.ledger,
        publisher=publisher,
        profile=profile,
        municipality_of=store.partitions.municipality_of,
        on_devices=SqlDevices(store.database).serials,
        clock=clock,
    )
    issuers = IssuerBook(living, store.generations, keys, clock)
    return Rooms(
        home=home,
        settings=settings,
        profile=profile,
        clock=clock,
        keys=keys,
        store=store,
        desk=desk,
        publisher=publisher,
        delegation=delegation,
        issuers=issuers,
        responder=Responder(issuers, store.ledger.status, clock),
        maintenance=Maintenance(store.leases, _jobs(delegation, publisher, store, living, clock), clock),
    )


def _jobs(
    delegation: Delegation,
    publisher: Publisher,
    store: Store,
    living: Callable[[Purpose], Sequence[Generation]],
    clock: Clock,
) -> dict[str, Callable[[], object]]:
    def renew_responders() -> None:
        generations = [each for purpose in HOLDER_PURPOSES for each in living(purpose)]
        delegation.renew_responders(generations, store.generations, SYSTEM)

    def close_abandoned() -> None:
        store.ledger.discard_abandoned(SYSTEM, clock())

    return {"abandoned": close_abandoned, "responders": renew_responders, "crl": publisher.publish_due}


def _partitions(partitions: SqlPartitions, base_url: str) -> Partitions:
    """Choose the row, and add the present base URL where no certificate of the partition named it yet."""

    def choose(disclosed: Holder | None, serial: Serial) -> Partition:
        if disclosed is None:
            row = partitions.by_id(bucket_of(serial))
        else:
            row = partitions.of_municipality(disclosed.municipality.code)
        named = row.base_urls if base_url in row.base_urls else (*row.base_urls, base_url)
        return Partition(id=row.id, purpose=row.purpose, name=row.name, base_urls=named)

    return choose
