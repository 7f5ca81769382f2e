"""A holder's own suspension: whoever lost the card puts its certificates on hold, without a clerk (docs/adr/0031).

The authentication certificate that the holder shows is the proof of who acts; it is asked for in TLS and judged here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ca.profile import Profile
from enroll.case_paths import LIFE
from enroll.counters import HOLDERS_PAGE
from enroll.desk import Desk
from enroll.effects import effects
from enroll.eligibility import EARLY, Facts, require_kept
from jpki.acts import Actor
from jpki.case import BY_HOLDER, Applicant, Case, CaseKind, CaseState, Change, Step, new_case_number
from jpki.certificate import HOLDER_PURPOSES, Purpose
from jpki.clock import Clock
from jpki.errors import JpkiError, Kind
from jpki.event import Event
from jpki.ids import Serial, format_serial
from jpki.ports import CaseBook, CertificateRecord
from jpki.randomness import Randomness
from jpki.revocation import State
from jpki.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSuspension:
    """Who may come to the holder's own page, and what can be done there."""

    desk: Desk
    book: CaseBook
    profile: Profile
    clock: Clock
    randomness: Randomness

    def bearer(self, shown: Serial) -> CertificateRecord:
        """Return the record of the authentication certificate that somebody showed, if it is active now.

        Raises:
            JpkiError: FORBIDDEN `holder-unknown`, `certificate-held`, `certificate-revoked` or `certificate-ended`.
        """
        record = self.desk.ledger.find([shown]).get(shown)
        if record is None or record.purpose is not Purpose.AUTHENTICATION:
            raise _unknown()
        match record.status.state:
            case State.ACTIVE:
                pass
            case State.HELD:
                raise _held()
            case State.REVOKED:
                raise _revoked()
            case _:
                raise _unknown()
        if not record.validity.holds(self.clock()):
            raise _ended()
        return record

    def suspend(self, shown: Serial) -> Case:
        """Put the card's certificates on hold at once: a case in one go, by the one who shows this certificate.

        What another holds or ends meanwhile has ended. The certificate that opened the page comes last, so that a
        holder whose act was cut off can come in again and repeat it.

        Raises:
            JpkiError: as `bearer`; FORBIDDEN `not-eligible` where the card has none that lives.
        """
        holder = self.bearer(shown).holder
        live = self.desk.on_card(holder)
        now = self.clock()
        case = Case(
            number=new_case_number(now, self.randomness),
            kind=CaseKind.HOLD,
            # The certificate in TLS was the check.
            state=CaseState.IDENTITY_CHECKED,
            version=1,
            counter=HOLDERS_PAGE.code,
            holder=holder,
            purposes=HOLDER_PURPOSES,
            applicant=Applicant.HOLDER,
            documents=frozenset(),
            event=Event.CARD_LOST,
            express=None,
            card=None,
            opened_at=now,
            changed_at=now,
            expires_at=now + LIFE[CaseKind.HOLD],
            opened_by=BY_HOLDER,
            checked_by=BY_HOLDER,
        )
        facts = Facts(case=case, counter=HOLDERS_PAGE.kind, profile=self.profile, resident=None, live=live, now=now)
        require_kept(facts, EARLY)
        by = Actor("holder", format_serial(shown))
        self.book.open(case, by, now)
        self._hold(live, by)
        done = replace(case, state=CaseState.DONE, version=case.version + 1, changed_at=self.clock())
        self.book.swap(Change(before=case, after=done, step=Step.COMPLETE), by, self.clock())
        return done

    def _hold(self, live: Mapping[Purpose, CertificateRecord], by: Actor) -> None:
        for purpose in sorted(effects(Event.CARD_LOST), key=lambda each: each is Purpose.AUTHENTICATION):
            record = live.get(purpose)
            if record is None or record.status.state is not State.ACTIVE:
                continue
            try:
                self.desk.hold(record.serial, by)
            except JpkiError as error:
                if error.kind is not Kind.CONFLICT:
                    raise


def _unknown() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "holder-unknown",
        Text(
            "示された証明書は、使われている利用者証明用電子証明書ではありません。",
            "The certificate that was shown is no authentication certificate in use.",
        ),
        Text(
            "カードの利用者証明用電子証明書を選んで、もう一度開いてください。",
            "Open the page again, and choose your card's authentication certificate.",
        ),
    )


_AT_THE_COUNTER = Text(
    "お住まいの市区町村の窓口にお越しください。",
    "Please come to your municipality's counter.",
)


def _held() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "certificate-held",
        Text(
            "示された証明書は一時停止中のため、このページは開けません。",
            "The certificate that was shown is on hold, so this page is closed to it.",
        ),
        Text(
            "一時停止の解除は、お住まいの市区町村の窓口だけでできます。カードと本人確認書類をお持ちください。",
            "Only your municipality's counter lifts a hold: bring the card and an identity document.",
        ),
    )


def _revoked() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "certificate-revoked",
        Text(
            "示された証明書は失効しているため、このページは開けません。",
            "The certificate that was shown is revoked, so this page is closed to it.",
        ),
        _AT_THE_COUNTER,
    )


def _ended() -> JpkiError:
    return JpkiError(
        Kind.FORBIDDEN,
        "certificate-ended",
        Text(
            "示された証明書の有効期限が過ぎているため、このページは開けません。",
            "The certificate that was shown has expired, so this page is closed to it.",
        ),
        _AT_THE_COUNTER,
    )
