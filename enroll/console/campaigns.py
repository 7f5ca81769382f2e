"""Campaigns at the console: what will end and when, what is being renewed or revoked, and what could not be."""

from datetime import date, timedelta

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as Answer

from enroll import oversight_words
from enroll.console.chart import Chart
from enroll.console.desk import House, Link, desk, go, page
from enroll.overseen import CampaignsTold, CampaignTold, FailuresTold, ForecastTold
from jpki.clock import day_in_japan
from jpki.errors import JpkiError
from jpki.text import Text

LINK = Link("console.show_campaigns", Text("一括処理", "Campaigns"), "get-campaigns")
_AHEAD = timedelta(days=84)
"""Twelve weeks: what can be renewed already."""
_CHANGES = ("pause", "resumption", "cancellation", "retry")


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET and POST /campaigns, GET /campaigns/<number> and POST /campaigns/<number>/<change>."""

    @blueprint.get("/campaigns")
    def show_campaigns() -> Response:
        return campaigns(request.args.get("ending_by") or (day_in_japan(house.clock()) + _AHEAD).isoformat())

    @blueprint.post("/campaigns")
    def open_campaign() -> Response | Answer:
        ending_by = request.form.get("ending_by", "")
        try:
            opened = desk().window.ask("post-campaigns", CampaignTold, {"ending_by": ending_by})
        except JpkiError as error:
            return campaigns(ending_by, error)
        return go(url_for("console.show_campaign", number=opened.number))

    @blueprint.get("/campaigns/<number>")
    def show_campaign(number: str) -> Response:
        return campaign(number)

    @blueprint.post(f"/campaigns/<number>/<any({', '.join(_CHANGES)}):change>")
    def change_campaign(number: str, change: str) -> Response | Answer:
        try:
            desk().window.ask(f"post-campaigns-campaign-{change}", CampaignTold, {}, campaign=number)
        except JpkiError as error:
            return campaign(number, error)
        return go(url_for("console.show_campaign", number=number))

    def campaigns(ending_by: str, error: JpkiError | None = None) -> Response:
        window, forecast = desk().window, None
        found = window.ask("get-campaigns", CampaignsTold).campaigns
        try:
            forecast = window.ask("get-forecast", ForecastTold, {"ending_by": ending_by})
        except JpkiError as refusal:
            error = error or refusal
        return page(
            "campaigns.html",
            house.status_of(error) if error else 200,
            campaigns=found,
            ending_by=ending_by,
            forecast=forecast,
            chart=Chart.of(forecast.weeks) if forecast and forecast.weeks else None,
            today=day_in_japan(house.clock()),
            may_open=window.may("post-campaigns"),
            may_revoke=window.may("post-revocations"),
            states=oversight_words.CAMPAIGN_STATES,
            aim=aim,
            error=error,
        )

    def campaign(number: str, error: JpkiError | None = None) -> Response:
        window = desk().window
        found = window.ask("get-campaigns-campaign", CampaignTold, campaign=number)
        cursor = request.args.get("after")
        wanted = {} if cursor is None else {"cursor": cursor}
        return page(
            "campaign.html",
            house.status_of(error) if error else 200,
            campaign=found,
            failures=window.ask("get-campaigns-campaign-failures", FailuresTold, wanted, campaign=number),
            may_change=window.may("post-campaigns-campaign-pause"),
            states=oversight_words.CAMPAIGN_STATES,
            why=oversight_words.FAILURES,
            aim=aim,
            error=error,
            back=url_for("console.show_campaign", number=number, after=cursor),
        )


def aim(campaign: CampaignTold) -> Text:
    """Return what a campaign does."""
    if campaign.reason is not None:
        return Text(f"失効（{campaign.reason.text.ja}）", f"revocation: {campaign.reason.text.en}")
    day: date | None = campaign.ending_by
    return Text(f"{day} までに終わる証明書の更新", f"renewal of what ends by {day}")
