"""People who are taken in to begin later, or to go on in the middle: the planner does the rest."""

from datetime import date, timedelta
from typing import Any

from sqlalchemy import select

from course import cohorts, importing
from course.enrollment import Origin, Person
from course.importing import HAD, Order
from course.models import Delivery, Enrollment, Subscriber
from course.sheets import Row
from tests.world import START, World


def begin(world: World, *rows: Row, **wishes: Any) -> dict[date | None, int]:
    """Take these in; returns when their first mails were said to leave."""
    with world.database.writing() as session:
        cohort = cohorts.find(session, "evergreen")
        order = Order(
            cohort.id,
            confirmed=True,
            origin=Origin("a file"),
            hash_key=world.hash_key,
            sandbox=True,
            **wishes,
        )
        foreseen = importing.look(session, rows, order, world.clock.now())
        importing.take(session, rows, order, world.clock.now())
    return dict(foreseen.mails)


def sent(world: World, email: str) -> list[tuple[str, str]]:
    """The lessons that somebody got, each with its course time in UTC."""
    with world.database.reading() as session:
        found = session.execute(
            select(Delivery.message_key, Delivery.settled_at)
            .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
            .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
            .where(Subscriber.email == email, Delivery.state == "accepted")
            .order_by(Delivery.settled_at)
        )
        # The scheduler comes by within two minutes.
        return [(lesson, f"{at:%a %d %H}h") for lesson, at in found]


ANN = Person("ann@example.org", "Ann")  # on the course's clock


def test_who_goes_on_in_the_middle_gets_the_next_lesson_on_the_courses_days(
    any_world: World,
) -> None:
    """As if the lesson before had come with the import, at noon of a Friday: not at once, at nine,
    and not at the weekend."""
    any_world.pass_time(days=1)
    first_mails = begin(any_world, Row(2, ANN, start_at="practice"))
    any_world.live_through(5)
    rows = {row.message_key: (row.state, row.reason) for row in any_world.rows()}
    assert {name: rows[name] for name in ("welcome", "network", "market")} == dict.fromkeys(
        ("welcome", "network", "market"), ("cancelled", HAD)
    )
    assert sent(any_world, ANN.email) == [
        ("practice", "Mon 18 08h"),
        ("plan-b", "Tue 19 08h"),
        ("leverage", "Wed 20 08h"),
    ]
    assert first_mails == {date(2027, 1, 18): 1}


def test_who_begins_with_the_first_lesson_gets_it_at_once(any_world: World) -> None:
    assert begin(any_world, Row(2, ANN, start_at="welcome")) == {None: 1}
    any_world.tick()
    assert sent(any_world, ANN.email) == [("welcome", "Thu 14 11h")]


def test_with_the_last_lesson_the_course_is_over(any_world: World) -> None:
    number = any_world.sign_up(ANN.email)  # who was asked goes on there, too
    begin(any_world, Row(2, ANN, start_at="decision"))
    any_world.live_through(3)
    assert sent(any_world, ANN.email) == [("decision", "Fri 15 08h")]
    assert any_world.state(number) == "completed"


def test_the_clock_may_start_on_a_day_to_come_on_each_ones_own(any_world: World) -> None:
    tuesday = date(2027, 1, 19)
    bob = Person("bob@example.org", "Bob", "Asia/Tokyo")
    assert begin(any_world, Row(2, ANN), Row(3, bob), start=tuesday) == {tuesday: 2}
    any_world.live_through(4.9)
    assert sent(any_world, ANN.email) == [("welcome", "Tue 19 08h")]
    assert sent(any_world, bob.email) == [("welcome", "Tue 19 00h")]


def test_starts_are_spread_evenly_in_the_lists_order(any_world: World) -> None:
    rows = [Row(2 + number, Person(f"p{number}@example.org")) for number in range(6)]
    first_mails = begin(any_world, *rows, spread=timedelta(days=3), lines=7)
    with any_world.database.reading() as session:
        starts = session.scalars(select(Enrollment.starts_at).order_by(Enrollment.id))
        assert [at - START for at in starts if at] == [timedelta(hours=12 * n) for n in range(6)]
    # From noon on: the one of midnight comes tomorrow.
    days = [date(2027, 1, day) for day in (15, 16, 17)]
    assert first_mails == {None: 1, days[0]: 2, days[1]: 2, days[2]: 1}


def test_an_update_adds_fields_to_those_that_are_known(any_world: World) -> None:
    begin(any_world, Row(2, Person(ANN.email, "Ann", fields='{"city":"Rome","years":3}')))
    begin(any_world, Row(2, Person(ANN.email, fields='{"years":4}')), update=True)
    with any_world.database.reading() as session:
        assert list(session.scalars(select(Enrollment.fields))) == ['{"city":"Rome","years":4}']
