"""What an OCSP request or response holds, element by element in words, and why it might be refused.

A request is judged by the parser of our own responder; a response as a client would, so far as that can be told
without the issuer's certificate.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509 import ocsp

from jpki import der, oids
from jpki.certificate import Validity
from jpki.clock import iso, whole_second
from jpki.der import DerError, Reader, Tag, context, read_integer
from jpki.text import Text, shown
from ocsp.heard import RESPONSE_STATUSES, hash_name
from ocsp.judgement import (
    MALFORMED,
    SKEW,
    UNREADABLE,
    is_ca,
    is_named,
    is_spared,
    is_strong,
    may_answer,
    signed_by,
)
from ocsp.request import MalformedRequest, octets_in_path, parse_request


class Kind(StrEnum):
    """Which of the two messages it is."""

    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Element:
    """One element, named as in RFC 6960; `depth` says how far within others it stands."""

    depth: int
    name: str
    value: str
    meaning: Text


@dataclass(frozen=True, slots=True)
class Objection:
    """Why it might be refused: by everyone if `certain`, else by those who are strict."""

    certain: bool
    reason: Text


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said of one message; of a broken one the elements up to the break."""

    kind: Kind
    octets: int
    elements: tuple[Element, ...]
    objections: tuple[Objection, ...]


def explain(content: bytes, now: datetime) -> Explanation:
    """Explain the DER, the base64 or the PEM of a message; what is no response is taken for a request."""
    data = _der_of(content)
    return _explain_response(data, now) if _is_response(data) else _explain_request(data)


def explain_url(url: str) -> Explanation:
    """Explain the request in a GET's URL; nothing is fetched."""
    try:
        return _explain_request(_request_in(url))
    except MalformedRequest as malformed:
        return Explanation(Kind.REQUEST, 0, (), (Objection(True, malformed.reason),))


def _request_in(url: str) -> bytes:
    """Return the request at the end of a URL: base64 may hold slashes, so after which one it begins must be found."""
    path = "/" + url.partition("://")[2].partition("?")[0].partition("/")[2]
    found = [data for index, character in enumerate(path) if character == "/" for data in _read_from(path, index)]
    likely = [data for data in found if data[:1] == bytes((Tag.SEQUENCE,))]
    return next(filter(_is_request, likely), likely[0] if likely else octets_in_path(path.rpartition("/")[2]))


def _read_from(path: str, index: int) -> Iterator[bytes]:
    with suppress(MalformedRequest):
        yield octets_in_path(path[index:])


def _is_request(data: bytes) -> bool:
    try:
        parse_request(data)
    except MalformedRequest:
        return False
    return True


def _der_of(content: bytes) -> bytes:
    if content[:1] == bytes((Tag.SEQUENCE,)):
        return content
    lines = [line for line in content.split() if line]
    if content.lstrip().startswith(b"-----BEGIN "):
        lines = [line for line in content.splitlines() if not line.startswith(b"-----")]
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except ValueError:
        return content


def _is_response(data: bytes) -> bool:
    """Tell a response by its first field, the responseStatus; the rest may be cut off."""
    begin = 2 + (data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0)
    return data[:1] == bytes((Tag.SEQUENCE,)) and data[begin : begin + 1] == bytes((Tag.ENUMERATED,))


# --- requests ------------------------------------------------------------------------------------------------------


def _explain_request(data: bytes) -> Explanation:
    objections: tuple[Objection, ...] = ()
    try:
        parse_request(data)
    except MalformedRequest as malformed:
        objections = (Objection(True, malformed.reason),)
    return Explanation(Kind.REQUEST, len(data), tuple(_until_broken(_request(data))), objections)


def _until_broken(elements: Iterator[Element]) -> Iterator[Element]:
    try:
        yield from elements
    except (DerError, *UNREADABLE):
        return


def _request(data: bytes) -> Iterator[Element]:
    fields = Reader(Reader(data).read(Tag.SEQUENCE))
    to_be_signed = Reader(fields.read(Tag.SEQUENCE))
    version = to_be_signed.read_optional(context(0))
    if version is not None:
        number = read_integer(Reader(version).read(Tag.INTEGER)) + 1
        yield Element(0, "version", f"v{number}", Text("版（省略するのが正式）", "DER leaves out v1"))
    requestor = to_be_signed.read_optional(context(1))
    if requestor is not None:
        yield Element(0, "requestorName", requestor.hex(), Text("尋ねる者の名前", "who asks"))
    yield from _request_list(Reader(to_be_signed.read(Tag.SEQUENCE)))
    extensions = to_be_signed.read_optional(context(2))
    if extensions is not None:
        yield from _extensions("requestExtensions", 0, Reader(Reader(extensions).read(Tag.SEQUENCE)))
    if fields.read_optional(context(0)) is not None:
        yield Element(
            0, "optionalSignature", "…", Text("尋ねる者の署名（検証しない）", "who asks signed it; not checked")
        )


def _request_list(requests: Reader) -> Iterator[Element]:
    number = 0
    while requests.peek() is not None:
        number += 1
        fields = Reader(requests.read(Tag.SEQUENCE))
        yield Element(0, "request", str(number), Text("尋ねる証明書", "a certificate that is asked about"))
        cert_id = Reader(fields.read(Tag.SEQUENCE))
        algorithm = Reader(cert_id.read(Tag.SEQUENCE)).read_element(Tag.OBJECT_IDENTIFIER)
        name, key = cert_id.read(Tag.OCTET_STRING), cert_id.read(Tag.OCTET_STRING)
        yield from _cert_id(
            _HASHES.get(algorithm, _dotted(algorithm)), name, key, read_integer(cert_id.read(Tag.INTEGER))
        )
        extensions = fields.read_optional(context(0))
        if extensions is not None:
            yield from _extensions("singleRequestExtensions", 1, Reader(Reader(extensions).read(Tag.SEQUENCE)))


def _cert_id(algorithm: str, name: bytes, key: bytes, serial: int) -> Iterator[Element]:
    yield Element(1, "hashAlgorithm", algorithm, Text("発行者を示すハッシュ", "the hash that names the issuer"))
    yield Element(1, "issuerNameHash", name.hex(), Text("発行者の名前のハッシュ値", "the hash of the issuer's name"))
    yield Element(1, "issuerKeyHash", key.hex(), Text("発行者の公開鍵のハッシュ値", "the hash of the issuer's key"))
    yield Element(1, "serialNumber", f"{serial:#x}", Text("証明書のシリアル番号", "the certificate's serial"))


def _extensions(name: str, depth: int, extensions: Reader) -> Iterator[Element]:
    for oid, critical, value in _read_extensions(extensions):
        yield _extension(name, depth, oid, value, critical=critical)


def _read_extensions(extensions: Reader) -> Iterator[tuple[str, bool, bytes]]:
    """Return the OID, whether it is critical, and the value of each extension."""
    while extensions.peek() is not None:
        fields = Reader(extensions.read(Tag.SEQUENCE))
        oid = _dotted(fields.read_element(Tag.OBJECT_IDENTIFIER))
        critical = fields.read_optional(Tag.BOOLEAN) == b"\xff"
        yield oid, critical, fields.read(Tag.OCTET_STRING)


def _extension(name: str, depth: int, oid: str, value: bytes, *, critical: bool) -> Element:
    if oid == oids.OCSP_NONCE:
        octets = len(value) - 2
        return Element(depth, name, f"nonce {value.hex()}", Text(f"ノンス（{octets}オクテット）", f"{octets} octets"))
    marked = Text("（critical）", " (critical)") if critical else Text("", "")
    return Element(depth, name, f"{oid} {value.hex()}", Text(f"拡張{marked.ja}", f"an extension{marked.en}"))


_HASHES = {
    der.object_identifier(oid): name
    for oid, name in ((oids.SHA1, "sha1"), (oids.SHA256, "sha256"), (oids.SHA384, "sha384"), (oids.SHA512, "sha512"))
}


def _dotted(element: bytes) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER's element (X.690 8.19)."""
    arcs, arc = list[int](), 0
    for octet in Reader(element).read(Tag.OBJECT_IDENTIFIER):
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first, *rest = arcs or [0]
    top = min(first // 40, 2)
    return ".".join(map(str, (top, first - 40 * top, *rest)))


# --- responses -----------------------------------------------------------------------------------------------------

_NO_ANSWERS = {
    ocsp.OCSPResponseStatus.MALFORMED_REQUEST: Text(
        "要求を読めない、又は答えられない形であった", "the request could not be read, or not be answered as it was"
    ),
    ocsp.OCSPResponseStatus.INTERNAL_ERROR: Text("レスポンダの内部の誤り", "the responder is faulty"),
    ocsp.OCSPResponseStatus.TRY_LATER: Text("今は答えられない", "the responder cannot answer now"),
    ocsp.OCSPResponseStatus.SIG_REQUIRED: Text("署名した要求にだけ答える", "only signed requests are answered"),
    ocsp.OCSPResponseStatus.UNAUTHORIZED: Text(
        "この発行者・証明書について答える立場にない", "the responder cannot speak for this issuer or certificate"
    ),
}


def _explain_response(data: bytes, now: datetime) -> Explanation:
    try:
        response = ocsp.load_der_ocsp_response(data)
    except UNREADABLE:
        return Explanation(Kind.RESPONSE, len(data), (), (Objection(True, MALFORMED),))
    elements = tuple(_until_broken(_response(response)))
    return Explanation(Kind.RESPONSE, len(data), elements, tuple(_objections(response, now)))


def _response(response: ocsp.OCSPResponse) -> Iterator[Element]:
    status = response.response_status
    meaning = _NO_ANSWERS.get(status, Text("署名された回答がある", "there is a signed answer"))
    yield Element(0, "responseStatus", RESPONSE_STATUSES[status], meaning)
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return
    if response.responder_name is not None:
        name = shown(response.responder_name.rfc4514_string())
        yield Element(0, "responderID byName", name, Text("答えた者の名前", "who answers, by name"))
    else:
        key = (response.responder_key_hash or b"").hex()
        yield Element(0, "responderID byKey", key, Text("答えた者の公開鍵のSHA-1", "who answers: SHA-1 of the key"))
    yield Element(0, "producedAt", iso(response.produced_at_utc), Text("署名した日時", "when it was signed"))
    singles = zip(response.responses, _single_extensions(response), strict=True)
    for number, (single, extensions) in enumerate(singles, 1):
        yield Element(0, "response", str(number), Text("一つの証明書への回答", "the answer about one certificate"))
        yield from _single(single)
        yield from _extensions("singleExtensions", 1, extensions)
    for each in response.extensions:
        value = each.value.public_bytes()
        yield _extension("responseExtensions", 0, each.oid.dotted_string, value, critical=each.critical)
    algorithm = response.signature_algorithm_oid.dotted_string
    yield Element(0, "signatureAlgorithm", algorithm, Text("署名アルゴリズム", "how it is signed"))
    for certificate in response.certificates:
        yield from _certificate(certificate)


def _single(single: ocsp.OCSPSingleResponse) -> Iterator[Element]:
    yield from _cert_id(hash_name(single) or "?", single.issuer_name_hash, single.issuer_key_hash, single.serial_number)
    status = single.certificate_status.name.lower()
    yield Element(1, "certStatus", status, _STATUSES[single.certificate_status])
    if single.revocation_time_utc is not None:
        at = iso(single.revocation_time_utc)
        yield Element(1, "revocationTime", at, Text("失効の日時", "when it was revoked"))
    if single.revocation_reason is not None:
        yield Element(1, "revocationReason", single.revocation_reason.value, Text("失効の理由", "why it was revoked"))
    yield Element(1, "thisUpdate", iso(single.this_update_utc), Text("この時点の状態", "the state as of then"))
    if single.next_update_utc is not None:
        end = iso(single.next_update_utc)
        yield Element(1, "nextUpdate", end, Text("この日時までに新しい回答が出る", "newer word comes by then"))


def _single_extensions(response: ocsp.OCSPResponse) -> Iterator[Reader]:
    """Return the singleExtensions of each answer, which pyca tells of only where there is one answer."""
    data = Reader(Reader(response.tbs_response_bytes).read(Tag.SEQUENCE))
    for tag in (context(0), context(1), context(2)):  # version; responderID byName or byKey
        data.read_optional(tag)
    data.read(Tag.GENERALIZED_TIME)
    singles = Reader(data.read(Tag.SEQUENCE))
    while singles.peek() is not None:
        fields = Reader(singles.read(Tag.SEQUENCE))
        fields.read(Tag.SEQUENCE)  # certID
        fields.read(fields.peek() or 0)  # certStatus, whichever it is
        fields.read(Tag.GENERALIZED_TIME)
        fields.read_optional(context(0))
        extensions = fields.read_optional(context(1))
        yield Reader(b"" if extensions is None else Reader(extensions).read(Tag.SEQUENCE))


_STATUSES = {
    ocsp.OCSPCertStatus.GOOD: Text("失効していない", "not revoked"),
    ocsp.OCSPCertStatus.REVOKED: Text("失効又は一時停止", "revoked or on hold"),
    ocsp.OCSPCertStatus.UNKNOWN: Text("レスポンダの知らない証明書", "the responder does not know it"),
}


def _certificate(certificate: x509.Certificate) -> Iterator[Element]:
    subject = shown(certificate.subject.rfc4514_string())
    yield Element(0, "certs", subject, Text("同封された証明書", "a certificate that comes along"))
    yield Element(1, "issuer", shown(certificate.issuer.rfc4514_string()), Text("その発行者", "its issuer"))
    begin, end = iso(certificate.not_valid_before_utc), iso(certificate.not_valid_after_utc)
    yield Element(1, "validity", f"{begin} – {end}", Text("その有効期間", "from when to when it is valid"))
    marks = [
        name
        for name, present in (
            ("CA", is_ca(certificate)),
            ("OCSPSigning", may_answer(certificate)),
            ("nocheck", is_spared(certificate)),
        )
        if present
    ]
    yield Element(1, "extensions", " ".join(marks) or "-", Text("回答者としての資格", "what entitles it to answer"))


def _objections(response: ocsp.OCSPResponse, now: datetime) -> Iterator[Objection]:
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        yield Objection(True, _NO_ANSWERS[response.response_status])
        return
    try:
        # Whatever cannot be read is told in place of what was found before.
        yield from list(_objections_to_answer(response, now))
    except (DerError, *UNREADABLE):
        yield Objection(True, MALFORMED)


def _objections_to_answer(response: ocsp.OCSPResponse, now: datetime) -> Iterator[Objection]:
    if not is_strong(response):
        yield Objection(
            True, Text("弱いハッシュ又は未知の算法による署名がある", "a signature is over a weak hash, or unknown")
        )
    yield from _objections_to_signer(response, now)
    for number, single in enumerate(response.responses, 1):
        yield from _objections_to_single(number, single, now)
    yield from _objections_to_extensions(response)


def _objections_to_signer(response: ocsp.OCSPResponse, now: datetime) -> Iterator[Objection]:
    named = [certificate for certificate in response.certificates if is_named(response, certificate)]
    if not named:
        yield Objection(
            False,
            Text(
                "署名者の証明書がない：発行者自身の署名でなければ検証できない",
                "the signer's certificate is not along: unless the issuer itself signed, nobody can verify it",
            ),
        )
        return
    signer = next((certificate for certificate in named if signed_by(response, certificate)), None)
    if signer is None:
        yield Objection(
            True, Text("署名が同封の証明書と合わない", "the signature is not that of the certificate along")
        )
        return
    if not Validity(signer.not_valid_before_utc, signer.not_valid_after_utc).holds(now):
        yield Objection(True, Text("レスポンダ証明書が有効期間外", "the responder certificate is outside its validity"))
    if not may_answer(signer):
        # The issuer itself needs no such right; whether it is the issuer, only its certificate tells.
        yield Objection(
            not is_ca(signer),
            Text("レスポンダ証明書にOCSPSigningがない", "the responder certificate lacks OCSPSigning"),
        )
    if may_answer(signer) and not is_spared(signer):
        yield Objection(
            False,
            Text(
                "nocheckがなく、レスポンダ証明書の失効も確認が要る",
                "without nocheck, the responder certificate's own status has to be asked for",
            ),
        )
    ends = [single.next_update_utc for single in response.responses if single.next_update_utc is not None]
    if any(end > signer.not_valid_after_utc for end in ends):
        yield Objection(
            False,
            Text("nextUpdateがレスポンダ証明書の期限より後", "nextUpdate lies after the responder certificate's end"),
        )


def _objections_to_single(number: int, single: ocsp.OCSPSingleResponse, now: datetime) -> Iterator[Objection]:
    def about(certain: bool, ja: str, en: str) -> Objection:  # noqa: FBT001 - as Objection has it
        return Objection(certain, Text(f"回答{number}：{ja}", f"response {number}: {en}"))

    if single.this_update_utc > now + SKEW:
        yield about(True, "thisUpdateが未来の日時", "thisUpdate lies in the future")
    if single.next_update_utc is None:
        yield about(False, "nextUpdateがない", "there is no nextUpdate")
    elif single.next_update_utc < whole_second(now):
        yield about(True, "nextUpdateを経過", "nextUpdate has passed")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        yield about(True, "この証明書を知らない", "the certificate is unknown to the responder")


def _objections_to_extensions(response: ocsp.OCSPResponse) -> Iterator[Objection]:
    if not any(each.oid.dotted_string == oids.OCSP_NONCE for each in response.extensions):
        yield Objection(
            False, Text("ノンスがない：ノンスを求める者は断る", "no nonce: who sent one and insists on it refuses")
        )
    found = [(each.oid.dotted_string, each.critical) for each in response.extensions]
    for reader in _single_extensions(response):
        found += [(oid, critical) for oid, critical, _ in _read_extensions(reader)]
    for oid, critical in found:
        if critical and oid != oids.OCSP_NONCE:
            yield Objection(True, Text(f"未知の拡張がcritical（{oid}）", f"an unknown extension is critical ({oid})"))
