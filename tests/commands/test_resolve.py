"""`delivery resolve` and `retry`, and the release of a brake and of a copy."""

import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from course import brake, copies
from course.answers import Answer, Verdict
from course.db import real_now
from course.models import Audit
from course.settings import Settings
from course.states import DeliveryState
from tests.commands.conftest import Minicourse, hear
from tests.real import REAL
from tests.test_brake import crowd
from tests.world import TAKEN, World

LOST = Answer(Verdict.UNKNOWN, None, detail="TimeoutError: timed out")
BAD = Answer(Verdict.BAD_REQUEST, 400, detail="400 bad address", bad_rows=(0,))


def _answered(world: World, answer: Answer, email: str) -> int:
    world.provider.answer = lambda _: answer
    joined = world.sign_up(email)
    world.tick()
    world.provider.answer = lambda _: TAKEN
    return world.rows(joined)[-1].id


def test_a_dry_run_says_what_speaks_for_and_against_and_changes_nothing(
    world: World, minicourse: Minicourse
) -> None:
    mail = _answered(world, LOST, "kim@example.com")
    after = _answered(world, TAKEN, "bo@example.com")
    world.pass_time(minutes=1)
    hear(world, after, "processed")
    answer = minicourse("delivery", "resolve", "--all", "--dry-run")
    assert answer.status == 0
    assert [line.split("  ")[0] for line in answer.out.splitlines()[:1]] == [
        "Request 1: 1 of its 1 mails"
    ]
    for words in (
        "TimeoutError: timed out",
        "heard since, last at ",
        "0 of its mails",
        "1 of 1 mails heard of",
        "wait: events may still come until",
    ):
        assert words in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80
    found = json.loads(minicourse("delivery", "resolve", str(mail), "--dry-run", "--json").out)
    (request,) = found["requests"]
    assert (request["advice"], request["unknown"], found["decided"]) == ("wait", 1, 0)
    assert [row.state for row in world.rows()] == ["unknown", "accepted"]


def test_an_order_is_carried_out_and_audited(world: World, minicourse: Minicourse) -> None:
    mail = _answered(world, LOST, "kim@example.com")
    answer = minicourse(
        *("delivery", "resolve", str(mail), "--as", "resend"), "--why", "seen nowhere", "--yes"
    )
    assert answer.status == 0
    assert "1 mail sent again." in answer.out
    assert "minicourse send due" in answer.err
    world.tick()
    assert [row.state for row in world.rows()] == [DeliveryState.ACCEPTED]
    with world.database.reading() as session:
        (order,) = session.scalars(select(Audit))
        assert (order.action, order.why) == ("resolve", "seen nowhere")


def test_without_a_yes_nothing_is_decided(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    mail = _answered(world, LOST, "kim@example.com")
    answer = minicourse("delivery", "resolve", str(mail), "--as", "resend", "--why", "x")
    assert answer.status == 1
    assert "gets it twice" in answer.err
    assert [row.state for row in world.rows()] == ["unknown"]


def test_what_is_younger_is_left_alone(world: World, minicourse: Minicourse) -> None:
    _answered(world, LOST, "kim@example.com")
    world.pass_time(days=1)
    words = ("delivery", "resolve", "--all", "--as", "drop", "--why", "old", "--yes")
    assert minicourse(*words, "--older-than", "2d").out == "Nothing is unknown.\n"
    assert "1 mail dropped." in minicourse(*words, "--older-than", "24h").out


def test_what_is_not_unknown_or_did_not_fail_is_refused(
    world: World, minicourse: Minicourse
) -> None:
    mail = str(_answered(world, TAKEN, "kim@example.com"))
    for words in (("resolve", mail, "--dry-run"), ("retry", mail)):
        answer = minicourse("delivery", *words)
        assert answer.status == 1
        assert f"Delivery {mail} is accepted" in answer.err
        assert f"minicourse delivery show {mail}" in answer.err
    for words in (("resolve", "99", "--dry-run"), ("retry", "99")):
        assert "minicourse delivery list --state" in minicourse("delivery", *words).err


@pytest.mark.parametrize(
    "words",
    [
        "resolve",
        "resolve 1 --all --dry-run",
        "resolve 1 --as sent",
        "resolve 1 --why x",
        "resolve 1 --older-than 2d --dry-run",
        "resolve --all --older-than soon --dry-run",
        "retry",
        "retry 1 --all",
    ],
)
def test_half_an_order_exits_with_2(words: str, minicourse: Minicourse) -> None:
    assert minicourse("delivery", *words.split()).status == 2


def test_failed_mails_are_sent_again(world: World, minicourse: Minicourse) -> None:
    mail = _answered(world, BAD, "kim@example.com")
    assert minicourse("delivery", "retry", "--all", "--dry-run").out == (
        "1 mail would be sent again.\n"
    )
    found = json.loads(minicourse("delivery", "retry", str(mail), "--yes", "--json").out)
    assert found == {"again": 1, "left": []}
    world.tick()
    assert [row.state for row in world.rows()] == ["failed", "accepted"]
    assert minicourse("delivery", "retry", "--all").out == "0 mails are sent again.\n"


def test_releasing_a_brake_shows_first_whom_it_would_mail(
    world: World, minicourse: Minicourse
) -> None:
    crowd(world, 1, key="welcome", state="accepted", settled_at=world.clock.course - brake.DAY)
    crowd(world, 1001, late=timedelta(hours=2))
    hold = world.database.run(lambda s: brake.check(s, world.clock.course, real_now(s)))
    assert hold
    answer = minicourse("send", "release", str(hold.id), "--dry-run")
    assert "p2@example.org" in answer.out
    assert answer.out.count("job-search/market") == 5 + 5  # in the reason, and with addresses
    assert "may leave now: 1,001" in answer.err
    assert "minicourse send release" in minicourse("status").out
    minicourse("send", "release", str(hold.id))
    assert world.database.run(lambda s: brake.check(s, world.clock.course, real_now(s))) is None


def test_releasing_a_copy_makes_it_the_one_that_sends(world: World, minicourse: Minicourse) -> None:
    def start() -> object:
        return copies.notice(world.database, world.settings, world.clock.course, world.clock.real())

    start()
    (world.settings.home / "minicourse.mark").unlink()
    assert start()
    minicourse("send", "release", "1", "--dry-run")
    assert start()
    assert "Released 1: everything" in minicourse("send", "release", "1").out
    assert start() is None


def test_auto_without_a_key_for_the_webhook_is_refused(
    minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNKNOWN_POLICY", "auto")
    assert minicourse("delivery", "list").status == 0  # the sandbox's key is in the database
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    answer = minicourse("delivery", "list")
    assert answer.status == 1
    assert "UNKNOWN_POLICY=auto needs SENDGRID_WEBHOOK_PUBLIC_KEY" in answer.err
    monkeypatch.setenv("SENDGRID_WEBHOOK_PUBLIC_KEY", "MFkw")
    assert Settings.load().unknown_policy == "auto"
