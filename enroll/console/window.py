"""What a page asks: the office's routes in the same process, with the rights and the audit that the API has."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from enroll.case_paths import role_missing
from enroll.messages import read, read_query
from enroll.routes import Api, Call, Route, Scope, require_permitted
from enroll.table import ROUTES
from jpki.clerk import EVERY_COUNTER, Clerk
from jpki.errors import JpkiError

_ROUTES: Mapping[str, Route] = {route.name: route for route in ROUTES}

Told = TypeVar("Told", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The routes as one clerk may use them."""

    api: Api
    clerk: Clerk
    refused: Callable[[JpkiError], None]
    """Hears of every refusal, as the API's gate does."""

    def ask(self, name: str, tells: type[Told], body: Mapping[str, object] | None = None, /, **names: str) -> Told:
        """Use the route of that name, as over the API; `body` is the JSON object, or the query where it is a GET.

        Raises:
            JpkiError: as the API refuses, fields named by JSON pointers.
        """
        route = _ROUTES[name]
        try:
            if not self.clerk.may(route.permission.roles, None):
                # As at the API's gate: nobody hears what was wrong in a body that is not theirs to send.
                require_permitted(self.api, route, Call(self.clerk, {}, None))
            call = Call(self.clerk, names, _taken(route, body or {}))
            require_permitted(self.api, route, call)
            told = route.act(self.api, call)
        except JpkiError as error:
            self.refused(error)
            raise
        assert isinstance(told, tells)  # noqa: S101 - the route's own type
        return told

    def require(self, name: str) -> None:
        """Require that the clerk may use the route somewhere: for a page that only leads to it.

        Raises:
            JpkiError: FORBIDDEN `role-missing`.
        """
        if not self.may(name):
            error = role_missing(_ROUTES[name].permission.roles)
            self.refused(error)
            raise error

    def may(self, name: str) -> bool:
        """Tell whether the clerk may use the route somewhere: what a page need not offer otherwise."""
        permission = _ROUTES[name].permission
        return self.clerk.may(permission.roles, EVERY_COUNTER if permission.scope is Scope.EVERYWHERE else None)


def _taken(route: Route, body: Mapping[str, object]) -> BaseModel | None:
    if route.takes is None:
        return None
    if route.method == "GET":
        return read_query(route.takes, {field: [str(value)] for field, value in body.items()})
    return read(route.takes, json.dumps(body).encode())
