"""Who and what appears in the story: two fictitious holders, their cards, and a clock that can be moved."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from enroll.municipalities import municipalities
from jpki.clock import Clock, day_in_japan, years_later
from jpki.holder import Gender, Holder
from jpki.ids import HolderCode, Serial
from jpki.signature import PrivateKey
from signing.credential import Credential

_BIRTHDAY_AHEAD = timedelta(days=45)
_FROM_ISSUE_TO_BIRTHDAY = timedelta(days=int(365.25 * 4.5))


class MovableClock:
    """A clock that stands still in the past until it is moved to the present."""

    def __init__(self, present: Clock) -> None:
        self._present = present
        self._standing: datetime | None = present() + _BIRTHDAY_AHEAD - _FROM_ISSUE_TO_BIRTHDAY

    def __call__(self) -> datetime:
        """Return the moment where it stands, or the present."""
        return self._present() if self._standing is None else self._standing

    def move_to_present(self) -> None:
        """Run with the present from now on."""
        self._standing = None


@dataclass(frozen=True, slots=True)
class Card:
    """A holder's certificate, with the key that in life only the card has."""

    certificate: x509.Certificate
    credential: Credential
    file: Path

    @property
    def serial(self) -> Serial:
        """The certificate's serial."""
        return Serial(self.certificate.serial_number)


def taro(present: datetime) -> Holder:
    """Return a holder whose fifth birthday after the ceremony lies some weeks ahead: inside the renewal window."""
    return Holder(
        code=HolderCode("DEMO-0001"),
        name="山田　太郎",
        name_substitutes="00000",
        birth_date=years_later(day_in_japan(present + _BIRTHDAY_AHEAD), -40),
        gender=Gender.MALE,
        address="北海道札幌市中央区北一条西二丁目",
        address_substitutes="0" * 16,
        municipality=municipalities()["011002"],
    )


def hanako(*, moved: bool = False) -> Holder:
    """Return a holder with a substitute character in her name, before or after she moved house."""
    address = "大阪府大阪市北区中之島一丁目３−２０" if moved else "東京都千代田区霞が関一丁目１番１号"
    return Holder(
        code=HolderCode("DEMO-0002"),
        name="日本　花子",
        name_substitutes="00010",
        birth_date=date(1990, 4, 1),
        gender=Gender.FEMALE,
        address=address,
        address_substitutes="0" * len(address),
        municipality=municipalities()["271004" if moved else "131016"],
    )


def request(key: PrivateKey) -> x509.CertificateSigningRequest:
    """Return the CSR that a card makes for its key."""
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
