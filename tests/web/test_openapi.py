"""The description of the public web: all routes stand in it, and whatever comes, nothing breaks."""

from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck

from .conftest import World
from .every_page import cast


def test_every_route_is_described_and_nothing_else(world: World) -> None:
    described = world.client.get("/openapi.json").get_json()["paths"]
    app, routes = world.client.application, set[tuple[str, str]]()
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("sample_links."):
            path = "/".join(
                "{" + part[1:-1].split(":")[-1] + "}" if part.startswith("<") else part
                for part in rule.rule.split("/")
            )
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            routes |= {(path, method.lower()) for method in methods}
    assert {(path, method) for path, ways in described.items() for method in ways} == routes


def test_the_bodies_belong_to_routes_that_exist(world: World) -> None:
    from course.web.openapi import _BODIES

    assert _BODIES.keys() <= world.client.application.view_functions.keys()


@pytest.mark.e2e
@pytest.mark.parametrize("known", [False, True], ids=["strangers", "a reader's own secrets"])
def test_whatever_comes_there_is_no_server_error(world: World, known: bool) -> None:
    """Each operation with many made-up requests, sound ones and others."""
    import schemathesis  # slow to load
    from schemathesis.checks import not_a_server_error

    app = world.client.application
    people = cast(world)
    secrets = {
        "slug": "job-search",
        "cohort": "later",
        "token": people.tokens["active"],
    }
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def fuzz(case: Any) -> None:
            if known and isinstance(case.path_parameters, dict):
                case.path_parameters.update(
                    {n: v for n, v in secrets.items() if n in case.path_parameters}
                )
            case.call_and_validate(checks=[not_a_server_error])

        fuzz()
        tried += 1
    assert tried > 20
