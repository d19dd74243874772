"""The planner looks at those whose time has come, all of them, with the same few statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import event, select, update

from course import cohorts, courses, due, holds, ledger, planning, sources
from course.models import Cohort, Course, Delivery, Enrollment
from course.sources import Source
from course.states import DeliveryState, HoldKind
from course.timing import Release
from tests.world import World

DAY = timedelta(days=1)


def plan(world: World, limit: int = planning.BATCH) -> int:
    return world.database.run(lambda s: planning.plan(s, world.clock.now(), limit))


def join(world: World, count: int) -> list[int]:
    return [world.join(f"p{number}@example.org") for number in range(count)]


def apply_without(world: World, file: str) -> None:
    source = sources.read(world.settings.home, "job-search")
    files = {name: text for name, text in source.files.items() if name != file}
    edited = Source(source.slug, source.folder, files, None)
    with world.database.writing() as session:
        courses.apply(session, edited, "me", world.clock.now())


def looked_at_next(world: World) -> list[object]:
    with world.database.reading() as session:
        return list(session.scalars(select(Enrollment.next_due_at).order_by(Enrollment.id)))


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    statements: list[str] = []

    def listen(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        event.remove(world.database.engine, "before_cursor_execute", listen)


def test_many_learners_take_no_more_statements_than_few(any_world: World) -> None:
    join(any_world, 12)
    any_world.tick()
    any_world.tick()
    any_world.pass_time(days=1)
    with counted(any_world) as few:
        assert plan(any_world, 2) == 2
    with counted(any_world) as many:
        assert plan(any_world) == 10
    assert len(many) == len(few)


def test_after_an_edit_all_are_looked_at_again_some_at_a_time(any_world: World) -> None:
    *_, last = join(any_world, 5)
    with any_world.database.writing() as session:
        course = session.scalars(select(Course)).one()
        other = cohorts.create(session, course, "other", any_world.clock.now())
        session.get_one(Enrollment, last).cohort_id = other.id
    any_world.tick()
    any_world.tick()
    before = looked_at_next(any_world)
    apply_without(any_world, "02-network.md")
    assert looked_at_next(any_world) == before
    looked_at = []
    while count := plan(any_world, 2):
        looked_at.append(count)
    assert looked_at == [2, 2, 1]
    with any_world.database.reading() as session:
        assert list(session.scalars(select(Cohort.look_again_from))) == [None, None]


def test_an_edit_reaches_everyone_within_a_tick(any_world: World) -> None:
    first, *_ = join(any_world, 3)
    any_world.tick()
    any_world.tick()
    apply_without(any_world, "02-network.md")
    any_world.live_through(days=4)
    assert [key for key, _ in any_world.lessons(first)][:2] == ["welcome", "market"]


def test_behind_two_unknown_lessons_the_next_waits_for_the_patience_with_both(
    any_world: World,
) -> None:
    join(any_world, 1)
    any_world.live_through(days=6)
    now = any_world.clock.now()
    with any_world.database.writing() as session:
        mine = select(Delivery.id).where(Delivery.kind == "lesson").order_by(Delivery.id)
        for number, delivery_id in enumerate(list(session.scalars(mine))):
            row = update(Delivery).where(Delivery.id == delivery_id)
            since = now - DAY * 2 if number == 0 else now - DAY / 2
            session.execute(row.values(state=DeliveryState.UNKNOWN, unknown_since=since))
        session.execute(update(Enrollment).values(next_due_at=now))
    plan(any_world)
    assert looked_at_next(any_world) == [now + DAY / 2]


def test_a_lesson_keeps_its_own_days_and_hour(world: World) -> None:
    source = sources.read(world.settings.home, "job-search")
    own = source.files["02-network.md"].replace(
        "after: 1", "after: 1\nweekdays: [sat]\nhour: '11:00'"
    )
    edited = Source(source.slug, source.folder, source.files | {"02-network.md": own}, None)
    with world.database.writing() as session:
        courses.apply(session, edited, "me", world.clock.now())
    learner = world.join("ada@example.org")
    world.live_through(days=6)
    due = {row.message_key: row.due_at for row in world.rows(learner) if row.kind == "lesson"}
    assert f"{due['network']:%a %H:%M}" == "Sat 10:00"  # UTC; eleven in Berlin
    assert f"{due['market']:%a %H:%M}" == "Mon 08:00"


# When to look again -------------------------------------------------------------------------------


def test_whose_lesson_has_left_is_looked_at_when_the_next_one_comes(any_world: World) -> None:
    learner = any_world.join("ada@example.org")
    for _ in range(3):
        any_world.tick()
        (foreseen,) = looked_at_next(any_world)
        with any_world.database.reading() as session:
            coming = due.next_lessons(session, [learner], any_world.clock.now())[learner]
        assert foreseen == coming.due_at > any_world.clock.now()
        assert plan(any_world) == 0
        any_world.clock.course = coming.due_at


def test_behind_the_last_lesson_they_are_looked_at_when_it_is_settled(any_world: World) -> None:
    learner = any_world.join("ada@example.org")
    any_world.live_through(days=20)
    with any_world.database.reading() as session:
        lessons = courses.live(session, "job-search").curriculum.lessons
    assert [state for _, state in any_world.lessons(learner)] == ["accepted"] * len(lessons)
    assert any_world.state(learner) == "completed"


def test_whose_lesson_is_held_until_the_next_would_come_is_looked_at_once_it_is_settled(
    any_world: World,
) -> None:
    learner = any_world.join("ada@example.org")
    now = any_world.clock.now()
    with any_world.database.writing() as session:
        hold = holds.place(session, holds.Scope(), HoldKind.MANUAL, why="w", who="me", now=now)
        hold_id = hold.id
    any_world.tick()
    any_world.pass_time(days=4)
    assert plan(any_world) == 1
    assert looked_at_next(any_world) == [None]
    with any_world.database.writing() as session:
        holds.release(session, [hold_id], "me", any_world.clock.now())
    any_world.live_through(days=4)
    assert any_world.lessons(learner)[1] == ("network", "accepted")


def test_what_moves_a_lesson_has_its_learner_looked_at(any_world: World) -> None:
    any_world.join("ada@example.org")
    now = any_world.clock.now()
    plan(any_world)
    assert looked_at_next(any_world) != [now]
    with any_world.database.writing() as session:
        mails = session.scalars(select(Delivery.id).where(Delivery.kind == "lesson")).all()
        ledger.put_off(session, mails, Release(now + DAY, now + DAY), now)
    assert looked_at_next(any_world) == [now]
