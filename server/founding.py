"""`jpki init`: the ceremony that makes a home. Either a whole home stands afterwards, or nothing does."""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from ca import names
from ca.ceremony import new_generation
from ca.profile import CARDS
from crl.partition import partitions
from enroll.municipalities import municipalities
from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR, Act, AuditEvent
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock
from jpki.generation import Generation
from jpki.partition import Partition
from jpki.ports import KeyProvider
from jpki.randomness import Randomness, alphanumeric
from jpki.signature import KeySpec
from server.home import PASSPHRASE, Home, given_passphrase, write_new
from server.sealing import Sealing
from server.settings import Settings
from server.softhsm import make_own_tokens
from server.wiring import Rooms, Store, assemble, database_of, keys_of, store_of

FIRST_ADMINISTRATOR = "administrator-1"


def found(home: Home, settings: Settings, clock: Clock, randomness: Randomness) -> Rooms:
    """Make both CAs, the infrastructure root, OCSP responders, the first lists and the first administrator.

    Raises:
        JpkiError: CONFLICT `home-not-empty`, UNPROCESSABLE `directory-unwritable`; then nothing was made.
    """
    with home.creating():
        if settings.keys == "pkcs11" and settings.pkcs11 is None:
            settings = settings.model_copy(update={"pkcs11": make_own_tokens(home, randomness)})
        elif settings.keys == "software" and given_passphrase() is None:
            write_new(home.secret_file(PASSPHRASE), alphanumeric(randomness, 32).encode(), 0o400)
        keys = keys_of(home, settings)
        with _new_store(home, settings, keys, clock, randomness) as store:
            rooms = assemble(home, settings, keys, store, clock, randomness)
            try:
                _hold_ceremony(rooms, randomness)
                write_new(home.settings, settings.as_toml().encode(), 0o600)
            except BaseException:
                rooms.keys.close()
                raise
    return rooms


@contextmanager
def _new_store(
    home: Home, settings: Settings, keys: KeyProvider, clock: Clock, randomness: Randomness
) -> Iterator[Store]:
    """Make the ledger, and take it away again where the block fails: the database may lie outside the home."""
    database = database_of(home, settings, create=True)
    try:
        database.found(clock())
    except BaseException:
        database.close()
        raise
    if settings.database is None:
        home.database.chmod(0o600)
    try:
        yield store_of(database, keys, randomness)
    except BaseException:
        database.unfound()
        database.close()
        raise


def _hold_ceremony(rooms: Rooms, randomness: Randomness) -> None:
    _lay_partitions(rooms.store)
    Sealing(store=rooms.store, keys=rooms.keys, clock=rooms.clock, randomness=randomness).begin()
    roots = {purpose: _first_generation(rooms, purpose, rooms.keys, randomness) for purpose in Purpose}
    holders_roots = [roots[purpose] for purpose in HOLDER_PURPOSES]
    rooms.delegation.renew_responders(holders_roots, rooms.store.generations, LOCAL_OPERATOR)
    rooms.publisher.publish_due()
    _first_administrator(rooms, roots[Purpose.INFRASTRUCTURE], randomness)
    rooms.notary.attest()


def _lay_partitions(store: Store) -> None:
    seeds = partitions(municipalities().values(), names.root)
    store.partitions.add(
        (Partition(id=seed.id, purpose=seed.purpose, name=seed.name, base_urls=()), seed.municipality) for seed in seeds
    )


def _first_generation(rooms: Rooms, purpose: Purpose, keys: KeyProvider, randomness: Randomness) -> Generation:
    """Make a CA's first generation; the audit knows of it before its key signs anything."""
    rooms.store.audit.record(
        AuditEvent(
            at=rooms.clock(),
            actor=LOCAL_OPERATOR,
            act=Act.CEREMONY,
            subjects=(purpose,),
            details={"profile": rooms.settings.profile, "number": 1},
        )
    )
    profile = CARDS[rooms.settings.profile]
    generation = new_generation(profile, purpose, 1, keys=keys, clock=rooms.clock, randomness=randomness)
    rooms.store.generations.add(generation, 1)
    return generation


def _first_administrator(rooms: Rooms, root: Generation, randomness: Randomness) -> None:
    """Give the first administrator a client certificate under the infrastructure root, as PKCS#12."""
    key = generate(KeySpec.P256)
    certificate = rooms.delegation.clerk(root, key.public_key(), FIRST_ADMINISTRATOR, LOCAL_OPERATOR)
    password = alphanumeric(randomness, 20).encode()
    bundle = serialize_key_and_certificates(
        FIRST_ADMINISTRATOR.encode(), key, certificate, [root.certificate], BestAvailableEncryption(password)
    )
    write_new(rooms.home.clerks / f"{FIRST_ADMINISTRATOR}.p12", bundle, 0o600)
    write_new(rooms.home.secrets / f"{FIRST_ADMINISTRATOR}-password", password, 0o400)
