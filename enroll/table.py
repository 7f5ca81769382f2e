"""The whole table of routes: the office's own, and those for administrators and auditors."""

from collections.abc import Sequence

from enroll import oversight, routes
from enroll.routes import Route

ROUTES: Sequence[Route] = (*routes.ROUTES, *oversight.ROUTES)
