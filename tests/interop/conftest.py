"""One home for all clients, served while its tests run, and its OCSP a second time by the fast door."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.interop.authority import Card, Town, enrol, found, holder, serving, started
from tests.ports import free_port

HANAKO = holder("H-0001", "見本　花子", "東京都千代田区見本町一丁目２番３号", "131016", "1990-04-02")
TARO = holder("H-0002", "試作　太郎", "大阪府大阪市北区試作町４番地", "271004", "1975-08-09")


@pytest.fixture(scope="package")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Two residents with both certificates, one of the four revoked, the lists published, all doors open."""
    authority = found(tmp_path_factory.mktemp("interop"))
    town = Town(authority=authority, hanako=enrol(authority, HANAKO), taro=enrol(authority, TARO))
    authority.do("revoke", town.taro.signing.serial, "--reason", "keyCompromise")
    authority.do("crl", "publish")
    with serving(authority):
        yield town


OcspDoor = Callable[[Card], str]
"""The address at which a door answers questions about a card."""


@pytest.fixture(scope="package")
def ocsp_doors(town: Town) -> Iterator[Mapping[str, OcspDoor]]:
    """The address that the certificate names, and that of the fast door, which stands behind it elsewhere."""
    port = free_port()
    with started(town.authority, port, "--door", "ocsp", "--fast"):
        yield {"plain": lambda card: card.ocsp_url, "fast": lambda _: f"http://127.0.0.1:{port}/ocsp"}


@pytest.fixture(params=["plain", "fast"])
def ocsp(request: pytest.FixtureRequest, ocsp_doors: Mapping[str, OcspDoor]) -> OcspDoor:
    """Each of the two doors."""
    return ocsp_doors[request.param]
