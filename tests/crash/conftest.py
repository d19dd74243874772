"""Here each database is its own run: the embedded one with every test, the server with `e2e`."""

import pytest

from tests.world import World


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def any_world(request: pytest.FixtureRequest) -> World:
    fixture = "world" if request.param == "sqlite" else "postgres_world"
    made: World = request.getfixturevalue(fixture)
    return made
