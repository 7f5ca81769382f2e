"""How the house's own pages look, and what a browser may do with them: one style sheet, and nothing from elsewhere."""

from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent
STATIC, TEMPLATES = _HERE / "static", _HERE / "templates"
"""The folders that an application with pages takes for its own: what pages are made of, and their style sheet."""

STATIC_ADDRESS = "/look"
"""Below which the style sheet lies."""

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""No script runs, and no other host is asked."""

SCRIPTED_HEADERS: Mapping[str, str] = PAGE_HEADERS | {
    "Content-Security-Policy": f"{PAGE_HEADERS['Content-Security-Policy']}; script-src 'self'; connect-src 'self'"
}
"""For pages that scripts of this host improve; they work without."""
