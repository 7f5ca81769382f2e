"""Posts that only our own pages may send: what a browser says of where a form came from (Fetch Metadata)."""

from flask import Blueprint, request

from jpki.errors import JpkiError, Kind
from jpki.text import Text


def guard(blueprint: Blueprint) -> None:
    """Refuse a POST to this blueprint that does not come from a page of ours."""
    blueprint.before_request(require_same_site)


def require_same_site() -> None:
    """Require that a POST comes from a page of this host; a browser that says nothing of it must name it as Origin.

    Raises:
        JpkiError: FORBIDDEN `not-our-page`.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("Sec-Fetch-Site")
    ours = site == "same-origin" if site is not None else request.headers.get("Origin") == request.host_url.rstrip("/")
    if not ours:
        raise JpkiError(
            Kind.FORBIDDEN,
            "not-our-page",
            Text("この画面以外から送られた操作です。", "This was sent from another site's page, or by no browser."),
            Text("画面を開き直して、もう一度操作してください。", "Open the page again, and repeat it there."),
        )
