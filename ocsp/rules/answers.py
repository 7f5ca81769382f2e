"""Rules of what is answered: the CertID, the nonce, who signed, and until when it holds."""

from collections.abc import Callable, Iterator
from datetime import datetime

from cryptography import x509

from jpki import oids
from jpki.certificate import Validity
from jpki.clock import iso, whole_second
from jpki.text import Text
from ocsp.heard import Heard
from ocsp.interview import Interview
from ocsp.judgement import SKEW, is_ca, is_spared, is_strong, issued_by, may_answer
from ocsp.question import question
from ocsp.rules.rule import (
    NO_ANSWER,
    REFUSED,
    Rule,
    Verdict,
    both,
    fails,
    not_applicable,
    ok,
)


def _cert_id(algorithm: str) -> Callable[[Interview], Verdict]:
    def judge(interview: Interview) -> Verdict:
        heard = interview.first if algorithm == oids.SHA1 else interview.ask(question(interview.cert_id(algorithm)))
        return _repeated(interview, heard, algorithm)

    return judge


def _optional_cert_id(algorithm: str) -> Callable[[Interview], Verdict]:
    def judge(interview: Interview) -> Verdict:
        heard = interview.ask(question(interview.cert_id(algorithm)))
        # Whoever does not know a hash function may say so; who answers by it must answer rightly.
        if heard.broke or interview.vouches(heard):
            return _repeated(interview, heard, algorithm)
        return not_applicable(both(Text("対応していない", "not supported"), heard.words))

    return judge


def _repeated(interview: Interview, heard: Heard, algorithm: str) -> Verdict:
    if heard.answered is None:
        return fails(heard.words)
    single = heard.about(interview.named(algorithm))
    if single is None:
        return fails(Text("回答のCertIDが質問と異なる", "the answer's CertID is not the question's"))
    if heard.reply is None or interview.cert_id(algorithm) not in heard.reply.body:
        # OpenSSL compares the parameters of the hash algorithm too, an absent one with NULL.
        return fails(
            Text("回答のCertIDの書き方が質問と異なる", "the answer writes the CertID otherwise than the question")
        )
    if interview.single is not None and single.claim != interview.single.claim:
        return fails(both(Text("SHA-1の場合と異なる", "not as with SHA-1"), heard.words))
    return ok(both(Text("CertIDが一致", "the CertID is repeated"), heard.words))


def _nonce(length: int) -> Callable[[Interview], Verdict]:
    def judge(interview: Interview) -> Verdict:
        usual_sent, usual = interview.usual_nonce
        sent, heard = (usual_sent, usual) if length == 32 else interview.with_nonce(length)
        if heard.answered is None:
            return fails(heard.words)
        if heard.nonce == sent:
            return ok(Text("同じノンスが返った", "the nonce came back"))
        if heard.nonce is not None:
            return fails(Text("別のノンスが返った", "another nonce came back"))
        if usual.nonce is None or not 16 <= length <= 32:
            return not_applicable(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
        return fails(Text("ノンスが返らない", "no nonce came back"))

    return judge


def _nonce_too_long(interview: Interview) -> Verdict:
    _, heard = interview.with_nonce(129)
    if heard.broke:
        return fails(heard.words)
    if heard.nonce is not None:
        return fails(Text("129オクテットのノンスを受け入れた", "accepted a nonce of 129 octets"))
    if heard.answered is not None:
        return ok(Text("ノンスを無視して回答した", "answered, and ignored the nonce"))
    return ok(both(REFUSED, heard.words))


def _signature(interview: Interview) -> Verdict:
    response, signer = interview.first.answered, interview.signer
    if response is None:
        return NO_ANSWER
    if signer is None:
        return fails(
            Text(
                "responderIDの示す鍵で署名を検証できない",
                "no key that the responderID names verifies the signature",
            )
        )
    if signer == interview.issuer:
        return ok(Text("発行者自身の署名", "signed by the issuer itself"))
    return ok(Text("同封されたレスポンダ証明書の署名", "signed by a responder certificate that it brings along"))


def _signature_hash(interview: Interview) -> Verdict:
    response = interview.first.answered
    if response is None:
        return NO_ANSWER
    if is_strong(response):
        return ok(Text("SHA-2", "SHA-2"))
    return fails(Text("SHA-1など弱いハッシュ、又は未知の算法", "a weak hash such as SHA-1, or an unknown algorithm"))


def _delegate(interview: Interview) -> Verdict:
    signer = interview.signer
    if signer is None:
        return NO_ANSWER
    if signer == interview.issuer:
        return not_applicable(Text("発行者自身が署名する", "the issuer signs by itself"))
    flaws = list(_flaws(signer, interview.issuer, interview.clock()))
    if flaws:
        return fails(Text("・".join(flaw.ja for flaw in flaws), ", ".join(flaw.en for flaw in flaws)))
    return ok(
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


def _nocheck(interview: Interview) -> Verdict:
    signer = interview.signer
    if signer is None:
        return NO_ANSWER
    if signer == interview.issuer:
        return not_applicable(Text("発行者自身が署名する", "the issuer signs by itself"))
    return ok(Text("ある", "present")) if is_spared(signer) else fails(Text("ない", "absent"))


def _times(interview: Interview) -> Verdict:
    response, single = interview.first.answered, interview.single
    if response is None or single is None:
        return NO_ANSWER
    now = whole_second(interview.clock())
    begin, end, produced = single.this_update, single.next_update, response.produced_at_utc
    found = Text(
        f"thisUpdate {iso(begin)}、producedAt {iso(produced)}、nextUpdate {iso(end) if end else '-'}",
        f"thisUpdate {iso(begin)}, producedAt {iso(produced)}, nextUpdate {iso(end) if end else '-'}",
    )
    in_order = max(begin, produced) <= now + SKEW and begin <= produced + SKEW
    lasts = end is None or end >= max(begin, now - SKEW)
    return ok(found) if in_order and lasts else fails(found)


def _next_update(interview: Interview) -> Verdict:
    single = interview.single
    if single is None:
        return NO_ANSWER
    if single.next_update is None:
        return fails(Text("ない", "absent"))
    return ok(Text(iso(single.next_update), iso(single.next_update)))


def _next_update_in_life(interview: Interview) -> Verdict:
    single, signer = interview.single, interview.signer
    if single is None or signer is None:
        return NO_ANSWER
    if single.next_update is None:
        return not_applicable(Text("nextUpdateがない", "there is no nextUpdate"))
    end = signer.not_valid_after_utc
    found = Text(f"署名者の証明書は {iso(end)} まで", f"the signer's certificate ends {iso(end)}")
    return ok(found) if single.next_update <= end else fails(found)


_BY_HASH = Text(
    "クライアントは自分の質問と同じCertIDの回答しか受け入れない。",
    "A client accepts only an answer whose CertID is that of its question.",
)
_NONCE_WHY = Text(
    "ノンスは古い回答の再送を見破る。無視してもよいが、違う値は返せない。",
    "A nonce tells a fresh answer from a replayed one; it may be ignored, but never changed.",
)

RULES = (
    Rule("certid-sha1", "RFC 6960 4.1.1", _BY_HASH, _cert_id(oids.SHA1)),
    Rule("certid-sha256", "RFC 9919 3.1.1", _BY_HASH, _cert_id(oids.SHA256)),
    Rule("certid-sha384", "RFC 6960 4.1.1", _BY_HASH, _optional_cert_id(oids.SHA384), required=False),
    Rule("certid-sha512", "RFC 6960 4.1.1", _BY_HASH, _optional_cert_id(oids.SHA512), required=False),
    Rule("nonce-32", "RFC 9654 2.1", _NONCE_WHY, _nonce(32)),
    Rule("nonce-16", "RFC 9654 2.1", _NONCE_WHY, _nonce(16)),
    Rule("nonce-1", "RFC 9654 2.1", _NONCE_WHY, _nonce(1), required=False),
    Rule("nonce-128", "RFC 9654 2.1", _NONCE_WHY, _nonce(128), required=False),
    Rule(
        "nonce-129",
        "RFC 9654 2.1",
        Text(
            "何でも署名させる者は、署名の衝突を探せる。断るか、無視する。",
            "Who gets anything signed can search for collisions; so it is refused or ignored.",
        ),
        _nonce_too_long,
    ),
    Rule(
        "signature",
        "RFC 6960 3.2",
        Text("署名だけが信頼の根拠である。", "Nothing else than the signature can be trusted."),
        _signature,
    ),
    Rule(
        "signature-hash",
        "RFC 6960 4.3",
        Text("SHA-1の署名は偽造できる。", "Signatures over SHA-1 can be forged."),
        _signature_hash,
    ),
    Rule(
        "delegate",
        "RFC 6960 4.2.2.2",
        Text(
            "発行者が回答を任せた者だけが答えられる。任された者がCAであってはならない。",
            "Only whom the issuer put in charge may answer, and that must not be a CA.",
        ),
        _delegate,
    ),
    Rule(
        "delegate-nocheck",
        "RFC 9919 3.2.2",
        Text(
            "id-pkix-ocsp-nocheckがないと、レスポンダ証明書の失効も尋ねることになる。",
            "Without id-pkix-ocsp-nocheck a client has to ask about the responder's certificate too.",
        ),
        _nocheck,
        required=False,
    ),
    Rule(
        "times",
        "RFC 6960 4.2.2.1",
        Text("未来の回答、期限切れの回答は捨てられる。", "Answers from the future or past their end are refused."),
        _times,
    ),
    Rule(
        "next-update",
        "RFC 9919 3.2.4",
        Text("期限のない回答は、いつまでも再送できる。", "An answer without an end can be replayed for ever."),
        _next_update,
        required=False,
    ),
    Rule(
        "next-update-in-life",
        "RFC 6960 3.2",
        Text(
            "署名者より長く生きる回答は、途中で検証できなくなる。",
            "An answer that outlives its signer cannot be verified to its end.",
        ),
        _next_update_in_life,
    ),
)
