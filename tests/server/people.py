"""Fictitious holders, their registry answers, and the requests that their cards make."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from enroll.municipalities import municipalities
from jpki.errors import JpkiError, Kind
from jpki.holder import Holder
from jpki.ids import HolderCode
from jpki.resident import Resident
from jpki.signature import PrivateKey
from server.sample import holders
from tests.ca.world import HANAKO
from tests.conftest import PROJECT

HOLDER_FILE = PROJECT / "examples" / "holder.json"

NOBODY = x509.Name([])


def holder_file(folder: Path, **changes: str | None) -> Path:
    """Write holder.json with these changes; None leaves the field out."""
    fields = json.loads(HOLDER_FILE.read_text("utf-8")) | changes
    file = folder / "holder.json"
    file.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}), "utf-8")
    return file


def someone(code: str = "T-0001", birth_date: date = date(1990, 4, 1)) -> Holder:
    return replace(HANAKO, code=HolderCode(code), birth_date=birth_date)


@contextmanager
def of_few_towns() -> Iterator[None]:
    """Let all sample holders live in four municipalities: of each there is a list, to be published again and again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holders, "_present_municipalities", lambda: tuple(municipalities().values())[::500])
        yield


class AskedOneByOne:
    """Answers about many as about each alone; for a register in a test."""

    def resident(self, code: HolderCode) -> Resident:
        raise NotImplementedError

    def each_resident(self, codes: Collection[HolderCode]) -> dict[HolderCode, Resident | JpkiError]:
        found: dict[HolderCode, Resident | JpkiError] = {}
        for code in codes:
            try:
                found[code] = self.resident(code)
            except JpkiError as error:
                if error.kind is Kind.UNAVAILABLE:
                    raise
                found[code] = error
        return found


@cache
def card_key(number: int = 1) -> rsa.RSAPrivateKey:
    """The key of the n-th card; making one takes long."""
    del number
    return rsa.generate_private_key(65537, 2048)


def request(
    key: PrivateKey, subject: x509.Name = NOBODY, *extensions: x509.ExtensionType
) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, SHA256())


def greedy_request() -> bytes:
    """A CSR in PEM that asks to be a CA, and for other names."""

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "attacker.example")])
    wishes = (
        x509.BasicConstraints(ca=True, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("attacker.example")]),
    )
    return request(card_key(), name, *wishes).public_bytes(Encoding.PEM)


def tampered_request() -> bytes:
    """A CSR in DER whose signature does not fit."""
    octets = bytearray(request(card_key()).public_bytes(Encoding.DER))
    octets[-1] ^= 1
    return bytes(octets)


def weak_requests() -> dict[str, bytes]:
    """CSRs whose keys no certificate may bear."""
    keys: dict[str, PrivateKey] = {
        "rsa-1024": rsa.generate_private_key(65537, 1024),  # noqa: S505 - weak on purpose
        "exponent-3": rsa.generate_private_key(3, 2048),
        "p-256": ec.generate_private_key(ec.SECP256R1()),
    }
    return {name: request(key).public_bytes(Encoding.PEM) for name, key in keys.items()}
