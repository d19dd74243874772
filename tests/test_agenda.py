"""Whatever a tick would do is on its agenda; where there is nothing, it asks one question."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, event, update
from sqlalchemy.orm import Session

from course import agenda, holds, ledger, planning
from course.db import real_now
from course.models import Cohort, Forecast, Hold, Installation
from course.states import CohortState, HoldKind, HoldScope
from tests.world import World

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(any_world: World) -> World:
    """Somebody has had the first lesson, and the scheduler has looked at them since."""
    any_world.join("ada@example.org")
    for _ in range(3):
        any_world.tick()
    return any_world


def look(world: World, *, resolves_unknown: bool = False) -> agenda.Agenda:
    with world.database.reading() as session:
        return agenda.look(
            session,
            world.clock.now(),
            real_now(session),
            lease=MINUTE,
            noted_every=MINUTE,
            resolves_unknown=resolves_unknown,
        )


def sign_up(world: World) -> None:
    world.sign_up("bob@example.org")


def let_a_lesson_come_due(world: World) -> None:
    world.pass_time(days=1)


def edit(world: World) -> None:
    world.database.run(lambda s: s.execute(update(Cohort).values(look_again_from=0)))


def claim(world: World) -> list[ledger.Claimed]:
    def work(session: Session) -> list[ledger.Claimed]:
        long_ago, now = real_now(session) - 2 * MINUTE, world.clock.now()
        return ledger.claim(session, "token", 1, now=now, real=long_ago, lease=MINUTE)

    return world.database.run(work)


def die_with_a_claim(world: World) -> None:
    sign_up(world)
    assert claim(world)


def hold(world: World, scope: HoldScope = HoldScope.ALL, kind: HoldKind = HoldKind.MANUAL) -> None:
    def work(session: Session) -> None:
        now, long_ago = world.clock.now(), real_now(session) - 2 * MINUTE
        where = holds.Scope(scope, course_id=1)
        holds.place(session, where, kind, why="a test", who="me", now=now, real=long_ago)

    world.database.run(work)


def lose_the_key(world: World) -> None:
    hold(world, kind=HoldKind.KEY)


def let_the_forecast_grow_old(world: World) -> None:
    world.database.run(lambda s: s.execute(delete(Forecast)))


@pytest.mark.parametrize(
    "happen",
    [
        sign_up,
        let_a_lesson_come_due,
        edit,
        die_with_a_claim,
        lose_the_key,
        let_the_forecast_grow_old,
    ],
)
def test_a_tick_has_work_when_something_happens(
    world: World, happen: Callable[[World], None]
) -> None:
    assert not look(world).work
    happen(world)
    assert look(world).work


def test_mails_that_are_held_are_no_work(world: World) -> None:
    sign_up(world)
    hold(world)
    assert not look(world).work
    world.database.run(lambda s: s.execute(delete(Hold)))
    assert look(world).work
    hold(world, HoldScope.COURSE)
    assert not look(world).work


def test_lessons_of_a_cohort_that_pauses_are_no_work(world: World) -> None:
    let_a_lesson_come_due(world)
    with world.database.writing() as session:
        planning.plan(session, world.clock.now())
        session.execute(update(Cohort).values(state=CohortState.PAUSED))
        session.execute(update(Forecast).values(made_at=world.clock.now()))
    assert not look(world).work


def test_mails_of_which_nobody_knows_are_work_where_they_are_settled_automatically(
    world: World,
) -> None:
    sign_up(world)
    ids = [row.id for row in claim(world)]
    world.database.run(lambda s: ledger.doubt(s, ids, "token", "no answer", world.clock.now()))
    assert not look(world).work
    assert look(world, resolves_unknown=True).work


def test_ticks_are_noted_now_and_then(world: World) -> None:
    assert not look(world).sign_of_life
    with world.database.writing() as session:
        long_ago = real_now(session) - 2 * MINUTE
        session.execute(update(Installation).values(last_tick_at=long_ago))
    assert look(world).sign_of_life


def test_finding_nothing_takes_one_question(world: World) -> None:
    asked: list[str] = []

    def listen(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM" in statement:
            asked.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", listen)
    look(world)
    assert len(asked) == 1
