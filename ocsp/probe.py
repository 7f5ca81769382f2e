"""A black-box probe of any OCSP responder: what RFC 6960, 9654 and 9919 ask of it, clause by clause (rule R13).

It sends fewer than forty questions to the one responder, and believes nothing that comes back: whatever a responder
answers, each rule ends in one of three outcomes.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import quote

from cryptography import x509
from cryptography.x509 import ocsp

from jpki import der, oids
from jpki.certificate import Validity
from jpki.clock import Clock, iso, whole_second
from jpki.ids import new_serial
from jpki.randomness import Randomness
from jpki.text import Text
from ocsp.fetch import RESPONSE_TYPE, Fetch, NoReply, Reply
from ocsp.heard import Heard, shown
from ocsp.interview import Interview, base64_of
from ocsp.judgement import (
    MALFORMED,
    SKEW,
    UNREADABLE,
    is_ca,
    is_spared,
    is_strong,
    issued_by,
    may_answer,
)
from ocsp.question import cert_id, extension, question

_UNKNOWN = "1.2.3.4.5"
"""An object identifier that stands for no hash function and no extension."""


class Outcome(StrEnum):
    """Whether a rule holds."""

    OK = "ok"
    FAILS = "fails"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule and what was found; `clause` says where it stands, `why` what it is good for."""

    id: str
    clause: str
    required: bool
    why: Text
    outcome: Outcome
    finding: Text


def holds(checks: Sequence[Check]) -> bool:
    """Tell whether every required rule holds, so far as it applies."""
    return not any(check.required and check.outcome is Outcome.FAILS for check in checks)


def probe(
    fetch: Fetch, issuer: x509.Certificate, certificate: x509.Certificate, clock: Clock, randomness: Randomness
) -> Iterator[Check]:
    """Ask the responder behind `fetch`, and yield each rule as it is judged.

    `certificate` is one that `issuer` issued and that the responder knows, whether alive or revoked.

    Raises:
        NoReply: the first question brought no reply at all.
    """
    interview = Interview(fetch, issuer, certificate, clock, randomness)
    if interview.first.reply is None:
        raise NoReply(hung_up=interview.first.hung_up)
    for rule in _RULES:
        try:
            verdict = rule.judge(interview)
        except UNREADABLE:
            verdict = _fails(MALFORMED)
        yield Check(rule.id, rule.clause, rule.required, rule.why, verdict.outcome, verdict.finding)


# --- verdicts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    finding: Text


def _ok(finding: Text) -> _Verdict:
    return _Verdict(Outcome.OK, finding)


def _fails(finding: Text) -> _Verdict:
    return _Verdict(Outcome.FAILS, finding)


def _not_applicable(finding: Text) -> _Verdict:
    return _Verdict(Outcome.NOT_APPLICABLE, finding)


_NO_ANSWER = _not_applicable(Text("判定できる回答がない", "there is no answer to judge"))


def _both(begin: Text, words: Text) -> Text:
    return Text(f"{begin.ja}：{words.ja}", f"{begin.en}: {words.en}")


def _foreign_words(words: str) -> Text:
    return Text(shown(words), shown(words))


_ANSWERED = Text("回答", "answered")
_REFUSED = Text("拒否", "refused")


def _post(interview: Interview) -> _Verdict:
    heard, single = interview.first, interview.single
    if heard.answered is None:
        return _fails(heard.words)
    if single is None:
        return _fails(Text("尋ねた証明書への回答ではない", "not an answer about the certificate asked for"))
    if single.claim.status is ocsp.OCSPCertStatus.UNKNOWN:
        return _fails(Text("unknown：この証明書を知らない", "unknown: it does not know this certificate"))
    return _ok(_both(_ANSWERED, heard.words))


def _content_type(interview: Interview) -> _Verdict:
    replies = [heard.reply for heard in (interview.first, interview.got) if heard.answered and heard.reply]
    types = {_content_type_of(reply) for reply in replies}
    if not types:
        return _NO_ANSWER
    found = _foreign_words(", ".join(sorted(types)))
    return _ok(found) if types == {RESPONSE_TYPE} else _fails(found)


def _content_type_of(reply: Reply) -> str:
    return reply.headers.get("content-type", "-").partition(";")[0].strip().lower()


def _same(interview: Interview, heard: Heard) -> _Verdict:
    if interview.single is None:
        return _NO_ANSWER
    if interview.says_the_same(heard):
        return _ok(_both(Text("POSTと同じ", "as by POST"), heard.words))
    return _fails(_both(Text("POSTと異なる", "not as by POST"), heard.words))


def _get(interview: Interview) -> _Verdict:
    return _same(interview, interview.got)


def _get_slashes(interview: Interview) -> _Verdict:
    return _same(interview, interview.got_with_nonce)


def _get_raw(interview: Interview) -> _Verdict:
    return _same(interview, interview.get(base64_of(interview.plain)))


def _get_raw_slashes(interview: Interview) -> _Verdict:
    return _same(interview, interview.get(base64_of(interview.slashes)))


def _get_unpadded(interview: Interview) -> _Verdict:
    return _same(interview, interview.get(quote(interview.padded.rstrip("="), safe="")))


def _head(interview: Interview) -> _Verdict:
    heard = interview.get(quote(base64_of(interview.plain), safe=""), "HEAD")
    found = heard.words if heard.reply is None else Text(f"HTTP {heard.status}", f"HTTP {heard.status}")
    return _ok(found) if heard.status == HTTPStatus.OK else _fails(found)


def _cert_id(algorithm: str) -> Callable[[Interview], _Verdict]:
    def judge(interview: Interview) -> _Verdict:
        heard = interview.first if algorithm == oids.SHA1 else interview.ask(question(interview.cert_id(algorithm)))
        return _repeated(interview, heard, algorithm)

    return judge


def _optional_cert_id(algorithm: str) -> Callable[[Interview], _Verdict]:
    def judge(interview: Interview) -> _Verdict:
        heard = interview.ask(question(interview.cert_id(algorithm)))
        # Whoever does not know a hash function may say so; who answers by it must answer rightly.
        if heard.broke or interview.vouches(heard):
            return _repeated(interview, heard, algorithm)
        return _not_applicable(_both(Text("対応していない", "not supported"), heard.words))

    return judge


def _repeated(interview: Interview, heard: Heard, algorithm: str) -> _Verdict:
    if heard.answered is None:
        return _fails(heard.words)
    single = heard.about(interview.named(algorithm))
    if single is None:
        return _fails(Text("回答のCertIDが質問と異なる", "the answer's CertID is not the question's"))
    if interview.single is not None and single.claim != interview.single.claim:
        return _fails(_both(Text("SHA-1の場合と異なる", "not as with SHA-1"), heard.words))
    return _ok(_both(Text("CertIDが一致", "the CertID is repeated"), heard.words))


def _nonce(length: int) -> Callable[[Interview], _Verdict]:
    def judge(interview: Interview) -> _Verdict:
        usual_sent, usual = interview.usual_nonce
        sent, heard = (usual_sent, usual) if length == 32 else interview.with_nonce(length)
        if heard.answered is None:
            return _fails(heard.words)
        if heard.nonce == sent:
            return _ok(Text("同じノンスが返った", "the nonce came back"))
        if heard.nonce is not None:
            return _fails(Text("別のノンスが返った", "another nonce came back"))
        if usual.nonce is None or not 16 <= length <= 32:
            return _not_applicable(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
        return _fails(Text("ノンスが返らない", "no nonce came back"))

    return judge


def _nonce_too_long(interview: Interview) -> _Verdict:
    _, heard = interview.with_nonce(129)
    if heard.broke:
        return _fails(heard.words)
    if heard.nonce is not None:
        return _fails(Text("129オクテットのノンスを受け入れた", "accepted a nonce of 129 octets"))
    if heard.answered is not None:
        return _ok(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
    return _ok(_both(_REFUSED, heard.words))


def _signature(interview: Interview) -> _Verdict:
    response, signer = interview.first.answered, interview.signer
    if response is None:
        return _NO_ANSWER
    if signer is None:
        return _fails(
            Text(
                "responderIDの示す鍵で署名を検証できない",
                "no key that the responderID names verifies the signature",
            )
        )
    if signer == interview.issuer:
        return _ok(Text("発行者自身の署名", "signed by the issuer itself"))
    return _ok(Text("同封されたレスポンダ証明書の署名", "signed by a responder certificate that it brings along"))


def _signature_hash(interview: Interview) -> _Verdict:
    response = interview.first.answered
    if response is None:
        return _NO_ANSWER
    if is_strong(response):
        return _ok(Text("SHA-2", "SHA-2"))
    return _fails(Text("SHA-1など弱いハッシュ、又は未知の算法", "a weak hash such as SHA-1, or an unknown algorithm"))


def _delegate(interview: Interview) -> _Verdict:
    signer = interview.signer
    if signer is None:
        return _NO_ANSWER
    if signer == interview.issuer:
        return _not_applicable(Text("発行者自身が署名する", "the issuer signs by itself"))
    flaws = list(_flaws(signer, interview.issuer, interview.clock()))
    if flaws:
        return _fails(Text("・".join(flaw.ja for flaw in flaws), ", ".join(flaw.en for flaw in flaws)))
    return _ok(
        Text(
            "発行者が直接発行し、OCSPSigningを持つ末端の証明書",
            "a leaf with OCSPSigning, issued directly by the issuer",
        )
    )


def _flaws(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> Iterator[Text]:
    if not issued_by(signer, issuer):
        yield Text("発行者が発行していない", "not issued by the issuer")
    if not may_answer(signer):
        yield Text("OCSPSigningがない", "lacks OCSPSigning")
    if not Validity(signer.not_valid_before_utc, signer.not_valid_after_utc).holds(now):
        yield Text("有効期間外", "outside its validity")
    if is_ca(signer):
        yield Text("CA証明書である", "is a CA certificate")


def _nocheck(interview: Interview) -> _Verdict:
    signer = interview.signer
    if signer is None:
        return _NO_ANSWER
    if signer == interview.issuer:
        return _not_applicable(Text("発行者自身が署名する", "the issuer signs by itself"))
    return _ok(Text("ある", "present")) if is_spared(signer) else _fails(Text("ない", "absent"))


def _times(interview: Interview) -> _Verdict:
    response, single = interview.first.answered, interview.single
    if response is None or single is None:
        return _NO_ANSWER
    now = whole_second(interview.clock())
    begin, end, produced = single.this_update, single.next_update, response.produced_at_utc
    found = Text(
        f"thisUpdate {iso(begin)}、producedAt {iso(produced)}、nextUpdate {iso(end) if end else '-'}",
        f"thisUpdate {iso(begin)}, producedAt {iso(produced)}, nextUpdate {iso(end) if end else '-'}",
    )
    in_order = max(begin, produced) <= now + SKEW and begin <= produced + SKEW
    lasts = end is None or end >= max(begin, now - SKEW)
    return _ok(found) if in_order and lasts else _fails(found)


def _next_update(interview: Interview) -> _Verdict:
    single = interview.single
    if single is None:
        return _NO_ANSWER
    if single.next_update is None:
        return _fails(Text("ない", "absent"))
    return _ok(Text(iso(single.next_update), iso(single.next_update)))


def _next_update_in_life(interview: Interview) -> _Verdict:
    single, signer = interview.single, interview.signer
    if single is None or signer is None:
        return _NO_ANSWER
    if single.next_update is None:
        return _not_applicable(Text("nextUpdateがない", "there is no nextUpdate"))
    end = signer.not_valid_after_utc
    found = Text(f"署名者の証明書は {iso(end)} まで", f"the signer's certificate ends {iso(end)}")
    return _ok(found) if single.next_update <= end else _fails(found)


def _cache_headers(interview: Interview) -> _Verdict:
    reply = interview.got.reply
    if interview.got.answered is None or reply is None:
        return _NO_ANSWER
    lacking = [name for name in ("ETag", "Last-Modified", "Expires") if name.lower() not in reply.headers]
    if "max-age" not in reply.headers.get("cache-control", ""):
        lacking.append("Cache-Control: max-age")
    if lacking:
        return _fails(Text(f"ない：{'・'.join(lacking)}", f"absent: {', '.join(lacking)}"))
    return _ok(_foreign_words(reply.headers["cache-control"]))


def _cache_life(interview: Interview) -> _Verdict:
    reply, single = interview.got.reply, interview.got.about(interview.named())
    if reply is None or single is None:
        return _NO_ANSWER
    kept_until = _kept_until(reply, interview.clock())
    if kept_until is None:
        return _not_applicable(Text("キャッシュの期限を示さない", "caches are told no end"))
    found = Text(f"キャッシュは {iso(kept_until)} まで", f"caches keep it until {iso(kept_until)}")
    # Between the answer and this moment some time has passed, and the clocks differ.
    fresh = single.next_update is not None and kept_until <= single.next_update + SKEW
    return _ok(found) if fresh else _fails(found)


_MAX_AGE = re.compile(r"\b(?:s-maxage|max-age)\s*=\s*\"?(\d{1,9})\b", re.ASCII)
_UNCACHED = re.compile(r"\b(?:no-store|no-cache|private|max-age\s*=\s*0\b)")


def _kept_until(reply: Reply, now: datetime) -> datetime | None:
    """Return until when a cache may keep a reply, or None if it is told nothing, or to keep nothing."""
    ages = [int(age) for age in _MAX_AGE.findall(reply.headers.get("cache-control", "").lower())]
    if ages:
        return now + timedelta(seconds=max(ages))
    try:
        expires = parsedate_to_datetime(reply.headers["expires"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return expires.replace(tzinfo=now.tzinfo) if expires.tzinfo is None else expires


def _cache_nonce(interview: Interview) -> _Verdict:
    heard = interview.got_with_nonce
    if heard.reply is None or heard.answered is None:
        return _NO_ANSWER
    if heard.nonce is None:
        return _not_applicable(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
    told = heard.reply.headers.get("cache-control", "-")
    found = _foreign_words(told)
    return _ok(found) if _UNCACHED.search(told.lower()) else _fails(found)


def _unvouched(interview: Interview, asked: Sequence[bytes]) -> _Verdict:
    """Judge questions that no answer may vouch for."""
    heard = [interview.ask(each) for each in asked]
    bad = next((each for each in heard if each.broke or interview.vouches(each)), None)
    return _ok(heard[0].words) if bad is None else _fails(bad.words)


def _never_issued(interview: Interview) -> _Verdict:
    serials = [new_serial(interview.randomness) for _ in (oids.SHA1, oids.SHA256)]
    algorithms = map(interview.hashes, (oids.SHA1, oids.SHA256))
    return _unvouched(interview, [question(cert_id(*each)) for each in zip(algorithms, serials, strict=True)])


def _foreign(*, name: bool, key: bool) -> Callable[[Interview], _Verdict]:
    def judge(interview: Interview) -> _Verdict:
        foreign = [
            hashes._replace(
                name=_changed(hashes.name) if name else hashes.name, key=_changed(hashes.key) if key else hashes.key
            )
            for hashes in map(interview.hashes, (oids.SHA1, oids.SHA256))
        ]
        return _unvouched(interview, [question(cert_id(hashes, interview.serial)) for hashes in foreign])

    return judge


def _changed(digest: bytes) -> bytes:
    # The last octet only: whoever compares the beginning, or nothing, takes it for the right one.
    return digest[:-1] + bytes((digest[-1] ^ 0xFF,))


def _unknown_hash(interview: Interview) -> _Verdict:
    hashes = interview.hashes()._replace(algorithm=der.object_identifier(_UNKNOWN))
    return _unvouched(interview, [question(cert_id(hashes, interview.serial))])


def _several(interview: Interview) -> _Verdict:
    stranger = new_serial(interview.randomness)
    heard = interview.ask(question(interview.cert_id(), cert_id(interview.hashes(), stranger)))
    if interview.single is None:
        return _NO_ANSWER
    if heard.broke:
        return _fails(heard.words)
    if heard.answered is None:
        return _not_applicable(_both(Text("複数のCertIDを断る", "more than one CertID is refused"), heard.words))
    other = heard.about(replace(interview.named(), serial=stranger))
    if not interview.says_the_same(heard) or other is None:
        return _fails(_both(Text("すべてには答えていない", "not all are answered"), heard.words))
    return _fails(heard.words) if other.claim.status is ocsp.OCSPCertStatus.GOOD else _ok(heard.words)


def _malformed(make: Callable[[Interview], bytes]) -> Callable[[Interview], _Verdict]:
    def judge(interview: Interview) -> _Verdict:
        heard = interview.ask(make(interview))
        return _ok(_both(_REFUSED, heard.words)) if heard.turned_down else _fails(heard.words)

    return judge


def _oversized(interview: Interview) -> _Verdict:
    heard = interview.ask(interview.plain + bytes(1 << 20))
    # A server that has seen enough may hang up instead of reading on (RFC 9112 9.6).
    return _ok(_both(_REFUSED, heard.words)) if heard.turned_down or heard.hung_up else _fails(heard.words)


def _get_garbage(interview: Interview) -> _Verdict:
    heard = interview.get(base64_of(b"\x30\x00"))
    return _ok(_both(_REFUSED, heard.words)) if heard.turned_down else _fails(heard.words)


def _critical(interview: Interview) -> _Verdict:
    heard = interview.ask(question(interview.cert_id(), extensions=[extension(_UNKNOWN, b"", critical=True)]))
    if heard.broke or heard.answered is not None:
        return _fails(heard.words)
    return _ok(_both(_REFUSED, heard.words))


def _alive(interview: Interview) -> _Verdict:
    if interview.single is None:
        return _NO_ANSWER
    heard = interview.ask(interview.plain)
    return _ok(_both(_ANSWERED, heard.words)) if interview.says_the_same(heard) else _fails(heard.words)


def _not_critical(interview: Interview) -> _Verdict:
    heard = interview.ask(question(interview.cert_id(), extensions=[extension(_UNKNOWN, b"")]))
    if interview.single is None:
        return _NO_ANSWER
    return _ok(_both(_ANSWERED, heard.words)) if interview.says_the_same(heard) else _fails(heard.words)


# --- rules ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    clause: str
    why: Text
    judge: Callable[[Interview], _Verdict]
    required: bool = True


_REFUSE_MALFORMED = Text(
    "形式の誤りには malformedRequest 又はHTTP 4xxで答える。5xxは停止を、署名した回答は読み違いを意味する。",
    "What is malformed gets malformedRequest or HTTP 4xx; a 5xx says that it broke, a signed answer that it misread.",
)
_GET_LENIENT = Text(
    "規格どおりに書かないクライアントが多い。", "Many clients in the field do not write the path as the RFC says."
)
_BY_HASH = Text(
    "クライアントは自分の質問と同じCertIDの回答しか受け入れない。",
    "A client accepts only an answer whose CertID is that of its question.",
)
_NONCE_WHY = Text(
    "ノンスは古い回答の再送を見破る。無視してもよいが、違う値は返せない。",
    "A nonce tells a fresh answer from a replayed one; it may be ignored, but never changed.",
)
_NEVER_GOOD = Text(
    "他の発行者の証明書を有効と答えると、偽造された証明書が通る。",
    'Whoever says "good" for another issuer lets forged certificates pass.',
)

_RULES = (
    _Rule("post", "RFC 6960 A.1", Text("すべての土台。", "Everything else rests on it."), _post),
    _Rule(
        "get",
        "RFC 9919 6",
        Text("GETの回答だけがキャッシュされる。", "Only answers to GET are kept by caches, and clients must use it."),
        _get,
    ),
    _Rule(
        "get-slashes",
        "RFC 6960 A.1",
        Text(
            "base64の + と // を壊す中継や枠組みがある（%2B、%2F%2F と書いて尋ねる）。",
            "Proxies and frameworks spoil the + and // of base64 (asked here as %2B and %2F%2F).",
        ),
        _get_slashes,
    ),
    _Rule("get-raw", "-", _GET_LENIENT, _get_raw, required=False),
    _Rule("get-raw-slashes", "-", _GET_LENIENT, _get_raw_slashes, required=False),
    _Rule("get-unpadded", "-", _GET_LENIENT, _get_unpadded, required=False),
    _Rule(
        "head",
        "RFC 9110 9.3.2",
        Text("監視と中継が使う。", "Monitors and proxies use it."),
        _head,
        required=False,
    ),
    _Rule(
        "content-type",
        "RFC 6960 A.2",
        Text("違う型の回答を捨てるクライアントがある。", "Clients throw answers of another type away."),
        _content_type,
    ),
    _Rule("certid-sha1", "RFC 6960 4.1.1", _BY_HASH, _cert_id(oids.SHA1)),
    _Rule("certid-sha256", "RFC 9919 3.1.1", _BY_HASH, _cert_id(oids.SHA256)),
    _Rule("certid-sha384", "RFC 6960 4.1.1", _BY_HASH, _optional_cert_id(oids.SHA384), required=False),
    _Rule("certid-sha512", "RFC 6960 4.1.1", _BY_HASH, _optional_cert_id(oids.SHA512), required=False),
    _Rule("nonce-32", "RFC 9654 2.1", _NONCE_WHY, _nonce(32)),
    _Rule("nonce-16", "RFC 9654 2.1", _NONCE_WHY, _nonce(16)),
    _Rule("nonce-1", "RFC 9654 2.1", _NONCE_WHY, _nonce(1), required=False),
    _Rule("nonce-128", "RFC 9654 2.1", _NONCE_WHY, _nonce(128), required=False),
    _Rule(
        "nonce-129",
        "RFC 9654 2.1",
        Text(
            "何でも署名させる者は、署名の衝突を探せる。断るか、無視する。",
            "Who gets anything signed can search for collisions; so it is refused or ignored.",
        ),
        _nonce_too_long,
    ),
    _Rule(
        "signature",
        "RFC 6960 3.2",
        Text("署名だけが信頼の根拠である。", "Nothing else than the signature can be trusted."),
        _signature,
    ),
    _Rule(
        "signature-hash",
        "RFC 6960 4.3",
        Text("SHA-1の署名は偽造できる。", "Signatures over SHA-1 can be forged."),
        _signature_hash,
    ),
    _Rule(
        "delegate",
        "RFC 6960 4.2.2.2",
        Text(
            "発行者が回答を任せた者だけが答えられる。任された者がCAであってはならない。",
            "Only whom the issuer put in charge may answer, and that must not be a CA.",
        ),
        _delegate,
    ),
    _Rule(
        "delegate-nocheck",
        "RFC 9919 3.2.2",
        Text(
            "id-pkix-ocsp-nocheckがないと、レスポンダ証明書の失効も尋ねることになる。",
            "Without id-pkix-ocsp-nocheck a client has to ask about the responder's certificate too.",
        ),
        _nocheck,
        required=False,
    ),
    _Rule(
        "times",
        "RFC 6960 4.2.2.1",
        Text("未来の回答、期限切れの回答は捨てられる。", "Answers from the future or past their end are refused."),
        _times,
    ),
    _Rule(
        "next-update",
        "RFC 9919 3.2.4",
        Text("期限のない回答は、いつまでも再送できる。", "An answer without an end can be replayed for ever."),
        _next_update,
        required=False,
    ),
    _Rule(
        "next-update-in-life",
        "RFC 6960 3.2",
        Text(
            "署名者より長く生きる回答は、途中で検証できなくなる。",
            "An answer that outlives its signer cannot be verified to its end.",
        ),
        _next_update_in_life,
    ),
    _Rule(
        "cache-headers",
        "RFC 9919 7.2",
        Text("これがないと、中継はキャッシュできない。", "Without them proxies cannot keep answers."),
        _cache_headers,
        required=False,
    ),
    _Rule(
        "cache-life",
        "RFC 9919 7.2",
        Text("期限切れの回答が配られ続ける。", "Else caches hand out answers that have ended."),
        _cache_life,
    ),
    _Rule(
        "cache-nonce",
        "RFC 9111 5.2.2.5",
        Text("ノンス付きの回答は一人にしか役立たない。", "An answer to a nonce is of use to one client only."),
        _cache_nonce,
        required=False,
    ),
    _Rule(
        "never-issued",
        "BR 4.9.10",
        Text(
            "発行していない番号を有効と答えると、偽造された証明書が通る。",
            'Whoever says "good" for a serial that was never issued lets forged certificates pass.',
        ),
        _never_issued,
    ),
    _Rule("issuer-name", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=True, key=False)),
    _Rule("issuer-key", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=False, key=True)),
    _Rule("issuer-both", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=True, key=True)),
    _Rule(
        "unknown-hash",
        "RFC 6960 4.1.1",
        Text("何のハッシュか知らずに発行者は分からない。", "Who does not know the hash cannot know the issuer."),
        _unknown_hash,
    ),
    _Rule(
        "several",
        "RFC 6960 4.2.2.3",
        Text("尋ねたすべてに答えるか、全体を断る。", "Every CertID is answered, or the whole is refused."),
        _several,
    ),
    _Rule("malformed-empty", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda _: b"")),
    _Rule("malformed-cut", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda interview: interview.plain[:-1])),
    _Rule(
        "malformed-trailing", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda interview: interview.plain + b"\x00")
    ),
    _Rule("malformed-garbage", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda _: b"garbage")),
    _Rule(
        "malformed-version",
        "RFC 6960 4.1.1",
        _REFUSE_MALFORMED,
        _malformed(lambda interview: question(interview.cert_id(), version=1)),
    ),
    _Rule("malformed-get", "RFC 6960 2.3", _REFUSE_MALFORMED, _get_garbage),
    _Rule("oversized", "RFC 6960 2.3", _REFUSE_MALFORMED, _oversized),
    _Rule(
        "extension-critical",
        "RFC 6960 4.1.2",
        Text(
            "criticalは「分からなければ答えるな」という意味である。",
            "Critical means: do not answer what you do not understand.",
        ),
        _critical,
    ),
    _Rule(
        "extension-unknown",
        "RFC 6960 4.1.2",
        Text("criticalでない未知の拡張は無視する。", "Unknown extensions that are not critical are ignored."),
        _not_critical,
    ),
    _Rule(
        "alive",
        "-",
        Text(
            "どんな質問の後でも、次の人に答えられること。",
            "Whatever one client asks, the next one must be answered.",
        ),
        _alive,
    ),
)
