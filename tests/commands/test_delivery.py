"""`delivery`: the ledger, listed and told."""

import json

from course.mailer import Answer, Verdict
from tests.commands.conftest import Minicourse, hear, lesson_row
from tests.world import World


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
