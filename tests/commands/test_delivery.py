"""`delivery`: the ledger, listed and told."""

import json
import shutil

import pytest
from sqlalchemy import update

from course import courses, recipients, sources
from course.mailer import Answer, Verdict
from course.models import Delivery
from tests.commands.conftest import Minicourse, edit, hear, lesson_row
from tests.world import START, World


def _messages(minicourse: Minicourse, *words: str) -> list[tuple[str, str]]:
    found = json.loads(minicourse("delivery", "list", *words, "--json").out)
    return [(mail["email"], mail["message"]) for mail in found]


def test_a_list_can_be_narrowed_by_person_lesson_course_and_state(
    world: World, minicourse: Minicourse
) -> None:
    world.join("ada@example.org")
    world.join("kim@example.com")
    world.tick()
    ada, kim = "ada@example.org", "kim@example.com"
    assert _messages(minicourse, "--email", kim) == [(kim, "welcome"), (kim, "confirm-1")]
    both = {(ada, "welcome"), (kim, "welcome")}
    assert set(_messages(minicourse, "--lesson", "job-search/welcome")) == both
    assert set(_messages(minicourse, "--course", "job-search", "--lesson", "welcome")) == both
    assert len(_messages(minicourse, "--course", "job-search")) == 4
    assert _messages(minicourse, "--state", "unknown") == []
    assert len(_messages(minicourse, "--limit", "1")) == 1


def test_one_mail_is_told_with_its_request_and_events(world: World, minicourse: Minicourse) -> None:
    number = world.join("kim@example.com")
    world.tick()
    mail = lesson_row(world, number, "welcome")
    hear(world, mail, "processed")
    hear(world, mail, "bounce", reason="550 no such mailbox", type="bounce")
    story = json.loads(minicourse("delivery", "show", str(mail), "--json").out)
    assert story["mail"]["state"] == "accepted"
    assert story["mail"]["outcome"] == "bounced"
    assert story["request"]["status"] == 202
    assert story["revision"] == 1
    assert [event["kind"] for event in story["events"]] == ["processed", "bounced"]
    told = minicourse("delivery", "show", str(mail)).out
    assert "550 no such mailbox" in told
    assert "202 Accepted" in told


def test_a_mail_whose_answer_was_lost_says_so(world: World, minicourse: Minicourse) -> None:
    world.provider.answer = lambda _: Answer(Verdict.UNKNOWN, detail="TimeoutError: timed out")
    world.sign_up("kim@example.com")
    world.tick()
    assert _messages(minicourse, "--state", "unknown") == [("kim@example.com", "confirm-1")]
    assert "unknown (TimeoutError: timed out)" in minicourse("delivery", "show", "1").out


def _applied(world: World, minicourse: Minicourse) -> None:
    edit(world, "02-network.md", "name or", "name  or")
    assert minicourse("course", "apply", "job-search").status == 0


def test_who_got_a_revision_is_told_mail_by_mail(world: World, minicourse: Minicourse) -> None:
    world.join("ada@example.org")
    world.join("kim@example.com")
    world.tick()
    _applied(world, minicourse)
    world.live_through(2)
    answer = minicourse("delivery", "who-got", "1")
    assert answer.err == "job-search, revision 1: 4 mails left\n"
    assert sorted(line.split()[3:] for line in answer.out.splitlines()[1:]) == [
        ["confirm-1", "ada@example.org"],
        ["confirm-1", "kim@example.com"],
        ["welcome", "ada@example.org"],
        ["welcome", "kim@example.com"],
    ]
    second = json.loads(minicourse("delivery", "who-got", "job-search", "2", "--json").out)
    assert {(one["email"], one["message"], one["state"]) for one in second} == {
        ("ada@example.org", "network", "accepted"),
        ("kim@example.com", "network", "accepted"),
    }
    only = minicourse("delivery", "who-got", "job-search", "1", "--lesson", "welcome", "--json")
    assert {one["message"] for one in json.loads(only.out)} == {"welcome"}


def test_what_waits_or_was_given_up_nobody_got(world: World, minicourse: Minicourse) -> None:
    world.provider.answer = lambda _: Answer(Verdict.NOT_TAKEN, 503, detail="503 busy")
    world.sign_up("kim@example.com")
    world.tick()
    answer = minicourse("delivery", "who-got", "1", "--json")
    assert (answer.out, answer.err) == ("[]\n", "job-search, revision 1: 0 mails left\n")


def test_many_are_told_page_by_page_and_each_once(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipients, "_GOT", recipients._GOT.limit(2))
    monkeypatch.setattr(recipients, "_PAGE", 2)
    for name in "abcde":
        world.sign_up(f"{name}@example.com")
    world.tick()
    told = json.loads(minicourse("delivery", "who-got", "1", "--json").out)
    assert [one["email"][0] for one in told] == list("abcde")


@pytest.mark.parametrize(
    ("words", "status", "named"),
    [
        ("7", 1, "minicourse course revisions job-search"),
        ("nope 1", 1, "course apply"),
        ("1 --lesson nope", 1, "welcome, network"),
        ("new", 2, "'new' is no revision's number"),
        ("a b 1", 2, "[COURSE] REV"),
    ],
)
def test_a_revision_that_is_not_there_is_told(
    words: str, status: int, named: str, minicourse: Minicourse
) -> None:
    answer = minicourse("delivery", "who-got", *words.split())
    assert (answer.status, answer.out) == (status, "")
    assert named in answer.err


def test_a_number_may_be_written_as_it_travels(world: World, minicourse: Minicourse) -> None:
    world.sign_up("kim@example.com")
    world.tick()
    (travelled,) = world.provider.log
    assert minicourse("delivery", "show", travelled).out == minicourse("delivery", "show", "1").out
    answer = minicourse("delivery", "show", f"00000000-{travelled[9:]}")
    assert (answer.status, answer.out) == (1, "")
    assert f"whose mails are {travelled[:8]}-…" in answer.err


def test_a_list_keeps_numbers_and_times_in_eighty_columns(
    world: World, minicourse: Minicourse
) -> None:
    """As a second course makes the mails' names longer."""
    folder, other = world.settings.home / "lessons", "a-course-with-a-rather-long-name"
    shutil.copytree(folder / "job-search", folder / other)
    world.join("somebody.with.a.long.name@mail.example.org")
    world.tick()
    with world.database.writing() as session:
        courses.apply(session, sources.read(world.settings.home, other), "test", START)
        courses.publish(session, other, START)
        course = courses.live(session, other)
        session.execute(update(Delivery).where(Delivery.id == 1).values(course_id=course.id))
        session.execute(update(Delivery).where(Delivery.id == 2).values(id=1234567))
    lines = minicourse("delivery", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if " accepted " in line] == ["1234567", "1"]
    for line in lines:
        assert ("accepted" in line) == ("2027-01-14 11:00" in line)
