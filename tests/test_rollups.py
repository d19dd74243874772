"""The sums that `stats` reads: whatever happens to mails, they are those of the ledger."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from course import (
    cohorts,
    enrollment,
    events,
    going_live,
    installation,
    ledger,
    moving,
    privacy,
    pruning,
    reach,
    rehearsal,
    repeating,
    resolving,
    retries,
    rollups,
    soundness,
    steering,
)
from course.answers import Answer, Verdict
from course.caretaking import Caretaker
from course.enrollment import Person
from course.models import (
    Base,
    Course,
    Delivery,
    Delta,
    DomainDelta,
    DomainSum,
    Enrollment,
    LearnerDelta,
    LearnerSum,
    MailSum,
    QuarterSum,
    Request,
)
from course.resolving import Order, Which
from course.states import DeliveryState, EventKind
from course.stats import chosen, deliverability, lessons, overall
from course.webhooks import ProviderEvent
from tests.at_once import at_once
from tests.made_up import Past
from tests.world import TAKEN, World

LOST = Answer(Verdict.UNKNOWN, detail="TimeoutError")
REFUSED = Answer(Verdict.BAD_REQUEST, 400, detail="400", bad_rows=(0,))
TOLD = (
    *(EventKind.PROCESSED, EventKind.DEFERRED, EventKind.DELIVERED, EventKind.BOUNCED),
    *(EventKind.DROPPED, EventKind.OPENED, EventKind.CLICKED, EventKind.COMPLAINED),
)


def wrong(world: World) -> list[str]:
    with world.database.reading() as session:
        return [*rollups.differences(session), *reach.differences(session)]


def count(world: World, table: type[Base]) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def fold_all(world: World, limit: int = rollups.AT_ONCE) -> None:
    while world.database.run(lambda session: rollups.fold(session, limit)):
        pass
    while world.database.run(reach.fold):
        pass


def a_cohort(world: World, name: str) -> int:
    with world.database.writing() as session:
        course = session.scalars(select(Course)).one()
        return cohorts.create(session, course, name, world.clock.course).id


def give(world: World, order: Any, *ids: int) -> None:
    with world.database.writing() as session:
        steering.give(session, order, ids, who="me", now=world.clock.course, why="so")


def tell(world: World, ids: list[int], kind: EventKind, after: timedelta = timedelta()) -> None:
    def work(session: Session) -> None:
        name, at = installation.get(session).name, world.clock.course + after
        told = [ProviderEvent(kind, at, f"{name}-{number}") for number in ids]
        key = world.hash_key
        events.record(session, told, at, installation=name, hash_key=key)

    world.database.run(work)


# Each of these changes what is counted ------------------------------------------------------------


class Lived:
    """A course in which something happens to somebody, drawn at random."""

    def __init__(self, world: World, random: Random) -> None:
        self.world, self.random = world, random
        self.ids = [world.join(f"p{number}@example.org") for number in range(4)]
        self.spring = a_cohort(world, "spring")

    def anybody(self) -> int:
        return self.random.choice(self.ids)

    def day(self) -> None:
        self.world.provider.answer = lambda _: self.random.choice([TAKEN] * 4 + [LOST, REFUSED])
        self.world.live_through(1)

    def events(self) -> None:
        sent = [row.id for row in self.world.rows() if row.state == "accepted"]
        some = self.random.choices(sent, k=self.random.randint(1, 8))
        after = timedelta(seconds=self.random.randrange(30))
        tell(self.world, some, self.random.choice(TOLD), after)

    def move(self) -> None:
        with self.world.database.reading() as session:
            here = cohorts.find(session, cohorts.EVERGREEN).id
        give(self.world, moving.Move(self.random.choice([here, self.spring])), self.anybody())

    def rewind(self) -> None:
        give(self.world, repeating.Rewind("network"), self.anybody())

    def leave(self) -> None:
        self.world.leave(self.anybody())

    def come_back(self) -> None:
        with self.world.database.writing() as session:
            one = session.get_one(Enrollment, self.anybody())
            enrollment.undo_unsubscribe(
                session, one, enrollment.Origin("test"), self.world.clock.course
            )

    def resolve(self) -> None:
        which = Which(self.world.clock.course + timedelta(days=1))
        order = self.random.choice(list(Order))
        with self.world.database.writing() as session:
            now = self.world.clock.course
            resolving.resolve(session, which, order, who="me", why="so", now=now)

    def retry(self) -> None:
        with self.world.database.writing() as session:
            ids = retries.to_retry(session, None)
            retries.retry(session, ids, who="me", now=self.world.clock.course)

    def fold(self) -> None:
        self.world.database.run(lambda session: rollups.fold(session, self.random.randint(1, 9)))

    def sum_up(self) -> None:
        self.world.database.run(reach.fold)

    def readdress(self) -> None:
        def work(session: Session) -> None:
            one = session.get_one(Enrollment, self.anybody()).subscriber
            with reach.readdressed(session, [one.id]):
                one.email = f"p{one.id}@{self.random.choice(['gmail.com', 'web.de'])}"
                session.flush()

        self.world.database.run(work)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_the_sums_are_those_of_the_ledger(any_world: World, seed: int) -> None:
    random = Random(seed)
    lived = Lived(any_world, random)
    lived.day()
    deeds: list[Callable[[], None]] = [
        *(lived.day, lived.events, lived.events, lived.move, lived.rewind, lived.leave),
        *(lived.come_back, lived.resolve, lived.retry, lived.fold),
        *(lived.sum_up, lived.sum_up, lived.readdress),
    ]
    for _ in range(40):
        deed = random.choice(deeds)
        deed()
        assert wrong(any_world) == [], deed.__name__
    assert count(any_world, Delivery) > 10


def test_who_is_dropped_at_going_live_is_counted_no_more(any_world: World) -> None:
    world = any_world
    world.join("kim@example.org")
    world.live_through(3)
    tell(world, [row.id for row in world.rows()], EventKind.DELIVERED)
    world.database.run(lambda session: going_live._forget_some(session, []))
    assert wrong(world) == []
    with world.database.reading() as session:
        assert [one.sent for one in overall(session).courses] == [0]


def test_a_rehearsal_that_is_cleaned_leaves_no_sum(any_world: World) -> None:
    world = any_world
    now = world.clock.course
    with world.database.writing() as session:
        person = Person("me@example.org")
        rehearsal.begin(
            session, "job-search", person, 30, who="me", now=now, hash_key=world.hash_key
        )
    world.tick()
    fold_all(world)
    assert wrong(world) == []
    with world.database.reading() as session:
        assert overall(session).courses[0].sent == 0
        assert rollups.sent_between(session, [1], now - DECADE, now + DECADE) == {}
    with world.database.writing() as session:
        rehearsal.clean(session, "job-search", who="me", now=now)
    assert wrong(world) == []


DECADE = timedelta(days=3660)


# Folding ------------------------------------------------------------------------------------------


def test_folding_changes_no_figure_and_leaves_no_change(any_world: World) -> None:
    Past(any_world, Random(3)).happen(20)
    any_world.database.run(reach.fold)
    sent = [row.id for row in any_world.rows() if row.state == "accepted"]
    tell(any_world, sent, EventKind.BOUNCED)

    def figures() -> tuple[object, ...]:
        with any_world.database.reading() as session:
            moment = any_world.clock.course
            days = rollups.sent_between(session, [1], moment - DECADE, moment + DECADE)
            live = chosen(session, None)
            domains = deliverability.read(session, live, moment, 30)
            return overall(session), lessons.funnel(session, live), domains, days

    before = figures()
    assert count(any_world, Delta)
    assert count(any_world, DomainDelta)
    any_world.database.run(lambda session: rollups.fold(session, 3))
    assert figures() == before
    fold_all(any_world)
    assert figures() == before
    assert count(any_world, Delta) == 0
    assert count(any_world, DomainDelta) == count(any_world, LearnerDelta) == 0
    assert wrong(any_world) == []


def test_two_who_fold_at_once_take_different_changes(postgres_world: World) -> None:
    Past(postgres_world, Random(3)).happen(20)
    changes = count(postgres_world, Delta)
    database = postgres_world.database
    with database.writing() as first:
        taken = rollups.fold(first, changes - 5)
        found = select(Delta.id).limit(99).with_for_update(skip_locked=True)
        with database.writing() as second:
            assert len(second.scalars(found).all()) == 5
        assert taken == changes - 5
    fold_all(postgres_world)
    assert wrong(postgres_world) == []


@pytest.mark.whole
def test_many_at_once_lose_nothing(postgres_world: World) -> None:
    """Events, answers, moves and folding, each in threads of its own."""
    world, random = postgres_world, Random(1)
    ids = [world.join(f"p{number}@example.org") for number in range(12)]
    now = world.clock.course
    spring = a_cohort(world, "spring")
    world.live_through(2)
    sent = [row.id for row in world.rows() if row.state == "accepted"]
    kinds = [random.choice(TOLD) for _ in range(40)]
    again = [number for number in ids for _ in range(2)]

    def hear(kinds: list[EventKind]) -> None:
        for kind in kinds:
            tell(world, random.sample(sent, 8), kind)

    def move(numbers: list[int]) -> None:
        with world.database.reading() as session:
            here = cohorts.find(session, cohorts.EVERGREEN).id
        for place, number in enumerate(numbers):
            order = moving.Move(here if place % 2 else spring)

            def work(session: Session, order: Any = order, number: int = number) -> None:
                steering.give(session, order, [number], who="me", now=now, why="so")

            world.database.run(work)

    def accept(numbers: list[int]) -> None:
        for number in numbers:
            world.database.run(lambda session: ledger.prove(session, [number], now))  # noqa: B023

    def fold() -> None:
        for _ in range(30):
            world.database.run(lambda session: rollups.fold(session, 7))
            world.database.run(reach.fold)

    with world.database.writing() as session:
        session.execute(
            update(Delivery).where(Delivery.id.in_(sent[::2])).values(state=DeliveryState.UNKNOWN)
        )
        rollups.mend(session, rollups.differences(session))
    at_once(
        *(lambda: hear(kinds[:20]), lambda: hear(kinds[20:]), lambda: move(again)),
        *(lambda: accept(sent), fold, fold),
    )
    assert wrong(world) == []
    fold_all(world)
    assert wrong(world) == []


def test_the_caretaker_folds_once_a_minute(world: World) -> None:
    caretaker = Caretaker(world.office)
    caretaker.look()
    world.join("kim@example.org")
    world.tick()
    caretaker.look()
    assert count(world, Delta), "it has looked in this minute"
    world.clock.boot += 61
    caretaker.look()
    assert count(world, Delta) == 0
    assert (count(world, MailSum), count(world, QuarterSum)) == (2, 1)


def test_so_does_pruning_where_no_scheduler_runs(world: World) -> None:
    world.join("kim@example.org")
    world.tick()
    pruning.prune(world.database, world.clock.course)
    assert (count(world, Delta), count(world, MailSum)) == (0, 2)


def test_a_request_is_summed_when_it_has_its_answer(any_world: World) -> None:
    world = any_world
    world.join("kim@example.org")
    world.live_through(2)
    with world.database.writing() as session:
        session.execute(update(Request).values(verdict=None))
    fold_all(world)
    assert count(world, DomainSum) == count(world, LearnerSum) == 0
    with world.database.writing() as session:
        session.execute(update(Request).values(verdict="accepted"))
    fold_all(world)
    assert count(world, LearnerSum) == 1
    assert wrong(world) == []


def test_who_is_erased_leaves_no_domain_behind(any_world: World) -> None:
    world = any_world
    number = world.join("kim@the-kims.example")
    world.join("lou@example.org")
    world.live_through(2)
    fold_all(world)
    tell(world, [row.id for row in world.rows()], EventKind.DELIVERED)
    with world.database.writing() as session:
        person = session.get_one(Enrollment, number).subscriber_id
        now, key = world.clock.course, world.hash_key
        privacy.erase(session, person, who="me", now=now, hash_key=key)
    with world.database.reading() as session:
        named = {*session.scalars(select(DomainSum.domain).union(select(DomainDelta.domain)))}
    assert "the-kims.example" not in named
    assert "(erased)" in named
    assert wrong(world) == []


# Few rows for many mails --------------------------------------------------------------------------


def test_a_batch_of_answers_or_events_is_a_row_or_two(any_world: World) -> None:
    world = any_world
    for number in range(6):
        world.sign_up(f"p{number}@example.org")
    world.tick()
    for number in range(1, 7):
        world.confirm(number)
    fold_all(world)
    world.tick()
    assert count(world, Delta) == 2, "they are planned, and they are sent"
    fold_all(world)
    tell(world, [row.id for row in world.rows() if row.kind == "lesson"], EventKind.DELIVERED)
    assert count(world, Delta) == 2, "what they were, and what they are"


# Mending ------------------------------------------------------------------------------------------


def test_what_is_lost_is_found_and_mended_whatever_happens_meanwhile(any_world: World) -> None:
    world = any_world
    Past(world, Random(4)).happen(10)
    fold_all(world)
    with world.database.writing() as session:
        session.execute(delete(QuarterSum))
        session.execute(update(MailSum).values(opened=MailSum.opened + 1))
        session.execute(delete(LearnerSum))
        session.execute(update(DomainSum).values(sent=DomainSum.sent + 1))
    with world.database.reading() as session:
        found, reached = rollups.differences(session), reach.differences(session)
        unsound = {one.name for one in soundness.check(session) if not one.is_well}
    assert soundness.FIGURES in unsound
    assert any("opened -1" in line for line in found)
    assert any("gmail.com" in line and line.endswith("sent -1") for line in reached)
    assert any("learners of " in line for line in reached)
    sent = [row.id for row in world.rows() if row.state == "accepted" and row.outcome is None]
    tell(world, sent, EventKind.DELIVERED)
    world.database.run(lambda session: rollups.mend(session, found))
    world.database.run(lambda session: reach.mend(session, reached))
    assert wrong(world) == []


def test_a_learner_at_the_wrong_lessons_is_found_and_mended(any_world: World) -> None:
    world = any_world
    first, second = world.join("kim@example.org"), world.join("lou@example.org")
    world.live_through(3)
    fold_all(world)
    with world.database.writing() as session:
        session.execute(update(Enrollment).values(lesson_set_id=None))
    with world.database.reading() as session:
        found = reach.differences(session)
    assert list(found.misplaced) == [first, second]
    world.live_through(1)
    fold_all(world)
    world.database.run(lambda session: reach.mend(session, found))
    with world.database.reading() as session:
        rest = reach.differences(session)
    world.database.run(lambda session: reach.mend(session, rest))
    assert wrong(world) == []
