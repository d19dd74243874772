"""What was foreseen flows; a mass that nobody foresaw waits for a person."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, func, insert, select

from course import brake, cohorts, holds
from course.db import real_now
from course.models import Delivery, Enrollment, Forecast, Hold, Subscriber
from course.states import DeliveryState, EnrollmentState, HoldKind, HoldScope, MessageKind
from tests.world import World

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
_KINDS = {MessageKind.LESSON: ("market", 2), MessageKind.CONFIRMATION: ("confirm-1", 0)}


@pytest.fixture
def world(any_world: World) -> World:
    """An installation that has been sending for a while."""
    crowd(any_world, 1, key="welcome", state=DeliveryState.ACCEPTED, settled_at=ago(any_world, DAY))
    return any_world


def ago(world: World, span: timedelta) -> datetime:
    return world.clock.course - span


def learners(world: World, number: int, *, due_in: timedelta | None, days: int = 10) -> list[int]:
    """So many who confirmed that many days ago and are looked at then."""
    now = world.clock.course
    with world.database.writing() as session:
        cohort = cohorts.find(session, "evergreen")
        first = (session.scalar(select(func.max(Subscriber.id))) or 0) + 1
        people = [
            {
                "email": f"p{n}@example.org",
                "email_hash": str(n),
                "mailbox_hash": str(n),
                "created_at": now,
            }
            for n in range(first, first + number)
        ]
        ids = list(session.scalars(insert(Subscriber).returning(Subscriber.id), people))
        rows = [
            {
                "subscriber_id": n,
                "course_id": cohort.course_id,
                "cohort_id": cohort.id,
                "state": EnrollmentState.ACTIVE,
                "token": f"token {n}",
                "created_at": now,
                "confirmed_at": now - days * DAY,
                "starts_at": now - days * DAY,
                "next_due_at": None if due_in is None else now + due_in,
            }
            for n in ids
        ]
        return list(session.scalars(insert(Enrollment).returning(Enrollment.id), rows))


def crowd(
    world: World,
    number: int,
    *,
    late: timedelta = timedelta(),
    kind: MessageKind = MessageKind.LESSON,
    key: str | None = None,
    days: int = 10,
    **values: object,
) -> None:
    """So many mails that may leave now."""
    enrollments = learners(world, number, due_in=None, days=days)
    now = world.clock.course
    name, rank = _KINDS[kind]
    with world.database.writing() as session:
        if kind is MessageKind.CONFIRMATION:
            for row in session.scalars(select(Enrollment).where(Enrollment.id.in_(enrollments))):
                row.state = EnrollmentState.PENDING
        course_id = cohorts.find(session, "evergreen").course_id
        session.execute(
            insert(Delivery),
            [
                {
                    "enrollment_id": n,
                    "course_id": course_id,
                    "kind": kind,
                    "message_key": key or name,
                    "rank": rank,
                    "state": DeliveryState.PENDING,
                    "created_at": now,
                    "due_at": now - late,
                    "send_at": now,
                }
                | values
                for n in enrollments
            ],
        )


def check(world: World) -> Hold | None:
    return world.database.run(lambda s: brake.check(s, world.clock.course, real_now(s)))


def test_a_thousand_may_always_leave(world: World) -> None:
    crowd(world, brake.FREE)
    assert check(world) is None


def test_more_than_was_foreseen_waits_with_counts_examples_and_the_command(world: World) -> None:
    crowd(world, brake.FREE - 5)
    crowd(world, 6, late=3 * HOUR, key="network")
    hold = check(world)
    assert hold
    assert (hold.kind, hold.scope) == (HoldKind.BRAKE, HoldScope.ALL)
    assert hold.why.startswith("1,001 lessons would leave now; 0 were foreseen for this day. ")
    assert hold.why.count("(job-search/network, due 2027-01-14 08:00 UTC, 3 h late)") == 5
    assert hold.why.endswith(f"minicourse send release {hold.id}")
    assert "@" not in hold.why
    assert check(world) is None  # it stands already
    world.tick()
    assert world.provider.log == []


@pytest.mark.parametrize(("more", "held"), [(0, False), (1, True)])
def test_three_times_what_was_foreseen_flows(world: World, more: int, held: bool) -> None:
    """A cohort of 400 starts tomorrow."""
    learners(world, 400, due_in=23 * HOUR)
    assert check(world) is None
    world.pass_time(hours=23)
    crowd(world, 3 * 400 + more)
    hold = check(world)
    assert bool(hold) is held
    if hold:
        assert hold.why.startswith("1,201 lessons would leave now; 400 were foreseen")


@pytest.mark.parametrize(("hours", "held"), [(24, False), (25, True)])
def test_a_note_counts_for_a_day_and_a_little(world: World, hours: int, held: bool) -> None:
    learners(world, 400, due_in=23 * HOUR)
    check(world)
    world.pass_time(hours=hours)
    crowd(world, 1001)
    assert bool(check(world)) is held


def test_a_note_is_written_every_few_minutes_and_kept_for_two_days(world: World) -> None:
    def notes() -> int:
        with world.database.reading() as session:
            return session.scalar(select(func.count(Forecast.id))) or 0

    for _ in range(3):
        check(world)
    assert notes() == 1
    world.pass_time(minutes=6)
    check(world)
    assert notes() == 2
    world.pass_time(days=3)
    check(world)
    assert notes() == 1


def test_rows_that_wait_for_their_hour_are_foreseen(world: World) -> None:
    crowd(world, 1100, send_at=world.clock.course + HOUR)
    check(world)
    world.pass_time(hours=1)
    assert check(world) is None


@pytest.mark.parametrize(("others", "held"), [(1700, True), (1900, False)])
def test_a_day_late_may_be_a_tenth_of_the_active(world: World, others: int, held: bool) -> None:
    crowd(world, brake.FREE_OVERDUE + 1, late=25 * HOUR)
    learners(world, others, due_in=None)
    hold = check(world)
    assert bool(hold) is held
    if hold:
        assert hold.why.startswith("201 lessons are more than a day late. ")


def test_two_hundred_may_always_be_a_day_late(world: World) -> None:
    crowd(world, brake.FREE_OVERDUE, late=25 * HOUR)
    assert check(world) is None


def test_confirmations_never_count(world: World) -> None:
    crowd(world, 1500, kind=MessageKind.CONFIRMATION, late=25 * HOUR)
    assert check(world) is None


def test_a_confirmed_import_flows(world: World) -> None:
    crowd(world, 1500, days=0)
    assert check(world) is None


def test_an_empty_ledger_is_free(world: World) -> None:
    with world.database.writing() as session:
        session.execute(delete(Delivery))
    crowd(world, 1500, late=25 * HOUR)
    assert check(world) is None
    today = world.clock.course
    crowd(world, 1, key="welcome", state=DeliveryState.ACCEPTED, settled_at=today)
    assert check(world) is None


def test_what_is_released_flows_and_what_comes_after_it_does_not(world: World) -> None:
    crowd(world, 1500, late=25 * HOUR)
    hold = check(world)
    assert hold
    world.pass_time(hours=1)
    with world.database.writing() as session:
        holds.release(session, [hold.id], "robin", world.clock.course)
    assert check(world) is None
    world.pass_time(days=2)
    assert check(world) is None
    crowd(world, 1001)
    assert check(world)


def test_a_hold_that_ended_by_itself_is_no_release(world: World) -> None:
    """A key was refused for days: nobody has looked at what waits."""
    with world.database.writing() as session:
        now = world.clock.course
        hold = holds.place(session, holds.Scope(), HoldKind.KEY, why="401", who="x", now=now)
        number = hold.id
    crowd(world, 1500)
    world.pass_time(days=2)
    with world.database.writing() as session:
        holds.release(session, [number], brake.WHO, world.clock.course)
    assert check(world)


def test_a_backlog_that_drains_slowly_is_known(world: World) -> None:
    """An import under a limit of so many a day: it waits for days, and nothing about it is new."""
    crowd(world, 1500, days=0)
    for _ in range(12):
        assert check(world) is None
        world.pass_time(hours=5)


def test_what_is_new_counts_beside_a_backlog(world: World) -> None:
    crowd(world, 1500, days=0)
    check(world)
    world.pass_time(hours=23)
    crowd(world, 1001)
    hold = check(world)
    assert hold
    assert hold.why.startswith("1,001 lessons")


def test_a_persons_order_is_foreseen(world: World) -> None:
    world.database.run(lambda s: brake.foresee(s, 1500, world.clock.course))
    crowd(world, 1500, late=25 * HOUR)
    assert check(world) is None
