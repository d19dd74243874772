"""The operator is told of each cause once, and once when it is over; digests come on time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Thread

import pytest
from flask import Flask, request
from sqlalchemy import select, update

from course import alerts, due, holds, installation, watch
from course.answers import Answer, Verdict
from course.db import real_now
from course.heartbeat import Heartbeat
from course.models import Alert, Delivery, Installation, Request
from course.overview import overview
from course.states import HoldKind
from tests.realtime import let_pass
from tests.test_account import serving
from tests.world import World

ME = "me@example.org"
_numbers = count()


@pytest.fixture
def told(any_world: World) -> World:
    any_world.settings = any_world.settings.model_copy(update={"alert_email": ME})
    return any_world


def subjects(world: World) -> list[str]:
    return [mail.subject for mail in world.provider.mails_to(ME)]


def hold(world: World, kind: HoldKind = HoldKind.MANUAL) -> int:
    with world.database.writing() as session:
        now = world.clock.course
        made = holds.place(
            session, holds.Scope(), kind, why="on purpose", who="me", now=now, real=now
        )
        return made.id


def release(world: World, number: int) -> None:
    with world.database.writing() as session:
        session.get_one(holds.Hold, number).ended_at = world.clock.course


def test_a_cause_is_told_once_and_its_end_once(told: World) -> None:
    number = hold(told)
    for _ in range(3):
        alerts.look(told.office)
    assert subjects(told) == [
        "[minicourse] Held: Nothing is sent (everything): on purpose",
    ]
    text = told.provider.mails_to(ME)[0].text
    assert f"minicourse send release {number}" in text
    release(told, number)
    for _ in range(3):
        alerts.look(told.office)
    assert subjects(told)[1:] == ["[minicourse] Over: Nothing is sent (everything): on purpose"]


def test_what_comes_again_is_told_again(told: World) -> None:
    release(told, hold(told))
    alerts.look(told.office)
    first = hold(told)
    alerts.look(told.office)
    release(told, first)
    alerts.look(told.office)
    hold(told)
    alerts.look(told.office)
    assert [one.split(":")[0] for one in subjects(told)] == [
        "[minicourse] Held",
        "[minicourse] Over",
        "[minicourse] Held",
    ]


def test_a_mail_that_is_refused_is_tried_again(told: World) -> None:
    taken = told.provider.answer
    told.provider.answer = lambda _: Answer(Verdict.KEY_REFUSED, 401)
    hold(told, HoldKind.KEY)
    alerts.look(told.office)
    told.provider.answer = taken
    alerts.look(told.office)
    alerts.look(told.office)
    assert len(subjects(told)) == 2
    with told.database.reading() as session:
        assert session.scalars(select(Alert.told_at)).one() is not None


def test_what_nobody_was_told_of_needs_no_end(told: World) -> None:
    taken = told.provider.answer
    told.provider.answer = lambda _: Answer(Verdict.KEY_REFUSED, 401)
    number = hold(told)
    alerts.look(told.office)
    told.provider.answer = taken
    release(told, number)
    alerts.look(told.office)
    assert len(subjects(told)) == 1


def test_of_several_schedulers_one_tells(told: World) -> None:
    hold(told)
    workers = [Thread(target=alerts.look, args=(told.office,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(subjects(told)) == 1


def test_without_an_address_nothing_is_sent_and_all_is_written_down(any_world: World) -> None:
    hold(any_world)
    (cause,) = alerts.look(any_world.office)
    assert cause.stops_all
    assert any_world.provider.requests == []
    with any_world.database.reading() as session:
        assert session.scalars(select(Alert.cause)).one() == cause.name


# What is a cause? -------------------------------------------------------------------------------


def names(world: World) -> list[str]:
    with world.database.reading() as session:
        found = watch.causes(session, world.settings, world.clock.course, real_now(session))
    return [cause.name.rstrip(" 0123456789") for cause in found]


def test_a_calm_installation_has_none(any_world: World) -> None:
    any_world.join("ada@example.org")
    any_world.tick()
    assert names(any_world) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (HoldKind.KEY, "key refused"),
        (HoldKind.CREDITS, "quota used up"),
        (HoldKind.SENDER, "sender not verified"),
        (HoldKind.BRAKE, "held"),
    ],
)
def test_holds_are_told_by_their_kind(any_world: World, kind: HoldKind, name: str) -> None:
    hold(any_world, kind)
    assert names(any_world) == [name]


def test_a_mail_that_waits_for_a_quarter_of_an_hour_is_late(any_world: World) -> None:
    any_world.sign_up("ada@example.org")
    any_world.pass_time(minutes=14)
    assert names(any_world) == []
    any_world.pass_time(minutes=2)
    assert names(any_world) == ["late"]


def test_alert_and_status_count_the_same_as_late(any_world: World) -> None:
    """Whether a mail was tried and waits to be tried again, or its learner was not planned yet."""
    for name in ("ada", "ben", "cy"):
        any_world.join(f"{name}@example.org")
    any_world.sign_up("dan@example.org")
    any_world.provider.answer = lambda _: Answer(Verdict.NOT_TAKEN, 429, retry_after_seconds=9000)
    any_world.tick()
    any_world.pass_time(minutes=16)
    any_world.join("eve@example.org")
    any_world.pass_time(minutes=16)
    with any_world.database.reading() as session:
        now, real = any_world.clock.course, real_now(session)
        (late,) = watch.causes(session, any_world.settings, now, real)
        seen = overview(session, [], "", now, real)
        assert (late.name, seen.late) == ("late", due.late(session, now))
    assert seen.late > 0
    assert late.what == f"{seen.late} mails due for more than 15 minutes"
    hold(any_world)
    assert names(any_world) == ["held"]


def test_unknown_mails_are_a_cause(any_world: World) -> None:
    any_world.provider.answer = lambda _: Answer(Verdict.UNKNOWN, None)
    any_world.sign_up("ada@example.org")
    any_world.tick()
    assert names(any_world) == ["unknown"]


@pytest.mark.parametrize(("bad", "found"), [(12, ["bounces"]), (9, [])])
def test_too_many_bounces_are_a_cause(
    any_world: World, monkeypatch: pytest.MonkeyPatch, bad: int, found: list[str]
) -> None:
    monkeypatch.setattr(watch, "ENOUGH", 20)
    for number in range(20):
        any_world.confirm(any_world.sign_up(f"p{number}@example.org"))
    any_world.tick()
    with any_world.database.writing() as session:
        lessons = session.scalars(select(Delivery.id).where(Delivery.kind == "lesson")).all()
        assert len(lessons) == 20
        monkeypatch.setattr(watch, "MOST_BOUNCED", 0.5)
        session.execute(
            update(Delivery).where(Delivery.id.in_(lessons[:bad])).values(outcome="bounced")
        )
    assert names(any_world) == found


def test_a_day_without_any_event_is_a_cause(any_world: World) -> None:
    any_world.join("ada@example.org")
    with any_world.database.writing() as session:
        here = installation.get(session)
        here.mode, here.live_since = "live", real_now(session) - timedelta(days=9)
        here.last_event_at = None
        session.execute(update(Request).values(status=202))
    assert names(any_world) == []
    with any_world.database.writing() as session:
        let_pass(session, timedelta(hours=25))
    assert names(any_world) == ["no events"]
    with any_world.database.writing() as session:
        installation.get(session).last_event_at = real_now(session)
    assert names(any_world) == []


def test_a_full_disk_is_a_cause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LEAST_FREE_BYTES", 1 << 62)
    assert names(world) == ["disk"]


# The digest -------------------------------------------------------------------------------------

MONDAY = datetime(2030, 3, 4, 7, 0, tzinfo=UTC)


def at(world: World, moment: datetime) -> bool:
    world.clock.wall = moment
    return alerts.send_digest(world.office)


@pytest.fixture
def weekly(told: World) -> World:
    with told.database.writing() as session:
        session.execute(update(Installation).values(created_at=MONDAY - timedelta(days=3)))
    return told


def test_it_comes_on_mondays_at_seven_and_once(weekly: World) -> None:
    assert not at(weekly, MONDAY - timedelta(seconds=1))
    assert at(weekly, MONDAY + timedelta(seconds=1))
    assert not at(weekly, MONDAY + timedelta(days=6, hours=23))
    assert at(weekly, MONDAY + timedelta(days=9))  # the machine was off on the Monday
    assert at(weekly, MONDAY + timedelta(days=14))


def test_daily_and_off_are_what_they_say(weekly: World) -> None:
    weekly.settings = weekly.settings.model_copy(update={"digest": "daily"})
    assert at(weekly, MONDAY + timedelta(days=1))
    assert at(weekly, MONDAY + timedelta(days=2))
    weekly.settings = weekly.settings.model_copy(update={"digest": "off"})
    assert not at(weekly, MONDAY + timedelta(days=30))


def test_it_says_what_happened_and_what_waits(weekly: World) -> None:
    weekly.leave(weekly.join("ada@example.org"))
    weekly.join("bob@example.org")
    weekly.tick()
    hold(weekly)
    with weekly.database.reading() as session:
        found = alerts.digest(session, weekly.office, weekly.clock.course - timedelta(days=1))
    assert (found.joined, found.confirmed, found.sent, found.left, found.finished) == (
        2,
        2,
        1,
        1,
        0,
    )
    assert "minicourse send release" in found.note.text
    assert found.note.subject == "2 joined, 1 lesson sent, 1 to look at"
    assert all(len(line) <= 80 for line in found.note.text.splitlines())


# The heartbeat ----------------------------------------------------------------------------------


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def url(heard: list[tuple[str, str]]) -> Iterator[str]:
    app = Flask(__name__)

    @app.route("/<path:path>", methods=["GET", "POST"])
    def beat(path: str) -> str:
        heard.append((path, request.get_data(as_text=True)))
        return "OK"

    with serving(app) as url:
        yield f"{url}/ping/1"


def test_a_heart_beats_once_a_minute_and_tells_trouble_at_once(
    url: str, heard: list[tuple[str, str]]
) -> None:
    heart = Heartbeat(url)
    for since_boot, trouble in [(0, ""), (30, ""), (61, ""), (62, "held"), (63, "held"), (64, "")]:
        heart.beat(since_boot, trouble)
        assert heart._beating
        heart._beating.join()
    assert heard == [("ping/1", ""), ("ping/1", ""), ("ping/1/fail", "held"), ("ping/1", "")]


def test_a_heartbeat_that_nobody_hears_does_no_harm() -> None:
    assert not Heartbeat("http://127.0.0.1:1/x").send()
    assert not Heartbeat("file:///etc/passwd").send()
