"""How the house's own pages look, and what a browser may do with them: one style sheet, and nothing from elsewhere."""

from collections.abc import Mapping
from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder of `style.css`, which each door serves below its own address."""

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""No script runs, and no other host is asked."""
