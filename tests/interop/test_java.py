"""What Java's own path validation (PKIX) makes of our certificates, and what it was seen to ask for."""

from urllib.parse import urlsplit

import pytest

from tests.interop.authority import Town
from tests.interop.conftest import OcspDoor
from tests.interop.java import java
from tests.interop.recorder import Asked, recording

pytestmark = pytest.mark.slow

FETCH_LISTS = "-Dcom.sun.security.enableCRLDP=true"


def judged(town: Town, way: str, *options: str, host: str | None = None) -> tuple[list[str], list[Asked]]:
    """Return Java's words on all cards, Hanako's first, authentication before signing; and all that it asked for.

    `host` is who answers in place of the one that Java asks.
    """
    files = [file for card in town.cards for file in (card.certificate, card.chain)]
    with recording(host) as proxy:
        # Java asks the loopback without a proxy unless it is told that there are no such hosts.
        through = ("-Dhttp.proxyHost=127.0.0.1", f"-Dhttp.proxyPort={proxy.port}", "-Dhttp.nonProxyHosts=")
        done = java("RevocationCheck", way, *files, options=(*through, *options))
    assert done.code == 0, done.text
    return done.out.decode().splitlines(), proxy.seen


def host_of(ocsp: OcspDoor, town: Town) -> str:
    return urlsplit(ocsp(town.hanako.signing)).netloc


def right(town: Town) -> list[str]:
    return ["revoked KEY_COMPROMISE" if card == town.taro.signing else "good" for card in town.cards]


def test_java_asks_by_get_and_finds_only_the_revoked_certificate_revoked(town: Town, ocsp: OcspDoor) -> None:
    verdicts, asked = judged(town, "ocsp", host=host_of(ocsp, town))
    assert verdicts == right(town)
    assert [each.method for each in asked] == ["GET"] * len(town.cards)
    for card, each in zip(town.cards, asked, strict=True):
        assert each.url.startswith(f"{card.ocsp_url}/")


def test_java_asks_by_post_where_the_question_is_long(town: Town, ocsp: OcspDoor) -> None:
    """Beyond 255 octets, as RFC 6960 A.1 has it: here by a nonce, which Java wants to see again in the answer."""
    verdicts, asked = judged(town, "nonce", host=host_of(ocsp, town))
    assert verdicts == right(town)
    assert [(each.method, each.url) for each in asked] == [("POST", card.ocsp_url) for card in town.cards]
    assert all(each.octets > 96 for each in asked)


@pytest.mark.parametrize(("way", "options"), [("crl", ()), ("default", (FETCH_LISTS,))], ids=["told to", "by a switch"])
def test_java_fetches_the_list_that_the_certificate_names(town: Town, way: str, options: tuple[str, ...]) -> None:
    verdicts, asked = judged(town, way, *options)
    assert verdicts == right(town)
    assert {(each.method, each.url) for each in asked} == {("GET", card.crl_url) for card in town.cards}


def test_java_left_to_itself_fetches_nothing_and_decides_nothing(town: Town) -> None:
    verdicts, asked = judged(town, "default")
    assert set(verdicts) == {"UNDETERMINED_REVOCATION_STATUS"}
    assert asked == []
