"""What Java's own path validation (PKIX) makes of our certificates, by OCSP and by the lists that they name."""

from pathlib import Path

import pytest

from tests.interop.authority import Town
from tests.interop.programs import run

pytestmark = pytest.mark.slow

SOURCE = Path(__file__).with_name("RevocationCheck.java")
FETCH_LISTS = "-Dcom.sun.security.enableCRLDP=true"


def verdicts(town: Town, way: str, *options: str) -> list[str]:
    """Return Java's words on Hanako's certificates and then on Taro's, authentication before signing."""
    run("javac", "-version")  # A Java without a compiler cannot run a source file: skip by the compiler's name.
    files = [file for card in town.cards for file in (card.certificate, card.chain)]
    done = run("java", *options, SOURCE, way, *files)
    assert done.code == 0, done.text
    return done.out.decode().splitlines()


@pytest.mark.parametrize(
    ("way", "options"),
    [("ocsp", ()), ("crl", ()), ("default", (FETCH_LISTS,))],
    ids=["by OCSP", "by list", "by list as the switch has it"],
)
def test_java_finds_only_the_revoked_certificate_revoked(town: Town, way: str, options: tuple[str, ...]) -> None:
    expected = ["revoked KEY_COMPROMISE" if card == town.taro.signing else "good" for card in town.cards]
    assert verdicts(town, way, *options) == expected


def test_java_left_to_itself_fetches_no_list_and_decides_nothing(town: Town) -> None:
    """So the list that decides above is the one that the certificate names."""
    assert set(verdicts(town, "default")) == {"UNDETERMINED_REVOCATION_STATUS"}
