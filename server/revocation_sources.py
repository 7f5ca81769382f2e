"""Whom jpki.toml names to ask about revocation: OCSP responders and lists, each about what one CA certificate issued.

Nobody else is asked: the URLs in a certificate are its maker's choice. A server that gave nothing of use is left alone
for a minute, so the documents of that minute do not wait for it.
"""

import logging
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from tempfile import TemporaryFile

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from crl.reader import CrlFile
from jpki.clock import Clock
from jpki.errors import JpkiError
from jpki.ports import RevocationSource
from jpki.randomness import Randomness
from jpki.revocation import RevocationEvidence
from ocsp.client import OcspClient
from server.list_fetch import fetch_list
from server.settings import RevocationSettings

PAUSE = timedelta(minutes=1)
"""How long a server is not asked again after it gave nothing of use; nor is a list fetched more often."""
LONGEST_KEPT = timedelta(minutes=5)
"""How long a list serves before it is fetched again, if its nextUpdate does not come first."""
LARGEST_LIST = 256 << 20
"""Octets: some six million entries."""
_OCSP_SECONDS = 5.0
_LIST_SECONDS = 20.0
_ON_DISK = "/var/tmp" if os.path.isdir("/var/tmp") else None  # noqa: PTH112, S108 - files there have no name

_log = logging.getLogger(__name__)


def revocation_sources(
    named: Iterable[RevocationSettings],
    clock: Clock,
    randomness: Randomness,
    *,
    ocsp_seconds: float = _OCSP_SECONDS,
    list_seconds: float = _LIST_SECONDS,
) -> Sequence[RevocationSource]:
    """Return the sources in the order in which they are asked: the responders, then the lists.

    They are safe to share between threads, and never raise. The seconds bound the way to a server, and then all that
    comes back.
    """
    responders, lists = defaultdict[str, list[RevocationSource]](list), defaultdict[str, list[RevocationSource]](list)
    for each in named:
        if each.ocsp is not None:
            client = OcspClient(each.ocsp, clock, randomness, ocsp_seconds)
            responders[each.issuer].append(_PatientResponder(client, each.ocsp, clock))
        if each.crl is not None:
            lists[each.issuer].append(_KeptList(each.crl, clock, list_seconds))
    return [_ByIssuer(each) for each in (responders, lists) if each]


class _ByIssuer:
    """Sources by the SHA-256 of the one CA certificate that each may be asked about; see `RevocationSource`.

    Generations of a CA have one name, so the name would not do (docs/adr/0004).
    """

    def __init__(self, sources: Mapping[str, Sequence[RevocationSource]]) -> None:
        self._sources = dict(sources)

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the word of the first of the issuer's sources that has one."""
        sources = self._sources.get(issuer.fingerprint(SHA256()).hex(), ())
        words = (source.evidence(certificate, issuer, at) for source in sources)
        return next((word for word in words if word is not None), None)


class _Rest:
    """A span of time in which a server is not asked. A clock that is set back behind its beginning ends it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._span: tuple[datetime, datetime] | None = None

    def lasts(self) -> bool:
        """Tell whether the server is still not to be asked."""
        span = self._span
        return span is not None and span[0] <= self._clock() < span[1]

    def begin(self, until: datetime | None = None) -> None:
        """Leave the server alone for a minute, or longer, until then."""
        now = self._clock()
        shortest = now + PAUSE
        self._span = now, shortest if until is None else max(shortest, until)


class _PatientResponder:
    """An OCSP responder, which has no say while it is away or gives answers of no use; see `RevocationSource`."""

    def __init__(self, client: OcspClient, url: str, clock: Clock) -> None:
        self._client = client
        self._url = url
        self._rest = _Rest(clock)

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the responder's word."""
        if self._rest.lasts():
            return None
        try:
            return self._client.evidence(certificate, issuer, at)
        except JpkiError as error:
            _log.warning("no word on revocation from %s: %s", self._url, error.code)
            self._rest.begin()
            return None


class _KeptList:
    """A list that is fetched once for many certificates, and again when it is due; see `RevocationSource`.

    Where nothing better can be fetched the last list goes on to serve: whoever weighs its word knows its nextUpdate.
    """

    def __init__(self, url: str, clock: Clock, seconds: float) -> None:
        self._url = url
        self._clock = clock
        self._seconds = seconds
        self._rest = _Rest(clock)
        self._fetching = threading.Lock()
        self._kept: CrlFile | None = None

    def evidence(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationEvidence | None:
        """Return the list's word, None where it has no say or there is none."""
        # While another thread fetches, a list that still holds serves; without one there is nothing but to wait.
        if not self._rest.lasts() and self._fetching.acquire(blocking=not self._holds()):
            try:
                if not self._rest.lasts():
                    self._renew(issuer)
            finally:
                self._fetching.release()
        kept = self._kept
        return None if kept is None else kept.evidence(certificate, issuer, at)

    def _holds(self) -> bool:
        kept = self._kept
        return kept is not None and kept.fresh_until is not None and self._clock() <= kept.fresh_until

    def _renew(self, issuer: x509.Certificate) -> None:
        try:
            found = self._fetched()
        except (JpkiError, OSError) as error:
            self._left(error.code if isinstance(error, JpkiError) else type(error).__name__)
            return
        if not found.speaks_for(issuer):
            self._left("not the issuer's list")
            return
        if self._kept is None or found.as_of >= self._kept.as_of:
            self._kept = found
        latest = self._clock() + LONGEST_KEPT
        self._rest.begin(latest if found.fresh_until is None else min(latest, found.fresh_until))

    def _left(self, why: str) -> None:
        _log.warning("no list from %s: %s", self._url, why)
        self._rest.begin()

    def _fetched(self) -> CrlFile:
        with TemporaryFile(dir=_ON_DISK) as file:
            fetch_list(self._url, file, self._seconds, LARGEST_LIST)
            return CrlFile(file)
