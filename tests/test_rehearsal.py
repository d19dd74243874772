"""A rehearsal: the real course for one person, compressed; counted nowhere, and gone without a
trace."""

from dataclasses import astuple
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from course import (
    catalog,
    cohorts,
    courses,
    delivery,
    due,
    enrollment,
    rehearsal,
    sources,
    stats,
    suppressions,
)
from course.db import real_now
from course.enrollment import Person, Scope
from course.errors import RefusedError
from course.models import (
    Audit,
    Cohort,
    Consent,
    Course,
    Delivery,
    Enrollment,
    Event,
    Subscriber,
    Suppression,
)
from course.people import email_hash
from course.rehearsal import Part, Removed
from course.states import SuppressionReason
from course.web.app import create_app
from tests.commands.conftest import hear
from tests.world import World

ME = "me@example.com"
SLUGS = ["welcome", "network", "market", "practice", "plan-b", "leverage", "decision"]


def begin(world: World, email: str = ME, every: int = 30, course: str = "job-search") -> Part:
    with world.database.writing() as session:
        return rehearsal.begin(
            session,
            course,
            Person(email),
            every,
            who="me",
            now=world.clock.course,
            hash_key=world.hash_key,
        )


def go(world: World, email: str = ME, every: int = 30) -> int:
    """Begin, and confirm by the link's own way."""
    number = begin(world, email, every).enrollment_id
    world.tick()
    assert world.confirm(number)
    return number


def play(world: World, seconds: int, step: int = 1) -> None:
    for _ in range(0, seconds, step):
        world.tick()
        world.pass_time(seconds=step)


def clean(world: World) -> Removed | None:
    with world.database.writing() as session:
        return rehearsal.clean(session, "job-search", who="me", now=world.clock.course)


def everything(world: World) -> dict[str, list[object]]:
    """All that stands in the tables about people, but for times of looking and forecasts."""
    kept = (Cohort, Consent, Course, Delivery, Enrollment, Event, Subscriber, Suppression)
    with world.database.reading() as session:
        return {
            model.__tablename__: [
                {c.name: getattr(row, c.key) for c in model.__table__.columns}
                for row in session.scalars(select(model).order_by(model.id))
            ]
            for model in kept
        }


def test_every_lesson_comes_in_order_so_many_seconds_apart(any_world: World) -> None:
    world = any_world
    number = go(world, every=30)
    play(world, 200)
    lessons = [row for row in world.rows(number) if row.kind == "lesson"]
    assert [row.message_key for row in lessons] == SLUGS
    assert {row.state for row in lessons} == {"accepted"}
    times = [row.settled_at for row in lessons]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times) if a and b]
    assert all(30 <= gap <= 32 for gap in gaps)
    assert world.state(number) == "completed"


def test_it_needs_no_published_course_and_is_never_its_front(world: World) -> None:
    (world.settings.home / "lessons/job-search").rename(world.settings.home / "lessons/bread")
    with world.database.writing() as session:
        courses.apply(session, sources.read(world.settings.home, "bread"), "me", world.clock.course)
    part = begin(world, course="bread")
    world.tick()
    assert world.confirm(part.enrollment_id)
    with world.database.writing() as session:
        assert courses.live(session, "bread").state == courses.DRAFT
        assert courses.publish(session, "bread", world.clock.course).name == "evergreen"


def test_begun_again_it_goes_on_and_the_pace_may_change(world: World) -> None:
    number = go(world, every=3600)
    play(world, 3)
    assert [slug for slug, _ in world.lessons(number)] == ["welcome"]
    assert begin(world, every=5) == Part(number, goes_on=True)
    play(world, 5)
    assert [slug for slug, _ in world.lessons(number)] == ["welcome", "network"]
    with world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Cohort)) == 2


def test_once_through_it_stays_so_until_it_is_cleaned(world: World) -> None:
    first = go(world, every=1)
    play(world, 20)
    assert world.state(first) == "completed"
    assert begin(world) == Part(first, goes_on=True)
    clean(world)
    assert not begin(world).goes_on


def test_neither_a_weekend_nor_a_long_silence_moves_a_lesson(world: World) -> None:
    number = go(world, every=10)
    play(world, 2)
    world.pass_time(days=2)  # to a Saturday: the course sends on weekdays only
    asked = count()
    delivery.tick(world.office, lambda: next(asked) > 50)
    assert world.lessons(number)[-1] == ("network", "accepted")


@pytest.mark.parametrize("how", ["takes it", "asked", "left"])
def test_whoever_has_a_place_in_the_course_needs_another_address(world: World, how: str) -> None:
    number = world.sign_up(ME) if how == "asked" else world.join(ME)
    if how == "left":
        world.leave(number)
    with pytest.raises(RefusedError, match=r"--to me\+rehearsal@example\.com"):
        begin(world)
    assert begin(world, "me+rehearsal@example.com")


def test_a_barred_address_is_refused_at_once(world: World) -> None:
    with world.database.writing() as session:
        hashed = email_hash(ME, world.hash_key)
        suppressions.add(session, [hashed], SuppressionReason.BOUNCED, "test", world.clock.course)
    with pytest.raises(RefusedError, match="may not be mailed: bounced"):
        begin(world)


def test_the_public_finds_no_way_into_it(world: World) -> None:
    begin(world)
    with world.database.writing() as session:
        cohort = cohorts.find(session, "job-search/rehearsal")
        assert cohort.state == "closed"
        for refuse in (
            cohorts.require_open,
            lambda c: cohorts.change(session, c, cohorts.Verb.OPEN),
        ):
            with pytest.raises(RefusedError, match="minicourse course rehearse job-search"):
                refuse(cohort)


def test_no_number_counts_it(any_world: World) -> None:
    world = any_world
    ann = world.join("ann@example.com")
    world.tick()
    world.tick()  # planned, now that her welcome has left

    def numbers() -> list[object]:
        with world.database.reading() as session:
            now, real = world.clock.course, real_now(session)
            backlog = due.backlog(session, now, real, with_rehearsals=False)
            return [
                stats.overall(session),
                catalog.listing(session, []),
                astuple(backlog),
                due.next_release(session, now),
                [cohort.name for cohort in cohorts.every(session)],
            ]

    before = numbers()
    number = go(world, every=30)
    play(world, 35)
    begin(world, "you@example.com")  # waits to be sent
    assert len(world.lessons(number)) == 2
    assert numbers() == before
    with world.database.reading() as session:
        every = cohorts.every(session, with_rehearsals=True)
        assert [cohort.name for cohort in every] == ["evergreen", "rehearsal"]
    assert world.state(ann) == "active"


def test_what_is_cleaned_leaves_no_trace(any_world: World) -> None:
    world = any_world
    world.join("ann@example.com", "Ann")
    world.tick()
    world.tick()  # planned, now that her welcome has left
    before = everything(world)
    number = go(world, every=5)
    play(world, 7)
    hear(world, world.rows(number)[-1].id, "delivered")
    world.leave(number)
    assert clean(world) == Removed(people=1, enrollments=1, mails=3, events=1, consents=3)
    assert everything(world) == before
    with world.database.reading() as session:
        assert session.scalars(select(Audit.action)).all() == ["rehearse", "rehearse clean"]
        assert session.scalars(select(Audit.subscriber_id)).all() == [None, None]
    assert clean(world) is None


def test_whoever_is_in_another_course_stays_and_so_does_their_wish(world: World) -> None:
    bread = world.settings.home / "lessons/bread"
    (world.settings.home / "lessons/job-search").rename(bread)
    with world.database.writing() as session:
        courses.apply(session, sources.read(world.settings.home, "bread"), "me", world.clock.course)
        courses.publish(session, "bread", world.clock.course)
        cohort = cohorts.find(session, "bread/evergreen")
        enrollment.sign_up(
            session,
            cohort,
            Person(ME),
            rehearsal.ORIGIN,
            world.clock.course,
            hash_key=world.hash_key,
            sandbox=True,
        )
    number = go(world)
    world.leave(number, Scope.ALL)
    assert clean(world) == Removed(people=0, enrollments=1, mails=1, events=0, consents=3)
    assert world.subscriber(ME)
    with world.database.reading() as session:
        assert session.scalars(select(Suppression.course_id)).all() == [None]


def test_who_came_for_it_alone_and_left_all_may_come_as_a_learner(world: World) -> None:
    number = go(world)
    world.leave(number, Scope.ALL)
    clean(world)
    with world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Suppression)) == 0


def test_a_bounce_is_remembered(world: World) -> None:
    number = go(world)
    world.tick()
    hear(world, world.rows(number)[-1].id, "bounce", reason="550", type="bounce", email=ME)
    clean(world)
    with world.database.reading() as session:
        assert session.scalars(select(Suppression.reason)).all() == ["bounced"]


def test_no_number_is_given_out_again(world: World) -> None:
    world.join("ann@example.com")
    world.tick()
    number = go(world)
    last = world.rows(number)[-1].id
    clean(world)
    other = world.sign_up("ben@example.com")
    assert other > number
    assert world.rows(other)[0].id > last


def test_while_a_mail_leaves_it_is_not_cleaned(world: World) -> None:
    begin(world)
    with world.database.writing() as session:
        row = session.scalars(select(Delivery)).one()
        row.state, row.claim_token = "claimed", "x"
        row.lease_until = world.clock.wall + timedelta(minutes=1)
    with pytest.raises(RefusedError, match="leaving at this moment"):
        clean(world)


def test_the_links_of_an_unpublished_course_work(world: World, tmp_path: Path) -> None:
    with world.database.writing() as session:
        session.execute(update(Course).values(state=courses.DRAFT))
        session.execute(delete(Cohort))
    clock = tmp_path / "clock"
    clock.write_text(world.clock.course.isoformat())
    pages = create_app(world.settings.model_copy(update={"clock_file": clock})).test_client()
    number = begin(world).enrollment_id
    world.tick()
    (person,) = world.provider.requests[-1].personalizations
    (confirm,) = {value for value in (person.substitutions or {}).values() if "/confirm/" in value}
    assert pages.get(confirm).status_code == 200
    assert pages.post(confirm).status_code == 200
    assert world.state(number) == "active"
    world.tick()
    (person,) = world.provider.requests[-1].personalizations
    for name in ("/manage/", "/unsubscribe/"):
        (link,) = {value for value in (person.substitutions or {}).values() if name in value}
        assert pages.get(link).status_code == 200
    assert pages.post(link, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert world.state(number) == "cancelled"
