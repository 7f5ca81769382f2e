"""The routes for administrators and auditors: campaigns, the audit, counters, how the house stands.

Administrators act and auditors read, both for every counter and neither in any case.
"""

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from pydantic import BaseModel

from ca.validity import renewal_opens
from enroll import messages, overseen
from enroll.campaign import require_window
from enroll.counters import require_delegated
from enroll.mass_revocation import require_known, surveyed
from enroll.municipalities import municipalities
from enroll.routes import OVERSEERS, Api, Call, Permission, Route, Scope, counter_told, taken
from jpki.campaign import CampaignId, CampaignState, Survey
from jpki.certificate import Purpose
from jpki.clerk import Role
from jpki.clock import day_in_japan, end_of_day
from jpki.counter import CounterCode
from jpki.errors import JpkiError, Kind
from jpki.ids import format_serial, parse_serial
from jpki.text import Text

_FARTHEST = timedelta(days=400)
"""How far ahead a forecast looks: beyond it nothing can be planned, and each counts all that ends until then."""
_LONGEST_NUMBER = 9
_READ = Permission(OVERSEERS, Scope.EVERYWHERE)
_ACT = Permission(frozenset({Role.ADMINISTRATOR}), Scope.EVERYWHERE)


# --- campaigns -----------------------------------------------------------------------------------------------------


def _forecast(api: Api, call: Call) -> BaseModel:
    ending_by, now = taken(call, overseen.CampaignNew).ending_by, api.office.clock()
    if ending_by > day_in_japan(now) + _FARTHEST:
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "forecast-too-far",
            Text("予測は400日先までです。", "A forecast reaches 400 days ahead."),
            Text("もっと早い日を指定してください。", "Name an earlier day."),
        )
    weeks: dict[date, Tally[Purpose]] = {}
    towns: Tally[str] = Tally()
    expected = api.oversight.campaigns.forecast(ending_by, now)
    for each in expected:
        weeks.setdefault(each.week, Tally())[each.purpose] += each.count
        if each.purpose is Purpose.SIGNING:
            towns[api.oversight.town_of(each.partition)] += each.count
    known = municipalities()
    return overseen.ForecastTold(
        ending_by=ending_by,
        opens=renewal_opens(api.office.profile, end_of_day(ending_by)),
        total=sum(count.total() for count in weeks.values()),
        with_card=sum(each.with_card for each in expected),
        weeks=[
            overseen.WeekTold(week=week, authentication=count[Purpose.AUTHENTICATION], signing=count[Purpose.SIGNING])
            for week, count in weeks.items()
        ],
        towns=[
            overseen.TownTold(code=code, name=known[code].name if code in known else "", signing=count)
            for code, count in towns.most_common()
        ],
    )


def _campaigns(api: Api, _: Call) -> BaseModel:
    now = api.office.clock()
    return overseen.CampaignsTold(
        campaigns=[overseen.CampaignTold.of(each, now) for each in api.oversight.campaigns.campaigns()]
    )


def _open_campaign(api: Api, call: Call) -> BaseModel:
    ending_by, now = taken(call, overseen.CampaignNew).ending_by, api.office.clock()
    require_window(api.office.profile, ending_by, now)
    opened = api.oversight.campaigns.open(ending_by, call.clerk.actor(None), now)
    return overseen.CampaignTold.of(opened, now)


def _survey(api: Api, call: Call) -> BaseModel:
    survey = _surveyed(api, taken(call, overseen.RevocationNew))
    counts = Tally(each.purpose for each in survey.targets)
    return overseen.SurveyTold(
        authentication=counts[Purpose.AUTHENTICATION],
        signing=counts[Purpose.SIGNING],
        revoked=len(survey.revoked),
        ended=len(survey.ended),
        unknown=list(map(format_serial, survey.unknown)),
    )


def _open_revocation(api: Api, call: Call) -> BaseModel:
    wish, now = taken(call, overseen.RevocationNew), api.office.clock()
    survey = _surveyed(api, wish)
    require_known(survey)
    opened = api.oversight.campaigns.open_revocation(wish.reason, survey.targets, call.clerk.actor(None), now)
    return overseen.CampaignTold.of(opened, now)


def _surveyed(api: Api, wish: overseen.RevocationNew) -> Survey:
    said = any(each is not None for each in (wish.generation, wish.municipality, wish.issued_from, wish.issued_until))
    if said == (wish.serials is not None):
        raise JpkiError(
            Kind.UNPROCESSABLE,
            "targets-unclear",
            Text("発行番号か、発行の条件の一方だけを指定してください。", "Name serials, or say how they were issued."),
            Text("どちらか一方だけを入力してください。", "Fill in one of the two, and not both."),
        )
    wanted = list(map(parse_serial, wish.serials)) if wish.serials is not None else api.oversight.issued(wish)
    return surveyed(api.oversight.campaigns, wanted, wish.reason, api.office.clock)


def _campaign(api: Api, call: Call) -> BaseModel:
    return overseen.CampaignTold.of(api.oversight.campaigns.campaign(_campaign_number(call)), api.office.clock())


def _campaign_in(state: CampaignState) -> Callable[[Api, Call], BaseModel]:
    def act(api: Api, call: Call) -> BaseModel:
        now = api.office.clock()
        changed = api.oversight.campaigns.change(_campaign_number(call), state, call.clerk.actor(None), now)
        return overseen.CampaignTold.of(changed, now)

    return act


def _retry(api: Api, call: Call) -> BaseModel:
    number, now = _campaign_number(call), api.office.clock()
    api.oversight.campaigns.retry(number, call.clerk.actor(None), now)
    return overseen.CampaignTold.of(api.oversight.campaigns.campaign(number), now)


def _failures(api: Api, call: Call) -> BaseModel:
    wanted = taken(call, overseen.FailuresWanted)
    after = None if wanted.cursor is None else parse_serial(f"0x{wanted.cursor}")
    found = api.oversight.campaigns.failures(_campaign_number(call), after, wanted.limit + 1)
    page = [overseen.FailureTold(serial=format_serial(serial), code=code) for serial, code in found[: wanted.limit]]
    return overseen.FailuresTold(failures=page, next=page[-1].serial if len(found) > len(page) else None)


def _campaign_number(call: Call) -> CampaignId:
    text = call.names["campaign"]
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return CampaignId(int(text))
    raise JpkiError(
        Kind.MALFORMED,
        "campaign-number-malformed",
        Text("一括処理の番号ではありません。", "This is no number of a campaign."),
        Text("一括処理の一覧の番号を使ってください。", "Take it from the list of campaigns."),
    )


# --- the audit -----------------------------------------------------------------------------------------------------


def _audit(api: Api, call: Call) -> BaseModel:
    return api.oversight.audit(taken(call, overseen.AuditWanted))


def _chain(api: Api, _: Call) -> BaseModel:
    return api.oversight.chain()


def _verify(api: Api, _: Call) -> BaseModel:
    return api.oversight.verification()


def _lines(api: Api, call: Call) -> BaseModel:
    return api.oversight.lines(taken(call, overseen.LinesWanted).cursor)


# --- counters and the house ----------------------------------------------------------------------------------------


def _add_counter(api: Api, call: Call) -> BaseModel:
    new = taken(call, overseen.CounterNew).counter()
    require_delegated(new.kind, new.municipality)
    api.oversight.add_counter(new, call.clerk.actor(None))
    return counter_told(api.counter(new.code))


def _close_counter(api: Api, call: Call) -> BaseModel:
    code = CounterCode(call.names["code"])
    api.oversight.close_counter(code, call.clerk.actor(None))
    return counter_told(api.counter(code))


def _overview(api: Api, _: Call) -> BaseModel:
    return api.oversight.overview(api.clerks())


def _authority(api: Api, _: Call) -> BaseModel:
    return api.oversight.authority()


# --- the table -----------------------------------------------------------------------------------------------------


def _changing(name: str, summary: Text, act: Callable[[Api, Call], BaseModel]) -> Route:
    return Route(
        method="POST",
        path=f"/campaigns/<campaign>/{name}",
        summary=summary,
        permission=_ACT,
        takes=messages.Nothing,
        tells=overseen.CampaignTold,
        act=act,
    )


ROUTES: Sequence[Route] = (
    Route(
        method="GET",
        path="/overview",
        summary=Text("準備の状況と失効情報の新しさ", "How far the house is set up, and how fresh its word is"),
        permission=_READ,
        tells=overseen.OverviewTold,
        act=_overview,
    ),
    Route(
        method="GET",
        path="/authority",
        summary=Text("認証局・鍵・失効リスト", "The CAs, their keys and lists"),
        permission=_READ,
        tells=overseen.AuthorityTold,
        act=_authority,
    ),
    Route(
        method="GET",
        path="/forecast",
        summary=Text("更新が必要になる証明書の予測", "What ends, by week and municipality"),
        permission=_READ,
        takes=overseen.CampaignNew,
        tells=overseen.ForecastTold,
        act=_forecast,
    ),
    Route(
        method="GET",
        path="/campaigns",
        summary=Text("一括処理の一覧", "All campaigns"),
        permission=_READ,
        tells=overseen.CampaignsTold,
        act=_campaigns,
    ),
    Route(
        method="POST",
        path="/campaigns",
        summary=Text("一括更新を開始する", "Open a campaign that renews"),
        permission=_ACT,
        takes=overseen.CampaignNew,
        tells=overseen.CampaignTold,
        status=201,
        act=_open_campaign,
    ),
    Route(
        method="GET",
        path="/campaigns/<campaign>",
        summary=Text("一括処理の進み具合", "How far a campaign is"),
        permission=_READ,
        tells=overseen.CampaignTold,
        act=_campaign,
    ),
    Route(
        method="GET",
        path="/campaigns/<campaign>/failures",
        summary=Text("一括処理でできなかった証明書", "What a campaign could not do"),
        permission=_READ,
        takes=overseen.FailuresWanted,
        tells=overseen.FailuresTold,
        act=_failures,
    ),
    Route(
        method="POST",
        path="/revocations/survey",
        summary=Text("一括失効の対象を確かめる（何も変わらない）", "What a campaign would revoke; changes nothing"),
        permission=_ACT,
        takes=overseen.RevocationNew,
        tells=overseen.SurveyTold,
        act=_survey,
    ),
    Route(
        method="POST",
        path="/revocations",
        summary=Text("一括失効を始める", "Open a campaign that revokes"),
        permission=_ACT,
        takes=overseen.RevocationNew,
        tells=overseen.CampaignTold,
        status=201,
        act=_open_revocation,
    ),
    _changing("pause", Text("一時停止する", "Give out no more work"), _campaign_in(CampaignState.PAUSED)),
    _changing("resumption", Text("再開する", "Give out work again"), _campaign_in(CampaignState.RUNNING)),
    _changing(
        "cancellation", Text("残りを中止する", "Give up what is not done yet"), _campaign_in(CampaignState.CANCELLED)
    ),
    _changing("retry", Text("失敗した分をやり直す", "Let what failed wait again"), _retry),
    Route(
        method="GET",
        path="/audit",
        summary=Text("監査記録（新しい順）", "The audit, the latest first"),
        permission=_READ,
        takes=overseen.AuditWanted,
        tells=overseen.AuditTold,
        act=_audit,
    ),
    Route(
        method="GET",
        path="/audit/chain",
        summary=Text("監査記録の最後の署名", "The newest signed head of the audit"),
        permission=_READ,
        tells=overseen.ChainTold,
        act=_chain,
    ),
    Route(
        method="POST",
        path="/audit/verification",
        summary=Text("監査記録の全体を検証する", "Check the whole audit"),
        permission=_READ,
        takes=messages.Nothing,
        tells=overseen.VerificationTold,
        act=_verify,
    ),
    Route(
        method="GET",
        path="/audit/lines",
        summary=Text("監査記録を署名とともに書き出す", "The audit as a log with its signed heads"),
        permission=_READ,
        takes=overseen.LinesWanted,
        tells=overseen.LinesTold,
        act=_lines,
    ),
    Route(
        method="POST",
        path="/counters",
        summary=Text("窓口を追加する", "Add a counter"),
        permission=_ACT,
        takes=overseen.CounterNew,
        tells=messages.CounterTold,
        status=201,
        act=_add_counter,
    ),
    Route(
        method="POST",
        path="/counters/<code>/closure",
        summary=Text("窓口を閉じる", "Let a counter take no case any more"),
        permission=_ACT,
        takes=messages.Nothing,
        tells=messages.CounterTold,
        act=_close_counter,
    ),
)
