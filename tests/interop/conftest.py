"""One home for the session, served while its tests run."""

from collections.abc import Iterator

import pytest

from tests.interop.authority import Town, enrol, found, holder, serving

HANAKO = holder("H-0001", "見本　花子", "東京都千代田区見本町一丁目２番３号", "131016", "1990-04-02")
TARO = holder("H-0002", "試作　太郎", "大阪府大阪市北区試作町４番地", "271004", "1975-08-09")


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Two residents with both certificates, one of the four revoked, the lists published, all doors open."""
    authority = found(tmp_path_factory.mktemp("interop"))
    town = Town(authority=authority, hanako=enrol(authority, HANAKO), taro=enrol(authority, TARO))
    authority.do("revoke", town.taro.signing.serial, "--reason", "keyCompromise")
    authority.do("crl", "publish")
    with serving(authority):
        yield town
