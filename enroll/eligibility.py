"""Who may get which certificate, and from whom: a table of rules, each with its source.

Every rule that fails is told, not the first alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from ca.profile import Profile
from ca.validity import renewal_opens, validity
from enroll.effects import effects
from jpki.card import CardFacts, CardMode
from jpki.case import Applicant, Case, CaseKind, Document
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import day_in_japan, end_of_day, whole_second, years_later
from jpki.counter import CounterKind
from jpki.errors import Fault, JpkiError, Kind
from jpki.event import Event
from jpki.ports import CertificateRecord
from jpki.resident import Registration, Resident
from jpki.revocation import State
from jpki.text import Text

SIGNING_AGE = 15
EXPRESS_WITHIN = timedelta(days=30)
"""After what gives the right to it, an express issue may be asked for."""


def is_old_enough(birth_date: date, purpose: Purpose, today: date) -> bool:
    """Tell whether whoever was born on `birth_date` may have a certificate of this purpose."""
    return purpose is not Purpose.SIGNING or years_later(birth_date, SIGNING_AGE) <= today


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules look at. `resident` is known where certificates are issued; `live` are the card's, by kind."""

    case: Case
    counter: CounterKind
    profile: Profile
    resident: Resident | None
    live: Mapping[Purpose, CertificateRecord]
    now: datetime

    @property
    def today(self) -> date:
        """The day in Japan."""
        return day_in_japan(self.now)

    @property
    def card(self) -> CardFacts | None:
        """The card in the reader."""
        return self.case.card


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its source in law or practice, the kinds of cases that it is about, and what breaks it."""

    code: str
    source: Text
    kinds: frozenset[CaseKind]
    is_broken: Callable[[Facts], bool]
    problem: Text


_ISSUING = frozenset(kind for kind in CaseKind if kind.issues)


@dataclass(frozen=True, slots=True)
class PersonRule:
    """A rule about a person alone: it holds for every order of a certificate, in a case or not."""

    code: str
    source: Text
    forbids: Callable[[Resident, Purpose, date], bool]
    problem: Text

    def in_cases(self) -> Rule:
        """Return it as the rule of cases, for whatever kinds of certificates they ask for."""

        def is_broken(facts: Facts) -> bool:
            resident = facts.resident
            return resident is not None and any(
                self.forbids(resident, purpose, facts.today) for purpose in facts.case.purposes
            )

        return Rule(self.code, self.source, _ISSUING, is_broken, self.problem)


_ALL = frozenset(CaseKind)
_NEW, _RENEWAL, _RELEASE = (frozenset({kind}) for kind in (CaseKind.NEW, CaseKind.RENEWAL, CaseKind.RELEASE))
_ENDING = frozenset({CaseKind.REVOCATION, CaseKind.HOLD})


def _signing(facts: Facts) -> bool:
    return Purpose.SIGNING in facts.case.purposes


def _is_minor_alone(facts: Facts) -> bool:
    born = None if facts.resident is None else facts.resident.holder.birth_date
    is_minor = born is not None and years_later(born, SIGNING_AGE) > facts.today
    return is_minor and facts.case.applicant is not Applicant.LEGAL_PROXY


def _is_pinless(facts: Facts) -> bool:
    return facts.card is not None and facts.card.mode is CardMode.PINLESS


def _lives(facts: Facts, purpose: Purpose, *states: State) -> bool:
    record = facts.live.get(purpose)
    return record is not None and record.status.state in states


def _none_in(*states: State) -> Callable[[Facts], bool]:
    return lambda facts: not all(_lives(facts, purpose, *states) for purpose in facts.case.purposes)


def _not_open(facts: Facts) -> bool:
    ends = [facts.live[purpose].validity.not_after for purpose in facts.case.purposes if purpose in facts.live]
    return any(facts.today < renewal_opens(facts.profile, end) for end in ends)


def _signing_outlives(facts: Facts) -> bool:
    """Tell whether the new authentication certificate would end before the signing certificate that lives on."""
    case, card, resident, signing = facts.case, facts.card, facts.resident, facts.live.get(Purpose.SIGNING)
    if card is None or resident is None or signing is None or signing.status.state is not State.ACTIVE:
        return False
    ended = set(case.purposes) | set(effects(case.event, case.purposes) if case.event else ())
    latest = latest_end(card.not_after, resident, None)
    if Purpose.AUTHENTICATION not in case.purposes or Purpose.SIGNING in ended:
        return False
    if latest is not None and latest <= facts.now:
        return False
    renewal, born = case.kind is CaseKind.RENEWAL, resident.holder.birth_date
    new = validity(facts.profile, born, facts.now, renewal=renewal, not_later_than=latest)
    return new.not_after < signing.validity.not_after


def _lacks_proof(facts: Facts) -> bool:
    proofs = {Applicant.LEGAL_PROXY: Document.LEGAL_PROOF, Applicant.VOLUNTARY_PROXY: Document.REPLY_LETTER}
    proof = proofs.get(facts.case.applicant)
    return proof is not None and proof not in facts.case.documents


def _express_late(facts: Facts) -> bool:
    express = facts.case.express
    return express is not None and not timedelta(0) <= facts.today - express.happened_on <= EXPRESS_WITHIN


def _law(article: int) -> Text:
    return Text(f"公的個人認証法第{article}条", f"Act on JPKI (公的個人認証法), article {article}")


def _practice(ja: str, en: str) -> Text:
    return Text(f"制度の運用：{ja}", f"practice: {en}")


_PINLESS = _practice("顔認証マイナンバーカード（2023-12-15から）", "PIN-less cards, since 2023-12-15")
_MINORS = _practice("15歳未満・成年被後見人の扱い", "minors under 15, and adult wards")
_WINDOW = _practice("更新の扱い", "renewal")
_CAPS = _practice("有効期間の上限", "a signing certificate ends with the authentication certificate")
_HOLDS = Text("認証局運用規程 4.9.9", "certification practice statements, 4.9.9")
_PROXIES = _practice("代理人の申請", "applications by proxies")
_EXPRESS = _practice("特急発行（2024-12-02から）", "express issue, since 2024-12-02")

_TOO_YOUNG = PersonRule(
    "too-young",
    _MINORS,
    lambda resident, purpose, today: not is_old_enough(resident.holder.birth_date, purpose, today),
    Text(
        f"{SIGNING_AGE}歳未満の方には署名用電子証明書を発行できません。",
        f"No signing certificate is issued to a holder under {SIGNING_AGE}.",
    ),
)
_WARD = PersonRule(
    "ward-no-signing",
    _MINORS,
    lambda resident, purpose, _: purpose is Purpose.SIGNING and resident.is_ward,
    Text(
        "成年被後見人の方には署名用電子証明書を発行できません。",
        "No signing certificate is issued to an adult ward.",
    ),
)
_REGISTER_ENDED = PersonRule(
    "register-ended",
    _law(3),
    lambda resident, *_: resident.registration is Registration.ENDED,
    Text("住民基本台帳又は附票に記録がありません。", "The holder is in no register any more."),
)
_STAY_ENDED = PersonRule(
    "stay-ended",
    _practice("外国人住民のカードの有効期間", "a foreign resident's card ends with the stay"),
    lambda resident, _, today: resident.stay_until is not None and resident.stay_until < today,
    Text("在留期間が満了しています。", "The foreign resident's stay has ended."),
)
OF_PERSONS: Sequence[PersonRule] = (_TOO_YOUNG, _WARD, _REGISTER_ENDED, _STAY_ENDED)

RULES: Sequence[Rule] = (
    _TOO_YOUNG.in_cases(),
    Rule(
        "minor-without-parent",
        _MINORS,
        _ISSUING,
        _is_minor_alone,
        Text(
            f"{SIGNING_AGE}歳未満の方の申請は法定代理人が行います。",
            f"For a holder under {SIGNING_AGE} a legal proxy applies.",
        ),
    ),
    _WARD.in_cases(),
    _REGISTER_ENDED.in_cases(),
    _STAY_ENDED.in_cases(),
    Rule(
        "pinless-no-signing",
        _PINLESS,
        _ISSUING,
        lambda facts: _signing(facts) and _is_pinless(facts),
        Text(
            "顔認証カードには署名用電子証明書を発行できません。",
            "A PIN-less card takes no signing certificate.",
        ),
    ),
    Rule(
        "pinless-no-pin",
        _PINLESS,
        frozenset({CaseKind.PIN_RESET}),
        _is_pinless,
        Text("顔認証カードに暗証番号はありません。", "A PIN-less card has no PIN."),
    ),
    Rule(
        "pinless-needs-authentication",
        _PINLESS,
        frozenset({CaseKind.REVOCATION}),
        lambda facts: (
            _is_pinless(facts)
            and facts.case.event is Event.HOLDER_ASKED
            and Purpose.AUTHENTICATION in facts.case.purposes
        ),
        Text(
            "顔認証カードの利用者証明用電子証明書は、希望では失効できません。",
            "A PIN-less card needs its authentication certificate.",
        ),
    ),
    Rule(
        "card-missing",
        _law(3),
        _ISSUING | {CaseKind.PIN_RESET},
        lambda facts: facts.card is None,
        Text("カードが読み取られていません。", "No card was read."),
    ),
    Rule(
        "card-expired",
        _law(5),
        _ISSUING | {CaseKind.PIN_RESET},
        lambda facts: facts.card is not None and facts.card.not_after <= facts.now,
        Text("カードの有効期限が切れています。", "The card has expired."),
    ),
    Rule(
        "certificate-live",
        _law(6),
        _NEW,
        lambda facts: any(purpose in facts.live for purpose in facts.case.purposes),
        Text("有効な証明書が既にあります。", "There is a live certificate of this kind already."),
    ),
    Rule(
        "not-live",
        _WINDOW,
        _RENEWAL,
        _none_in(State.ACTIVE),
        Text("更新する有効な証明書がありません。", "There is no live certificate to renew."),
    ),
    Rule(
        "renewal-closed",
        _WINDOW,
        _RENEWAL,
        _not_open,
        Text("更新の受付期間前です。", "The renewal window is not open yet."),
    ),
    Rule(
        "signing-outlives",
        _CAPS,
        _ISSUING,
        _signing_outlives,
        Text(
            "有効な署名用電子証明書の期限が、新しい利用者証明用電子証明書の期限より後になります。両方を申請してください。",
            "The signing certificate would outlive the new authentication certificate: ask for both.",
        ),
    ),
    Rule(
        "nothing-to-end",
        _law(9),
        _ENDING,
        lambda facts: not any(purpose in facts.live for purpose in facts.case.purposes),
        Text("有効な証明書がありません。", "There is no live certificate."),
    ),
    Rule(
        "hold-final",
        _HOLDS,
        _RELEASE,
        _signing,
        Text(
            "署名用電子証明書の一時停止は解除できません。",
            "The hold of a signing certificate cannot be lifted.",
        ),
    ),
    Rule(
        "not-held",
        _HOLDS,
        _RELEASE,
        _none_in(State.HELD),
        Text("一時停止中の証明書がありません。", "There is no certificate on hold."),
    ),
    Rule(
        "post-office-no-proxy",
        _practice("郵便局の取扱い", "delegated post offices"),
        _ALL,
        lambda facts: facts.counter is CounterKind.POST_OFFICE and facts.case.applicant is not Applicant.HOLDER,
        Text("郵便局では代理人の申請を受け付けません。", "A post office takes no proxies."),
    ),
    Rule(
        "consulate-abroad-only",
        _practice("国外転出者の取扱い（2024-05-27から）", "holders abroad, since 2024-05-27"),
        _ISSUING,
        lambda facts: (
            facts.counter is CounterKind.CONSULATE
            and facts.resident is not None
            and facts.resident.registration is not Registration.ABROAD
        ),
        Text("在外公館では国外転出者の申請だけを受け付けます。", "A consulate serves holders abroad only."),
    ),
    Rule(
        "third-party-may-not",
        _law(10),
        _ALL,
        lambda facts: (
            facts.case.applicant is Applicant.THIRD_PARTY
            and not (facts.case.kind is CaseKind.REVOCATION and facts.case.event is Event.KEY_LEAKED)
        ),
        Text("第三者が申し出られるのは秘密鍵の漏えいだけです。", "A third party may report a leaked key only."),
    ),
    Rule(
        "proxy-proof-missing",
        _PROXIES,
        _ALL - {CaseKind.HOLD},
        _lacks_proof,
        Text("代理権を確認する書類がありません。", "The proof of the proxy's right is missing."),
    ),
    Rule(
        "express-not-here",
        _EXPRESS,
        _ISSUING,
        lambda facts: facts.case.express is not None and facts.counter is not CounterKind.MUNICIPALITY,
        Text("特急発行は市区町村の窓口で受け付けます。", "Express issue is for a municipality's counter."),
    ),
    Rule(
        "express-late",
        _EXPRESS,
        _ISSUING,
        _express_late,
        Text(
            f"特急発行は事由の発生から{EXPRESS_WITHIN.days}日以内に申請します。",
            f"Express issue is asked for within {EXPRESS_WITHIN.days} days of its ground.",
        ),
    ),
)
"""In the order in which they are told."""


_OF_RECORDS = frozenset({"certificate-live", "not-live", "renewal-closed", "nothing-to-end", "hold-final", "not-held"})
OF_CARDS = frozenset({"pinless-no-signing", "pinless-no-pin", "pinless-needs-authentication", "card-expired"})
"""What a card breaks by itself."""
_OF_NO_KIND_ALONE = frozenset({"card-missing", "signing-outlives"})
"""What a card to come, or a case for both kinds, would not break."""
OF_COUNTERS = frozenset({"post-office-no-proxy", "express-not-here"})
"""What a counter does not take, whoever took the case first."""
EARLY = _OF_RECORDS | OF_COUNTERS | {"third-party-may-not", "express-late"}
"""What is known before the register and the card were asked."""
ON_DELIVERY = frozenset(rule.code for rule in RULES) - _OF_RECORDS - {"express-late"}
"""What must hold still when a certificate is handed over; the ledger itself sees to what else lives."""


def broken(facts: Facts) -> Sequence[Rule]:
    """Return every rule that the case breaks."""
    return [rule for rule in RULES if facts.case.kind in rule.kinds and rule.is_broken(facts)]


def possibilities(facts: Facts) -> Mapping[Purpose, Sequence[Rule]]:
    """Return by kind the rules that it breaks, but for what a card to come, or a case for both, would not break."""
    return {
        purpose: [
            rule
            for rule in broken(replace(facts, case=replace(facts.case, purposes=(purpose,))))
            if rule.code not in _OF_NO_KIND_ALONE
        ]
        for purpose in HOLDER_PURPOSES
    }


def require_kept(facts: Facts, codes: Collection[str] | None = None) -> None:
    """Require that the case breaks no rule, or none of these.

    Raises:
        JpkiError: FORBIDDEN `not-eligible`, with all that is broken.
    """
    rules = [rule for rule in broken(facts) if codes is None or rule.code in codes]
    if rules:
        raise JpkiError(
            Kind.FORBIDDEN,
            "not-eligible",
            Text(
                "要件を満たしていません：" + " ".join(rule.problem.ja for rule in rules),
                "The requirements are not met: " + " ".join(rule.problem.en for rule in rules),
            ),
            Text("理由を説明し、できる手続きを案内してください。", "Explain why, and say what is possible instead."),
            [Fault(rule.code, rule.problem) for rule in rules],
        )


def require_entitled(resident: Resident, purpose: Purpose, today: date) -> None:
    """Require what the law asks of the person, whoever orders the certificate, in a case or not.

    Raises:
        JpkiError: FORBIDDEN `too-young`, `ward-no-signing`, `register-ended` or `stay-ended`.
    """
    for rule in OF_PERSONS:
        if rule.forbids(resident, purpose, today):
            raise JpkiError(
                Kind.FORBIDDEN,
                rule.code,
                rule.problem,
                Text(
                    "理由を説明し、窓口での手続きを案内してください。", "Explain why, and send the holder to a counter."
                ),
            )


def latest_end(card_end: datetime | None, resident: Resident | None, beside: datetime | None) -> datetime | None:
    """Return what no certificate outlives: the card, the stay, and `beside`, the certificate that it ends with.

    None where nothing of it is known.
    """
    stay = None if resident is None else resident.stay_until
    ends = [
        None if card_end is None else whole_second(card_end),
        None if stay is None else end_of_day(stay),
        beside,
    ]
    return min((each for each in ends if each is not None), default=None)
