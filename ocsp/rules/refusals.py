"""Rules of what must not be answered: strange certificates and issuers, and what is no request (rule R15)."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptography.x509 import ocsp

from jpki import der, oids
from jpki.ids import new_serial
from jpki.text import Text
from ocsp.interview import Interview, base64_of
from ocsp.question import cert_id, extension, question
from ocsp.rules.rule import (
    ANSWERED,
    NO_ANSWER,
    REFUSED,
    Rule,
    Verdict,
    both,
    fails,
    not_applicable,
    ok,
)

_UNKNOWN = "1.2.3.4.5"
"""An object identifier that stands for no hash function and no extension."""


def _unvouched(interview: Interview, asked: Sequence[bytes]) -> Verdict:
    """Judge questions that no answer may vouch for."""
    heard = [interview.ask(each) for each in asked]
    bad = next((each for each in heard if each.broke or interview.vouches(each)), None)
    return ok(heard[0].words) if bad is None else fails(bad.words)


def _never_issued(interview: Interview) -> Verdict:
    serials = [new_serial(interview.randomness) for _ in (oids.SHA1, oids.SHA256)]
    algorithms = map(interview.hashes, (oids.SHA1, oids.SHA256))
    return _unvouched(interview, [question(cert_id(*each)) for each in zip(algorithms, serials, strict=True)])


def _foreign(*, name: bool, key: bool) -> Callable[[Interview], Verdict]:
    def judge(interview: Interview) -> Verdict:
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


def _unknown_hash(interview: Interview) -> Verdict:
    hashes = interview.hashes()._replace(algorithm=der.object_identifier(_UNKNOWN))
    return _unvouched(interview, [question(cert_id(hashes, interview.serial))])


def _several(interview: Interview) -> Verdict:
    stranger = new_serial(interview.randomness)
    heard = interview.ask(question(interview.cert_id(), cert_id(interview.hashes(), stranger)))
    if interview.single is None:
        return NO_ANSWER
    if heard.broke:
        return fails(heard.words)
    if heard.answered is None:
        return not_applicable(both(Text("複数のCertIDを断る", "more than one CertID is refused"), heard.words))
    other = heard.about(replace(interview.named(), serial=stranger))
    if not interview.says_the_same(heard) or other is None:
        return fails(both(Text("すべてには答えていない", "not all are answered"), heard.words))
    return fails(heard.words) if other.claim.status is ocsp.OCSPCertStatus.GOOD else ok(heard.words)


def _malformed(make: Callable[[Interview], bytes]) -> Callable[[Interview], Verdict]:
    def judge(interview: Interview) -> Verdict:
        heard = interview.ask(make(interview))
        return ok(both(REFUSED, heard.words)) if heard.turned_down else fails(heard.words)

    return judge


def _oversized(interview: Interview) -> Verdict:
    heard = interview.ask(interview.plain + bytes(1 << 20))
    # A server that has seen enough may hang up instead of reading on (RFC 9112 9.6).
    return ok(both(REFUSED, heard.words)) if heard.turned_down or heard.hung_up else fails(heard.words)


def _get_garbage(interview: Interview) -> Verdict:
    heard = interview.get(base64_of(b"\x30\x00"))
    return ok(both(REFUSED, heard.words)) if heard.turned_down else fails(heard.words)


def _critical(interview: Interview) -> Verdict:
    heard = interview.ask(question(interview.cert_id(), extensions=[extension(_UNKNOWN, b"", critical=True)]))
    if heard.broke or heard.answered is not None:
        return fails(heard.words)
    return ok(both(REFUSED, heard.words))


def _not_critical(interview: Interview) -> Verdict:
    heard = interview.ask(question(interview.cert_id(), extensions=[extension(_UNKNOWN, b"")]))
    if interview.single is None:
        return NO_ANSWER
    return ok(both(ANSWERED, heard.words)) if interview.says_the_same(heard) else fails(heard.words)


def _alive(interview: Interview) -> Verdict:
    if interview.single is None:
        return NO_ANSWER
    heard = interview.ask(interview.plain)
    return ok(both(ANSWERED, heard.words)) if interview.says_the_same(heard) else fails(heard.words)


_NEVER_GOOD = Text(
    "他の発行者の証明書を有効と答えると、偽造された証明書が通る。",
    'Whoever says "good" for another issuer lets forged certificates pass.',
)
_REFUSE_MALFORMED = Text(
    "形式の誤りには malformedRequest 又はHTTP 4xxで答える。5xxは停止を、署名した回答は読み違いを意味する。",
    "What is malformed gets malformedRequest or HTTP 4xx; a 5xx says that it broke, a signed answer that it misread.",
)

RULES = (
    Rule(
        "never-issued",
        "BR 4.9.10",
        Text(
            "発行していない番号を有効と答えると、偽造された証明書が通る。",
            'Whoever says "good" for a serial that was never issued lets forged certificates pass.',
        ),
        _never_issued,
    ),
    Rule("issuer-name", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=True, key=False)),
    Rule("issuer-key", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=False, key=True)),
    Rule("issuer-both", "RFC 6960 4.1.1", _NEVER_GOOD, _foreign(name=True, key=True)),
    Rule(
        "unknown-hash",
        "RFC 6960 4.1.1",
        Text("何のハッシュか知らずに発行者は分からない。", "Who does not know the hash cannot know the issuer."),
        _unknown_hash,
    ),
    Rule(
        "several",
        "RFC 6960 4.2.2.3",
        Text("尋ねたすべてに答えるか、全体を断る。", "Every CertID is answered, or the whole is refused."),
        _several,
    ),
    Rule("malformed-empty", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda _: b"")),
    Rule("malformed-cut", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda interview: interview.plain[:-1])),
    Rule(
        "malformed-trailing", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda interview: interview.plain + b"\x00")
    ),
    Rule("malformed-garbage", "RFC 6960 2.3", _REFUSE_MALFORMED, _malformed(lambda _: b"garbage")),
    Rule(
        "malformed-version",
        "RFC 6960 4.1.1",
        _REFUSE_MALFORMED,
        _malformed(lambda interview: question(interview.cert_id(), version=1)),
    ),
    Rule("malformed-get", "RFC 6960 2.3", _REFUSE_MALFORMED, _get_garbage),
    Rule("oversized", "RFC 6960 2.3", _REFUSE_MALFORMED, _oversized),
    Rule(
        "extension-critical",
        "RFC 6960 4.1.2",
        Text(
            "criticalは「分からなければ答えるな」という意味である。",
            "Critical means: do not answer what you do not understand.",
        ),
        _critical,
    ),
    Rule(
        "extension-unknown",
        "RFC 6960 4.1.2",
        Text("criticalでない未知の拡張は無視する。", "Unknown extensions that are not critical are ignored."),
        _not_critical,
    ),
    Rule(
        "alive",
        "-",
        Text(
            "どんな質問の後でも、次の人に答えられること。",
            "Whatever one client asks, the next one must be answered.",
        ),
        _alive,
    ),
)
