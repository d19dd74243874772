"""Who does not confirm: reminded once, never more than three times, and forgotten in the end."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from course import (
    asking,
    budgets,
    courses,
    enrollment,
    form_tokens,
    pruning,
    sources,
    tallies,
    watch,
)
from course.budgets import Scope, Wish
from course.caretaking import Caretaker
from course.curriculum import COURSE_FILE
from course.enrollment import Person
from course.form_tokens import Purpose
from course.models import Bucket, Cohort, Delivery, Tally, UsedToken
from course.people import mailbox_hash
from tests.world import HERE, START, World

HOUR = timedelta(hours=1)
BOMBED = "victim@example.org"


def keys(world: World, enrollment_id: int | None = None) -> list[str]:
    return [row.message_key for row in world.rows(enrollment_id)]


def look(world: World) -> None:
    world.clock.boot += 3600
    Caretaker(world.office).look()
    world.tick()


def test_a_reminder_goes_once_after_two_days(any_world: World) -> None:
    world = any_world
    asked = world.sign_up("kim@example.org")
    world.tick()
    world.pass_time(hours=47)
    look(world)
    assert keys(world, asked) == ["confirm-1"]
    world.pass_time(hours=2)
    for _ in range(3):
        look(world)
        world.pass_time(hours=49)
    assert keys(world, asked) == ["confirm-1", "confirm-2"]
    assert len(world.provider.mails_to("kim@example.org")) == 2


def test_a_rehearsal_whose_clock_jumps_sees_the_reminder(world: World) -> None:
    caretaker = Caretaker(world.office)
    asked = world.sign_up("kim@example.org")
    world.tick()
    for hours in (0, 49, 49):
        world.pass_time(hours=hours)
        caretaker.look()
        world.tick()
    assert world.clock.boot == 0
    assert keys(world, asked) == ["confirm-1", "confirm-2"]


def test_nobody_is_reminded_who_confirmed_or_refused_or_asked_again(world: World) -> None:
    world.join("ann@example.org")
    world.leave(world.sign_up("bob@example.org"))
    again = world.sign_up("cat@example.org")
    world.tick()
    world.pass_time(hours=25)
    world.sign_up("cat@example.org")
    world.tick()
    world.pass_time(hours=30)
    before = len(world.rows())
    Caretaker(world.office).look()
    assert len(world.rows()) == before
    assert keys(world, again) == ["confirm-1", "confirm-2"]


def test_a_reminder_is_one_of_the_three(world: World) -> None:
    asked = world.sign_up("kim@example.org")
    world.tick()
    world.pass_time(hours=49)
    look(world)
    for _ in range(4):
        world.pass_time(hours=25)
        world.sign_up("kim@example.org")
    assert keys(world, asked) == ["confirm-1", "confirm-2", "confirm-3"]


def test_a_course_may_go_without(world: World) -> None:
    source = sources.read(world.settings.home, "job-search")
    changed = source.files[COURSE_FILE] + "\n[signup]\nreminder = false\n"
    with world.database.writing() as session:
        files = {**source.files, COURSE_FILE: changed}
        courses.apply(session, replace(source, files=files), "test", START)
    asked = world.sign_up("kim@example.org")
    world.tick()
    world.pass_time(hours=49)
    look(world)
    assert keys(world, asked) == ["confirm-1"]


def test_nothing_that_was_typed_is_in_the_mail(world: World) -> None:
    typed = "Win a car at evil.example"
    world.sign_up(BOMBED, name=typed, zone="Asia/Tokyo")
    world.tick()
    world.pass_time(hours=49)
    look(world)
    mails = world.provider.mails_to(BOMBED)
    assert len(mails) == 2
    for mail in mails:
        shown = f"{mail.subject} {mail.text} {mail.html} {mail.personalizations}"
        assert "evil.example" not in shown
        assert "Tokyo" not in shown


# One address, many courses -----------------------------------------------------------------------


@pytest.fixture
def five_courses(world: World) -> list[str]:
    source = sources.read(world.settings.home, "job-search")
    slugs = [f"course-{number}" for number in range(5)]
    with world.database.writing() as session:
        for slug in slugs:
            courses.apply(session, replace(source, slug=slug), "test", START)
            courses.publish(session, slug, START)
    return slugs


def ask(world: World, slug: str, email: str = BOMBED) -> int:
    with world.database.writing() as session:
        live = courses.live(session, slug)
        front = select(Cohort).where(Cohort.course_id == live.id, Cohort.is_front)
        return enrollment.sign_up(
            session,
            session.scalars(front).one(),
            Person(email),
            HERE,
            world.clock.course,
            hash_key=world.hash_key,
            sandbox=True,
        ).id


def mails_to_the_bombed(world: World) -> int:
    world.tick()
    return len(world.provider.mails_to(BOMBED))


def test_one_address_in_many_courses_gets_three_mails_a_day(
    world: World, five_courses: list[str]
) -> None:
    ids = [ask(world, slug) for slug in five_courses]
    assert mails_to_the_bombed(world) == 3
    assert {world.state(number) for number in ids} == {"pending"}
    world.pass_time(hours=25)
    ask(world, five_courses[4])
    assert mails_to_the_bombed(world) == 4
    assert ask(world, five_courses[0], "another@example.org")
    world.tick()
    assert len(world.provider.mails_to("another@example.org")) == 1


def test_who_confirms_each_is_not_held_up(world: World, five_courses: list[str]) -> None:
    for slug in five_courses:
        assert world.confirm(ask(world, slug))
    assert [row.message_key for row in world.rows() if row.kind == "confirmation"] == [
        "confirm-1"
    ] * 5


def test_three_ever_holds_for_who_refused_and_was_forgotten(world: World) -> None:
    for _ in range(6):
        asked = world.sign_up(BOMBED)
        world.leave(asked)
        world.pass_time(days=2)
    assert len(world.rows()) == 3
    for _ in range(2):
        world.pass_time(days=60)
        pruning.prune(world.database, world.clock.course)
        world.sign_up(BOMBED)
    assert len(world.rows()) == 3


# One inbox, many addresses ------------------------------------------------------------------------


def test_an_inbox_gets_three_a_day_and_ten_ever_whatever_addresses_it_has(
    any_world: World,
) -> None:
    world = any_world
    hashed = mailbox_hash("victim@gmail.com", world.hash_key)
    variants = [f"{dotted}+{n}@{host}" for n in range(3) for dotted, host in GMAIL]
    sent = []
    for day in range(6):
        for number, email in enumerate(variants):
            world.sign_up(email.replace("+", f"+{day}-{number}-"))
        world.tick()
        sent.append(len(world.rows()))
        world.pass_time(hours=25)
    assert sent == [3, 6, 9, 10, 10, 10]
    with world.database.reading() as session:
        told = list(asking.used_up(session, "of no address", hashed))
    assert len(told) == 1
    assert told[0].startswith("10 confirmation mails went to this inbox, by all its addresses, the")
    assert world.sign_up("victor@gmail.com") in {row.enrollment_id for row in world.rows()}


GMAIL = (("victim", "gmail.com"), ("v.ictim", "gmail.com"), ("vic.tim", "googlemail.com"))


def test_who_signs_up_with_two_plus_addresses_gets_both_mails_and_is_two_people(
    world: World,
) -> None:
    ids = [world.sign_up(f"kim+{tag}@example.org") for tag in "ab"]
    world.tick()
    assert [len(world.provider.mails_to(f"kim+{tag}@example.org")) for tag in "ab"] == [1, 1]
    assert all(world.confirm(number) for number in ids)


# Swept -------------------------------------------------------------------------------------------


def test_the_scheduler_forgets_whom_nobody_confirmed(world: World) -> None:
    asked = world.sign_up("kim@example.org")
    world.tick()
    world.pass_time(days=38)
    Caretaker(world.office).look()
    assert world.state(asked) == "cancelled"
    with world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 1


def test_the_scheduler_sweeps_what_the_guard_counted(any_world: World) -> None:
    world = any_world
    old = world.clock.wall - timedelta(days=100)
    token = form_tokens.make(Purpose.AGAIN, old, ["key"])
    with world.database.writing() as session:
        budgets.spend(session, [Wish(Scope.ALL)], old, "key")
        assert form_tokens.use(session, token, old, ["key"])
        tallies.note(session, "taken", old)
        tallies.note(session, "taken", world.clock.wall)
    Caretaker(world.office).look()
    with world.database.reading() as session:
        numbers = {
            table: session.scalar(select(func.count()).select_from(table))
            for table in (Bucket, UsedToken, Tally)
        }
    assert numbers == {Bucket: 0, UsedToken: 0, Tally: 1}


# Told --------------------------------------------------------------------------------------------


def test_the_operator_is_told_once_when_the_breaker_turns_many_away(any_world: World) -> None:
    world = any_world
    real = world.clock.wall

    def found(at: timedelta = timedelta(0)) -> list[str]:
        with world.database.reading() as session:
            causes = watch.causes(session, world.settings, world.clock.course, real + at)
        return [cause.what for cause in causes if cause.name == "sign-ups turned away"]

    def refuse(times: int, name: str) -> None:
        with world.database.writing() as session:
            for _ in range(times):
                tallies.note(session, name, real)

    refuse(500, "limited:network")  # one network alone is stopped, and nobody need know
    refuse(watch.MOST_TURNED_AWAY, "limited:all")
    assert found() == []
    refuse(1, "limited:domain")
    assert found() == [
        "51 sign-ups turned away within the hour, as all that SIGNUP_LIMIT allows (1,200 an hour) "
        "were there: a flood, or it is too low"
    ]
    refuse(60, "limited:domain")
    assert found() == [
        "111 sign-ups turned away within the hour, mostly as one domain had its share, a quarter "
        "of SIGNUP_LIMIT (1,200 an hour): a flood, or it is too low"
    ]
    assert found(at=2 * HOUR) == []
