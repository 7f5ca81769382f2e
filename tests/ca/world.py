"""A small CA for this room's tests: keys made once, everything else by the room itself."""

import atexit
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256

from ca import names
from ca.ceremony import RootMaker, generation_of
from ca.draft import Draft, common_name
from ca.key_policy import HolderKey
from ca.plan import PlannedGeneration, default_key, default_label
from ca.profile import CARD_V1, Profile
from ca.recorder import Recorder
from ca.template import Template
from hsm_adapter.software import SoftwareKeys
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose, Validity
from jpki.clock import end_of_day
from jpki.generation import Generation
from jpki.holder import Gender, Holder, Municipality
from jpki.ids import HolderCode, KeyUri, PartitionId, new_serial
from jpki.partition import Partition
from jpki.randomness import system_randomness
from tests.ca.memory_delegates import MemoryDelegates

NOW = datetime(2026, 10, 1, 3, 0, 0, tzinfo=UTC)
BASE_URL = "http://127.0.0.1:8080"
WRAPPING_KEY = KeyUri("software:seal-1")
CHIYODA = Municipality(
    code="131016", prefecture="東京都", name="千代田区", prefecture_romaji="Tokyo-to", name_romaji="Chiyoda-ku"
)
HANAKO = Holder(
    code=HolderCode("H-0001"),
    name="日本　花子",
    name_substitutes="00010",
    birth_date=date(1990, 4, 1),
    gender=Gender.FEMALE,
    address="東京都千代田区霞が関一丁目１−１",
    address_substitutes="0" * 16,
    municipality=CHIYODA,
)


@cache
def holder_key() -> rsa.RSAPrivateKey:
    """The holder's key; making one takes long."""
    return rsa.generate_private_key(65537, 2048)


class FolderKeys(SoftwareKeys):
    """Software keys in a folder that is there until the tests end, begun empty or with the keys of another."""

    def __init__(self, of: "FolderKeys | None" = None) -> None:
        parent = Path(mkdtemp())
        atexit.register(shutil.rmtree, parent)
        self.folder = parent / "keys"
        if of is not None:
            shutil.copytree(of.folder, self.folder)
        super().__init__(self.folder, lambda: b"passphrase")

    @property
    def labels(self) -> set[str]:
        """The names of all that is kept."""
        return {file.stem for file in self.folder.glob("*.pem")}


@cache
def authority(purpose: Purpose) -> tuple[Generation, FolderKeys]:
    """A CA's first generation and its keys."""
    keys = FolderKeys()
    return replace(generation_in(keys, purpose), issues_from=NOW), keys


def generation_in(keys: SoftwareKeys, purpose: Purpose, number: int = 1, profile: Profile = CARD_V1) -> Generation:
    """A CA's n-th generation, made with a new key of this provider."""
    label = default_label(purpose, number)
    planned = PlannedGeneration(ca=purpose, number=number, key=default_key(profile, purpose), label=label)
    recorder = Recorder(ledger=MemoryDelegates(), clock=lambda: NOW, randomness=system_randomness)
    maker = RootMaker(keys=keys, recorder=recorder, clock=lambda: NOW)
    uri = keys.create(label, planned.key)
    return generation_of(profile, planned, uri, maker.root(profile, planned, uri, LOCAL_OPERATOR))


def partition(purpose: Purpose) -> Partition:
    """A partition of this CA's list."""
    unit = (x509.NameOID.COMMON_NAME, "Chiyoda-ku CRLDP")
    name = names.below_root(purpose, unit)
    return Partition(id=PartitionId("p0615"), purpose=purpose, name=name, base_urls=(BASE_URL,))


@cache
def wrapping_keys() -> FolderKeys:
    """A provider with the one key that wraps data keys."""
    _, keys = authority(Purpose.SIGNING)
    assert keys.create_wrapping_key("seal-1") == WRAPPING_KEY
    return keys


def template(purpose: Purpose) -> Template:
    """What this purpose's certificates have in common."""
    generation, _ = authority(purpose)
    return Template(profile=CARD_V1, generation=generation, partition=partition(purpose), base_url=BASE_URL)


def draft(purpose: Purpose, holder: Holder = HANAKO) -> Draft:
    """A draft of this purpose for the holder."""
    lifetime = Validity(NOW, end_of_day(date(2031, 4, 1)))
    return Draft(
        template=template(purpose),
        serial=new_serial(system_randomness),
        common_name=common_name(purpose, lifetime, system_randomness),
        validity=lifetime,
        disclosed=holder if purpose is Purpose.SIGNING else None,
        key=HolderKey(holder_key().public_key(), CARD_V1.key),
    )


def request(
    key: rsa.RSAPrivateKey,
    shape: Callable[[x509.CertificateSigningRequestBuilder], x509.CertificateSigningRequestBuilder] | None = None,
) -> x509.CertificateSigningRequest:
    """A CSR for the key, shaped by the test."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return (shape(builder) if shape else builder).sign(key, SHA256())
