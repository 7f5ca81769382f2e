"""What pyHanko's own validator makes of a signed PDF when it fetches revocation itself and must find it (hard-fail)."""

import asyncio
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import CRLFetchError, OCSPFetchError
from pyhanko_certvalidator.fetchers import CRLFetcher, Fetchers, OCSPFetcher
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from signing.samples import tax_return_pdf
from tests.interop.authority import Card, Town

pytestmark = pytest.mark.slow

WAYS = pytest.mark.parametrize("way", ["ocsp", "crl"])


class NoOcsp(OCSPFetcher):
    """No responder can be reached."""

    async def fetch(self, cert: Any, authority: Any) -> Any:  # noqa: ANN401, ARG002 - pyHanko's signature
        raise OCSPFetchError("not in this test")

    def fetched_responses(self) -> Iterable[Any]:
        return ()

    def fetched_responses_for_cert(self, cert: Any) -> Iterable[Any]:  # noqa: ANN401, ARG002 - pyHanko's signature
        return ()


class NoCrl(CRLFetcher):
    """No list can be reached."""

    async def fetch(self, cert: Any, *, use_deltas: Any = None) -> Any:  # noqa: ANN401, ARG002 - pyHanko's signature
        raise CRLFetchError("not in this test")

    def fetched_crls(self) -> Iterable[Any]:
        return ()

    def fetched_crls_for_cert(self, cert: Any) -> Iterable[Any]:  # noqa: ANN401, ARG002 - pyHanko's signature
        return ()


def only(fetchers: Fetchers, way: str) -> Fetchers:
    """Leave one way to the truth."""
    return Fetchers(
        ocsp_fetcher=fetchers.ocsp_fetcher if way == "ocsp" else NoOcsp(),
        crl_fetcher=fetchers.crl_fetcher if way == "crl" else NoCrl(),
        cert_fetcher=fetchers.cert_fetcher,
    )


async def judged(document: bytes, root: x509.Certificate, way: str) -> PdfSignatureStatus:
    reader = PdfFileReader(BytesIO(document))
    async with AIOHttpFetcherBackend() as fetchers:
        context = ValidationContext(
            trust_roots=[Certificate.load(root.public_bytes(Encoding.DER))],
            allow_fetching=True,
            revocation_mode="hard-fail",
            fetchers=only(fetchers, way),
        )
        return await async_validate_pdf_signature(reader.embedded_signatures[0], signer_validation_context=context)


def verdict(town: Town, card: Card, way: str, directory: Path) -> PdfSignatureStatus:
    unsigned, signed = directory / "unsigned.pdf", directory / "signed.pdf"
    unsigned.write_bytes(tax_return_pdf(["Income 3000000"]))
    assert town.authority.sign(unsigned, card, signed).code == 0
    return asyncio.run(judged(signed.read_bytes(), card.issuer, way))


@WAYS
def test_pyhanko_accepts_what_a_living_certificate_signed(town: Town, tmp_path: Path, way: str) -> None:
    status = verdict(town, town.hanako.signing, way, tmp_path)
    assert status.bottom_line, status.summary()
    assert not status.revoked


@WAYS
def test_pyhanko_refuses_what_the_revoked_certificate_signed(town: Town, tmp_path: Path, way: str) -> None:
    status = verdict(town, town.taro.signing, way, tmp_path)
    assert not status.bottom_line
    assert status.revoked
    assert status.intact
    assert status.valid


def test_pyhanko_accepts_nothing_where_neither_can_be_reached(town: Town, tmp_path: Path) -> None:
    status = verdict(town, town.hanako.signing, "neither", tmp_path)
    assert not status.bottom_line
    assert status.valid
