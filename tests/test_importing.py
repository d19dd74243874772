"""People taken in many at a time: the same as one by one, at a cost that does not grow."""

from collections import Counter
from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from course import arranging, cohorts, courses, enrollment, formats, importing, suppressions
from course.enrollment import Origin, Person, Scope
from course.importing import Order, Taken
from course.models import Cohort, Consent, Delivery, Enrollment, Subscriber, Suppression, Tag
from course.people import email_hash
from course.sheets import Elsewhere, Item, Row
from course.states import OPEN_ENROLLMENT, SuppressionReason
from tests.world import START, World

FILE = Origin("a file")
STANDING = ("new", "waits", "active", "left", "left-all", "bounced", "withdrawn")
BARRED = ("left", "left-all", "bounced", "complained", "erased")


@pytest.fixture
def world(any_world: World) -> World:
    """One person for each way to stand to a course."""
    for name in STANDING[1:]:
        email = f"{name}@example.org"
        number = any_world.sign_up(email, "Old", "Asia/Tokyo")
        if name != "waits":
            any_world.confirm(number)
        if name in ("left", "left-all"):
            any_world.leave(number, Scope.ALL if name == "left-all" else Scope.COURSE)
        if name == "bounced":
            _bounce(any_world, email)
        if name == "withdrawn":
            _take_out(any_world, number)
    return any_world


def _bounce(world: World, email: str) -> None:
    hashes = [email_hash(email, world.hash_key)]
    with world.database.writing() as session:
        reason = SuppressionReason.BOUNCED
        suppressions.add(session, hashes, reason, "event", world.clock.now())
        enrollment.withdraw_addresses(session, hashes, reason, world.clock.now())


def _take_out(world: World, number: int) -> None:
    """Cancelled, with nothing that stands against coming again."""
    world.leave(number)
    with world.database.writing() as session:
        row = session.get_one(Enrollment, number)
        suppressions.lift_own_wish(session, row.subscriber.email_hash, row.course_id)


def take(session: Session, world: World, rows: list[Row], *, confirmed: bool) -> Taken:
    cohort = cohorts.find(session, "evergreen")
    order = Order(cohort.id, confirmed, FILE, world.hash_key, sandbox=True)
    return importing.take(session, rows, order, world.clock.now())


def contents(session: Session) -> dict[str, Counter[Any]]:
    """All that an import may write, without the numbers and tokens of the rows."""
    person, enrolled = Subscriber.email, Enrollment.subscriber_id == Subscriber.id
    queries = {
        "people": select(person, Subscriber.email_hash, Subscriber.name, Subscriber.zone),
        "enrollments": select(
            *(person, Enrollment.state, Enrollment.form_name, Enrollment.form_zone),
            *(Enrollment.starts_at, Enrollment.confirmed_at, Enrollment.next_due_at),
        ).join(Subscriber, enrolled),
        "consents": select(person, Consent.act, Consent.source)
        .join(Enrollment, Enrollment.id == Consent.enrollment_id)
        .join(Subscriber, enrolled),
        "mails": select(person, Delivery.message_key, Delivery.state, Delivery.reason)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Subscriber, enrolled),
        "suppressions": select(Suppression.email_hash, Suppression.reason),
    }
    return {
        name: Counter(tuple(row) for row in session.execute(query))
        for name, query in queries.items()
    }


PEOPLE = st.builds(
    Person,
    st.sampled_from([f"{name}@example.org" for name in STANDING]),
    st.sampled_from(["", "Ada", "Zoë “Z” O'Neil"]),
    st.sampled_from([None, "Europe/Paris"]),
)


@pytest.mark.parametrize("confirmed", [True, False])
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(people=st.lists(PEOPLE, max_size=8))
def test_a_batch_does_what_its_rows_would_do_alone(
    world: World, confirmed: bool, people: list[Person]
) -> None:
    rows = [Row(number, person) for number, person in enumerate(people)]
    with world.database.writing() as session:
        together = take(session, world, rows, confirmed=confirmed), contents(session)
        session.rollback()
    with world.database.writing() as session:
        alone = Taken()
        for row in rows:
            alone += take(session, world, [row], confirmed=confirmed)
        assert (alone, contents(session)) == together
        session.rollback()


@pytest.mark.parametrize("confirmed", [True, False])
def test_nobody_is_brought_back(world: World, confirmed: bool) -> None:
    rows = [Row(n, Person(f"{name}@example.org", "N")) for n, name in enumerate(STANDING)]
    with world.database.writing() as session:
        before = contents(session)["suppressions"]
        taken = take(session, world, rows, confirmed=confirmed)
        assert contents(session)["suppressions"] == before
    barred = {one.value: one.reason.partition(" ")[0] for one in taken.suppressed.first}
    assert barred == {
        "left@example.org": "unsubscribed",
        "left-all@example.org": "unsubscribed",
        "bounced@example.org": "bounced",
    }
    in_now = {"new@example.org", "withdrawn@example.org"}
    if confirmed:
        assert (taken.confirmed, taken.asked, taken.already) == (3, 0, 1)
        in_now |= {"waits@example.org"}
    else:
        assert (taken.confirmed, taken.asked, taken.already) == (0, 2, 2)
    with world.database.reading() as session:
        found = session.execute(
            select(Subscriber.email)
            .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
            .where(Enrollment.state == ("active" if confirmed else "pending"))
        )
        others = {"active@example.org"} if confirmed else {"waits@example.org"}
        assert set(found.scalars()) == in_now | others


def test_who_waits_keeps_what_the_row_leaves_open_and_joins_its_cohort(world: World) -> None:
    now = world.clock.now()
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        start = now.date() + timedelta(days=4)
        spring = cohorts.create(session, course, "spring", now, starts_on=start)
        order = Order(spring.id, True, FILE, world.hash_key, sandbox=True)
        rows = [
            Row(2, Person("waits@example.org", "Ada")),
            Row(3, Person("new@example.org", "", "America/New_York")),
            Row(4, Person("other@example.org")),
        ]
        assert importing.take(session, rows, order, now).confirmed == 3
    waits = world.subscriber("waits@example.org")
    assert (waits.name, waits.zone) == ("Ada", "Asia/Tokyo")
    with world.database.reading() as session:
        starts = session.execute(
            select(Subscriber.email, Enrollment.starts_at)
            .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
            .join(Cohort, Cohort.id == Enrollment.cohort_id)
            .where(Cohort.name == "spring")
        )
        # At nine, on each one's own clock; where none is known, on the course's.
        hours = {email: f"{at:%d %H}" for email, at in starts}
    assert hours == {
        "waits@example.org": "18 00",
        "new@example.org": "18 14",
        "other@example.org": "18 08",
    }


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_number_of_statements_does_not_grow_with_the_rows(
    world: World, confirmed: bool
) -> None:
    def cost(rows: list[Row]) -> int:
        statements: list[str] = []

        def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(world.database.engine, "before_cursor_execute", count)
        with world.database.writing() as session:
            taken = take(session, world, rows, confirmed=confirmed)
        event.remove(world.database.engine, "before_cursor_execute", count)
        assert taken.confirmed + taken.asked == len(rows)
        return len(statements)

    few, many = (
        [Row(number, Person(f"{size}.{number}@example.org")) for number in range(size)]
        for size in (3, 60)
    )
    assert cost(few) == cost(many)


# Never back ---------------------------------------------------------------------------------------

LESSONS = st.sampled_from(["", "network", "practice"])
ROWS = st.builds(Row, st.integers(2, 9), PEOPLE, st.sampled_from([(), ("a",), ("a", "b")]), LESSONS)
GONE = st.builds(
    Elsewhere,
    st.integers(2, 9),
    st.sampled_from([f"{name}@example.org" for name in STANDING]),
    st.sampled_from(
        [formats.PLAIN.standing(word) for word in ("unsubscribed", "bounced", "pending")]
    ),
)
ORDERS = st.fixed_dictionaries(
    {
        "confirmed": st.booleans(),
        "update": st.booleans(),
        "suppress": st.booleans(),
        "start": st.sampled_from([None, START.date() + timedelta(days=3)]),
        "spread": st.sampled_from([timedelta(), timedelta(days=2)]),
    }
)
IMPORTS = st.lists(st.tuples(ORDERS, st.lists(ROWS | GONE, max_size=6)), min_size=1, max_size=3)


def barred(world: World, session: Session) -> set[str]:
    """Who may not be mailed for this course."""
    cohort = cohorts.find(session, "evergreen")
    emails = [*session.scalars(select(Subscriber.email)), *(f"{n}@example.org" for n in BARRED)]
    hashes = {email_hash(email, world.hash_key): email for email in emails if email}
    return {hashes[o.email_hash] for o in suppressions.standing(session, hashes, cohort.course_id)}


def open_ones(session: Session) -> set[str | None]:
    found = select(Subscriber.email).join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
    return set(session.scalars(found.where(Enrollment.state.in_(OPEN_ENROLLMENT))))


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(imports=IMPORTS)
def test_no_import_ever_brings_anyone_back(
    world: World, imports: list[tuple[dict[str, Any], list[Item]]]
) -> None:
    """Whatever somebody's history is, and whatever list comes after it; and what was foreseen is
    what happens."""
    now = world.clock.now()
    with world.database.writing() as session:
        for name in ("complained", "erased"):
            hashes = [email_hash(f"{name}@example.org", world.hash_key)]
            suppressions.add(session, hashes, SuppressionReason(name), "test", now)
        cohort = cohorts.find(session, "evergreen")
        for wishes, items in imports:
            order = Order(cohort.id, **wishes, origin=FILE, hash_key=world.hash_key, sandbox=True)
            before = barred(world, session)
            foreseen = importing.look(session, items, order, now)
            assert foreseen.mails.total() == foreseen.asked + foreseen.confirmed
            foreseen.mails.clear()
            assert importing.take(session, items, order, now) == foreseen
            assert before <= barred(world, session)
            assert not open_ones(session) & barred(world, session)
        session.rollback()


# Who is here already ------------------------------------------------------------------------------


@pytest.mark.parametrize("update", [True, False])
def test_an_update_corrects_what_is_known_and_never_how_they_stand(
    world: World, update: bool
) -> None:
    now, row = world.clock.now(), Person("active@example.org", "New", "Asia/Dubai", time(7))
    waiting = Person("waits@example.org", "New", "Asia/Dubai")
    with world.database.writing() as session:
        before = contents(session)
        cohort = cohorts.find(session, "evergreen")
        order = Order(cohort.id, False, FILE, world.hash_key, sandbox=True, update=update)
        items = [Row(2, row, ("a",)), Row(3, waiting), Row(4, Person("left@example.org", "New"))]
        taken = importing.take(session, items, order, now)
        after = contents(session)
        again = importing.take(session, items, order, now)
    assert (taken.updated, taken.already) == ((2, 0) if update else (0, 2))
    assert (again.updated, again.already) == (0, 2)
    assert after["consents"] == before["consents"]
    assert after["mails"] == before["mails"]
    assert states(after) == states(before)
    active = world.subscriber("active@example.org")
    said = ("New", "Asia/Dubai", time(7)) if update else ("Old", "Asia/Tokyo", None)
    assert (active.name, active.zone, active.hour) == said
    assert world.subscriber("waits@example.org").name == ""  # until they confirm
    assert world.subscriber("left@example.org").name == "Old"
    with world.database.reading() as session:
        assert list(session.scalars(select(Tag.name))) == (["a"] if update else [])


def states(found: dict[str, Counter[Any]]) -> Counter[Any]:
    return Counter((row[0], row[1]) for row in found["enrollments"].elements())


def test_whom_the_old_list_would_not_mail_is_suppressed_and_stopped(world: World) -> None:
    items = [
        Elsewhere(2, f"{name}@example.org", standing)
        for name, word in (("active", "unsubscribed"), ("new", "bounced"), ("waits", "pending"))
        if (standing := formats.PLAIN.standing(word))
    ]
    with world.database.writing() as session:
        cohort = cohorts.find(session, "evergreen")
        order = Order(cohort.id, True, FILE, world.hash_key, sandbox=True, suppress=True)
        taken = importing.take(session, items, order, world.clock.now())
        assert open_ones(session) == {"waits@example.org"}
        row = Row(3, Person("new@example.org"))
        assert importing.take(session, [row], order, world.clock.now()).suppressed.count == 1
    assert (taken.barred, taken.elsewhere.count) == (2, 3)


def test_who_was_imported_is_not_reminded_of_another_first_day(world: World) -> None:
    first = (START + timedelta(days=10)).date()
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        spring = cohorts.create(session, course, "spring", world.clock.now(), starts_on=first)
        order = Order(spring.id, True, FILE, world.hash_key, sandbox=True)
        importing.take(session, [Row(1, Person("kim@example.org"))], order, world.clock.now())
    with world.database.writing() as session:
        spring = cohorts.find(session, "spring")
        curriculum = courses.by_id(session, spring.course_id).curriculum
        terms = {"starts_on": first + timedelta(days=7)}
        edited = arranging.edit(session, spring, terms, curriculum, world.clock.now())
    assert (edited.begin_anew, edited.reminded) == (1, 0)
    number = max(row.id for row in _enrolled(world))
    assert world.rows(number) == []


def _enrolled(world: World) -> list[Enrollment]:
    with world.database.reading() as session:
        return list(session.scalars(select(Enrollment)))
