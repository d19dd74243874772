"""What the command line reads and orders, straight from the services, on both databases."""

from course import (
    cohorts,
    due,
    history,
    holds,
    importing,
    overview,
    sending,
    sources,
    stats,
    subscribers,
)
from course.enrollment import Person
from course.history import Filter
from course.importing import Order
from course.selecting import Selection
from course.sending import Sent
from course.sheets import Row
from course.states import HoldKind
from tests.world import HERE, World


def test_sending_ends_with_nothing_due_and_says_what_left(any_world: World) -> None:
    any_world.join("ada@example.org")
    any_world.sign_up("kim@example.com")
    any_world.sign_up("lou@example.com")
    outcome = sending.send_all(any_world.office)
    assert outcome.sent == [Sent("job-search", "confirmation", 2), Sent("job-search", "welcome", 1)]
    assert (outcome.left.due, outcome.problems) == (0, [])
    assert outcome.next_release
    assert outcome.next_release.lesson == "network"


def test_the_numbers_of_a_course_that_was_lived_through(any_world: World) -> None:
    any_world.join("ada@example.org")
    any_world.leave(any_world.join("kim@example.com"))
    any_world.live_through(12)
    with any_world.database.reading() as session:
        found = stats.overall(session)
    assert [line.sent for line in found.lessons] == [1] * 7
    (cohort,) = found.cohorts
    assert (cohort.signed_up, cohort.confirmed, cohort.active, cohort.completed) == (2, 2, 0, 1)


def test_the_whole_installation_at_a_glance(any_world: World) -> None:
    any_world.join("ada@example.org")
    now, real = any_world.clock.now(), any_world.clock.real()
    with any_world.database.writing() as session:
        holds.place(session, holds.Scope(), HoldKind.MANUAL, why="a test", who="test", now=now)
    any_world.tick()
    found_sources = [sources.read(any_world.settings.home, "job-search")]
    with any_world.database.reading() as session:
        found = overview.overview(session, found_sources, "host", now, real)
    assert (found.due, found.held, found.changes_not_live) == (0, 1, [])
    assert [one.command for one in found.attention] == ["minicourse send release 1"]


def test_a_dry_run_is_what_the_tick_then_sends(any_world: World) -> None:
    any_world.join("ada@example.org")
    any_world.sign_up("kim@example.com")
    with any_world.database.writing() as session:
        mails = due.would_send(session, any_world.clock.now(), any_world.clock.real())
        session.rollback()
    assert [mail.message for mail in mails] == ["confirm-1", "welcome"]
    before = len(any_world.provider.log)
    any_world.tick()
    assert len(any_world.provider.log) - before == len(mails)


def test_a_person_and_their_mails(any_world: World) -> None:
    number = any_world.join("ada@example.org", "Ada", "Asia/Tokyo")
    any_world.live_through(2)
    with any_world.database.reading() as session:
        person = subscribers.profile(session, "Ada@Example.org", any_world.clock.now())
        (line,) = subscribers.listing(session, Selection(states=("active",)), limit=5)
        mails = history.mails(session, Filter(enrollment_id=number, lesson="welcome"))
        story = history.story(session, mails[0].id)
    (enrolled,) = person.enrollments
    assert (enrolled.received, line.received, line.lessons) == (2, 2, 7)
    assert enrolled.next
    assert enrolled.next.local_due_at.isoformat() == "2027-01-18T09:00:00+09:00"
    assert story.request
    assert story.request.status == 202


def test_people_are_imported_and_taken_out_again(any_world: World) -> None:
    now = any_world.clock.now()
    with any_world.database.writing() as session:
        cohort = cohorts.find(session, "evergreen")
        order = Order(cohort.id, True, HERE, any_world.hash_key, sandbox=True)
        rows = [Row(n, Person(f"p{n}@example.org", "P", "Asia/Tokyo")) for n in range(3)]
        taken = importing.take(session, rows, order, now)
        stopped = subscribers.unsubscribe(
            session, "p1@example.org", None, who="test", why=None, now=now
        )
        again = importing.take(session, rows, order, now)
    assert (taken.confirmed, stopped) == (3, ["job-search"])
    assert (again.already, [one.value for one in again.suppressed.first]) == (2, ["p1@example.org"])
