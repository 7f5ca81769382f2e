"""The API keeps its own description: whatever a client sends, the answer is one of those that are described."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import negative_data_rejection, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from enroll.openapi import document, openapi_path
from enroll.routes import PREFIX, Route
from enroll.table import ROUTES
from jpki.clerk import EVERY_COUNTER, Role
from jpki.clock import system_clock
from tests.conftest import SteppingClock
from tests.server.api_world import ApiTown, api_at
from tests.server.conftest import copied
from tests.server.office_world import HANA, TOWN, clerk_row, resident_of

pytestmark = pytest.mark.slow

Described = tuple[ApiTown, Mapping[str, str]]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def described(new_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    """A town, and what a clerk shows who may do everything everywhere."""
    time = SteppingClock(system_clock())
    with api_at(copied(new_home, tmp_path_factory.mktemp("schema") / "home"), time) as town:
        town.office.register.enter(resident_of())
        clerk = clerk_row(town.rooms, {EVERY_COUNTER: list(Role)})
        yield town, town.headers(clerk)


def test_every_route_is_described_with_its_roles_and_refusals() -> None:
    paths = document("http://x")["paths"]
    assert {(method.upper(), path) for path, each in paths.items() for method in each} == {
        (route.method, openapi_path(route)) for route in ROUTES
    }
    for route in ROUTES:
        described = paths[openapi_path(route)][route.method.lower()]
        assert all(role in described["description"] for role in route.permission.roles)
        assert {"400", "401", "403", "404", "409", "422", "429", "503", str(route.status)} <= set(
            described["responses"]
        )


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_schemathesis_finds_nothing(described: Described, route: Route, *, at_length: bool) -> None:
    town, headers = described
    schema = schemathesis.openapi.from_wsgi(f"{PREFIX}/openapi.json", town.app)
    operation = schema[openapi_path(route)][route.method]
    cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=schemathesis.GenerationMode.NEGATIVE
    )
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture]

    @settings(max_examples=400 if at_length else 25, suppress_health_check=checks, phases=[Phase.generate])
    @given(case=cases)
    def ask(case: Any) -> None:  # noqa: ANN401 - schemathesis's own
        # Refusals would lock the clerk out, and then nothing else would be asked.
        town.rooms.clock.advance(minutes=3)  # type: ignore[attr-defined]
        response = case.call(headers=dict(headers))
        case.validate_response(response, checks=CHECKS)

    ask()


@given(identifier=st.text(min_size=1, max_size=100))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_may_be_searched_for(described: Described, identifier: str) -> None:
    town, headers = described
    answer = town.client.post(f"{PREFIX}/search", json={"identifier": identifier}, headers=dict(headers))
    assert answer.status_code in (200, 400)


def test_described_bodies_are_taken(described: Described) -> None:
    town, headers = described
    body = {"kind": "new", "counter": TOWN, "holder": HANA, "purposes": ["signing"]}
    assert town.client.post(f"{PREFIX}/cases", json=body, headers=dict(headers)).status_code == 201
