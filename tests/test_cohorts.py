"""What may be done with a cohort: every verb in every state."""

import pytest
from sqlalchemy import update

from course import cohorts
from course.cohorts import Verb
from course.errors import RefusedError
from course.models import Cohort
from course.states import CohortState
from tests.world import World

# For each verb and state: what it leads to; "=": nothing is to be done; a word of the refusal.
TABLE = {
    #            draft       open        closed      paused      archived
    Verb.OPEN: ("open", "=", "open", "resume", "create"),
    Verb.CLOSE: ("closed", "closed", "=", "resume", "create"),
    Verb.PAUSE: ("Open it first", "paused", "paused", "=", "create"),
    Verb.RESUME: ("Open it first", "=", "=", "open", "create"),
    Verb.ARCHIVE: ("archived", "archived", "archived", "archived", "="),
}


@pytest.mark.parametrize(
    ("verb", "state", "leads"),
    [
        (verb, state, leads)
        for verb, row in TABLE.items()
        for state, leads in zip(CohortState, row, strict=True)
    ],
)
def test_every_verb_in_every_state(
    world: World, verb: Verb, state: CohortState, leads: str
) -> None:
    with world.database.writing() as session:
        session.execute(update(Cohort).values(state=state))
    with world.database.writing() as session:
        found = cohorts.find(session, "evergreen")
        if leads not in ("=", *CohortState):
            with pytest.raises(RefusedError, match=leads):
                cohorts.change(session, found, verb)
            return
        assert cohorts.change(session, found, verb) is (leads != "=")
        assert found.state == (state if leads == "=" else leads)


def change(world: World, verb: Verb) -> bool:
    return world.database.run(lambda s: cohorts.change(s, cohorts.find(s, "evergreen"), verb))


def test_a_closed_cohort_that_was_paused_is_closed_again(world: World) -> None:
    for verb in (Verb.CLOSE, Verb.PAUSE, Verb.RESUME):
        assert change(world, verb)
    with world.database.reading() as session:
        assert cohorts.find(session, "evergreen").state == CohortState.CLOSED


def test_pausing_loses_nobody_and_resuming_makes_no_burst(any_world: World) -> None:
    world = any_world
    people = [world.join(f"p{number}@example.org") for number in range(3)]
    world.live_through(days=1.5)
    change(world, Verb.PAUSE)
    world.live_through(days=6)
    before = [len(world.lessons(one)) for one in people]
    change(world, Verb.RESUME)
    world.live_through(days=18)
    for learner, had in zip(people, before, strict=True):
        assert [state for _, state in world.lessons(learner)] == ["accepted"] * 7
        days = [row.settled_at.date() for row in world.rows(learner) if row.kind == "lesson"]
        assert len(set(days[had:])) == len(days[had:])


def test_a_cohort_with_learners_is_not_archived(world: World) -> None:
    world.join("ada@example.org")
    with pytest.raises(RefusedError, match="has 1 who wait or learn"):
        change(world, Verb.ARCHIVE)


def test_the_front_is_one_alone(world: World) -> None:
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        spring = cohorts.create(session, course, "spring", world.clock.course)
        assert cohorts.make_front(session, spring)
        assert not cohorts.make_front(session, spring)
    with world.database.reading() as session:
        assert [one.name for one in cohorts.every(session) if one.is_front] == ["spring"]
