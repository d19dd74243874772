"""Looking changes nothing, whoever looks; and each answer carries the headers that protect it."""

import pytest
from werkzeug.test import TestResponse

from course.web.headers import CONTENT_SECURITY_POLICY

from .conftest import World
from .every_page import Cast, Visit, addresses_of_mails, cast, lesson, looks, presses


@pytest.fixture
def people(world: World) -> Cast:
    return cast(world)


def visit(world: World, wanted: Visit) -> TestResponse:
    if wanted.form is None:
        return world.client.get(wanted.path)
    return world.client.post(wanted.path, data=wanted.form)


def routes(people: Cast) -> list[str]:
    """Every address that the application knows, with secrets of people who exist."""
    filled = {
        "slug": "job-search",
        "cohort": "later",
        "token": people.tokens["active"],
        "filename": "pages.css",
    }
    rules = people.world.client.application.url_map.iter_rules()
    paths = []
    for rule in rules:
        text = rule.rule.replace("<any(pause, resume, clock, next, link):form>", "pause")
        for name, value in filled.items():
            text = text.replace(f"<{name}>", value).replace(f"<path:{name}>", value)
        assert "<" not in text, text
        paths.append(text.replace("/lesson/job-search", "/lesson/welcome"))
    return paths


def test_looking_changes_nothing_whatever_asks(people: Cast) -> None:
    """Scanners, previews and prefetching browsers follow every link of a mail, some by HEAD."""
    world = people.world
    paths = [*addresses_of_mails(people), *routes(people), *(each.path for each in looks(people))]
    before = world.contents()
    for path in dict.fromkeys(paths):
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
            with world.client.open(path, method=method) as answer:
                assert answer.status_code < 500, (method, path)
            assert world.contents() == before, (method, path)


def test_each_page_is_what_this_test_takes_it_for(people: Cast) -> None:
    for wanted in [*looks(people), lesson(people), *presses(people)]:
        answer = visit(people.world, wanted)
        assert answer.status_code == wanted.status, wanted.name
        assert wanted.name == "lesson" or "<h1" in answer.text, wanted.name


def test_each_answer_protects_itself(people: Cast) -> None:
    for wanted in [*looks(people), *presses(people)]:
        headers = visit(people.world, wanted).headers
        policy = headers["Content-Security-Policy"]
        ancestors = CONTENT_SECURITY_POLICY.replace("'none'", "*") if wanted.framed else None
        if ancestors is None:
            assert policy == CONTENT_SECURITY_POLICY, wanted.name
        assert "unsafe" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Set-Cookie" not in headers, wanted.name
        assert "Strict-Transport-Security" not in headers  # this one is served by plain HTTP
        if wanted.private or wanted.form is not None:
            assert headers["Cache-Control"] == "no-store", wanted.name
        if wanted.private:
            assert headers["X-Robots-Tag"] == "noindex, nofollow", wanted.name
        for inside in (" style=", "<style", "<script>", " onclick", "javascript:"):
            assert inside not in visit(people.world, Visit("", "/")).text


def test_a_mail_that_is_read_again_can_do_nothing(people: Cast) -> None:
    headers = visit(people.world, lesson(people)).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "sandbox allow-popups" in headers["Content-Security-Policy"]
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("path", ["/healthz", "/static/pages.css", "/c/job-search/brand.css"])
def test_what_is_no_page_protects_itself_as_well(world: World, path: str) -> None:
    with world.client.get(path) as answer:
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_are_light(people: Cast) -> None:
    """A page with all that it loads; nothing of it is a typeface or comes from elsewhere."""
    world, extra = people.world, 0
    for name in ("/static/pages.css", "/static/icon.svg", "/c/job-search/brand.css"):
        with world.client.get(name) as answer:
            extra += len(answer.data)
    with world.client.get("/static/zone.js") as answer:
        assert len(answer.data) < 2000
    for wanted in [*looks(people), *presses(people)]:
        assert len(visit(world, wanted).data) + extra < 50_000, wanted.name
