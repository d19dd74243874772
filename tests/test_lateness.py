"""Late lessons: never a burst, never at night, always in order."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from course import courses, holds, lateness, ledger, sources
from course.models import Cohort
from course.states import HoldKind, MessageKind
from course.timing import DAY, Late, Release, Rhythm, release, to_utc
from tests.world import World

BERLIN = ZoneInfo("Europe/Berlin")
PACE = Rhythm(zone=BERLIN, weekdays=frozenset(range(5)), at=time(9))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


DUE = at("2027-01-14 09:00")  # a Thursday


@pytest.mark.parametrize(
    ("now", "late", "was_shifted", "expected"),
    [
        # in time, also some hours later: as planned
        ("2027-01-14 09:00", Late.SHIFT, False, Release(DUE, DUE)),
        ("2027-01-14 14:59", Late.SKIP, False, Release(DUE, DUE)),
        # shift: the next allowed day and hour, from which the rest counts
        ("2027-01-14 15:30", Late.SHIFT, False, "2027-01-15 09:00"),
        ("2027-01-15 08:00", Late.SHIFT, False, "2027-01-15 09:00"),
        ("2027-01-15 09:30", Late.SHIFT, False, "2027-01-18 09:00"),
        # late again: as with send
        ("2027-01-15 09:30", Late.SHIFT, True, Release(DUE, at("2027-01-15 09:30"), True)),
        # send: within the allowed hours of an allowed day, the plan kept
        ("2027-01-14 19:59", Late.SEND, False, Release(DUE, at("2027-01-14 19:59"))),
        ("2027-01-14 20:00", Late.SEND, False, Release(DUE, at("2027-01-15 09:00"))),
        ("2027-01-15 03:00", Late.SEND, False, Release(DUE, at("2027-01-15 09:00"))),
        ("2027-01-16 12:00", Late.SEND, False, Release(DUE, at("2027-01-18 09:00"))),
        # skip
        ("2027-01-14 15:01", Late.SKIP, False, None),
    ],
)
def test_what_becomes_of_a_late_lesson(
    now: str, late: Late, was_shifted: bool, expected: Release | str | None
) -> None:
    if isinstance(expected, str):
        expected = Release(at(expected), at(expected), is_shifted=True)
    assert release(DUE, at(now), PACE, late, was_shifted=was_shifted) == expected


def test_a_course_in_the_evening_keeps_an_hour_for_its_late_mails() -> None:
    pace = Rhythm(zone=BERLIN, weekdays=frozenset(range(7)), at=time(21))
    due = at("2027-01-14 21:00")
    assert release(due, at("2027-01-15 21:30"), pace, Late.SEND) == Release(
        due, at("2027-01-15 21:30")
    )


@pytest.mark.parametrize(
    ("hour", "now", "late", "expected"),
    [
        # an hour late, whatever the hour is
        (time(22), "2027-01-14 23:00", Late.SHIFT, "2027-01-14 22:00"),
        (time(22), "2027-01-15 03:00", Late.SHIFT, "2027-01-15 22:00"),
        (time(22), "2027-01-15 03:00", Late.SKIP, None),
        (time(16), "2027-01-14 19:59", Late.SHIFT, "2027-01-14 16:00"),
        (time(16), "2027-01-14 20:00", Late.SHIFT, "2027-01-15 16:00"),
    ],
)
def test_after_some_hours_only_what_would_come_at_night_is_late(
    hour: time, now: str, late: Late, expected: str | None
) -> None:
    pace = Rhythm(zone=BERLIN, weekdays=frozenset(range(5)), at=hour)
    found = release(to_utc(DUE.date(), hour, BERLIN), at(now), pace, late)
    assert (found and found.send_at) == (expected and at(expected))


outages = st.lists(st.timedeltas(timedelta(), timedelta(days=2)), min_size=1, max_size=6)


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    day=st.dates(DUE.date(), DUE.date() + 400 * DAY),
    hour=st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    window=st.timedeltas(timedelta(minutes=1), timedelta(hours=9)) | st.none(),
    late=st.sampled_from([Late.SHIFT, Late.SEND]),
    pauses=outages,
)
def test_whatever_the_outage_nothing_leaves_at_night(
    zone: str,
    day: date,
    hour: time,
    window: timedelta | None,
    late: Late,
    pauses: list[timedelta],
) -> None:
    until = (datetime.combine(day, hour) + window).time() if window else None
    if until is not None and until <= hour:
        until = None
    pace = Rhythm(ZoneInfo(zone), frozenset(range(7)), hour, until=until)
    planned = to_utc(day, hour, pace.zone)
    row = Release(planned, planned)
    for pause in pauses:
        now = row.send_at + pause
        found = release(row.send_at, now, pace, late, was_shifted=row.is_shifted)
        assert found is not None
        row = found
        if row.send_at <= now:  # it leaves
            assert _is_by_day(now, pace, LEEWAY)
            return
        assert _is_by_day(row.send_at, pace)


LEEWAY = timedelta(hours=1)


def _is_by_day(moment: datetime, pace: Rhythm, leeway: timedelta = timedelta()) -> bool:
    """Between the hour and the evening, or the end of the window, of that day or the one before."""
    day = moment.astimezone(pace.zone).date()
    for one in (day, day - DAY):
        opens = to_utc(one, pace.at, pace.zone)
        closes = to_utc(one, pace.until or time(20), pace.zone)
        if pace.until is None:
            closes = max(closes, opens + LEEWAY)
        if opens <= moment <= closes + leeway:
            return True
    return False


@pytest.fixture
def world(any_world: World) -> World:
    return any_world


def policy(world: World, late: str) -> None:
    file = world.settings.home / "lessons" / "job-search" / "course.toml"
    file.write_text(file.read_text().replace('late = "shift"', f'late = "{late}"'))
    with world.database.writing() as session:
        source = sources.read(world.settings.home, "job-search")
        courses.apply(session, source, "test", world.clock.now())


def sendings(world: World, enrollment_id: int) -> dict[str, datetime]:
    return {
        row.message_key: row.settled_at.astimezone(BERLIN)
        for row in world.rows(enrollment_id)
        if row.kind == "lesson" and row.state == "accepted" and row.settled_at
    }


@pytest.mark.parametrize("late", ["shift", "send"])
def test_after_an_outage_of_five_days_lessons_come_one_a_day_by_day(
    world: World, late: str
) -> None:
    policy(world, late)
    joined = world.join("ada@example.org")
    world.live_through(days=1)  # welcome on Thursday, the first lesson on Friday
    world.pass_time(days=5, hours=14)  # nothing runs until Thursday, 02:00
    world.live_through(days=14)
    sent = sendings(world, joined)
    assert list(sent) == ["welcome", "network", "market", "practice", "plan-b"] + [
        "leverage",
        "decision",
    ]
    later = list(sent.values())[1:]
    assert all(9 <= moment.hour < 20 and moment.weekday() < 5 for moment in later)
    gaps = [second - first for first, second in pairwise(later)]
    assert min(gaps) >= timedelta(hours=18)


def test_skipped_lessons_are_rows_with_their_reason(world: World) -> None:
    policy(world, "skip")
    joined = world.join("ada@example.org")
    world.live_through(days=1)
    world.pass_time(days=5, hours=14)
    world.live_through(days=14)
    skipped = [row.message_key for row in world.rows(joined) if row.reason == "late"]
    assert skipped
    assert {*sendings(world, joined), *skipped} >= {"market", "decision"}
    assert world.state(joined) == "completed"


def test_what_a_hold_kept_for_days_does_not_burst_at_night(world: World) -> None:
    joined = world.join("ada@example.org")
    world.tick()
    with world.database.writing() as session:
        hold = holds.place(
            session, holds.Scope(), HoldKind.MANUAL, why="x", who="me", now=world.clock.now()
        )
    world.live_through(days=4)
    world.clock.course = at("2027-01-20 03:00")  # a Wednesday night
    with world.database.writing() as session:
        holds.release(session, [hold.id], "me", world.clock.now())
    world.tick()
    assert list(sendings(world, joined)) == ["welcome"]
    world.live_through(days=3)
    sent = sendings(world, joined)
    assert sent["network"].strftime("%a %H") == "Wed 09"
    assert sent["market"].strftime("%a %H") == "Thu 09"


def test_a_short_outage_lets_nothing_leave_at_night(world: World) -> None:
    joined = world.join("ada@example.org")
    with world.database.writing() as session:
        session.execute(update(Cohort).values(hour=time(22)))
    world.live_through(days=1)  # the next one is due at ten in the evening
    world.clock.course = at("2027-01-16 03:00")
    world.tick()
    assert list(sendings(world, joined)) == ["welcome"]
    world.live_through(days=3)
    assert sendings(world, joined)["network"].strftime("%a %H:%M") == "Mon 22:01"


ZONES = ("Europe/Berlin", "Asia/Kathmandu", "America/New_York")


def test_a_row_that_waits_is_late_where_it_is_night(world: World) -> None:
    """Each clock is asked, however few are looked at in one step."""
    people = [world.join(f"p{number}@example.org", zone=zone) for number, zone in enumerate(ZONES)]
    world.live_through(days=0.1)
    with world.database.writing() as session:
        waits = [
            ledger.Planned(number, 1, MessageKind.NOTE, "note:x", at("2027-01-18 18:30"), 2)
            for number in people
        ]
        ledger.plan(session, waits, world.clock.now())
    now = at("2027-01-18 20:30")
    with world.database.writing() as session:
        assert lateness.is_any(session, now, world.clock.real())
        reached, steps = lateness.replan(session, now, world.clock.real(), 1), 1
        while reached:
            reached = lateness.replan(session, now, world.clock.real(), 1, beyond=reached)
            steps += 1
        # What still waits may leave: there it is day.
        assert not lateness.is_any(session, now, world.clock.real())
    assert steps == len(people) + 1
    send_at = [row.send_at for one in people for row in world.rows(one) if row.kind == "note"]
    assert send_at == [
        at("2027-01-19 09:00"),
        to_utc(date(2027, 1, 19), time(9), ZoneInfo("Asia/Kathmandu")),
        at("2027-01-18 18:30"),  # afternoon in New York
    ]


def test_pausing_a_cohort_loses_nobody_and_resuming_makes_no_burst(world: World) -> None:
    people = [world.join(f"p{number}@example.org") for number in range(5)]
    world.live_through(days=1)

    def set_cohort(state: str) -> None:
        with world.database.writing() as session:
            session.execute(update(Cohort).values(state=state))
            if state == "open":
                from course import ledger

                ledger.look_again(session, people, world.clock.now())

    set_cohort("paused")
    world.live_through(days=6)
    set_cohort("open")
    world.live_through(days=16)
    for joined in people:
        days = [moment.date() for moment in sendings(world, joined).values()]
        assert len(days) == 7
        assert len(set(days)) == 7
