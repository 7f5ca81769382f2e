"""`jpki init`: the ceremony that makes a home. Either a whole home stands afterwards, or nothing does."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ca.plan import Plan, default_plan, require_founding
from ca.profile import CARDS
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clerk import EVERY_COUNTER, ClerkId, Role
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.generation import Generation
from jpki.ids import KeyUri
from jpki.ports import KeyProvider
from jpki.randomness import Randomness, alphanumeric
from server.clerk_bundle import certified_clerk
from server.home import PASSPHRASE, Home, given_passphrase, write_new
from server.partitions import of_the_founding
from server.sealing import Sealing
from server.settings import Settings
from server.softhsm import make_own_tokens
from server.wiring import Rooms, Store, assemble, database_of, keys_of, store_of

FIRST_ADMINISTRATOR = "administrator-1"


def first_plan(profile: str) -> Plan:
    """Return the plan of a home for which no file is given."""
    return default_plan(CARDS[profile], dict.fromkeys(Purpose, 1), "the first generations of a new home")


def found(
    home: Home,
    settings: Settings,
    clock: Clock,
    randomness: Randomness,
    plan: Plan | None = None,
    command: str = "jpki init",
) -> Rooms:
    """Make both CAs, the infrastructure root, OCSP responders, the first lists and the first administrator.

    `plan` is of the settings' profile; `command` is what the record says was asked for.

    Raises:
        JpkiError: CONFLICT `home-not-empty` or `plan-unfit`, UNPROCESSABLE `directory-unwritable`; then nothing was
            made.
    """
    plan = plan or first_plan(settings.profile)
    require_founding(plan)
    with home.creating():
        if settings.keys == "pkcs11" and settings.pkcs11 is None:
            settings = settings.model_copy(update={"pkcs11": make_own_tokens(home, randomness)})
        elif settings.keys == "software" and given_passphrase() is None:
            write_new(home.secret_file(PASSPHRASE), alphanumeric(randomness, 32).encode(), 0o400)
        keys = keys_of(home, settings)
        with _new_store(home, settings, keys, clock, randomness) as store:
            rooms = assemble(home, settings, keys, store, clock, randomness)
            try:
                _hold_ceremony(rooms, plan, command, randomness)
                write_new(home.settings, settings.as_toml().encode(), 0o600)
            except BaseException:
                _destroy_keys(rooms)
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


def _hold_ceremony(rooms: Rooms, plan: Plan, command: str, randomness: Randomness) -> None:
    rooms.store.partitions.add(of_the_founding())
    sealing = Sealing(store=rooms.store, keys=rooms.keys, clock=rooms.clock, randomness=randomness)
    sealing.begin()
    rooms.ceremonies.found(plan, command, lambda root: _first_administrator(rooms, root, randomness))
    rooms.notary.attest()


def _destroy_keys(rooms: Rooms) -> None:
    """Take away the keys of a ceremony that failed: the token that they are in may lie outside the home."""
    with suppress(JpkiError):
        made = [KeyUri(uri) for each in rooms.store.ceremonies.unfinished() for uri in each.minutes["keys"].values()]
        responders = [
            each.key
            for generation in rooms.every_generation()
            for each in rooms.store.delegates.responders(generation.id)
        ]
        for uri in (*responders, *made):
            with suppress(JpkiError):
                rooms.keys.destroy(uri)


def _first_administrator(rooms: Rooms, root: Generation, randomness: Randomness) -> None:
    """Make the first clerk, who looks after all others, with a client certificate."""
    roles = {EVERY_COUNTER: frozenset({Role.ADMINISTRATOR})}
    known_as = ClerkId(FIRST_ADMINISTRATOR)
    rooms.store.clerks.add(FIRST_ADMINISTRATOR, roles, LOCAL_OPERATOR, rooms.clock(), known_as)
    certified = certified_clerk(rooms, root, known_as, randomness, alone=False)
    write_new(rooms.home.clerks / f"{FIRST_ADMINISTRATOR}.p12", certified.bundle, 0o600)
    write_new(rooms.home.secrets / f"{FIRST_ADMINISTRATOR}-password", certified.password, 0o400)
