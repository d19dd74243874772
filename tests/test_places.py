"""Places in a cohort: its capacity, its last day, its latecomers, and what its people are told."""

from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, update

from course import arranging, cohorts, courses, enrollment, places, steering
from course.errors import InvalidInputError, RefusedError
from course.mailer import payload
from course.models import Cohort, Enrollment, Subscriber
from course.places import Shut
from course.repeating import Rewind
from tests.world import HERE, World

MONDAY = date(2027, 1, 18)  # four days after the world's first moment, a Thursday


def make(world: World, name: str = "spring", **terms: Any) -> None:
    with world.database.writing() as session:
        course = cohorts.find(session, "evergreen").course
        terms.setdefault("starts_on", MONDAY)
        cohorts.create(session, course, name, world.clock.now(), **terms)


def ask(world: World, email: str, cohort: str = "spring", zone: str | None = None) -> int:
    with world.database.writing() as session:
        return enrollment.sign_up(
            session,
            cohorts.find(session, cohort),
            enrollment.Person(email, zone=zone),
            HERE,
            world.clock.now(),
            hash_key=world.hash_key,
            sandbox=True,
        ).id


def join(world: World, email: str, cohort: str = "spring", zone: str | None = None) -> int:
    number = ask(world, email, cohort, zone)
    assert world.confirm(number)
    return number


def with_curriculum(world: World, ask: Callable[..., Any], cohort: str = "spring") -> Any:
    with world.database.writing() as session:
        found = cohorts.find(session, cohort)
        return ask(session, found, courses.by_id(session, found.course_id).curriculum)


def look(world: World, cohort: str = "spring") -> tuple[Shut | None, int | None]:
    found = with_curriculum(
        world, lambda s, c, course: places.look(s, c, course, world.clock.now()), cohort
    )
    return found.shut, found.left


def cohort_of(world: World, number: int) -> str:
    with world.database.reading() as session:
        return session.get_one(Enrollment, number).cohort.name


def edit(world: World, cohort: str = "spring", **words: str) -> arranging.Edited:
    def work(session: Any, found: Cohort, curriculum: Any) -> arranging.Edited:
        return arranging.edit(session, found, arranging.read(words), curriculum, world.clock.now())

    edited: arranging.Edited = with_curriculum(world, work, cohort)
    return edited


def kinds(world: World, number: int) -> list[tuple[str, str]]:
    return [
        (row.message_key, row.state)
        for row in world.rows(number)
        if row.kind in ("joined", "reminder") and not row.superseded
    ]


# Who may sign up --------------------------------------------------------------------------------


def test_who_was_asked_holds_a_place_while_the_mail_works(world: World) -> None:
    make(world, capacity=2)
    join(world, "ada@example.org")
    assert look(world) == (None, 1)
    ask(world, "kim@example.org")
    assert look(world) == (Shut.FULL, 0)
    world.pass_time(days=7, seconds=1)
    assert look(world) == (None, 1)


def test_who_left_leaves_a_place(world: World) -> None:
    make(world, capacity=1)
    world.leave(join(world, "ada@example.org"))
    assert look(world) == (None, 1)


@pytest.mark.parametrize(
    ("zone", "at", "shut"),
    [
        ("Europe/Berlin", datetime(2027, 1, 16, 22, 59, tzinfo=UTC), None),
        ("Europe/Berlin", datetime(2027, 1, 16, 23, 0, tzinfo=UTC), Shut.OVER),
        ("America/New_York", datetime(2027, 1, 17, 4, 59, tzinfo=UTC), None),
    ],
)
def test_the_last_day_ends_by_itself_on_the_cohorts_clock(
    world: World, zone: str, at: datetime, shut: Shut | None
) -> None:
    make(world, zone=zone, closes_on=date(2027, 1, 16))
    world.clock.course = at
    assert look(world)[0] is shut


@pytest.mark.parametrize(
    ("rule", "shut"), [("join", None), ("catch-up", None), ("next", Shut.BEGUN)]
)
def test_after_the_start_the_rule_decides(world: World, rule: str, shut: Shut | None) -> None:
    make(world, latecomers=rule)
    world.clock.course = datetime(2027, 1, 18, 7, 59, tzinfo=UTC)
    assert look(world)[0] is None
    world.clock.course = datetime(2027, 1, 18, 8, 0, tzinfo=UTC)
    assert look(world)[0] is shut


# Confirming -------------------------------------------------------------------------------------


def test_two_who_confirm_at_once_get_one_place(any_world: World) -> None:
    world = any_world
    make(world, capacity=1)
    people = [ask(world, f"p{number}@example.org") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        confirmed = list(pool.map(world.confirm, people))
    assert sorted(confirmed) == [False, False, False, True]
    assert sorted(map(world.state, people)) == ["active", "pending", "pending", "pending"]


def test_who_finds_it_full_goes_to_the_next_group_that_has_room(world: World) -> None:
    make(world, capacity=1)
    make(world, "full", starts_on=MONDAY + timedelta(days=7), capacity=1)
    make(world, "summer", starts_on=MONDAY + timedelta(days=14), capacity=1)
    make(world, "shut", starts_on=MONDAY + timedelta(days=10), closes_on=date(2027, 1, 13))
    people = [ask(world, f"p{number}@example.org") for number in range(3)]
    join(world, "other@example.org", "full")
    assert [world.confirm(number) for number in people] == [True, True, False]
    assert [cohort_of(world, number) for number in people] == ["spring", "summer", "spring"]


def test_a_place_that_became_free_is_there_for_the_same_link(world: World) -> None:
    make(world, capacity=1)
    first, second = ask(world, "a@example.org"), ask(world, "b@example.org")
    world.confirm(first)
    assert not world.confirm(second)
    world.leave(first)
    assert world.confirm(second)


def test_an_old_sign_up_takes_no_place_from_a_fresh_one(world: World) -> None:
    make(world, capacity=1, starts_on=MONDAY + timedelta(days=14))
    old = ask(world, "old@example.org")
    world.pass_time(days=8)
    fresh = ask(world, "fresh@example.org")
    assert not world.confirm(old)
    assert world.confirm(fresh)


def test_who_comes_after_the_start_goes_to_the_next_group(world: World) -> None:
    make(world, latecomers="next")
    late, later = ask(world, "late@example.org"), ask(world, "later@example.org")
    world.clock.course = datetime(2027, 1, 18, 12, 0, tzinfo=UTC)
    assert not world.confirm(late)
    make(world, "summer", starts_on=date(2027, 1, 25))
    assert world.confirm(late)
    assert world.confirm(later)
    assert cohort_of(world, late) == "summer"
    world.live_through(days=14)
    assert min(row.due_at for row in world.rows(late) if row.kind == "lesson") == datetime(
        2027, 1, 25, 8, 0, tzinfo=UTC
    )


# Latecomers -------------------------------------------------------------------------------------


def every_third_day(world: World) -> None:
    """The same course with room between its lessons."""
    from course import sources

    folder = world.settings.home / "lessons" / "job-search"
    for file in sorted(folder.glob("[0-9]*.md"))[1:]:
        text = file.read_text()
        head, mark, rest = text.partition("\nafter:")
        tail = rest.partition("\n")[2]
        file.write_text(
            f"{head}\nafter: 3\n{tail}" if mark else text.replace("---\n", "---\nafter: 3\n", 1)
        )
    with world.database.writing() as session:
        courses.apply(
            session, sources.read(world.settings.home, "job-search"), "t", world.clock.now()
        )


def sendings(world: World, number: int) -> list[tuple[str, datetime]]:
    return [
        (row.message_key, row.settled_at)
        for row in world.rows(number)
        if row.kind == "lesson" and row.state == "accepted" and row.settled_at
    ]


def test_who_catches_up_gets_what_was_missed_one_by_one_and_is_then_in_step(world: World) -> None:
    every_third_day(world)
    make(world, latecomers="catch-up")
    early = join(world, "early@example.org")
    world.live_through(days=8)  # lessons of Monday and Thursday
    late = join(world, "late@example.org")
    world.live_through(days=30)
    theirs, ours = dict(sendings(world, late)), dict(sendings(world, early))
    order = sorted(theirs.values())
    gaps = [after - before for before, after in pairwise(order)]
    assert list(theirs) == list(ours)
    assert min(gaps) >= timedelta(hours=18)
    assert all(8 <= moment.hour < 19 for moment in order)  # 09:00 to 20:00 in Berlin
    in_step = [slug for slug in theirs if abs(theirs[slug] - ours[slug]) < timedelta(hours=1)]
    assert in_step == list(ours)[3:]


def test_a_timeline_foretells_how_a_latecomer_catches_up(world: World) -> None:
    from course import timeline

    every_third_day(world)
    make(world, latecomers="catch-up")
    world.clock.course = datetime(2027, 1, 22, 11, 0, tzinfo=UTC)
    foretold = with_curriculum(
        world,
        lambda _, cohort, course: timeline.of_newcomer(
            course, cohort, zone=None, hour=None, signed_up_at=world.clock.now()
        ),
    )
    late = join(world, "late@example.org")
    world.tick()
    world.live_through(days=30)
    came = sendings(world, late)
    assert [mail.lesson for mail in foretold.mails] == [slug for slug, _ in came]
    for mail, (_, moment) in zip(foretold.mails, came, strict=True):
        assert abs(mail.due_at - moment) < timedelta(minutes=5)


# What they are told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "is_over", "button"),
    [
        ("join", False, "keep my place"),
        ("join", True, "start the course"),
        ("catch-up", True, "start the course"),
        ("next", True, "keep my place"),  # in the group behind it
    ],
)
def test_who_is_asked_to_confirm_reads_what_they_confirm(
    world: World, rule: str, is_over: bool, button: str
) -> None:
    make(world, latecomers=rule)
    ask(world, "ada@example.org")
    ask(world, "kim@example.org", "evergreen")
    if is_over:
        world.clock.course = datetime(2027, 1, 18, 9, 0, tzinfo=UTC)
    world.tick()
    (ada,), (kim,) = (world.provider.mails_to(f"{name}@example.org") for name in ("ada", "kim"))
    assert f"Confirm and {button}" in ada.text
    assert "Confirm and start the course" in kim.text
    assert (ada is kim) is (button == "start the course")  # who reads the same shares a request


def test_who_confirms_is_told_and_reminded_on_their_own_clock(world: World) -> None:
    make(world)
    tokyo = join(world, "kei@example.org", zone="Asia/Tokyo")
    rome = join(world, "ada@example.org", zone="Europe/Rome")
    berlin = join(world, "kim@example.org")
    world.tick()
    assert kinds(world, tokyo) == [("joined", "accepted"), ("reminder", "pending")]
    told = [one for one in world.provider.requests if one.attachments]
    # The same hour on the wall, and so the same file: all three share a request.
    (one,) = told
    assert len(one.personalizations) == 3
    (file,) = payload(one)["attachments"]
    assert (file["type"], file["filename"]) == ("text/calendar", "job-search.ics")
    assert file["disposition"] == "attachment"
    assert "DTSTART:20270118T090000\r\n" in b64decode(file["content"]).decode()
    shown = {
        person.to: set((person.substitutions or {}).values()) for person in one.personalizations
    }
    assert all("Monday, 18 January, 09:00" in values for values in shown.values())
    assert "Asia/Tokyo" in shown["kei@example.org"]
    world.live_through(days=3.5)
    reminded = {
        number: next(row.settled_at for row in world.rows(number) if row.kind == "reminder")
        for number in (tokyo, rome, berlin)
    }
    assert [f"{reminded[number]:%d %H}" for number in (tokyo, rome, berlin)] == [
        "17 00",  # 09:00 in Tokyo
        "17 08",
        "17 08",
    ]


def test_another_hour_of_lessons_is_another_file(world: World) -> None:
    make(world)
    join(world, "ada@example.org")
    with world.database.writing() as session:
        number = ask_with_hour(world, session)
    assert world.confirm(number)
    world.tick()
    files = [one.attachments[0].text for one in world.provider.requests if one.attachments]
    assert sorted(line for text in files for line in text.split("\r\n") if "DTSTART" in line) == [
        "DTSTART:20270118T090000",
        "DTSTART:20270118T173000",
    ]


def ask_with_hour(world: World, session: Any) -> int:
    from datetime import time

    return enrollment.sign_up(
        session,
        cohorts.find(session, "spring"),
        enrollment.Person("late@example.org", hour=time(17, 30)),
        HERE,
        world.clock.now(),
        hash_key=world.hash_key,
        sandbox=True,
    ).id


def test_on_the_last_day_nobody_is_reminded(world: World) -> None:
    make(world)
    world.clock.course = datetime(2027, 1, 17, 6, 0, tzinfo=UTC)
    assert kinds(world, join(world, "ada@example.org")) == [("joined", "pending")]


def test_who_comes_after_the_start_is_not_told_that_it_will_come(world: World) -> None:
    make(world)
    world.clock.course = datetime(2027, 1, 18, 12, 0, tzinfo=UTC)
    assert kinds(world, join(world, "ada@example.org")) == []


def test_a_reminder_that_waited_too_long_never_leaves(world: World) -> None:
    make(world)
    number = join(world, "ada@example.org")
    world.tick()
    with world.database.writing() as session:
        row = session.get_one(Enrollment, number)
        row.state, row.next_due_at = "paused", None
    world.pass_time(days=5)
    with world.database.writing() as session:
        row = session.get_one(Enrollment, number)
        row.state, row.next_due_at = "active", world.clock.now()
    world.tick()
    assert kinds(world, number) == [("joined", "accepted"), ("reminder", "cancelled")]


def test_leaving_takes_the_reminder_along(world: World) -> None:
    make(world)
    number = join(world, "ada@example.org")
    world.tick()
    world.leave(number)
    assert kinds(world, number)[-1] == ("reminder", "cancelled")


# Changes ----------------------------------------------------------------------------------------


def test_a_moved_start_moves_the_clock_and_the_reminder_of_who_waits(any_world: World) -> None:
    world = any_world
    make(world)
    numbers = [join(world, "ada@example.org"), join(world, "kei@example.org", zone="Asia/Tokyo")]
    world.tick()
    edited = edit(world, start="2027-01-25")
    assert (edited.begin_anew, edited.reminded, edited.touched) == (2, 2, 2)
    world.live_through(days=16)
    for number, first in zip(numbers, (8, 0), strict=True):
        rows = [row for row in world.rows(number) if not row.superseded]
        reminder = next(row for row in rows if row.kind == "reminder")
        lesson = next(row for row in rows if row.kind == "lesson")
        assert (reminder.state, reminder.due_at.day, reminder.due_at.hour) == (
            "accepted",
            24,
            first,
        )
        assert (lesson.state, lesson.due_at.day, lesson.due_at.hour) == ("accepted", 25, first)
        assert sum(row.kind == "reminder" and row.state == "accepted" for row in rows) == 1


def test_a_first_day_that_has_come_stays(world: World) -> None:
    make(world)
    join(world, "ada@example.org")
    world.clock.course = datetime(2027, 1, 18, 9, 0, tzinfo=UTC)
    with pytest.raises(RefusedError, match="has begun.*cohort clone job-search/spring"):
        edit(world, start="2027-02-01")
    with pytest.raises(RefusedError, match="has begun"):
        edit(world, "spring", start="")


def test_a_first_day_is_not_taken_from_people_who_wait_for_it(world: World) -> None:
    make(world)
    join(world, "ada@example.org")
    with pytest.raises(RefusedError, match="people who wait"):
        edit(world, start="")


def test_another_hour_reaches_those_who_chose_none(world: World) -> None:
    make(world)
    number = join(world, "ada@example.org")
    assert edit(world, hour="18:00", days="tue,thu").retimed == 1
    assert edit(world, hour="18:00").terms == ()
    world.live_through(days=8)
    assert [row.due_at.isoformat() for row in world.rows(number) if row.kind == "lesson"] == [
        "2027-01-19T17:00:00+00:00",
        "2027-01-21T17:00:00+00:00",
    ]


@pytest.mark.parametrize(
    ("words", "expected", "moved"),
    [
        # Theirs is no clock of their own; ada has chosen an hour, kei a zone.
        ({"hour": "18:00"}, ("18 17:00", "18 10:00", "18 09:00"), 2),
        ({"hour": "07:00"}, ("19 06:00", "18 10:00", "18 22:00"), 2),  # it is past seven
        ({"zone": "America/New_York"}, ("18 14:00", "18 16:00", "19 00:00"), 2),
        ({"days": "wed"}, ("20 08:00", "20 10:00", "20 00:00"), 3),
        ({"capacity": "9"}, ("18 08:00", "18 10:00", "19 00:00"), 0),
    ],
)
def test_what_waits_for_its_hour_waits_for_the_new_one(
    any_world: World, words: dict[str, str], expected: tuple[str, ...], moved: int
) -> None:
    world = any_world
    people = [world.join(f"{name}@example.org") for name in ("kim", "ada", "kei")]
    with world.database.writing() as session:
        for name, values in {"ada": {"hour": time(11)}, "kei": {"zone": "Asia/Tokyo"}}.items():
            who = Subscriber.email == f"{name}@example.org"
            session.execute(update(Subscriber).where(who).values(**values))
    world.live_through(0.5)
    world.clock.course = datetime(2027, 1, 18, 6, 30, tzinfo=UTC)
    world.tick()  # their second mail is three days late: it waits for its hour
    assert edit(world, "evergreen", **words).moved == moved
    waiting = [world.rows(number)[-1] for number in people]
    assert [row.message_key for row in waiting] == ["network"] * 3
    assert [f"{row.send_at:%d %H:%M}" for row in waiting] == list(expected)
    assert [row.due_at for row in waiting] == [row.send_at for row in waiting]
    world.live_through(3)
    assert all(dict(sendings(world, number)).get("network") for number in people)


def test_a_new_hour_keeps_the_gap(world: World) -> None:
    number = world.join("kim@example.org")
    world.live_through(4.5)  # Monday: market left at nine
    with world.database.writing() as session:
        again = Rewind("market")
        steering.give(session, again, [number], who="robin", now=world.clock.course)
    assert edit(world, "evergreen", hour="01:00").moved == 1
    assert world.rows(number)[-1].send_at == datetime(2027, 1, 20, 0, tzinfo=UTC)


def test_a_smaller_capacity_takes_nobody_out(world: World) -> None:
    make(world, capacity=3)
    people = [join(world, f"p{number}@example.org") for number in range(2)]
    assert edit(world, capacity="1").touched == 0
    assert look(world) == (Shut.FULL, 0)
    assert {world.state(number) for number in people} == {"active"}
    edit(world, capacity="")
    assert look(world) == (None, None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"hour": "25:00"}, "--hour '25:00' is not an hour"),
        ({"days": "mon,fry"}, "--days 'fry' is no weekday"),
        ({"capacity": "0"}, "--capacity '0' is no number"),
        ({"closes": "friday"}, "--closes 'friday' is no day"),
        ({"latecomers": "wait"}, "--latecomers 'wait' is not one of join, catch-up, next"),
        ({"zone": "Mars/North"}, "--zone 'Mars/North' is no time zone"),
    ],
)
def test_what_cannot_be_read_is_named(words: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        arranging.read(words)


def test_a_rule_for_latecomers_needs_a_first_day(world: World) -> None:
    with pytest.raises(InvalidInputError, match="needs a first day"):
        edit(world, "evergreen", latecomers="next")


def test_a_clone_takes_over_everything_but_the_day(world: World) -> None:
    make(world, capacity=3, closes_on=MONDAY - timedelta(days=2), latecomers="catch-up")
    with world.database.writing() as session:
        spring = cohorts.find(session, "spring")
        made = arranging.clone(session, spring, "autumn", date(2027, 9, 6), world.clock.now())
        assert (made.capacity, made.latecomers, made.is_front) == (3, "catch-up", False)
        assert made.closes_on == date(2027, 9, 4)
        with pytest.raises(InvalidInputError, match="--start DATE"):
            arranging.clone(session, spring, "winter", None, world.clock.now())
        assert len(session.scalars(select(Cohort)).all()) == 3
