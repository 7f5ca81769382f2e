"""A home made, used and served by the real command line."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.interop.programs import ENVIRONMENT, Done, jpki
from tests.ports import free_port

JPKI = Path(sys.executable).with_name("jpki")
_DIRECT = build_opener(ProxyHandler({}))
_START_SECONDS = 30

HolderData = Mapping[str, str]
"""The fields of holder.json."""


def holder(code: str, name: str, address: str, municipality: str, birth_date: str) -> HolderData:
    return {
        "code": code,
        "name": name,
        "name_substitutes": "0" * len(name),
        "birth_date": birth_date,
        "gender": "female",
        "address": address,
        "address_substitutes": "0" * len(address),
        "municipality": municipality,
    }


@dataclass(frozen=True, slots=True)
class Card:
    """What `jpki issue` left in a directory."""

    directory: Path

    @property
    def key(self) -> Path:
        return self.directory / "key.pem"

    @property
    def certificate(self) -> Path:
        return self.directory / "certificate.pem"

    @property
    def chain(self) -> Path:
        return self.directory / "chain.pem"

    @property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    @property
    def issuer(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain.read_bytes())

    @property
    def serial(self) -> str:
        return f"0x{self.parsed.serial_number:032x}"

    @property
    def crl_url(self) -> str:
        """The one URL of the certificate's own CRL distribution point."""
        (point,) = self.parsed.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
        (url,) = [name.value for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
        return url

    @property
    def complete_crl_url(self) -> str:
        return f"{self.crl_url.rpartition('/')[0]}/complete.crl"

    @property
    def ocsp_url(self) -> str:
        return self._access(AuthorityInformationAccessOID.OCSP)

    @property
    def issuer_url(self) -> str:
        return self._access(AuthorityInformationAccessOID.CA_ISSUERS)

    def _access(self, method: x509.ObjectIdentifier) -> str:
        descriptions = self.parsed.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        (url,) = [each.access_location.value for each in descriptions if each.access_method == method]
        return str(url)


@dataclass(frozen=True, slots=True)
class Authority:
    """A home and its commands; `said` keeps all that they ever printed."""

    home: Path
    port: int
    said: list[Done] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What `jpki serve` prints."""
        return self.home.with_name("serve.log")

    def run(self, *words: str | Path) -> Done:
        """Run a command of this home, whatever becomes of it."""
        return self._jpki(*words, "--home", self.home)

    def do(self, *words: str | Path) -> Any:  # noqa: ANN401 - JSON
        """Run a command of this home that must succeed, and return its JSON."""
        done = self.run(*words, "--json")
        assert done.code == 0, done.text
        return json.loads(done.out)

    def sign(self, document: Path, card: Card, out: Path, *options: str) -> Done:
        """Sign as a holder's software does: it needs no home."""
        return self._jpki(
            "sign", document, "--certificate", card.certificate, "--key", card.key, "--out", out, *options
        )

    def issue(self, kind: str, data: HolderData, carrier: str = "card") -> Card:
        directory = self.home.parent / f"{data['code']}-{kind}-{carrier.replace(':', '-')}"
        file = directory.with_suffix(".json")
        file.write_text(json.dumps(data, ensure_ascii=False), "utf-8")
        self.do("issue", "--kind", kind, "--holder", file, "--carrier", carrier, "--out", directory)
        return Card(directory)

    def _jpki(self, *words: str | Path) -> Done:
        self.said.append(jpki(*words))
        return self.said[-1]


def found(directory: Path) -> Authority:
    """Make a home below `directory`, whose base URL is a free port of this machine."""
    authority = Authority(directory / "home", free_port())
    authority.do("init", "--base-url", authority.url)
    return authority


@contextmanager
def serving(authority: Authority) -> Iterator[None]:
    """Serve the home while the block runs, and require that the service then ends well by SIGTERM."""
    with started(authority, authority.port) as server:
        yield
        server.terminate()
        assert server.wait(20) == 0, authority.log.read_text("utf-8")


@contextmanager
def started(authority: Authority, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `jpki serve` with two workers; whatever happens in the block, nothing of it is left afterwards."""
    words: list[str | Path] = [JPKI, "serve", "--home", authority.home, "--port", str(port), "--workers", "2", *options]
    with authority.log.open("ab") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, env=ENVIRONMENT)
    try:
        _wait_until_ready(server, f"http://127.0.0.1:{port}/readyz", authority.log)
        yield server
    finally:
        server.kill()
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with _DIRECT.open(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A holder with both certificates."""

    data: HolderData
    authentication: Card
    signing: Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """Two residents of two municipalities; Taro's signing certificate is revoked, everything else is good."""

    authority: Authority
    hanako: Resident
    taro: Resident

    @property
    def cards(self) -> Sequence[Card]:
        return [each for who in (self.hanako, self.taro) for each in (who.authentication, who.signing)]

    def card(self, name: str) -> Card:
        """Return a card by a parameter's name, such as `hanako.signing`."""
        who, kind = name.split(".")
        card: Card = getattr(getattr(self, who), kind)
        return card


def enrol(authority: Authority, data: HolderData) -> Resident:
    """Issue both certificates; a signing certificate ends with the authentication certificate, so that one is first."""
    authentication = authority.issue("authentication", data)
    return Resident(data=data, authentication=authentication, signing=authority.issue("signing", data))
