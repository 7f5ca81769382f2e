"""The audit at the console: what was done by whom, the chain's badge, and the log to take away."""

from collections.abc import Iterator
from itertools import chain

from flask import Blueprint, Response, request, stream_with_context

from enroll import oversight_words
from enroll.console.desk import House, Link, again, desk, page
from enroll.messages import ClerksTold
from enroll.overseen import AuditTold, ChainTold, LinesTold, VerificationTold
from jpki.acts import Act
from jpki.errors import JpkiError
from jpki.text import Text

LINK = Link("console.show_audit", Text("監査記録", "Audit"), "get-audit")
_FILTERS = ("act", "actor", "day")
_LINES = 25


def add(blueprint: Blueprint, house: House) -> None:
    """Add GET /audit, POST /audit/verification and GET /audit/log."""

    @blueprint.get("/audit")
    def show_audit() -> Response:
        return shown(None)

    @blueprint.post("/audit/verification")
    def verify_audit() -> Response:
        try:
            return shown(desk().window.ask("post-audit-verification", VerificationTold, {}))
        except JpkiError as error:
            return shown(None, error)

    @blueprint.get("/audit/log")
    def download_audit() -> Response:
        window = desk().window
        first = window.ask("get-audit-lines", LinesTold)

        def following() -> Iterator[LinesTold]:
            cursor = first.next
            while cursor is not None:
                told = window.ask("get-audit-lines", LinesTold, {"cursor": cursor})
                cursor = told.next
                yield told

        lines = (f"{line}\n" for told in chain([first], following()) for line in told.lines)
        headers = {"Content-Disposition": 'attachment; filename="audit.log"', "Cache-Control": "no-store"}
        return Response(stream_with_context(lines), headers=headers, content_type="application/jsonl")

    def shown(verified: VerificationTold | None, error: JpkiError | None = None) -> Response:
        window = desk().window
        sought = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip())}
        cursor = request.args.get("before")
        told = AuditTold(lines=[], next=None)
        try:
            told = window.ask(
                "get-audit", AuditTold, sought | ({} if cursor is None else {"cursor": cursor}) | {"limit": _LINES}
            )
        except JpkiError as refusal:
            error = error or refusal
        clerks = window.ask("get-clerks", ClerksTold).clerks
        return page(
            "audit.html",
            house.status_of(error) if error else 200,
            told=told,
            chain=window.ask("get-audit-chain", ChainTold),
            verified=verified,
            sought=sought,
            later=cursor is not None,
            acts=[(act, oversight_words.ACTS[act]) for act in Act],
            actors=oversight_words.ACTORS,
            names={each.id: each.name for each in clerks},
            error=error,
            again=again(),
        )
