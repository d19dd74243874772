"""An edit of a live course: who gets what, wherever they stand, and nobody anything twice."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from sqlalchemy import update

from course import cohorts, editing, sources
from course.db import Database
from course.editing import Choice, What
from course.errors import RefusedError
from course.models import Enrollment, Subscriber
from course.settings import Settings
from course.sources import Source
from tests.world import World

SLUGS = ["welcome", "network", "market", "practice", "plan-b", "leverage", "decision"]
NEW = '---\nsubject: "A new one"\nafter: 1\n---\n\nHi {{ name or "there" }}, this is new.\n'
# Where they stand when the course is edited: what each has had.
STANDING = {"finished": 7, "past": 3, "at": 2, "before": 1}


@pytest.fixture(scope="module")
def _arranged(
    _founded_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, dict[str, int]]:
    """Lived through once; each test goes on from a copy."""
    home = tmp_path_factory.mktemp("arranged") / "home"
    shutil.copytree(_founded_home, home)
    settings = Settings(home=home).with_made_keys()
    world = World(settings, Database(settings.database))
    people = arrange(world)
    world.database.dispose()
    return world, people


@pytest.fixture
def learners(_arranged: tuple[World, dict[str, int]]) -> dict[str, int]:
    return _arranged[1]


@pytest.fixture
def settled(_arranged: tuple[World, dict[str, int]], tmp_path: Path) -> Iterator[World]:
    """A world in which there is one learner in each place."""
    before, _ = _arranged
    home = tmp_path / "home"
    shutil.copytree(before.settings.home, home)
    settings = Settings(home=home).with_made_keys()
    database = Database(settings.database)
    yield World(settings, database, copy(before.clock))
    database.dispose()


def arrange(world: World) -> dict[str, int]:
    """One in each place."""
    people: dict[str, int] = {}
    days = {"finished": 19, "past": 1, "at": 1, "before": 0}  # until a Tuesday, and on
    for name in STANDING:
        people[name] = world.join(f"{name}@example.org")
        world.live_through(days=days[name])
        world.tick()
    assert {name: len(had(world, one)) for name, one in people.items()} == STANDING
    return people


def had(world: World, learner: int) -> list[str]:
    return [lesson for lesson, state in world.lessons(learner) if state == "accepted"]


def with_new_lesson(files: dict[str, str]) -> dict[str, str]:
    return files | {"025-extra.md": NEW}


def edited(world: World, change: Callable[[dict[str, str]], dict[str, str]]) -> Source:
    source = sources.read(world.settings.home, "job-search")
    return replace(source, files=change(dict(source.files)))


def apply(world: World, source: Source, **choices: Choice) -> None:
    world.database.run(lambda s: editing.apply(s, source, "me", world.clock.now(), **choices))


def test_the_plan_counts_who_is_touched(settled: World, learners: dict[str, int]) -> None:
    source = edited(settled, with_new_lesson)
    with settled.database.reading() as session:
        found = editing.plan(session, "job-search", source.files, settled.clock.now())
    (effect,) = found.effects
    assert (effect.lesson, effect.what, effect.behind) == ("extra", What.ADDED, "network")
    assert (effect.coming, effect.past, effect.finished, effect.had) == (2, 1, 1, 0)
    assert found.questions(None, None) == ["--for-past send|skip", "--for-finished send|skip"]


def test_without_the_decisions_nothing_is_applied(settled: World, learners: dict[str, int]) -> None:
    source = edited(settled, with_new_lesson)
    with pytest.raises(RefusedError, match="--for-finished send|skip"):
        apply(settled, source, for_past=Choice.SKIP)
    with settled.database.reading() as session:
        found = editing.plan(session, "job-search", source.files, settled.clock.now())
    assert found.changes.added == ("extra",)


@pytest.mark.parametrize("for_past", Choice)
@pytest.mark.parametrize("for_finished", Choice)
def test_a_new_lesson_comes_to_whom_the_author_wants(
    settled: World, learners: dict[str, int], for_past: Choice, for_finished: Choice
) -> None:
    who_gets_a_new_lesson(settled, learners, for_past, for_finished)


def test_so_it_does_on_postgresql(postgres_world: World) -> None:
    learners = arrange(postgres_world)
    who_gets_a_new_lesson(postgres_world, learners, Choice.SKIP, Choice.SEND)


def who_gets_a_new_lesson(
    world: World, learners: dict[str, int], for_past: Choice, for_finished: Choice
) -> None:
    apply(world, edited(world, with_new_lesson), for_past=for_past, for_finished=for_finished)
    world.live_through(days=16)
    gets = {
        "before": True,
        "at": True,
        "past": for_past is Choice.SEND,
        "finished": for_finished is Choice.SEND,
    }
    for name, learner in learners.items():
        expected = Counter(SLUGS + ["extra"] * gets[name])
        assert Counter(had(world, learner)) == expected, name
        assert world.state(learner) == "completed", name


def without(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda files: {key: text for key, text in files.items() if key != name}


def renamed(old: str, new: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda files: {new if key == old else key: text for key, text in files.items()}


def reworded(files: dict[str, str]) -> dict[str, str]:
    return files | {"04-practice.md": files["04-practice.md"].replace("after: 1", "after: 3")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without("04-practice.md"), [one for one in SLUGS if one != "practice"]),
        (renamed("05-plan-b.md", "015-plan-b.md"), SLUGS),
        (renamed("02-network.md", "065-network.md"), SLUGS),
        (reworded, SLUGS),
    ],
)
def test_any_other_edit_repeats_nothing_and_drops_nothing(
    settled: World,
    learners: dict[str, int],
    change: Callable[[dict[str, str]], dict[str, str]],
    expected: list[str],
) -> None:
    apply(settled, edited(settled, change), for_past=Choice.SEND, for_finished=Choice.SEND)
    settled.live_through(days=16)
    for name, learner in learners.items():
        everything = SLUGS if name == "finished" else expected
        assert Counter(had(settled, learner)) == Counter(everything), name


def test_what_is_skipped_moves_nothing(world: World) -> None:
    """The next lesson counts from the one before, not from the decision."""
    learner = world.join("ada@example.org")
    world.live_through(days=4)
    due = due_times(world, learner)
    choices = {"for_past": Choice.SKIP, "for_finished": Choice.SKIP}
    apply(world, edited(world, with_new_lesson), **choices)
    world.live_through(days=14)
    twin = dict(due_times(world, learner))
    assert [twin[lesson] for lesson, _ in due] == [moment for _, moment in due]
    assert twin["practice"] > twin["market"]


def due_times(world: World, learner: int) -> list[tuple[str, object]]:
    return [
        (row.message_key, row.due_at)
        for row in world.rows(learner)
        if row.kind == "lesson" and row.state == "accepted"
    ]


def test_an_earlier_revision_can_be_live_again(world: World) -> None:
    before = sources.read(world.settings.home, "job-search")
    apply(world, edited(world, with_new_lesson))
    with world.database.reading() as session:
        back = editing.earlier(session, "job-search", None)
    assert dict(back.files) == dict(before.files)
    apply(world, replace(before, files=back.files))
    with world.database.reading() as session:
        assert [one.number for one in editing.revisions(session, "job-search")] == [3, 2, 1]
        with pytest.raises(RefusedError, match="3 of job-search is live"):
            editing.earlier(session, "job-search", 3)
        with pytest.raises(RefusedError, match="does not exist; there are beside the live one"):
            editing.earlier(session, "job-search", 9)


# Another time -----------------------------------------------------------------------------------


def with_schedule(old: str, new: str) -> Callable[[dict[str, str]], dict[str, str]]:
    def change(files: dict[str, str]) -> dict[str, str]:
        assert old in files["course.toml"]
        return files | {"course.toml": files["course.toml"].replace(old, new, 1)}

    return change


def with_hour_of_its_own(files: dict[str, str]) -> dict[str, str]:
    lesson = files["02-network.md"].replace("after: 1", 'after: 1\nhour: "18:00"', 1)
    return files | {"02-network.md": lesson}


def planned_and_applied(world: World, source: Source) -> tuple[int, int]:
    """How many mails move and how many people begin anew; what was foreseen is what is done."""
    with world.database.reading() as session:
        foreseen = editing.plan(session, source.slug, source.files, world.clock.now())
    with world.database.writing() as session:
        _, done = editing.apply(session, source, "me", world.clock.now())
    assert (foreseen.moved_mails, foreseen.begin_anew) == (done.moved_mails, done.begin_anew)
    return done.moved_mails, done.begin_anew


AT_SIX = with_schedule('"09:00"', '"18:00"')
AT_SEVEN = with_schedule('"09:00"', '"07:00"')
IN_NEW_YORK = with_schedule("Europe/Berlin", "America/New_York")
FROM_WEDNESDAY = with_schedule('"mon", "tue", ', "")
TITLED = with_schedule("Take the Interview", "Take an Interview")


@pytest.mark.parametrize(
    ("change", "expected", "moved"),
    [
        # Kim has no clock of their own; ada has chosen an hour, kei a zone.
        (AT_SIX, ("18 17:00", "18 10:00", "18 09:00"), 2),
        (AT_SEVEN, ("19 06:00", "18 10:00", "18 22:00"), 2),  # past it
        (IN_NEW_YORK, ("18 14:00", "18 16:00", "19 00:00"), 2),
        (FROM_WEDNESDAY, ("20 08:00", "20 10:00", "20 00:00"), 3),
        (with_hour_of_its_own, ("18 17:00", "18 17:00", "18 09:00"), 3),
        (TITLED, ("18 08:00", "18 10:00", "19 00:00"), 0),
        (without("02-network.md"), (), 0),  # there is nothing left to move
    ],
)
def test_what_waits_for_its_hour_waits_for_the_courses_new_one(
    any_world: World,
    change: Callable[[dict[str, str]], dict[str, str]],
    expected: tuple[str, ...],
    moved: int,
) -> None:
    world = any_world
    people = [world.join(f"{name}@example.org") for name in ("kim", "ada", "kei")]
    with world.database.writing() as session:
        for name, values in {"ada": {"hour": time(11)}, "kei": {"zone": "Asia/Tokyo"}}.items():
            who = Subscriber.email == f"{name}@example.org"
            session.execute(update(Subscriber).where(who).values(**values))
    world.live_through(0.5)
    world.clock.course = datetime(2027, 1, 18, 6, 30, tzinfo=UTC)
    world.tick()  # their second mail is three days late: it waits for its hour
    assert planned_and_applied(world, edited(world, change)) == (moved, 0)
    waiting = [row for one in people for row in world.rows(one) if row.state == "pending"]
    assert tuple(f"{row.send_at:%d %H:%M}" for row in waiting) == expected
    world.live_through(3)
    for number in people:
        assert Counter(had(world, number))["network"] == bool(expected)


def test_who_is_in_a_cohort_with_its_own_hour_keeps_it(world: World) -> None:
    number = world.join("kim@example.org")
    world.live_through(0.5)
    world.clock.course = datetime(2027, 1, 18, 6, 30, tzinfo=UTC)
    with world.database.writing() as session:
        cohorts.find(session, "evergreen").hour = time(10)
    world.tick()
    assert planned_and_applied(world, edited(world, AT_SIX)) == (0, 0)
    assert f"{world.rows(number)[-1].send_at:%d %H:%M}" == "18 09:00"


@pytest.mark.parametrize(("hour", "first"), [("07:00", "18 06:00"), ("18:00", "18 17:00")])
def test_a_first_day_begins_at_the_courses_new_hour(
    any_world: World, hour: str, first: str
) -> None:
    world = any_world
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        spring = cohorts.create(
            session, course, "spring", world.clock.now(), starts_on=date(2027, 1, 18)
        ).id
    number = world.sign_up("kim@example.org")
    with world.database.writing() as session:
        session.get_one(Enrollment, number).cohort_id = spring
    assert world.confirm(number)
    change = with_schedule('"09:00"', f'"{hour}"')
    assert planned_and_applied(world, edited(world, change)) == (0, 1)
    world.live_through(5)
    lesson = next(row for row in world.rows(number) if row.kind == "lesson")
    assert (lesson.state, f"{lesson.due_at:%d %H:%M}") == ("accepted", first)
