"""Revocation data as documents store it for later: CAdES' and XAdES' values (RFC 5126 6.3.4), and OCSP responses."""

from collections.abc import Iterator

from jpki import der, oids
from jpki.der import DerError, Reader, Tag, context
from signing.caps import MOST_STORED
from signing.validation import Stored, StoredKind


def revocation_values(octets: bytes) -> Iterator[Stored]:
    """Yield what the DER of CAdES' RevocationValues holds; what cannot be read proves nothing, and is passed over."""
    try:
        fields = Reader(Reader(octets).read(Tag.SEQUENCE))
        lists = fields.read_optional(context(0))
        answers = fields.read_optional(context(1))
        found = [
            *(Stored(kind=StoredKind.CRL, octets=each) for each in _elements(lists)),
            *(Stored(kind=StoredKind.OCSP, octets=response_of(each)) for each in _elements(answers)),
        ]
    except DerError:
        return
    yield from found[:MOST_STORED]


def _elements(content: bytes | None) -> Iterator[bytes]:
    if content is not None:
        elements = Reader(Reader(content).read(Tag.SEQUENCE))
        while elements.peek() is not None:
            yield elements.read_element(Tag.SEQUENCE)


def response_of(basic: bytes) -> bytes:
    """Return the OCSPResponse around a BasicOCSPResponse (RFC 6960 4.2.1)."""
    kind = der.object_identifier(oids.OCSP_BASIC)
    return der.sequence(der.enumerated(0), der.tlv(context(0), der.sequence(kind, der.octet_string(basic))))
