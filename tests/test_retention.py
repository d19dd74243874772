"""How long raw events are kept, and who is erased again: what the scheduler tends by itself."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from course import courses, erasures, holds, privacy, pruning, restoring, sources, stats, syncing
from course.backups import back_up
from course.caretaking import Caretaker
from course.curriculum import parse
from course.errors import CourseError
from course.models import Event, Subscriber
from course.sandbox.app import create_app
from course.sandbox.config import SandboxConfig
from tests.commands.conftest import edit, hear
from tests.test_account import serving
from tests.world import START, World


def keep_events(world: World, days: int) -> None:
    edit(world, "course.toml", "retain_events_days = 365", f"retain_events_days = {days}")
    with world.database.writing() as session:
        courses.apply(session, sources.read(world.settings.home, "job-search"), "test", START)


def events(world: World) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count(Event.id))) or 0


def told(world: World) -> None:
    """Two mails of which everything was told, over a year ago."""
    for email in ("kim@example.com", "robin@example.com"):
        world.join(email)
    for row in world.rows():
        for word in ("processed", "delivered", "open", "click"):
            world.pass_time(minutes=1)  # at once, it would have been a machine
            hear(world, row.id, word, url="https://example.com/", sg_machine_open=False)


@pytest.mark.parametrize(
    ("kept", "passed", "left"),
    [
        (365, 364, True),
        (365, 366, False),
        (30, 31, False),
        (0, 4000, True),  # for ever
    ],
)
def test_a_course_says_how_long(world: World, kept: int, passed: int, left: bool) -> None:
    if kept != 365:
        keep_events(world, kept)
    told(world)
    before = events(world)
    world.pass_time(days=passed)
    with world.database.reading() as session:
        foretold = pruning.count(session, world.clock.course).events
    assert pruning.prune(world.database, world.clock.course).events == foretold
    assert events(world) == (before if left else 0)


def test_the_numbers_are_the_same_without_the_events(any_world: World) -> None:
    told(any_world)
    with any_world.database.reading() as session:
        before = stats.overall(session)
    assert before.lessons[0].delivered
    any_world.pass_time(days=366)
    assert pruning.prune(any_world.database, any_world.clock.course).events > 0
    with any_world.database.reading() as session:
        assert stats.overall(session) == before


def test_the_longest_holds_for_what_is_about_an_address_alone(world: World) -> None:
    with world.database.writing() as session:
        session.add(
            Event(dedupe_key="a" * 32, kind="bounced", at=START, received_at=START),
        )
    assert pruning.prune(world.database, START + timedelta(days=364)).events == 0
    assert pruning.prune(world.database, START + timedelta(days=366)).events == 1


def test_many_are_removed_a_window_at_a_time(world: World) -> None:
    with world.database.writing() as session:
        session.add_all(
            Event(dedupe_key=f"{n:032}", kind="bounced", at=START, received_at=START)
            for n in range(450)
        )
    steps = list(pruning.prune_events(world.database, START + timedelta(days=366)))
    assert steps == [200, 200, 50]


@pytest.mark.parametrize("days", [1, 29, -1, '"soon"'])
def test_a_time_that_is_too_short_or_none_is_refused(world: World, days: object) -> None:
    files = dict(sources.read(world.settings.home, "job-search").files)
    old = files["course.toml"]
    files["course.toml"] = old.replace("retain_events_days = 365", f"retain_events_days = {days}")
    assert files["course.toml"] != old
    with pytest.raises(CourseError, match=r"course\.toml:\d+: privacy\.retain_events_days"):
        parse("job-search", files)


# The scheduler -----------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["course", "machine"])
def test_the_scheduler_removes_them_once_a_day(world: World, whose: str) -> None:
    caretaker = Caretaker(world.office)
    told(world)
    world.pass_time(days=366)
    caretaker.look()
    assert events(world) == 0
    hear(world, world.rows()[0].id, "open")
    world.pass_time(days=364, hours=12)
    caretaker.look()
    assert events(world) == 1, "it is not a year old"
    world.pass_time(hours=13)
    caretaker.look()
    assert events(world) == 1, "it has looked today"
    if whose == "course":
        world.pass_time(hours=11)
    else:
        world.clock.boot += 86_401
    caretaker.look()
    assert events(world) == 0


def test_the_scheduler_lifts_what_a_confirmation_took_back(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world.leave(world.join("kim@example.com"))
    world.join("kim@example.com")
    app = create_app(SandboxConfig(tmp_path / "sandbox.db"))
    entry = {"email": "kim@example.com", "created": int(START.timestamp())}
    held = app.extensions["sandbox"].config.account
    held.lists = {"unsubscribes": [entry]}
    held.scopes = ("mail.send",)
    with serving(app) as url:
        world.settings = world.settings.model_copy(update={"sendgrid_host": url})
        caretaker = Caretaker(world.office)
        with caplog.at_level(logging.WARNING):
            caretaker.look()
            caretaker.look()
        assert len(caplog.records) == 1, "a key without the right is told of once"
        held.scopes = ("suppression.delete",)
        world.clock.boot += 86_401
        caretaker.look()
    app.extensions["sandbox"].close()
    assert list(held.removed) == [("unsubscribes", "kim@example.com")]
    with world.database.reading() as session:
        assert syncing.waiting(session) == 0


# A backup from before an erasure -----------------------------------------------------------------


def test_a_restore_erases_again_whoever_was_erased_since(world: World, tmp_path: Path) -> None:
    email, now = "zebulon.quark@example.com", world.clock.course
    number = world.join(email, "Zebulon Quark")
    world.join("kim@example.com")
    backup = tmp_path / "monday.db"
    back_up(world.settings, backup)
    person = world.subscriber(email)
    world.database.run(
        lambda s: privacy.erase(s, person.id, who="robin", now=now, hash_key=world.hash_key)
    )
    Caretaker(world.office).look()
    assert erasures.list_of(world.settings).read_text() == f"{person.email_hash}\n"
    path = world.settings.database_path
    assert path is not None
    world.database.dispose()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    restoring.restore(world.settings, restoring.Order(backup, "robin", now, world.clock.wall))
    assert world.state(number) == "cancelled"
    assert world.subscriber("kim@example.com")
    with world.database.reading() as session:
        assert session.get_one(Subscriber, person.id).email is None
        assert holds.is_all_held(session)
    world.database.dispose()
    content = path.read_bytes().lower()
    assert b"zebulon" not in content
    assert b"kim@example.com" in content


def test_who_came_back_is_not_in_the_list(world: World) -> None:
    world.join("kim@example.com")
    person = world.subscriber("kim@example.com")
    now = world.clock.course
    world.database.run(
        lambda s: privacy.erase(s, person.id, who="kim", now=now, hash_key=world.hash_key)
    )
    with world.database.reading() as session:
        erasures.remember(session, world.settings)
    world.join("kim@example.com")
    with world.database.reading() as session:
        erasures.remember(session, world.settings)
    assert erasures.list_of(world.settings).read_text() == ""
