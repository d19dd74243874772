"""`subscriber`: people added, shown and taken out by hand."""

import json
from io import StringIO

import pytest
from sqlalchemy import select, update

from course import pruning
from course.models import Audit, Consent, Enrollment
from course.states import SuppressionReason
from course.suppressions import add as suppress
from tests.commands.conftest import Minicourse, edit, hear, lesson_row
from tests.world import World

KIM = "kim@example.com"


def test_adding_asks_the_person_to_confirm(world: World, minicourse: Minicourse) -> None:
    answer = minicourse(
        *"subscriber add Kim@Example.com --cohort evergreen --name Kim --zone Asia/Tokyo".split()
    )
    assert answer.out.startswith("kim@example.com: gets a confirmation mail")
    world.tick()
    (mail,) = world.provider.mails_to("kim@example.com")
    assert mail.categories == ("job-search", "job-search/confirmation")
    (line,) = json.loads(minicourse("subscriber", "list", "--json").out)
    assert (line["name"], line["zone"], line["state"]) == ("Kim", "Asia/Tokyo", "pending")


def test_who_is_added_before_the_first_day_gets_a_place(
    world: World, minicourse: Minicourse
) -> None:
    minicourse("cohort", "create", "job-search/spring", "--start", "2027-03-01")
    add = ("subscriber", "add", KIM, "--cohort", "spring")
    told = "gets a confirmation mail; it keeps their place, and the course starts on 2027-03-01"
    assert minicourse(*add).out == f"{KIM}: {told}\n"
    world.pass_time(days=60)
    minicourse("subscriber", "unsubscribe", KIM)
    assert "starts when they confirm" in minicourse(*add, "--yes").out


def test_adding_twice_does_not_mail_twice(world: World, minicourse: Minicourse) -> None:
    add = "subscriber add kim@example.com --cohort evergreen".split()
    minicourse(*add)
    assert "was asked already" in minicourse(*add).out
    assert len(world.rows()) == 1


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_of_an_address_that_used_up_its_mails_it_is_said_what_to_do(
    world: World, minicourse: Minicourse, is_forgotten: bool
) -> None:
    for _ in range(4):
        asked = world.sign_up("kim@example.com")
        if not is_forgotten:
            world.leave(asked)
        world.pass_time(days=2)
    if is_forgotten:
        world.pass_time(days=60)
        pruning.prune(world.database, world.clock.course)
    told = minicourse("subscriber", "explain", "kim@example.com")
    words = " ".join((told.err or told.out).split())
    assert (
        "3 confirmation mails for job-search went to this address, the last on 2027-01-18, and "
        "none was answered: it gets no more. Who asks you for the course comes in by: minicourse "
        "subscriber import FILE --cohort job-search/NAME --confirmed --source WORDS"
    ) in words
    found = minicourse("subscriber", "find", "kim@example.com")
    assert ("the last on 2027-01-18" in found.err) == is_forgotten
    assert "No subscriber" in minicourse("subscriber", "explain", "ann@example.com").err


def test_adding_someone_who_takes_part_says_so(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    answer = minicourse("subscriber", "add", "kim@example.com", "--cohort", "evergreen")
    assert answer.out.startswith("kim@example.com: is active already")


def test_an_address_that_bounced_cannot_be_added(world: World, minicourse: Minicourse) -> None:
    world.sign_up("kim@example.com")
    hashed = world.subscriber("kim@example.com").email_hash
    with world.database.writing() as session:
        suppress(session, [hashed], SuppressionReason.BOUNCED, "test", world.clock.course)
    answer = minicourse("subscriber", "add", "kim@example.com", "--cohort", "evergreen")
    assert answer.status == 1
    assert "bounced on 2027-01-14" in answer.err


ADD = "subscriber add kim@example.com --cohort evergreen".split()


def test_who_was_erased_is_not_asked(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    minicourse("subscriber", "erase", "kim@example.com", "--yes")
    mails = len(world.rows())
    answer = minicourse(*ADD, "--yes")
    assert answer.status == 1
    assert "kim@example.com was erased on 2027-01-14; back comes only who" in answer.err
    assert len(world.rows()) == mails


def test_who_left_is_asked_only_when_that_is_wanted(
    world: World, minicourse: Minicourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("n\n"))
    world.leave(world.join("kim@example.com"))
    world.pass_time(days=2)
    mails = len(world.rows())
    answer = minicourse(*ADD)
    assert "kim@example.com left on 2027-01-14. Ask them to come back?" in answer.err
    assert (answer.status != 0, len(world.rows())) == (True, mails)
    assert "gets a confirmation mail" in minicourse(*ADD, "--yes").out


STATES = ("pending", "active", "paused", "completed", "cancelled")
# How they stand afterwards, and what is said; the orders of `tests/test_steering.py` aside.
ADDED = {
    "pending": ("pending", "was asked already; one confirmation goes a day"),
    "active": ("active", "is active already; a mail that says so goes at most once"),
    "paused": ("paused", "is paused already; a mail that says so goes at most once"),
    "completed": ("pending", "gets a confirmation mail; the course starts when they confirm"),
    "cancelled": ("pending", "gets a confirmation mail; the course starts when they confirm"),
}
TAKEN_OUT = {
    "pending": ("cancelled", "is out of job-search; stopped: job-search"),
    "active": ("cancelled", "is out of job-search; stopped: job-search"),
    "paused": ("cancelled", "is out of job-search; stopped: job-search"),
    "completed": ("completed", "is out of job-search; nothing was running"),
    "cancelled": ("cancelled", "is out of job-search; nothing was running"),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("words", "table"),
    [
        (f"add {KIM} --cohort evergreen", ADDED),
        (f"unsubscribe {KIM} --course job-search", TAKEN_OUT),
    ],
)
def test_adding_and_taking_out_in_each_state(
    world: World, minicourse: Minicourse, state: str, words: str, table: dict[str, tuple[str, str]]
) -> None:
    number = world.sign_up(KIM) if state == "pending" else world.join(KIM)
    with world.database.writing() as session:
        session.execute(update(Enrollment).values(state=state))
    becomes, told = table[state]
    answer = minicourse("subscriber", *words.split())
    assert answer.out.startswith(f"{KIM}: {told}" if table is ADDED else f"{KIM} {told}")
    with world.database.reading() as session:
        newest = select(Enrollment).order_by(Enrollment.id.desc()).limit(1)
        found = session.scalars(newest).one()
    assert (found.state, found.id == number) == (
        becomes,
        becomes != "pending" or state == "pending",
    )


def test_show_tells_progress_next_lesson_and_each_mail(
    world: World, minicourse: Minicourse
) -> None:
    number = world.join("kim@example.com", "Kim", "America/New_York")
    world.live_through(1.5)
    hear(world, lesson_row(world, number, "network"), "delivered")
    answer = minicourse("subscriber", "show", "kim@example.com")
    assert "2 of 7 lessons" in answer.out
    assert "market, Mon 2027-01-18 09:00 America/New_York\n" in answer.out
    assert "(2027-01-18 14:00 UTC)" in answer.out
    (enrolled,) = json.loads(minicourse("subscriber", "show", "kim@example.com", "--json").out)[
        "enrollments"
    ]
    assert [(mail["message"], mail["state"], mail["outcome"]) for mail in enrolled["mails"]] == [
        ("network", "accepted", "delivered"),
        ("welcome", "accepted", None),
        ("confirm-1", "accepted", None),
    ]


def test_a_lesson_on_its_way_is_what_comes_next(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    minicourse("send", "hold", "--why", "a test")
    world.tick()
    found = json.loads(minicourse("subscriber", "show", "kim@example.com", "--json").out)
    assert found["enrollments"][0]["next"]["lesson"] == "welcome"


def test_unsubscribing_stops_everything_and_is_written_down(
    world: World, minicourse: Minicourse
) -> None:
    number = world.join("kim@example.com")
    answer = minicourse(
        "subscriber", "unsubscribe", "kim@example.com", "--why", "asked on the phone"
    )
    assert answer.out == "kim@example.com is out of everything; stopped: job-search\n"
    world.live_through(10)
    assert world.lessons(number) == []
    with world.database.reading() as session:
        (order,) = session.scalars(select(Audit))
        acts = [row.act for row in session.scalars(select(Consent).order_by(Consent.id))]
    assert (order.action, order.why) == ("unsubscribe", "asked on the phone")
    assert order.subscriber_id == world.subscriber("kim@example.com").id
    assert "kim" not in str(order.detail)
    assert acts == ["asked", "confirmed", "withdrawn"]
    assert "for everything: unsubscribed" in minicourse("subscriber", "show", "kim@example.com").out


def test_unsubscribing_again_changes_nothing(world: World, minicourse: Minicourse) -> None:
    world.join("kim@example.com")
    leave = "subscriber unsubscribe kim@example.com --course job-search".split()
    minicourse(*leave)
    answer = minicourse(*leave)
    assert answer.status == 0
    assert answer.out == "kim@example.com is out of job-search; nothing was running\n"


def test_a_list_can_be_narrowed_and_says_where_it_ends(
    world: World, minicourse: Minicourse
) -> None:
    world.join("ada@example.org")
    world.sign_up("kim@example.com")
    answer = minicourse(*"subscriber list --state active".split())
    assert "ada@example.org" in answer.out
    assert "kim@example.com" not in answer.out
    answer = minicourse(*"subscriber list --limit 1".split())
    assert "ada@example.org" not in answer.out
    assert "--limit 0" in answer.err
    assert "ada@example.org" in minicourse(*"subscriber list --limit 0".split()).out


def test_what_is_known_of_a_person_can_be_corrected(world: World, minicourse: Minicourse) -> None:
    edit(world, "course.toml", "[brand]", '[fields.years]\ntype = "number"\n\n[brand]')
    assert minicourse("course", "apply", "job-search").status == 0
    number = world.join("kim@example.com", "Kim", "Europe/Berlin")
    answer = minicourse(
        *("subscriber", "set", "kim@example.com", "--zone", "Asia/Tokyo", "--hour", "06:30"),
        *("--course", "job-search", "--field", "years=7"),
    )
    assert (answer.status, answer.out) == (0, "kim@example.com: changed zone, hour, years\n")
    shown = json.loads(minicourse("subscriber", "show", "kim@example.com", "--json").out)
    assert (shown["zone"], shown["hour"][:5]) == ("Asia/Tokyo", "06:30")
    assert shown["enrollments"][0]["fields"] == {"years": 7}
    world.tick()
    assert "06:30" in minicourse("subscriber", "show", "kim@example.com").out
    gone = minicourse("subscriber", "set", "kim@example.com", "--zone", "", "--hour", "")
    assert gone.status == 0
    with world.database.reading() as session:
        person = session.get_one(Enrollment, number).subscriber
        assert (person.zone, person.hour, person.name) == (None, None, "Kim")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "Say what to change"),
        (["--zone", "Mars"], 1, "'Mars' is no time zone"),
        (["--hour", "25:00"], 1, "'25:00' is not an hour"),
        (["--field", "years=7"], 1, "--course COURSE"),
        (["--course", "job-search", "--field", "years=7"], 1, "has no field 'years'"),
        (["--course", "job-search", "--field", "years"], 1, "NAME=VALUE"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(
    world: World, minicourse: Minicourse, words: list[str], status: int, said: str
) -> None:
    world.join("kim@example.com")
    answer = minicourse("subscriber", "set", "kim@example.com", *words)
    assert answer.status == status
    assert said in answer.err


def test_the_end_of_a_pause_stands_apart_from_what_has_happened(
    world: World, minicourse: Minicourse
) -> None:
    world.join("kim@example.com", zone="Europe/Berlin")
    minicourse("subscriber", "pause", "kim@example.com", "--until", "2027-02-01")
    *_, last = minicourse("subscriber", "show", "kim@example.com", "--history").out.splitlines()
    assert last == "To come: 2027-02-01 07:00 UTC, job-search: paused → active"
