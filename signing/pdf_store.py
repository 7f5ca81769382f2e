"""A PDF's document security store: certificates and revocation data for later (ISO 32000-2, 12.8.4.3).

Nobody signed it unless a later time-stamp covers it, and what it holds speaks for itself or not at all: so whatever in
it cannot be read is passed over.
"""

# mypy: allow-untyped-calls
# pyHanko's PDF layer bears no types.

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from pyhanko.pdf_utils.decode_limits import DecodePurpose
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.caps import MOST_STORED
from signing.validation import Stored, StoredKind

_REVOCATION_DATA = {
    "/CRLs": (StoredKind.CRL, DecodePurpose.CRL),
    "/OCSPs": (StoredKind.OCSP, DecodePurpose.OCSP_RESPONSE),
}


@dataclass(frozen=True, slots=True)
class Store:
    """What a document holds for later: certificates, and revocation data with the revisions that it stands in."""

    certificates: tuple[x509.Certificate, ...] = ()
    stored: tuple[Stored, ...] = ()


def read_store(reader: PdfFileReader) -> Store:
    """Return the store in the document's last revision, an empty one where it has none."""
    try:
        store = reader.root["/DSS"]
    except KeyError:
        return Store()
    if not isinstance(store, DictionaryObject):
        return Store()
    stored = (
        Stored(kind=kind, octets=octets, layer=layer)
        for name, (kind, purpose) in _REVOCATION_DATA.items()
        for octets, layer in _streams(reader, store, name, purpose)
    )
    return Store(tuple(_certificates(reader, store)), tuple(stored))


def _certificates(reader: PdfFileReader, store: DictionaryObject) -> Iterator[x509.Certificate]:
    for octets, _ in _streams(reader, store, "/Certs", DecodePurpose.CERTIFICATE):
        try:
            yield x509.load_der_x509_certificate(octets)
        except (ValueError, x509.InvalidVersion):
            continue


def _streams(
    reader: PdfFileReader, store: DictionaryObject, name: str, purpose: DecodePurpose
) -> Iterator[tuple[bytes, int]]:
    """Yield the octets of the array's streams, each with the number of the revision that last wrote it."""
    array = store.get(name)
    if not isinstance(array, ArrayObject):
        return
    for position in range(min(len(array), MOST_STORED)):
        reference = array.raw_get(position)
        if not isinstance(reference, IndirectObject):
            continue
        try:
            stream = reference.get_object()
            octets = stream.read_data(purpose) if isinstance(stream, StreamObject) else b""
            yield octets, reader.xrefs.get_last_change(reference.reference)
        except PdfDecodeLimitError:
            raise
        except (PdfReadError, ValueError, KeyError):
            continue
