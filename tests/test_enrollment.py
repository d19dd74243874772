"""Sign-up, confirmation, leaving and coming back."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from course import cohorts, enrollment, planning, suppressions
from course.enrollment import Confirmed, Scope
from course.models import Consent, Enrollment, Suppression
from course.states import SuppressionReason
from tests.world import HERE, World


@pytest.fixture
def world(any_world: World) -> World:
    return any_world


def keys(world: World, enrollment_id: int) -> list[str]:
    return [row.message_key for row in world.rows(enrollment_id)]


def test_a_sign_up_asks_once_to_confirm(world: World) -> None:
    first = world.sign_up("ada@example.org", "Ada", "Asia/Tokyo")
    assert world.sign_up("ada@example.org", "Ada L.", "Asia/Seoul") == first
    assert keys(world, first) == ["confirm-1"]
    assert world.state(first) == "pending"


def test_one_confirmation_a_day_and_three_ever(world: World) -> None:
    asked = world.sign_up("ada@example.org")
    for _ in range(5):
        world.pass_time(hours=25)
        world.sign_up("ada@example.org")
    assert keys(world, asked) == ["confirm-1", "confirm-2", "confirm-3"]


def test_the_form_changes_a_known_person_only_when_they_confirm(world: World) -> None:
    first = world.join("ada@example.org", "Ada", "Asia/Tokyo")
    world.leave(first)
    second = world.sign_up("ada@example.org", "Mallory", "UTC")
    assert world.subscriber("ada@example.org").name == "Ada"
    world.confirm(second)
    person = world.subscriber("ada@example.org")
    assert (person.name, person.zone) == ("Mallory", "UTC")


def test_confirming_starts_the_clock_once(world: World) -> None:
    joined = world.sign_up("ada@example.org")
    world.pass_time(days=3)
    assert world.confirm(joined)
    with world.database.reading() as session:
        row = session.get_one(Enrollment, joined)
    assert row.starts_at == row.confirmed_at == row.next_due_at == world.clock.now()
    world.pass_time(days=1)
    assert not world.confirm(joined)
    with world.database.reading() as session:
        assert session.get_one(Enrollment, joined).starts_at == row.starts_at


def test_confirming_cancels_a_confirmation_that_still_waits(world: World) -> None:
    joined = world.sign_up("ada@example.org")
    assert world.confirm(joined)
    (row,) = world.rows(joined)
    assert (row.state, row.reason) == ("cancelled", "confirmed")
    assert world.tick().counts["accepted"] == 1  # the welcome mail alone


def test_signing_up_again_while_active_leads_to_a_mail_a_day_at_most(world: World) -> None:
    joined = world.join("ada@example.org")
    for _ in range(3):
        world.sign_up("ada@example.org")
    world.pass_time(days=1)
    world.sign_up("ada@example.org")
    assert [key for key in keys(world, joined) if key.startswith("already")] == [
        "already-2027-01-14",
        "already-2027-01-15",
    ]


def test_leaving_cancels_what_waits_and_says_what_was_stopped(world: World) -> None:
    joined = world.join("ada@example.org")
    world.pass_time(days=1)
    assert world.leave(joined) == [joined]
    assert world.leave(joined) == []
    assert world.state(joined) == "cancelled"
    world.live_through(days=5)
    assert [row.state for row in world.rows(joined) if row.kind == "lesson"] == []


def test_a_pending_person_may_refuse(world: World) -> None:
    asked = world.sign_up("ada@example.org")
    assert world.leave(asked) == [asked]
    assert [row.state for row in world.rows(asked)] == ["cancelled"]
    assert not world.confirm(asked)


def test_undo_within_a_week_owes_the_cancelled_lesson_again(world: World) -> None:
    joined = world.join("ada@example.org")
    with world.database.writing() as session:
        planning.plan(session, world.clock.now())
    world.leave(joined)
    assert [row.state for row in world.rows(joined)][-1] == "cancelled"
    with world.database.writing() as session:
        row = session.get_one(Enrollment, joined)
        assert enrollment.undo_unsubscribe(session, row, HERE, world.clock.now())
        assert not enrollment.undo_unsubscribe(session, row, HERE, world.clock.now())
    world.tick()
    assert ("welcome", "accepted") in world.lessons(joined)


def test_undo_is_too_late_after_a_week(world: World) -> None:
    joined = world.join("ada@example.org")
    world.leave(joined)
    world.pass_time(days=8)
    with world.database.writing() as session:
        row = session.get_one(Enrollment, joined)
        assert not enrollment.undo_unsubscribe(session, row, HERE, world.clock.now())


@pytest.mark.parametrize("scope", [Scope.COURSE, Scope.ALL])
def test_coming_back_is_a_fresh_opt_in_that_lifts_the_persons_own_wish(
    world: World, scope: Scope
) -> None:
    first = world.join("ada@example.org")
    world.leave(first, scope)
    second = world.sign_up("ada@example.org")
    assert second != first
    assert world.tick().counts["accepted"] == 1  # the confirmation reaches them
    assert world.confirm(second)
    with world.database.reading() as session:
        assert session.scalars(select(Suppression)).all() == []
    assert world.tick().counts["accepted"] == 1


@pytest.mark.parametrize("reason", [SuppressionReason.BOUNCED, SuppressionReason.COMPLAINED])
def test_no_sign_up_lifts_a_bounce_or_a_complaint(world: World, reason: SuppressionReason) -> None:
    joined = world.join("ada@example.org")
    person = world.subscriber("ada@example.org")
    with world.database.writing() as session:
        hashes = [person.email_hash]
        suppressions.add(session, hashes, reason, "event", world.clock.now())
        enrollment.withdraw_addresses(session, hashes, reason, world.clock.now())
    assert world.state(joined) == "cancelled"
    again = world.sign_up("ada@example.org")
    world.tick()
    (row,) = world.rows(again)
    assert (row.state, row.reason) == ("cancelled", "suppressed")


def test_consent_is_recorded_with_every_act(world: World) -> None:
    joined = world.join("ada@example.org")
    world.leave(joined)
    with world.database.reading() as session:
        acts = session.scalars(select(Consent.act).where(Consent.enrollment_id == joined))
        assert list(acts) == ["asked", "confirmed", "withdrawn"]


def test_a_confirmation_link_stands_for_a_week(world: World) -> None:
    asked = world.sign_up("ada@example.org")
    made = world.clock.now()

    def stands() -> Confirmed:
        with world.database.reading() as session:
            row = session.get_one(Enrollment, asked)
            return enrollment.confirmation_stands(row, made, world.clock.now())

    assert stands() is Confirmed.NOW
    world.pass_time(days=7, seconds=1)
    assert stands() is Confirmed.EXPIRED
    world.confirm(asked)
    assert stands() is Confirmed.BEFORE
    world.leave(asked)
    assert stands() is Confirmed.OVER


def test_a_fixed_cohort_starts_on_its_date_in_the_persons_zone(world: World) -> None:
    start = world.clock.now().date() + timedelta(days=4)  # a Monday
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        cohort = cohorts.create(session, course, "spring", world.clock.now(), starts_on=start)
        joined = enrollment.sign_up(
            session,
            cohort,
            enrollment.Person("kei@example.org", zone="Asia/Tokyo"),
            HERE,
            world.clock.now(),
            hash_key=world.hash_key,
            sandbox=True,
        ).id
    world.confirm(joined)
    world.live_through(days=6)
    welcome = next(row for row in world.rows(joined) if row.message_key == "welcome")
    assert welcome.due_at.isoformat() == "2027-01-18T00:00:00+00:00"  # 09:00 in Tokyo
