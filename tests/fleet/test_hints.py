"""What a fleet is told: that so much waits, of which course; nothing while nothing may go."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from course import hints, holds, planning, throttle
from course.db import real_now
from course.hints import Waiting
from course.models import Installation
from course.settings import Settings
from course.states import HoldKind
from tests.crowd import enroll
from tests.world import World


@pytest.fixture
def world(any_world: World) -> World:
    enroll(any_world.database, [f"p{n}@example.org" for n in range(5)], [None], any_world.hash_key)
    any_world.database.run(lambda s: planning.plan(s, any_world.clock.now()))
    return any_world


def look(world: World) -> Waiting:
    with world.database.reading() as session:
        return hints.look(session, world.clock.now(), real_now(session))


def test_what_waits_is_hinted_at_in_claims(world: World) -> None:
    (hint,) = look(world).hints
    assert (hint.course_id, hint.revision_id, hint.rows) == (1, 1, 5)


def test_a_hint_is_no_larger_than_a_claim_may_be(world: World) -> None:
    with world.database.writing() as session:
        session.execute(update(Installation).values(batch_limit=2))
    assert [hint.rows for hint in look(world).hints] == [2, 2, 1]


def test_a_tick_never_hints_at_more_than_so_many_claims(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints, "MOST", 2)
    with world.database.writing() as session:
        session.execute(update(Installation).values(batch_limit=1))
    assert [hint.rows for hint in look(world).hints] == [1, 1]


def test_nothing_is_hinted_at_while_all_is_held(world: World) -> None:
    with world.database.writing() as session:
        now = world.clock.now()
        holds.place(session, holds.Scope(), HoldKind.MANUAL, why="x", who="me", now=now)
    assert look(world) == hints.NOTHING


def test_one_row_is_hinted_at_after_a_lost_answer_and_none_while_it_must_wait(
    world: World,
) -> None:
    def lose(settings: Settings) -> None:
        with world.database.writing() as session:
            throttle.answer_lost(session, settings, real_now(session))

    lose(world.settings)
    assert [hint.rows for hint in look(world).hints] == [1] * 5
    lose(world.settings)
    assert look(world) == hints.NOTHING


def test_nothing_is_hinted_at_while_the_provider_wants_quiet(world: World) -> None:
    with world.database.writing() as session:
        throttle.be_quiet(session, real_now(session) + timedelta(minutes=1))
    assert look(world) == hints.NOTHING


def test_the_first_of_the_line_changes_when_somebody_takes_it(world: World) -> None:
    first = look(world).first
    assert first is not None
    world.tick()
    assert look(world) == hints.NOTHING
