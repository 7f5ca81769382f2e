"""The office's API as clerks use it: each with a client certificate, which a proxy at 127.0.0.1 tells of."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from hsm_adapter.software import generate
from jpki.acts import LOCAL_OPERATOR
from jpki.certificate import Purpose
from jpki.clerk import Clerk, ClerkId
from jpki.clock import Clock, iso
from jpki.delegate import DelegateKind
from jpki.ids import Serial
from jpki.randomness import Randomness, system_randomness
from jpki.signature import KeySpec
from server.app import Door, create_app
from server.home import Home
from server.settings import read_settings
from server.wiring import Rooms, assemble, database_of, keys_of, store_of
from tests.server.office_world import OfficeTown, Register, furnish

PROXY = "127.0.0.1"
V1 = "/api/v1"


def client_certificate(rooms: Rooms, clerk: ClerkId) -> x509.Certificate:
    root = rooms.living(Purpose.INFRASTRUCTURE)[0]
    key = generate(KeySpec.P256).public_key()
    certificate = rooms.delegation.client(root, key, DelegateKind.CLERK, clerk, LOCAL_OPERATOR)
    rooms.store.clerks.certify(clerk, Serial(certificate.serial_number), LOCAL_OPERATOR, rooms.clock(), alone=False)
    return certificate


def header_of(certificate: x509.Certificate) -> dict[str, str]:
    return {"Client-Cert": f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"}


@dataclass
class ApiTown:
    """An app over an office, and what each clerk shows at its door."""

    office: OfficeTown
    app: Flask
    shown: dict[ClerkId, Mapping[str, str]]

    @property
    def rooms(self) -> Rooms:
        return self.office.rooms

    def headers(self, clerk: Clerk) -> Mapping[str, str]:
        if clerk.id not in self.shown:
            self.shown[clerk.id] = header_of(client_certificate(self.rooms, clerk.id))
        return self.shown[clerk.id]

    @property
    def client(self) -> Any:  # noqa: ANN401 - answers in JSON have no type
        return self.app.test_client()

    def get(self, clerk: Clerk, path: str) -> Any:  # noqa: ANN401 - as above
        return self.client.get(V1 + path, headers=dict(self.headers(clerk)))

    def post(self, clerk: Clerk, path: str, body: object = None, key: str | None = None) -> Any:  # noqa: ANN401 - as above
        headers = dict(self.headers(clerk)) | ({} if key is None else {"Idempotency-Key": key})
        return self.client.post(V1 + path, json={} if body is None else body, headers=headers)

    def done(self, clerk: Clerk, path: str, body: object = None, key: str | None = None) -> dict[str, Any]:
        answer = self.post(clerk, path, body, key)
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json
        return told

    def card(self) -> dict[str, str]:
        facts = self.office.card()
        return {"number": facts.number, "not_after": iso(facts.not_after), "mode": facts.mode}

    def requests(self, *purposes: Purpose) -> dict[str, str]:
        found = self.office.requests(purposes or tuple(Purpose)[:2])
        return {name: base64.b64encode(each.public_bytes(Encoding.DER)).decode() for name, each in found.items()}


@contextmanager
def api_at(home: Path, clock: Clock, randomness: Randomness = system_randomness) -> Iterator[ApiTown]:
    """Open a home behind a proxy, with a register beside it."""
    register, place = Register(), Home(home)
    settings = read_settings(place.settings).model_copy(update={"client_cert_proxy": (PROXY,)})
    keys = keys_of(place, settings)
    store = store_of(database_of(place, settings), keys, randomness)
    rooms = assemble(place, settings, keys, store, clock, randomness, register)
    try:
        town = furnish(rooms, register)
        app = create_app(rooms, [Door.OCSP, Door.CRL, Door.CA, Door.API, Door.CONSOLE])
        yield ApiTown(town, app, {})
    finally:
        rooms.close()
