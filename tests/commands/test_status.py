"""`status`: one screen, true at a glance, exit 3 when it needs somebody."""

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update

from course import tallies
from course.mailer import Answer, Verdict
from course.models import Installation
from course.states import Mode
from tests import realtime
from tests.commands.conftest import Minicourse, edit
from tests.world import World


def _status(minicourse: Minicourse) -> tuple[int, dict[str, Any]]:
    answer = minicourse("status", "--json")
    found: dict[str, Any] = json.loads(answer.out)
    return answer.status, found


def _wants(found: dict[str, Any]) -> list[str]:
    return [one["command"] for one in found["attention"]]


def test_a_quiet_installation_needs_nobody(world: World, minicourse: Minicourse) -> None:
    status, found = _status(minicourse)
    assert status == 0
    assert found == {
        "mode": "sandbox",
        "mail_host": "http://127.0.0.1:8025",
        "holds": [],
        "due": 0,
        "late": 0,
        "held": 0,
        "retrying": 0,
        "unknown": 0,
        "failed": 0,
        "last_tick": None,
        "last_accepted": None,
        "last_event": None,
        "next_release": None,
        "changes_not_live": [],
        "attention": [],
        "sign_ups": {},
        "broker": None,
    }
    screen = minicourse("status").out
    assert len(screen.splitlines()) <= 24
    assert "sandbox: mail goes to http://127.0.0.1:8025" in screen


def test_the_next_release_is_the_first_lesson_of_anybody(
    world: World, minicourse: Minicourse
) -> None:
    world.join("far@example.org", zone="America/New_York")
    world.join("near@example.org", zone="Asia/Tokyo")
    world.tick()
    world.tick()
    _, found = _status(minicourse)
    assert found["next_release"] == {
        "course": "job-search",
        "lesson": "network",
        "due_at": "2027-01-15T00:00:00+00:00",
    }
    assert "Fri 2027-01-15 00:00 UTC (in 13 h)" in minicourse("status").out
    assert (found["due"], found["attention"]) == (0, [])
    assert found["last_tick"]
    assert found["last_accepted"]


def test_due_mail_without_a_scheduler_needs_somebody(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    with world.database.writing() as session:
        old = world.clock.wall - timedelta(hours=2)
        session.execute(update(Installation).values(last_tick_at=old))
    status, found = _status(minicourse)
    assert status == 3
    assert (found["due"], _wants(found)) == (1, ["minicourse up"])
    world.pass_time(hours=7)
    _, found = _status(minicourse)
    assert (found["due"], found["late"]) == (1, 1)


def test_a_hold_is_shown_with_its_release(world: World, minicourse: Minicourse) -> None:
    minicourse("send", "hold", "--lesson", "market", "--why", "wrong link")
    answer = minicourse("status")
    assert answer.status == 3
    assert "held in part" in answer.out
    assert "held: lesson job-search/market (manual): wrong link" in answer.out
    assert "→ minicourse send release 1" in answer.out
    minicourse("send", "hold", "--why", "all")
    assert "held in part" not in minicourse("status").out


@pytest.mark.parametrize(
    ("verdict", "state"), [(Verdict.UNKNOWN, "unknown"), (Verdict.BAD_REQUEST, "failed")]
)
def test_mails_that_nobody_can_settle_need_somebody(
    world: World, minicourse: Minicourse, verdict: Verdict, state: str
) -> None:
    world.provider.answer = lambda _: Answer(verdict, detail="a test")
    world.sign_up("kim@example.com")
    world.tick()
    status, found = _status(minicourse)
    assert (status, found[state]) == (3, 1)
    assert f"minicourse delivery list --state {state}" in _wants(found)


def test_an_old_failure_is_no_news(world: World, minicourse: Minicourse) -> None:
    world.provider.answer = lambda _: Answer(Verdict.BAD_REQUEST, detail="a test")
    world.sign_up("kim@example.com")
    world.tick()
    world.pass_time(days=8)
    assert _status(minicourse)[1]["failed"] == 0


def test_mail_that_waits_for_its_next_try_is_told(world: World, minicourse: Minicourse) -> None:
    world.provider.answer = lambda _: Answer(Verdict.NOT_TAKEN, detail="refused")
    world.sign_up("kim@example.com")
    world.tick()
    with world.database.writing() as session:
        realtime.let_pass(session, -timedelta(minutes=5))  # the wait is long
    assert _status(minicourse)[1]["retrying"] == 1
    assert "0 (and 1 tried again soon)" in minicourse("status").out


def test_changes_on_disk_are_told_and_alarm_nobody(world: World, minicourse: Minicourse) -> None:
    edit(world, "about.md", "\n", "\nMore.\n")
    status, found = _status(minicourse)
    assert (status, found["changes_not_live"]) == (0, ["job-search"])
    assert "not live → minicourse course apply job-search" in minicourse("status").out


def test_a_live_database_without_its_key_is_told_not_refused(
    world: World, minicourse: Minicourse
) -> None:
    with world.database.writing() as session:
        session.execute(update(Installation).values(mode=Mode.LIVE))
    status, found = _status(minicourse)
    assert (status, found["mode"]) == (3, "live")
    assert "SENDGRID_API_KEY" in found["attention"][0]["what"]
    held = minicourse("send", "hold", "--why", "nothing may leave")
    assert held.status == 0


def test_it_can_be_watched(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([None, None, KeyboardInterrupt()])

    def pause(_: float) -> None:
        if (found := next(looks)) is not None:
            raise found

    monkeypatch.setattr("course.commands.status.time", SimpleNamespace(sleep=pause))
    answer = minicourse("status", "--watch")
    assert answer.status == 0
    assert answer.out.count("sandbox") == 3
    assert minicourse("status", "--watch", "--json").status == 2


def test_what_became_of_sign_ups_at_the_form_is_told(world: World, minicourse: Minicourse) -> None:
    assert "the form" not in minicourse("status").out
    with world.database.writing() as session:
        for name in ("taken", "taken", "limited:network"):
            tallies.note(session, name, datetime.now(UTC))
    answer = minicourse("status")
    assert re.search(r"the form +1 limited:network, 2 taken within a day", answer.out)
