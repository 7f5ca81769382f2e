"""What is done to keys in ceremonies, in steps that can be taken again wherever one was cut off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ca.ceremony import RootMaker, generation_of
from ca.delegates import Delegation
from ca.plan import PlannedGeneration
from ca.profile import CARDS, Profile
from ca.record import canonical
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import HOLDER_PURPOSES
from jpki.clock import Clock
from jpki.delegate import DelegateKind, TimeStampingUnit
from jpki.errors import JpkiError
from jpki.generation import Generation, Responder
from jpki.ids import GenerationId, KeyUri
from jpki.ports import KeyProvider
from server.ceremony_body import body_of, key_entry
from server.plan_file import plan_of
from server.store.ceremonies import Ceremony, Minutes, SqlCeremonies
from server.store.delegates import SqlDelegates
from server.store.generations import SqlGenerations


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyActs:
    """Makes and destroys CA keys as the minutes say; `publish` publishes every list that is due."""

    keys: KeyProvider
    ledger: SqlCeremonies
    generations: SqlGenerations
    delegates: SqlDelegates
    roots: RootMaker
    delegation: Delegation
    publish: Callable[[], object]
    clock: Clock

    def make(self, ceremony: Ceremony) -> Sequence[Generation]:
        """Make the generations of the ceremony's plan, as far as they are not made, with responders and lists."""
        plan = plan_of(ceremony.plan)
        made = [self._generation(ceremony, CARDS[plan.profile], each) for each in plan.generations]
        holders_roots = [each for each in made if each.purpose in HOLDER_PURPOSES]
        self.delegation.renew_responders(holders_roots, LOCAL_OPERATOR)
        self.publish()
        return made

    def _generation(self, ceremony: Ceremony, profile: Profile, planned: PlannedGeneration) -> Generation:
        """Return the planned generation, made as far as it was not."""
        for known in self.generations.ever(planned.ca):
            if known.id == planned.id:
                return known
        key = self._key(ceremony, planned)
        signed = [root for kind, root in self.delegates.certificates(planned.id) if kind is DelegateKind.ROOT]
        root = signed[0] if signed else self.roots.root(profile, planned, key, LOCAL_OPERATOR)
        generation = generation_of(profile, planned, key, root)
        self.generations.add(generation, planned.number)
        return generation

    def _key(self, ceremony: Ceremony, planned: PlannedGeneration) -> KeyUri:
        """Return the key of the planned generation, made if the minutes know of none (rule R19).

        A key that was made when an interruption kept its URI from the minutes is never used: another label is taken,
        and the record tells of the lost one.
        """
        known = self.ledger.find(ceremony.number).minutes["keys"].get(planned.id)
        if known is not None:
            return KeyUri(known)
        label = planned.label
        try:
            uri = self.keys.create(label, planned.key)
        except JpkiError as error:
            if error.code != "key-exists" or not ceremony.was_interrupted:
                raise
            uri = self.keys.create(f"{label}-{len(ceremony.minutes['commands'])}", planned.key)
            self.ledger.amend(ceremony.number, lambda minutes: minutes["lost_labels"].append(label))

        def note(minutes: Minutes) -> None:
            minutes["keys"][planned.id] = uri

        self.ledger.amend(ceremony.number, note)
        return uri

    def destroy(self, ceremony: Ceremony) -> Ceremony:
        """Destroy the keys of the ceremony's subject, noted before; what was noted and is gone, was destroyed."""
        retired = self.generations.find(GenerationId(ceremony.subject or ""))
        if not ceremony.minutes["destroyed"]:
            keys = [key_entry(self.keys, retired.key, retired.certificate)]
            below: list[Responder | TimeStampingUnit] = [
                *self.delegates.responders(retired.id),
                *self.delegates.time_stamping_units(retired.id),
            ]
            keys += [
                key_entry(self.keys, each.key, each.certificate) for each in below if _is_here(self.keys, each.key)
            ]
            ceremony = self.ledger.will_destroy(ceremony, keys, LOCAL_OPERATOR, self.clock())
        for entry in ceremony.minutes["destroyed"]:
            _destroy(self.keys, KeyUri(entry["uri"]))
        if retired.destroyed_at is None:
            self.ledger.destroyed(ceremony, LOCAL_OPERATOR, self.clock())
        return ceremony

    def body(self, number: int, made: Sequence[Generation], signers: Sequence[Generation]) -> str:
        """Return what the record of a ceremony will say, as it will be signed."""
        ceremony = self.ledger.find(number)
        told = body_of(ceremony, made, signers, self.keys, self.delegates, self.generations, self.clock())
        return canonical(told)


def _is_here(keys: KeyProvider, uri: KeyUri) -> bool:
    """Tell whether the key is here (another node's is not); an outage of the whole device is no answer."""
    try:
        keys.attributes(uri)
    except JpkiError as error:
        if error.code != "key-not-found":
            raise
        return False
    return True


def _destroy(keys: KeyProvider, uri: KeyUri) -> None:
    """Destroy a key that was here when the minutes were written: if it is not now, an interrupted run destroyed it."""
    try:
        keys.destroy(uri)
    except JpkiError as error:
        if error.code != "key-not-found":
            raise
