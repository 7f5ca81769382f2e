"""A small authority whose lists are published: two signing generations under one name, one authentication CA."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from jpki.certificate import Purpose
from jpki.generation import Generation
from jpki.ids import GenerationId, KeyUri, PartitionId, Serial
from jpki.partition import ARL, Partition
from jpki.signature import PrivateKey

SHARED = Path(os.environ.get("JPKI_SHARED", Path(__file__).parents[3] / "shared"))
"""Where the outside cases lie; a user's clone has none."""

NOW = datetime(2026, 11, 23, 3, 4, 5, 678901, UTC)
TODAY = NOW.replace(microsecond=0)
BIRTH = datetime(2020, 1, 1, tzinfo=UTC)
END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
DAY = timedelta(days=1)
BASE_URL = "http://127.0.0.1:8080"

CERTIFICATES_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
CERTIFICATES_AND_LISTS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def serial(number: int) -> Serial:
    """A serial of our form, in order of `number`."""
    return Serial((1 << 126) + number)


def root(purpose: Purpose) -> list[x509.NameAttribute[str]]:
    return [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "JPKI-LAB"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"JPKI for {purpose}"),
    ]


_keys: defaultdict[str, rsa.RSAPrivateKey] = defaultdict(lambda: rsa.generate_private_key(65537, 2048))
_making_a_key = Lock()


def key_of(generation_id: str) -> rsa.RSAPrivateKey:
    with _making_a_key:
        return _keys[generation_id]


def signer(uri: KeyUri) -> PrivateKey:
    return key_of(uri.removeprefix("software:"))


@cache
def generation(id_: str, purpose: Purpose = Purpose.SIGNING, end: datetime = END) -> Generation:
    key = key_of(id_)
    certificate = (
        x509.CertificateBuilder(x509.Name(root(purpose)), x509.Name(root(purpose)), key.public_key())
        .serial_number(int(id_[1:]))
        .not_valid_before(BIRTH)
        .not_valid_after(end)
        .add_extension(CERTIFICATES_AND_LISTS, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return Generation(
        id=GenerationId(id_),
        purpose=purpose,
        certificate=certificate,
        key=KeyUri(f"software:{id_}"),
        profile="card-v1",
        issue_until=end,
    )


def generations(purpose: Purpose) -> Sequence[Generation]:
    if purpose is Purpose.SIGNING:
        return [generation("s2"), generation("s1")]
    return [generation("a1", Purpose.AUTHENTICATION)]


def partition(id_: str, purpose: Purpose = Purpose.SIGNING, base_urls: tuple[str, ...] = (BASE_URL,)) -> Partition:
    name = x509.Name([*root(purpose), x509.NameAttribute(NameOID.COMMON_NAME, f"{id_} CRLDP")])
    return Partition(id=PartitionId(id_), purpose=purpose, name=name, base_urls=base_urls)


CHIYODA = partition("p0001")
CHUO = partition("p0002")
BUCKET = partition("b01", Purpose.AUTHENTICATION)
SIGNING_ARL = Partition(id=ARL, purpose=Purpose.SIGNING, name=x509.Name(root(Purpose.SIGNING)), base_urls=(BASE_URL,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a holder's certificate should look like."""

    serial: Serial
    generation: str = "s1"
    points: Sequence[x509.DistributionPoint] | None = None
    ca: bool = False


def named_in(which: Partition, generation_id: str = "s1") -> list[x509.DistributionPoint]:
    """The distribution point that our certificates carry."""
    names = which.distribution_names(GenerationId(generation_id))
    return [x509.DistributionPoint(full_name=names, relative_name=None, reasons=None, crl_issuer=None)]


def certificate(wanted: Leaf) -> x509.Certificate:
    issuer = generation(wanted.generation)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, subject, key.public_key())
        .serial_number(wanted.serial)
        .not_valid_before(BIRTH)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=wanted.ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False)
    )
    if wanted.points is not None:
        builder = builder.add_extension(x509.CRLDistributionPoints(wanted.points), critical=False)
    return builder.sign(key_of(wanted.generation), SHA256())
