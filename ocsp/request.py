"""Reading an OCSPRequest (RFC 6960 4.1.1) strictly: whatever comes in, a request or `MalformedRequest` comes out."""

import binascii
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from jpki import der, oids
from jpki.der import DerError, Reader, Tag, context, read_integer
from jpki.ids import SERIAL_OCTETS, Serial
from jpki.text import Text
from ocsp.cert_id import DIGEST_OCTETS, NULL, CertId, IssuerHashes
from ocsp.question import nonce

MAX_REQUEST_OCTETS = 10_000
MAX_CERT_IDS = 20
_MAX_SERIAL_OCTETS = 20  # RFC 5280 4.1.2.2
_MAX_NONCE_OCTETS = 128  # RFC 9654 2.1

_NONCE = der.object_identifier(oids.OCSP_NONCE)
_ARCS = re.compile(rb"(?:(?:[\x81-\xff][\x80-\xff]*)?[\x00-\x7f])+")
"""An OBJECT IDENTIFIER's content: each arc is complete, and none is padded (X.690 8.19.2)."""


class MalformedRequest(Exception):  # noqa: N818 - the name of the answer's status in RFC 6960 2.3
    """The question is none that we can read or answer, for `reason`; it stays within this room."""

    def __init__(self, reason: Text) -> None:
        super().__init__(reason.en)
        self.reason = reason


class OcspRequest(NamedTuple):
    """A question: between 1 and `MAX_CERT_IDS` CertIDs, and the client's nonce if it sent one."""

    cert_ids: tuple[CertId, ...]
    nonce: bytes | None


def parse_request(data: bytes) -> OcspRequest:
    """Read an OCSPRequest.

    A requestor's name and signature are read and not judged: everyone may ask. A DEFAULT value that DER would
    leave out is accepted, because clients in the field write it.

    Raises:
        MalformedRequest: for anything else than one complete, well-formed request of version 1.
    """
    if len(data) > MAX_REQUEST_OCTETS:
        raise MalformedRequest(Text("要求が大きすぎる", "request is too large"))
    try:
        return _question_for_one(data) or _request(data)
    except DerError as error:
        raise MalformedRequest(_not_der(error)) from error


_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def octets_in_path(path: str) -> bytes:
    """Return the request in a GET's path: escaped or not, with or without padding, in either base64 alphabet.

    No request begins with a slash: the one of an address that ends in `/ocsp/` itself is left out.

    Raises:
        MalformedRequest: the path is not base64.
    """
    try:
        digits = unquote_to_bytes(path).lstrip(b"/").translate(_FROM_URL_SAFE)
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True)
    except ValueError:
        raise MalformedRequest(Text("パスがbase64でない", "path is not base64")) from None


def sole_cert_id(data: bytes) -> bytes | None:
    """Return the octets of the CertID in a request that holds one and nothing else, without reading them.

    They are those of a CertID if an answer to them is known. None where it is written in another way.
    """
    return data[8:] if data[:8] == _ENVELOPES.get(len(data)) else None


_ENVELOPES = {8 + size: bytes((0x30, size + 6, 0x30, size + 4, 0x30, size + 2, 0x30, size)) for size in range(122)}
"""How such a request begins, by its length: OCSPRequest, TBSRequest, requestList, Request, all of short form."""


def _question_for_one(data: bytes) -> OcspRequest | None:
    """Return a request that holds one CertID and a nonce, as most clients write it; None if it is another one.

    What stands around the two depends on their lengths alone, so that it need not be read but compared.
    """
    for nonce_octets in _USUAL_NONCES:
        around = _around(len(data), nonce_octets)
        if around is not None:
            before, between = around
            if data.startswith(before) and data[-nonce_octets - len(between) : -nonce_octets] == between:
                cert_id = _cert_id(data[len(before) : -nonce_octets - len(between)])
                return OcspRequest(cert_ids=(cert_id,), nonce=data[-nonce_octets:])
    return None


_USUAL_NONCES = (16, 32)
"""Octets: OpenSSL's and pyHanko's, and those of RFC 9654 2.1."""


@lru_cache(maxsize=1024)
def _around(octets: int, nonce_octets: int) -> tuple[bytes, bytes] | None:
    """Return what stands before a CertID, and between it and a nonce, in a request of so many octets in all."""
    trailer = der.tlv(context(2), der.sequence(nonce(bytes(nonce_octets))))
    for size in range(min(octets - len(trailer), _MOST_CERT_ID_OCTETS)):
        request = der.header(Tag.SEQUENCE, size)
        requests = der.header(Tag.SEQUENCE, len(request) + size) + request
        to_be_signed = der.header(Tag.SEQUENCE, len(requests) + size + len(trailer)) + requests
        before = der.header(Tag.SEQUENCE, len(to_be_signed) + size + len(trailer)) + to_be_signed
        if len(before) + size + len(trailer) == octets:
            return before, trailer[:-nonce_octets]
    return None


_MOST_CERT_ID_OCTETS = 200
"""More than one with SHA-512 hashes and the longest serial has."""


def _request(data: bytes) -> OcspRequest:
    fields = Reader(_sole(data, Tag.SEQUENCE))
    to_be_signed = fields.read(Tag.SEQUENCE)
    signature = fields.read_optional(context(0))
    fields.finish()
    if signature is not None:
        _check_signature_form(signature)
    return _to_be_signed(Reader(to_be_signed))


def _to_be_signed(fields: Reader) -> OcspRequest:
    version = fields.read_optional(context(0))
    if version is not None and read_integer(_sole(version, Tag.INTEGER)) != 0:
        raise MalformedRequest(Text("版がv1でない", "version is not v1"))
    fields.read_optional(context(1))  # requestorName
    cert_ids = _request_list(fields.read(Tag.SEQUENCE))
    extensions = fields.read_optional(context(2))
    fields.finish()
    return OcspRequest(cert_ids=cert_ids, nonce=None if extensions is None else _nonce(extensions))


def _request_list(content: bytes) -> tuple[CertId, ...]:
    requests = Reader(content)
    cert_ids: list[CertId] = []
    while requests.peek() is not None:
        if len(cert_ids) == MAX_CERT_IDS:
            raise MalformedRequest(Text("CertIDが多すぎる", "too many CertIDs"))
        cert_ids.append(_single_request(Reader(requests.read(Tag.SEQUENCE))))
    if not cert_ids:
        raise MalformedRequest(Text("CertIDがない", "no CertID"))
    return tuple(cert_ids)


def _single_request(fields: Reader) -> CertId:
    cert_id = _cert_id(fields.read_element(Tag.SEQUENCE))
    extensions = fields.read_optional(context(0))
    fields.finish()
    if extensions is not None:
        _extensions(extensions, understood=frozenset())
    return cert_id


def _cert_id(raw: bytes) -> CertId:
    """Read a CertID. Its beginning up to the serial is one of a few, where the serial has the length of ours."""
    if raw[_OUR_SERIAL:_OUR_SERIAL_CONTENT] == _OUR_SERIAL_HEADER:
        issuer, serial = _issuer_of_ours(raw[:_OUR_SERIAL]), raw[_OUR_SERIAL_CONTENT:]
        if issuer is not None and 0x01 <= serial[0] <= 0x7F:
            return CertId(raw, issuer, Serial(int.from_bytes(serial)))
    return _any_cert_id(raw)


_OUR_SERIAL_HEADER = der.header(Tag.INTEGER, SERIAL_OCTETS)
_OUR_SERIAL_CONTENT = -SERIAL_OCTETS
_OUR_SERIAL = _OUR_SERIAL_CONTENT - len(_OUR_SERIAL_HEADER)


@lru_cache(maxsize=64)
def _issuer_of_ours(beginning: bytes) -> IssuerHashes | None:
    """Return the issuer in a CertID that goes on with a serial of the length of ours; None if it cannot be read."""
    try:
        return _any_cert_id(beginning + _OUR_SERIAL_HEADER + b"\x01" * SERIAL_OCTETS).issuer
    except (DerError, MalformedRequest):
        return None


def _any_cert_id(raw: bytes) -> CertId:
    fields = Reader(_sole(raw, Tag.SEQUENCE))
    algorithm = _hash_algorithm(Reader(fields.read(Tag.SEQUENCE)))
    issuer = IssuerHashes(algorithm, fields.read(Tag.OCTET_STRING), fields.read(Tag.OCTET_STRING))
    serial = _serial(fields.read(Tag.INTEGER))
    fields.finish()
    # The length cannot be judged for a hash function that we do not know: no issuer of ours has such hashes.
    octets = DIGEST_OCTETS.get(algorithm)
    if octets is not None and not len(issuer.name) == len(issuer.key) == octets:
        raise MalformedRequest(Text("ハッシュ値の長さが算法と合わない", "hash has a wrong length"))
    return CertId(raw, issuer, serial)


def _hash_algorithm(fields: Reader) -> bytes:
    algorithm = _object_identifier(fields)
    if fields.peek() is not None and fields.read_element(Tag.NULL) != NULL:
        raise MalformedRequest(Text("NULLに内容がある", "NULL has a content"))
    fields.finish()
    return algorithm


def _serial(content: bytes) -> Serial:
    if len(content) > _MAX_SERIAL_OCTETS:
        raise MalformedRequest(Text("シリアル番号が長すぎる", "serial is too long"))
    serial = read_integer(content)
    if serial <= 0:
        raise MalformedRequest(Text("シリアル番号が正でない", "serial is not positive"))
    return Serial(serial)


def _nonce(content: bytes) -> bytes | None:
    value = _extensions(content, understood=frozenset({_NONCE})).get(_NONCE)
    if value is None:
        return None
    nonce = _sole(value, Tag.OCTET_STRING)
    if not 1 <= len(nonce) <= _MAX_NONCE_OCTETS:
        raise MalformedRequest(Text("ノンスの長さが1〜128オクテットでない", "nonce has a wrong length"))
    return nonce


def _extensions(content: bytes, understood: frozenset[bytes]) -> dict[bytes, bytes]:
    """Return the values by OID (its element's DER); a critical one must be among the `understood`."""
    extensions = Reader(_sole(content, Tag.SEQUENCE))
    values: dict[bytes, bytes] = {}
    while extensions.peek() is not None:
        fields = Reader(extensions.read(Tag.SEQUENCE))
        oid = _object_identifier(fields)
        critical = _boolean(fields.read_optional(Tag.BOOLEAN))
        value = fields.read(Tag.OCTET_STRING)
        fields.finish()
        if oid in values:
            raise MalformedRequest(Text("同じ拡張が2度ある", "extension stands twice"))
        if critical and oid not in understood:
            raise MalformedRequest(Text("解釈できない拡張がcriticalである", "critical extension is unknown"))
        values[oid] = value
    if not values:
        raise MalformedRequest(Text("拡張の並びが空である", "extensions are empty"))
    return values


def _object_identifier(fields: Reader) -> bytes:
    """Read an OBJECT IDENTIFIER and return its element."""
    element = fields.read_element(Tag.OBJECT_IDENTIFIER)
    if not _has_whole_arcs(element):
        raise MalformedRequest(
            Text("OBJECT IDENTIFIERに値がないか、途中で終わっている", "object identifier has no or unfinished arcs")
        )
    return element


@lru_cache(maxsize=64)
def _has_whole_arcs(element: bytes) -> bool:
    return _ARCS.fullmatch(_sole(element, Tag.OBJECT_IDENTIFIER)) is not None


def _boolean(content: bytes | None) -> bool:
    if content not in {None, b"\x00", b"\xff"}:
        raise MalformedRequest(Text("BOOLEANが真でも偽でもない", "boolean is neither true nor false"))
    return content == b"\xff"


def _check_signature_form(content: bytes) -> None:
    fields = Reader(_sole(content, Tag.SEQUENCE))
    fields.read(Tag.SEQUENCE)  # signatureAlgorithm
    fields.read(Tag.BIT_STRING)
    fields.read_optional(context(0))  # certs
    fields.finish()


def _sole(data: bytes, tag: int) -> bytes:
    """Return the content of the one element that `data` must consist of."""
    reader = Reader(data)
    content = reader.read(tag)
    reader.finish()
    return content


_FLAWS = {
    "octets follow the last element": "余分なオクテットが続く",
    "no length": "長さがない",
    "length is not minimal and definite": "長さが最短・確定形式でない",
    "length is not minimal": "長さが最短形式でない",
    "content is cut short": "内容が途中で切れている",
    "integer is empty or not minimal": "INTEGERが空又は最短形式でない",
}


def _not_der(error: DerError) -> Text:
    flaw = str(error)
    return Text(_FLAWS.get(flaw, f"期待した要素がない（{flaw}）"), flaw)
