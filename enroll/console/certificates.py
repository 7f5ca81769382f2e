"""A certificate's page: how it stands in one sentence, its life, and what can be done about it now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, Response

from enroll import words
from enroll.case_paths import WHO
from enroll.console.desk import Desk, House, desk, page
from enroll.counters import MAY
from enroll.messages import AnswerTold, CertificateTold, DetailsTold, TimelineTold
from jpki.case import CaseKind, Step
from jpki.certificate import CARD, Purpose
from jpki.clock import day_in_japan, in_japan
from jpki.errors import JpkiError
from jpki.revocation import Finding, Reason, State
from jpki.text import Text


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a certificate stands; `tone` is that of `notice`."""

    tone: str
    sentence: Text
    more: Sequence[Text]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What OCSP tells verifiers of a certificate, and whether that is what the ledger says."""

    answer: AnswerTold
    words: Text
    is_current: bool


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /certificates/<serial>."""

    @blueprint.get("/certificates/<serial>")
    def show_certificate(serial: str) -> Response:
        here, now = desk(), house.clock()
        told = here.window.ask("get-certificates-serial", CertificateTold, serial=serial)
        details = _details(here, told)
        return page(
            "certificate.html",
            told=told,
            verdict=verdict(told, now),
            passages=here.window.ask("get-certificates-serial-timeline", TimelineTold, serial=serial).passages,
            details=details,
            spoken=spoken(here, told),
            actions=_actions(here, told, details, now),
            now=now,
        )


def verdict(told: CertificateTold, now: datetime) -> Verdict:
    """Return how a certificate stands in one sentence, and what else whoever asks should know."""
    since = "-" if told.revoked_at is None else in_japan(told.revoked_at)
    match told.state:
        case State.REVOKED:
            reason = told.reason or Reason.UNSPECIFIED
            return Verdict(
                "refuse",
                Text(f"この証明書は {since} に失効しました。", f"This certificate was revoked on {since}."),
                [words.WHY[reason]],
            )
        case State.HELD:
            final = words.HOLD_FINAL if told.purpose is Purpose.SIGNING else words.HOLD_LIFTS
            return Verdict(
                "undecided",
                Text(f"この証明書は {since} から一時停止中です。", f"This certificate has been on hold since {since}."),
                [words.WHY[Reason.CERTIFICATE_HOLD], final],
            )
        case State.ACTIVE if told.is_expired:
            end = in_japan(told.not_after)
            return Verdict(
                "refuse",
                Text(f"この証明書の有効期限は {end} に切れました。", f"This certificate expired on {end}."),
                [Text("新しい証明書を発行できます。", "New certificates can be issued.")],
            )
        case State.ACTIVE:
            last = day_in_japan(told.not_after)
            return Verdict(
                "accept",
                Text(f"この証明書は有効です（{last} まで）。", f"This certificate is valid, until {last}."),
                _from_tomorrow(told, now),
            )
        case _:
            return Verdict(
                "undecided",
                Text("この証明書はまだ使えません。", "This certificate is not in use."),
                [words.CERTIFICATE_STATES[told.state]],
            )


def _from_tomorrow(told: CertificateTold, now: datetime) -> Sequence[Text]:
    begun = day_in_japan(told.not_before)
    if told.purpose is not Purpose.SIGNING or begun != day_in_japan(now):
        return []
    usable = begun + timedelta(days=1)
    return [
        Text(
            f"今日発行した証明書です。e-Taxでは明日（{usable}）から使えます。",
            f"It was issued today; e-Tax takes it from tomorrow on ({usable}).",
        )
    ]


def spoken(here: Desk, told: CertificateTold) -> Spoken:
    """Return what verifiers hear now; for a moment after a change it may be what was true before."""
    answer = here.window.ask("get-certificates-serial-answer", AnswerTold, serial=told.serial)
    if answer.finding is None:
        return Spoken(answer, words.NO_ANSWER, is_current=True)
    expected = {State.ACTIVE: Finding.GOOD, State.HELD: Finding.HELD, State.REVOKED: Finding.REVOKED}
    return Spoken(answer, words.FINDINGS[answer.finding], expected.get(told.state, answer.finding) is answer.finding)


def _details(here: Desk, told: CertificateTold) -> DetailsTold | None:
    try:
        return here.window.ask("get-certificates-serial-details", DetailsTold, serial=told.serial)
    except JpkiError as error:
        if error.code == "certificate-never-signed":
            return None
        raise


def _actions(here: Desk, told: CertificateTold, details: DetailsTold | None, now: datetime) -> Sequence[CaseKind]:
    """Return the cases that can be about this certificate now and that the clerk may take here."""
    counter = here.counter
    if counter is None or not here.clerk.may(WHO[Step.OPEN], counter.code) or told.carrier != CARD:
        return []
    return [kind for kind in _possible(told, details, now) if kind in MAY[counter.kind]]


def _possible(told: CertificateTold, details: DetailsTold | None, now: datetime) -> Sequence[CaseKind]:
    if told.is_expired or told.state is State.REVOKED:
        return [CaseKind.NEW]
    if told.state is State.HELD:
        releasing = [CaseKind.RELEASE] if told.purpose is Purpose.AUTHENTICATION else []
        return [*releasing, CaseKind.REVOCATION, CaseKind.REISSUE]
    if told.state is not State.ACTIVE:
        return []
    renewing = [CaseKind.RENEWAL] if details is not None and details.renewal_opens <= day_in_japan(now) else []
    return [CaseKind.HOLD, CaseKind.REVOCATION, CaseKind.PIN_RESET, *renewing]
