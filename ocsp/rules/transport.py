"""Rules of HTTP: how questions arrive, and what caches are told (RFC 6960 A, RFC 9919 6 and 7)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote

from cryptography.x509 import ocsp

from jpki.clock import iso
from jpki.text import Text
from ocsp.fetch import RESPONSE_TYPE, Reply
from ocsp.heard import Heard
from ocsp.interview import Interview, base64_of
from ocsp.judgement import SKEW
from ocsp.rules.rule import (
    ANSWERED,
    NO_ANSWER,
    Rule,
    Verdict,
    both,
    fails,
    foreign_words,
    not_applicable,
    ok,
)


def _post(interview: Interview) -> Verdict:
    heard, single = interview.first, interview.single
    if heard.answered is None:
        return fails(heard.words)
    if single is None:
        return fails(Text("尋ねた証明書への回答ではない", "not an answer about the certificate asked for"))
    if single.claim.status is ocsp.OCSPCertStatus.UNKNOWN:
        return fails(Text("unknown：この証明書を知らない", "unknown: it does not know this certificate"))
    return ok(both(ANSWERED, heard.words))


def _content_type(interview: Interview) -> Verdict:
    replies = [heard.reply for heard in (interview.first, interview.got) if heard.answered and heard.reply]
    types = {_content_type_of(reply) for reply in replies}
    if not types:
        return NO_ANSWER
    found = foreign_words(", ".join(sorted(types)))
    return ok(found) if types == {RESPONSE_TYPE} else fails(found)


def _content_type_of(reply: Reply) -> str:
    return reply.headers.get("content-type", "-").partition(";")[0].strip().lower()


def _same(interview: Interview, heard: Heard) -> Verdict:
    if interview.single is None:
        return NO_ANSWER
    if interview.says_the_same(heard):
        return ok(both(Text("POSTと同じ", "as by POST"), heard.words))
    return fails(both(Text("POSTと異なる", "not as by POST"), heard.words))


def _get(interview: Interview) -> Verdict:
    return _same(interview, interview.got)


def _get_slashes(interview: Interview) -> Verdict:
    return _same(interview, interview.got_with_nonce)


def _get_raw(interview: Interview) -> Verdict:
    return _same(interview, interview.get(base64_of(interview.plain)))


def _get_raw_slashes(interview: Interview) -> Verdict:
    return _same(interview, interview.get(base64_of(interview.slashes)))


def _get_unpadded(interview: Interview) -> Verdict:
    return _same(interview, interview.get(quote(interview.padded.rstrip("="), safe="")))


def _head(interview: Interview) -> Verdict:
    heard = interview.get(quote(base64_of(interview.plain), safe=""), "HEAD")
    found = heard.words if heard.reply is None else Text(f"HTTP {heard.status}", f"HTTP {heard.status}")
    return ok(found) if heard.status == HTTPStatus.OK else fails(found)


def _cache_headers(interview: Interview) -> Verdict:
    reply = interview.got.reply
    if interview.got.answered is None or reply is None:
        return NO_ANSWER
    lacking = [name for name in ("ETag", "Last-Modified", "Expires") if name.lower() not in reply.headers]
    if "max-age" not in reply.headers.get("cache-control", ""):
        lacking.append("Cache-Control: max-age")
    if lacking:
        return fails(Text(f"ない：{'・'.join(lacking)}", f"absent: {', '.join(lacking)}"))
    return ok(foreign_words(reply.headers["cache-control"]))


def _cache_life(interview: Interview) -> Verdict:
    reply, single = interview.got.reply, interview.got.about(interview.named())
    if reply is None or single is None:
        return NO_ANSWER
    kept_until = _kept_until(reply, interview.clock())
    if kept_until is None:
        return not_applicable(Text("キャッシュの期限を示さない", "caches are told no end"))
    found = Text(f"キャッシュは {iso(kept_until)} まで", f"caches keep it until {iso(kept_until)}")
    # Between the answer and this moment some time has passed, and the clocks differ.
    fresh = single.next_update is not None and kept_until <= single.next_update + SKEW
    return ok(found) if fresh else fails(found)


_MAX_AGE = re.compile(r"\b(?:s-maxage|max-age)\s*=\s*\"?(\d{1,9})", re.ASCII)
_UNCACHED = re.compile(r"\b(?:no-store|no-cache|private|max-age\s*=\s*0\b)")


def _kept_until(reply: Reply, now: datetime) -> datetime | None:
    """Return until when a cache may keep a reply, or None if it is told nothing, or to keep nothing."""
    told = reply.headers.get("cache-control", "").lower()
    ages = [int(age) for age in _MAX_AGE.findall(told)]
    if "no-store" in told:
        return None
    if ages:
        return now + timedelta(seconds=max(ages))
    try:
        return parsedate_to_datetime(reply.headers["expires"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _cache_nonce(interview: Interview) -> Verdict:
    heard = interview.got_with_nonce
    if heard.reply is None or heard.answered is None:
        return NO_ANSWER
    if heard.nonce is None:
        return not_applicable(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
    told = heard.reply.headers.get("cache-control", "-")
    found = foreign_words(told)
    return ok(found) if _UNCACHED.search(told.lower()) else fails(found)


_GET_LENIENT = Text(
    "規格どおりに書かないクライアントが多い。", "Many clients in the field do not write the path as the RFC says."
)

RULES = (
    Rule("post", "RFC 6960 A.1", Text("すべての土台。", "Everything else rests on it."), _post),
    Rule(
        "get",
        "RFC 9919 6",
        Text("GETの回答だけがキャッシュされる。", "Only answers to GET are kept by caches, and clients must use it."),
        _get,
    ),
    Rule(
        "get-slashes",
        "RFC 6960 A.1",
        Text(
            "base64の + と // を壊す中継や枠組みがある（%2B、%2F%2F と書いて尋ねる）。",
            "Proxies and frameworks spoil the + and // of base64 (asked here as %2B and %2F%2F).",
        ),
        _get_slashes,
    ),
    Rule("get-raw", "-", _GET_LENIENT, _get_raw, required=False),
    Rule("get-raw-slashes", "-", _GET_LENIENT, _get_raw_slashes, required=False),
    Rule("get-unpadded", "-", _GET_LENIENT, _get_unpadded, required=False),
    Rule(
        "head",
        "RFC 9110 9.3.2",
        Text("監視と中継が使う。", "Monitors and proxies use it."),
        _head,
        required=False,
    ),
    Rule(
        "content-type",
        "RFC 6960 A.2",
        Text("違う型の回答を捨てるクライアントがある。", "Clients throw answers of another type away."),
        _content_type,
    ),
    Rule(
        "cache-headers",
        "RFC 9919 7.2",
        Text("これがないと、中継はキャッシュできない。", "Without them proxies cannot keep answers."),
        _cache_headers,
        required=False,
    ),
    Rule(
        "cache-life",
        "RFC 9919 7.2",
        Text("期限切れの回答が配られ続ける。", "Else caches hand out answers that have ended."),
        _cache_life,
    ),
    Rule(
        "cache-nonce",
        "RFC 9111 5.2.2.5",
        Text("ノンス付きの回答は一人にしか役立たない。", "An answer to a nonce is of use to one client only."),
        _cache_nonce,
        required=False,
    ),
)
