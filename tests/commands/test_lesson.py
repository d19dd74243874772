"""`lesson preview` and `lesson test` as they are typed."""

import json
import os
import time
from typing import Any

import pytest

from course.preview import serving
from tests.commands.conftest import Minicourse, edit
from tests.world import World

ME = "me@example.com"


def subjects(sandbox: Any) -> list[str]:
    """Of what came to the author, in that order."""
    return [mail.subject for mail in reversed(sandbox.store.page(ME, None, 50))]


def test_a_lesson_arrives_marked_as_a_test(
    world: World, sandbox: Any, minicourse: Minicourse
) -> None:
    answer = minicourse("lesson", "test", "welcome", "--to", ME)
    assert answer.status == 0, answer.err
    assert answer.out == "job-search/welcome: [Test] You have been invited. Should you go?\n"
    assert subjects(sandbox) == ["[Test] You have been invited. Should you go?"]
    assert world.rows() == []


def test_what_is_tested_is_what_the_files_say_now(
    world: World, sandbox: Any, minicourse: Minicourse
) -> None:
    edit(world, "01-welcome.md", "You have been invited.", "You are invited.")
    minicourse("lesson", "test", "job-search/welcome", "--to", ME)
    assert subjects(sandbox) == ["[Test] You are invited. Should you go?"]


def test_a_course_that_was_never_applied_can_be_tested(
    world: World, sandbox: Any, minicourse: Minicourse
) -> None:
    lessons = world.settings.home / "lessons"
    (lessons / "bread").mkdir()
    for name in ("course.toml", "about.md", "01-welcome.md"):
        (lessons / "bread" / name).write_text((lessons / "job-search" / name).read_text())
    answer = minicourse("lesson", "test", "bread/welcome", "--to", ME)
    assert answer.status == 0, answer.err
    assert len(subjects(sandbox)) == 1


def test_all_lessons_arrive_in_order_and_paced(sandbox: Any, minicourse: Minicourse) -> None:
    began = time.monotonic()
    answer = minicourse(
        "lesson", "test", "job-search", "--all", "--to", ME, "--every", "20ms", "--json"
    )
    assert time.monotonic() - began > 6 * 0.02
    sent = json.loads(answer.out)
    assert [one["lesson"] for one in sent] == [
        f"job-search/{slug}"
        for slug in "welcome network market practice plan-b leverage decision".split()
    ]
    assert subjects(sandbox) == [one["subject"] for one in sent]


def test_a_single_test_in_json_is_an_object(sandbox: Any, minicourse: Minicourse) -> None:
    answer = minicourse("lesson", "test", "welcome", "--to", ME, "--as", "script", "--json")
    found = json.loads(answer.out)
    assert found.pop("message_id")
    assert found == {
        "lesson": "job-search/welcome",
        "subject": "[Test] You have been invited. Should you go?",
        "to": ME,
        "as": "script",
    }


def test_nothing_leaves_when_one_of_all_cannot_be_sent(
    world: World, sandbox: Any, minicourse: Minicourse
) -> None:
    edit(world, "07-decision.md", "name or", "nmae or")
    answer = minicourse("lesson", "test", "job-search", "--all", "--to", ME)
    assert (answer.status, answer.out) == (1, "")
    assert "lessons/job-search/07-decision.md:" in answer.err
    assert subjects(sandbox) == []


def test_without_a_stand_in_it_says_how_to_start_one(minicourse: Minicourse) -> None:
    answer = minicourse("lesson", "test", "welcome", "--to", ME)
    assert answer.status == 1
    assert answer.err.endswith("minicourse sandbox\n")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("test nope --to me@example.com", "welcome, network"),
        ("test nope --all --to me@example.com", "job-search"),
        ("test welcome --to me", "“me” is not an e-mail address"),
        ("preview nope --watch", "welcome, network"),
        ("preview nope/welcome --watch", "there is: job-search"),
        ("preview welcome --as nope", "kim, nameless, long"),
        ("preview job-search --watch --as nope@example.com", "subscriber add"),
    ],
)
def test_a_failure_is_one_line_that_names_what_there_is(
    words: str, named: str, minicourse: Minicourse
) -> None:
    answer = minicourse("lesson", *words.split())
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert named in answer.err


@pytest.mark.parametrize(
    "words",
    [
        "test welcome",
        "test welcome --to me@example.com --every 2s",
        "test job-search --all --to me@example.com --every soon",
        "test welcome --to me@example.com --as nobody",
        "preview welcome --port 8010",
        "preview welcome --watch --out x",
    ],
)
def test_what_is_not_written_as_the_help_says_exits_with_2(
    words: str, minicourse: Minicourse
) -> None:
    assert minicourse("lesson", *words.split()).status == 2


def test_a_port_that_is_taken_is_told(sandbox: Any, minicourse: Minicourse) -> None:
    port = os.environ["SENDGRID_HOST"].rpartition(":")[2]
    answer = minicourse("lesson", "preview", "job-search", "--watch", "--port", port)
    assert answer.status == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in answer.err
    assert answer.err.endswith("minicourse lesson preview job-search --watch --port PORT\n")


@pytest.mark.parametrize(
    ("words", "path", "first"),
    [
        ("job-search", "/", "Kim, in Berlin"),
        ("job-search/market", "/lesson/market", "Kim, in Berlin"),
        ("market --as rtl", "/lesson/market", "A name from right to left"),
        ("market --name Zoë", "/lesson/market", "“Zoë”"),
        ("market --as ann@example.com", "/lesson/market", "ann@example.com"),
    ],
)
def test_watch_prints_the_address_and_begins_with_whom_was_asked_for(
    words: str,
    path: str,
    first: str,
    world: World,
    minicourse: Minicourse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server is real and bound; only the waiting for Ctrl-C is left out."""
    world.join("ann@example.com", "Ann")
    labels = []
    make = serving.server

    def bound(app: Any, port: int) -> Any:
        html = app.test_client().get("/lesson/market").text
        labels.append(html.partition('aria-current="true">')[2].partition("<")[0])
        server = make(app, 0)
        server.serve_forever = server.server_close
        return server

    monkeypatch.setattr(serving, "server", bound)
    answer = minicourse("lesson", "preview", *words.split(), "--watch", "--port", "8019")
    assert (answer.status, answer.out) == (0, f"http://127.0.0.1:8019{path}\n"), answer.err
    assert labels == [first]
