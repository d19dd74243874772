"""Whoever asks under a foreign host's name is never sent there."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from .conftest import COURSE, World

EVIL = "http://evil.example"


def _addresses(world: World) -> Iterator[tuple[str, str]]:
    """Each route that there is, as it should be written and in ways that are nearly right."""
    token = world.join()
    parts = {"slug": COURSE, "cohort": "later", "token": token, "form": "pause"}
    for rule in world.client.application.url_map.iter_rules():
        values = {name: parts.get(name, "x") for name in rule.arguments} | (rule.defaults or {})
        with world.client.application.test_request_context(base_url="http://localhost"):
            path = world.client.application.url_map.bind("localhost").build(rule.endpoint, values)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            for way in (path, f"{path}/", f"/{path}", path.replace("/c/", "/c//"), f"{path}//"):
                yield method, way


def test_no_redirect_is_made_of_the_host_that_was_asked_for(world: World) -> None:
    redirects = 0
    for method, path in _addresses(world):
        answer = world.client.open(
            path, method=method, base_url=EVIL, headers={"X-Forwarded-Host": "evil.example"}
        )
        assert answer.status_code < 500
        location = answer.headers.get("Location", "")
        redirects += bool(location)
        assert not urlsplit(location).netloc, (method, path, location)
        assert "evil.example" not in str(answer.headers)
    assert redirects > 3


@pytest.mark.parametrize("path", [f"/c/{COURSE}/", f"/c/{COURSE}/embed/", "/healthz/"])
def test_a_slash_too_many_at_the_end_is_no_other_page(world: World, path: str) -> None:
    answer, other = world.client.get(path, base_url=EVIL), world.client.get(path.rstrip("/"))
    assert answer.status_code == other.status_code == 200
    assert "Location" not in answer.headers


def test_two_slashes_lead_nowhere(world: World) -> None:
    assert world.client.get(f"/c//{COURSE}", base_url=EVIL).status_code == 404
