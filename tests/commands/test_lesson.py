"""`lesson preview`, `lesson test` and `lesson show --delivery` as they are typed."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from course.mailer import Answer, Verdict
from course.models import Subscriber
from course.preview import serving
from tests.commands.conftest import NOBODY, Minicourse, edit, lesson_row
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


def test_without_a_stand_in_it_says_how_to_start_one(
    minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENDGRID_HOST", NOBODY)
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
        "show",
        "show welcome --delivery 1",
        "show welcome --html",
        "show --delivery 1 --html --json",
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


# Mails that were sent -----------------------------------------------------------------------------


def sent(minicourse: Minicourse, *words: str) -> Any:
    return minicourse("lesson", "show", "--delivery", *words)


def a_welcome(world: World, name: str = "Kim") -> int:
    number = world.join("kim@example.com", name)
    world.tick()
    return lesson_row(world, number, "welcome")


def test_a_mail_that_was_sent_is_told_as_the_provider_got_it(
    world: World, minicourse: Minicourse
) -> None:
    number = a_welcome(world)
    request = world.provider.requests[-1]
    (person,) = request.personalizations
    text, html = request.text, request.html
    for tag, value in (person.substitutions or {}).items():
        text, html = text.replace(tag, value), html.replace(tag, value)
    found = json.loads(sent(minicourse, str(number), "--json").out)
    assert (found["text"], found["html"]) == (text, html)
    assert found["headers"] == person.headers
    assert (found["subject"], found["revision"]) == (request.subject, 1)
    assert found["to"] == "Kim <kim@example.com>"
    assert sent(minicourse, str(number), "--html").out == html + "\n"
    told = sent(minicourse, str(number))
    assert told.out.endswith("\n\n" + text.strip() + "\n")
    assert told.err == ""


def test_the_words_are_those_of_its_own_revision(world: World, minicourse: Minicourse) -> None:
    number = a_welcome(world)
    before = sent(minicourse, str(number), "--json").out
    edit(world, "01-welcome.md", "You have been invited.", "You are invited.")
    assert minicourse("course", "apply", "job-search").status == 0
    assert sent(minicourse, str(number), "--json").out == before
    assert re.search(r"^revision +1, applied 2027-01-14", sent(minicourse, str(number)).out, re.M)


def test_a_confirmation_is_told_with_the_link_that_was_in_it(
    world: World, minicourse: Minicourse
) -> None:
    world.sign_up("kim@example.com", "Kim")
    world.tick()
    (person,) = world.provider.requests[-1].personalizations
    (link,) = {value for value in (person.substitutions or {}).values() if "/confirm/" in value}
    world.pass_time(days=1)
    assert link in sent(minicourse, world.provider.log[-1]).out


def test_whoever_signed_up_again_since_may_have_another_name(
    world: World, minicourse: Minicourse
) -> None:
    number = a_welcome(world)
    world.leave(world.rows()[0].enrollment_id)
    world.pass_time(hours=1)
    world.join("kim@example.com", "Kimberly")
    answer = sent(minicourse, str(number))
    assert "Kimberly" in answer.out
    assert "may have changed since" in answer.err


def test_a_mail_of_which_nobody_knows_is_told_with_that(
    world: World, minicourse: Minicourse
) -> None:
    world.provider.answer = lambda _: Answer(Verdict.UNKNOWN, detail="TimeoutError: timed out")
    world.sign_up("kim@example.com")
    world.tick()
    assert " UTC (unknown)\n" in sent(minicourse, "1").out


def test_what_never_left_and_whom_nobody_knows_any_more_cannot_be_shown(
    world: World, minicourse: Minicourse
) -> None:
    number = a_welcome(world)
    world.sign_up("ann@example.com")
    waiting = world.rows()[-1].id
    with world.database.writing() as session:
        session.execute(update(Subscriber).values(email=None))
    for which, why in (
        (str(waiting), f"Delivery {waiting} is pending; it was never sent."),
        (str(number), f"Whoever got delivery {number} was erased"),
        ("4711", "minicourse delivery list"),
        ("first", "'first' is no delivery's number"),
    ):
        answer = sent(minicourse, which)
        assert (answer.status, answer.out) == (1, "")
        assert why in answer.err
        assert answer.err.count("\n") == 1


# Courses that lie elsewhere -----------------------------------------------------------------------


@pytest.fixture
def elsewhere(minicourse: Minicourse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of courses that is no home of ours, with the course rye in it."""
    monkeypatch.chdir(tmp_path)
    assert minicourse("course", "new", "rye", "--in", "mine").status == 0
    return Path((tmp_path / "mine/lessons").rename(tmp_path / "own"))


@pytest.mark.parametrize("inside", ["own", "own/rye"])
@pytest.mark.parametrize("name", ["rye/welcome", "welcome"])
def test_a_lesson_that_lies_elsewhere_is_previewed_there(
    inside: str, name: str, elsewhere: Path, minicourse: Minicourse
) -> None:
    answer = minicourse("lesson", "preview", name, "--in", inside, "--out", "out")
    assert answer.status == 0, answer.err
    assert [Path(line).name for line in answer.out.split()] == [
        "rye-welcome.html",
        "rye-welcome.txt",
    ]


def test_a_course_that_lies_elsewhere_is_tested_from_there(
    elsewhere: Path, sandbox: Any, minicourse: Minicourse
) -> None:
    answer = minicourse(
        "lesson", "test", "rye", "--all", "--every", "1ms", "--to", ME, "--in", "own"
    )
    assert answer.status == 0, answer.err
    assert len(subjects(sandbox)) == 2


def test_watch_follows_a_course_that_lies_elsewhere(
    elsewhere: Path, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    make = serving.server

    def bound(app: Any, port: int) -> Any:
        (elsewhere / "rye/01-welcome.md").write_text('---\nsubject: "New"\nafter: 0\n---\nRye!\n')
        pages.append(app.test_client().get("/lesson/welcome").text)
        server = make(app, 0)
        server.serve_forever = server.server_close
        return server

    monkeypatch.setattr(serving, "server", bound)
    words = ("lesson", "preview", "rye", "--watch", "--port", "8019", "--in", "own")
    answer = minicourse(*words)
    assert answer.status == 0, answer.err
    assert "New" in pages[0]
    assert str(elsewhere / "rye") in answer.err


def test_what_is_wrong_elsewhere_is_told_with_the_place(
    elsewhere: Path, minicourse: Minicourse
) -> None:
    lesson = elsewhere / "rye/01-welcome.md"
    lesson.write_text(lesson.read_text() + "{{ nmae }}\n")
    answer = minicourse("lesson", "preview", "rye/welcome", "--in", "own")
    assert answer.err.startswith("Error: own/rye/01-welcome.md:")
    answer = minicourse("lesson", "preview", "oat/welcome", "--in", "own")
    assert f"No course 'oat' in {elsewhere}; there is: rye" in answer.err
