"""What is foretold is what comes: each timeline beside a real run over the same days."""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from course import (
    cohorts,
    courses,
    enrollment,
    planning,
    sources,
    suppressions,
    timeline,
)
from course import load as loads
from course.curriculum import Course as Curriculum
from course.enrollment import Person
from course.models import Cohort, Course, Enrollment, Subscriber
from course.states import CohortState, DeliveryState, SuppressionReason
from course.timeline import Timeline
from tests.world import HERE, World

pytestmark = pytest.mark.e2e  # whole courses are lived through.

BERLIN = ZoneInfo("Europe/Berlin")
# The Friday before summer time begins in Berlin, and the one before it ends.
SPRING = datetime(2027, 3, 26, 17, 30, tzinfo=UTC)
AUTUMN = datetime(2027, 10, 29, 16, 30, tzinfo=UTC)
SKIPPED = 'skip_dates = ["2027-03-30", "2027-03-31"]'


def edit(world: World, file: str, old: str, new: str) -> None:
    """The author changes a file and applies it."""
    source = sources.read(world.settings.home, "job-search")
    assert old in source.files[file]
    path = world.settings.home / "lessons" / "job-search" / file
    path.write_text(source.files[file].replace(old, new))
    with world.database.writing() as session:
        edited = sources.read(world.settings.home, "job-search")
        courses.apply(session, edited, "me", world.clock.now())


def live(world: World) -> Curriculum:
    with world.database.reading() as session:
        return courses.live(session, "job-search").curriculum


def foretold(
    world: World, zone: str | None = None, hour: time | None = None, cohort: Cohort | None = None
) -> Timeline:
    """For somebody who confirms at the world's time."""
    return timeline.of_newcomer(
        live(world), cohort or Cohort(), zone=zone, hour=hour, signed_up_at=world.clock.now()
    )


def plan_of(found: Timeline) -> list[tuple[str, datetime]]:
    return [(one.lesson, one.due_at) for one in found.mails]


def came(world: World, learner: int) -> list[tuple[str, datetime]]:
    return [
        (row.message_key, row.due_at)
        for row in world.rows(learner)
        if row.kind == "lesson" and row.state == DeliveryState.ACCEPTED
    ]


@pytest.mark.parametrize("moment", [SPRING, AUTUMN, datetime(2027, 3, 12, 4, tzinfo=UTC)])
def test_a_newcomer_gets_what_was_foretold(world: World, moment: datetime) -> None:
    world.clock.course = moment
    zones = [None, "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]
    expected = [foretold(world, zone) for zone in zones]
    learners = [world.join(f"{n}@example.org", zone=zone) for n, zone in enumerate(zones)]
    world.live_through(days=14)
    for learner, one in zip(learners, expected, strict=True):
        assert came(world, learner) == plan_of(one)
        assert len(one.mails) == 7


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("course.toml", "skip_dates = []", SKIPPED),
        ("course.toml", 'hour = "09:00"', 'window = "08:00-20:00"'),
        ("course.toml", 'hour = "09:00"', 'hour = "02:30"'),
        ("02-network.md", "after: 1", "after: 30h"),
        ("02-network.md", "after: 1", "after: next sunday\nweekdays: [sun]\nhour: '19:00'"),
        ("course.toml", 'minimum_gap = "18h"', 'minimum_gap = "21h"'),
        ("01-welcome.md", "after: 0", "after: 3"),
    ],
)
def test_whatever_the_course_says_is_in_the_timeline(
    world: World, file: str, old: str, new: str
) -> None:
    world.clock.course = SPRING
    edit(world, file, old, new)
    expected = foretold(world)
    learner = world.join("ada@example.org")
    world.live_through(days=24)
    assert came(world, learner) == plan_of(expected)
    assert expected.mails[-1].lesson == "decision"


def test_a_gap_as_long_as_the_wait_takes_a_day_more(world: World) -> None:
    """It counts from when the mail before had left, which is a little later than it was due."""
    for file in ("03-market.md", "04-practice.md", "05-plan-b.md"):
        edit(world, file, "after: 1", "after: 2")
    for file in ("02-network.md", "06-leverage.md", "07-decision.md"):
        edit(world, file, "after: 1", "after: 3")
    edit(world, "course.toml", 'minimum_gap = "18h"', 'minimum_gap = "48h"')
    expected = foretold(world)
    learner = world.join("ada@example.org")
    world.live_through(days=35)
    assert came(world, learner) == plan_of(expected)
    days = [one.local_due_at.date() for one in expected.mails]
    assert days[2] - days[1] > timedelta(days=2)


def test_everyone_of_a_cohort_with_a_first_day_begins_on_it(world: World) -> None:
    world.clock.course = SPRING
    with world.database.writing() as session:
        course = session.scalars(select(Course)).one()
        first_day = date(2027, 4, 6)
        cohorts.create(session, course, "spring", SPRING, starts_on=first_day, zone="Asia/Tokyo")
    with world.database.writing() as session:
        spring = cohorts.find(session, "spring")
        ids = [
            enrollment.sign_up(
                session, spring, person, HERE, SPRING, hash_key=world.hash_key, sandbox=True
            ).id
            for person in (Person("ada@example.org"), Person("kim@example.org", "", "Europe/Rome"))
        ]
    expected = [foretold(world, zone, cohort=spring) for zone in (None, "Europe/Rome")]
    assert all(world.confirm(number) for number in ids)
    world.live_through(days=30)
    assert [came(world, number) for number in ids] == [plan_of(one) for one in expected]
    assert {one.mails[0].local_due_at.date() for one in expected} == {first_day}
    assert [one.zone for one in expected] == ["Asia/Tokyo", "Europe/Rome"]


def test_an_hour_of_their_own_is_the_hour_of_the_timeline(world: World) -> None:
    expected = foretold(world, hour=time(7, 30))
    learner = world.join("ada@example.org")
    with world.database.writing() as session:
        session.scalars(select(Subscriber)).one().hour = time(7, 30)
    world.live_through(days=14)
    assert came(world, learner) == plan_of(expected)
    assert {f"{one.local_due_at:%H:%M}" for one in expected.mails[1:]} == {"07:30"}


def edit_for_some(world: World) -> None:
    """One lesson is for those who said that they lead, and is not of the first."""
    field = '[fields.role]\ntype = "choice"\nchoices = ["lead", "junior"]\n\n[brand]'
    edit(world, "course.toml", "[brand]", field)
    edit(world, "03-market.md", "after: 1", "after: 1\nwhen: role == 'lead'")


def test_a_lesson_that_is_not_for_everybody_is_left_out(world: World) -> None:
    edit_for_some(world)
    expected = foretold(world)
    learner = world.join("ada@example.org")
    world.live_through(days=14)
    assert came(world, learner) == plan_of(expected)
    assert expected.left_out == ("market",)
    assert len(expected.mails) == 6


def test_what_lies_between_two_lessons_is_noted(world: World) -> None:
    world.clock.course = SPRING
    edit(world, "course.toml", "skip_dates = []", SKIPPED)
    mails = foretold(world).mails
    assert [one.notes for one in mails[:4]] == [
        (),
        (
            "moved from Sat 2027-03-27: weekend",
            "clocks go forward 1h on Sun 2027-03-28",
        ),
        ("moved from Tue 2027-03-30: skip_dates",),
        (),
    ]
    assert [(one.zone, f"{one.local_due_at:%a %H:%M}") for one in mails[:3]] == [
        ("CET", "Fri 18:30"),
        ("CEST", "Mon 09:00"),
        ("CEST", "Thu 09:00"),
    ]
    assert [one.minutes_since for one in mails[:2]] == [0, (2 * 24 + 13) * 60 + 30]


def test_days_that_a_wait_only_passes_over_have_moved_nothing(world: World) -> None:
    world.clock.course = SPRING
    edit(world, "02-network.md", "after: 1", "after: 5")
    edit(world, "course.toml", '"mon", "tue", "wed", "thu", "fri"', '"tue", "wed", "thu", "fri"')
    _, second, *_ = foretold(world).mails
    assert second.notes == ("over weekend, Mon", "clocks go forward 1h on Sun 2027-03-28")


def test_in_autumn_the_clocks_go_back(world: World) -> None:
    world.clock.course = AUTUMN
    _, second, *_ = foretold(world).mails
    assert second.notes[-1] == "clocks go back 1h on Sun 2027-10-31"
    assert second.minutes_since == (2 * 24 + 15) * 60 + 30


# A cohort ---------------------------------------------------------------------------------------


def load(world: World, days: int = 21) -> dict[date, int]:
    with world.database.reading() as session:
        cohort = cohorts.find(session, "evergreen")
        found = loads.of_cohort(session, cohort, world.clock.now(), days)
    assert len(found.days) == days
    assert found.mails == sum(one.mails for one in found.days)
    return {one.day: one.mails for one in found.days if one.mails}


def left(world: World, days: int = 21) -> Counter[date]:
    """What really leaves from now on, by the day in Berlin."""
    since = world.clock.now()
    world.live_through(days)
    return Counter(
        row.settled_at.astimezone(BERLIN).date()
        for row in world.rows()
        if row.kind == "lesson"
        and row.state == DeliveryState.ACCEPTED
        and row.settled_at
        and row.settled_at > since
    )


def people_of_many_places(world: World, *zones: str) -> None:
    """Some further on than others, each in a zone, and one who left."""
    for number, zone in enumerate((None, *(zones or ("America/New_York", "Asia/Kolkata")))):
        world.join(f"p{number}@example.org", zone=zone)
        world.tick()
        world.live_through(days=1.3)
    world.leave(world.join("gone@example.org"))
    world.join("new@example.org")


def test_a_cohorts_load_is_what_leaves_on_each_day(any_world: World) -> None:
    any_world.clock.course = SPRING - timedelta(days=7)
    people_of_many_places(any_world)
    expected = load(any_world)
    assert left(any_world) == expected
    assert sum(expected.values()) > 15


def test_a_cohorts_load_counts_lessons_for_some_for_them_alone(world: World) -> None:
    edit_for_some(world)
    lead, *_ = [world.join(f"p{number}@example.org") for number in range(3)]
    with world.database.writing() as session:
        session.get_one(Enrollment, lead).fields = '{"role":"lead"}'
    expected = load(world)
    assert left(world) == expected
    # Two have their first one already: it left when the next of them joined.
    assert sum(expected.values()) == 7 + 6 + 6 - 2


def test_a_cohorts_load_ends_with_the_last_day(world: World) -> None:
    people_of_many_places(world)
    whole, some = load(world), load(world, days=3)
    assert some == {day: mails for day, mails in whole.items() if day in some}
    assert sum(some.values()) < sum(whole.values())


def test_however_few_are_read_at_a_time_the_load_is_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people_of_many_places(world)
    whole = load(world)
    monkeypatch.setattr(loads, "_CHUNK", 2)
    assert load(world) == whole


def test_who_stand_at_the_same_place_are_decided_once(world: World) -> None:
    for number in range(5):
        world.join(f"p{number}@example.org")
    world.live_through(days=2)
    with world.database.reading() as session:
        cohort = cohorts.find(session, "evergreen")
        (standing,) = loads._places(session, cohort.id, world.clock.now())
    assert list(standing.values()) == [5]


@pytest.mark.parametrize("late", ["shift", "send", "skip"])
@pytest.mark.parametrize("is_planned", [True, False], ids=["planned", "not yet planned"])
def test_what_an_outage_made_late_leaves_as_the_course_says(
    world: World, late: str, is_planned: bool
) -> None:
    edit(world, "course.toml", 'late = "shift"', f'late = "{late}"')
    world.join("ada@example.org")
    world.live_through(days=1.3)
    world.join("new@example.org")
    world.live_through(days=0.2)
    if is_planned:
        world.pass_time(hours=20)
        world.database.run(lambda s: planning.plan(s, world.clock.now()))
    world.pass_time(days=1)
    expected = load(world)
    assert left(world) == expected


def test_behind_a_lost_mail_the_next_waits_as_the_planner_does(world: World) -> None:
    learner = world.join("ada@example.org")
    world.live_through(days=4.4)  # Monday evening; so the lesson of Tuesday will be late
    since = world.clock.now()
    with world.database.writing() as session:
        row = session.merge(world.rows(learner)[-1])
        assert row.message_key == "market"
        row.state, row.unknown_since, row.settled_at = DeliveryState.UNKNOWN, since, None
        session.scalars(select(Enrollment)).one().next_due_at = since
    expected = load(world)
    assert left(world) == expected
    assert min(expected) == date(2027, 1, 20)


def test_nothing_leaves_to_whom_mail_may_not_go_nor_while_a_cohort_rests(world: World) -> None:
    world.join("ada@example.org")
    world.join("kim@example.org")
    world.tick()
    whole = load(world)
    barred = world.subscriber("kim@example.org").email_hash
    with world.database.writing() as session:
        suppressions.add(session, [barred], SuppressionReason.MANUAL, "test", world.clock.now())
    assert sum(load(world).values()) == sum(whole.values()) / 2
    with world.database.writing() as session:
        cohorts.find(session, "evergreen").state = CohortState.PAUSED
    assert load(world) == {}
