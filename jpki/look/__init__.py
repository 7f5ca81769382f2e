"""How the house's own pages look, and what a browser may do with them: nothing comes from elsewhere."""

from collections.abc import Mapping
from pathlib import Path

_HERE = Path(__file__).parent
STATIC, TEMPLATES = _HERE / "static", _HERE / "templates"
"""The folders that an application with pages takes for its own: what pages are made of, and what they load."""

STATIC_ADDRESS = "/look"
"""Below which the style sheets lie."""

FONTS = "fonts/"
"""Where in `STATIC` the fonts lie, by name and version: what has a name there never changes."""

FACES = STATIC / FONTS / "noto-sans-jp-5.3.1" / "faces.css"
"""The fonts' style sheet: which file, beside it, holds which characters (docs/paper.md)."""

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""No script runs, and no other host is asked."""

SCRIPTED_HEADERS: Mapping[str, str] = PAGE_HEADERS | {
    "Content-Security-Policy": f"{PAGE_HEADERS['Content-Security-Policy']}; script-src 'self'; connect-src 'self'"
}
"""For pages that scripts of this host improve; they work without."""
