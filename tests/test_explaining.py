"""Why somebody did or did not get each lesson, told from the ledger; and their record."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select, update

from course import (
    correcting,
    courses,
    explaining,
    finding,
    holds,
    installation,
    lives,
    sources,
    steering,
)
from course.answers import Answer, Verdict
from course.correcting import Wishes
from course.errors import InvalidInputError, NotFoundError
from course.explaining import Explanation
from course.holds import Scope
from course.models import Audit, Cohort, Course, Delivery, Enrollment, PersonalDetail, Revision
from course.pausing import Pause
from course.repeating import Resend, Rewind
from course.skipping import Skip
from course.states import HoldKind, SuppressionReason
from course.steering import Order
from course.suppressions import add as suppress
from tests.commands.conftest import edit, hear, lesson_row
from tests.world import World

KIM = "kim@example.com"
LOST = Answer(Verdict.UNKNOWN, None, detail="TimeoutError: timed out")


def explain(world: World, policy: str = "hold") -> Explanation:
    with world.database.reading() as session:
        return explaining.explain(
            session, KIM, None, world.clock.course, unknown_policy=policy, auto_wait_hours=6
        )


def because(world: World, lesson: str) -> str:
    return " ".join(next(one for one in explain(world).lessons if one.lesson == lesson).because)


def rewrite(world: World, file: str, old: str, new: str) -> None:
    """An edit goes live."""
    edit(world, file, old, new)
    with world.database.writing() as session:
        source = sources.read(world.settings.home, "job-search")
        courses.apply(session, source, "robin", world.clock.course)


@pytest.fixture
def kim(world: World) -> World:
    """On Friday night, with two lessons."""
    world.join(KIM, "Kim", "America/New_York")
    world.live_through(1.5)
    return world


def test_each_lesson_has_its_reason(kim: World) -> None:
    found = explain(kim)
    assert (found.state, found.zone) == ("active", "America/New_York")
    assert found.standing == (
        "Takes part since Thu 2027-01-14 06:00 (11:00 UTC).",
        "Lessons come at 09:00 in America/New_York (their own zone, the course's hour).",
    )
    assert found.in_the_way == ()
    welcome, network, market, practice, *_ = found.lessons
    assert welcome.because == (
        "Left on Thu 2027-01-14 06:01 (11:01 UTC); the provider took it and has told nothing more.",
        "It is due at once when somebody confirms.",
    )
    assert network.because[1:] == ("By its `after`: 1 day after the lesson before, at 09:00.",)
    assert market.because == (
        "Comes next, on Mon 2027-01-18 09:00 (14:00 UTC).",
        "By its `after`: 1 day after the lesson before, at 09:00.",
        "Sat 2027-01-16 is none of its weekdays (mon, tue, wed, thu, fri): "
        "moved to Mon 2027-01-18 09:00 (14:00 UTC).",
    )
    assert practice.because == ("Comes after market.",)
    assert found.next
    assert found.next.lesson == "market"
    assert found.next.local_due_at.isoformat() == "2027-01-18T09:00:00-05:00"


def test_what_it_says_comes_next_comes_then(kim: World) -> None:
    with kim.database.writing() as session:
        session.execute(update(Cohort).values(hour=time(19)))
    coming = explain(kim).next
    assert coming
    kim.live_through(4)
    (row,) = [row for row in kim.rows() if row.message_key == coming.lesson]
    assert row.due_at == coming.due_at
    assert because(kim, "market").startswith("Left on Mon 2027-01-18 19:01")


def test_what_the_provider_said_is_told(kim: World) -> None:
    number = lesson_row(kim, 1, "network")
    hear(kim, number, "delivered")
    assert "delivered on Fri 2027-01-15 18:00 (23:00 UTC)" in because(kim, "network")
    hear(kim, number, "open")
    assert "opened on Fri 2027-01-15 18:00" in because(kim, "network")
    hear(kim, number, "bounce", type="bounce", reason="550 no such user")
    assert "bounced on Fri 2027-01-15 18:00 (23:00 UTC): 550 no such user" in because(
        kim, "network"
    )
    assert "Out of the course since" in explain(kim).standing[0]
    assert because(kim, "market") == "Not sent: they left before its time."


def test_skip_dates_and_the_gap_are_named(kim: World) -> None:
    rewrite(kim, "course.toml", "skip_dates = []", 'skip_dates = ["2027-01-18"]')
    assert (
        "2027-01-18 is one of the skip_dates: moved to Tue 2027-01-19 09:00 (14:00 UTC)."
        in because(kim, "market")
    )
    with kim.database.writing() as session:  # it left late
        late = datetime(2027, 1, 19, tzinfo=UTC)
        session.execute(
            update(Delivery).where(Delivery.message_key == "network").values(settled_at=late)
        )
    assert (
        "Less than 18 hours (minimum_gap) after the last one: moved to "
        "Wed 2027-01-20 09:00 (14:00 UTC)." in because(kim, "market")
    )


def test_a_late_lesson_names_the_rule(kim: World) -> None:
    kim.pass_time(days=4)  # nobody sent anything
    assert 'by late = "shift" it is moved' in because(kim, "market")
    coming = explain(kim).next
    kim.live_through(2)
    assert because(kim, "market").split(". ", 1)[1] == (
        'Its time was over before it left; by late = "shift" it was moved to '
        "Wed 2027-01-20 09:00 (14:00 UTC), and the rest moves along."
    )
    (row,) = [row for row in kim.rows() if row.message_key == "market"]
    assert coming
    assert row.send_at == coming.due_at


def test_what_left_long_after_its_time_says_how_long(kim: World) -> None:
    """However the time was found: what was late before may be late once more."""
    for shifted in (True, False):
        with kim.database.writing() as session:
            session.execute(
                update(Delivery)
                .where(Delivery.message_key == "network")
                .values(
                    is_shifted=shifted,
                    settled_at=datetime(2027, 1, 16, 3, tzinfo=UTC),
                    tries=shifted,
                )
            )
        told = "It could leave from Fri 2027-01-15 09:00 (14:00 UTC) on, and left 13 hours later."
        assert told in because(kim, "network")
        assert because(kim, "network").endswith("refused it 1 time.") is shifted


def test_what_changed_since_is_told_as_it_was_planned(kim: World) -> None:
    with kim.database.writing() as session:
        session.execute(update(Cohort).values(hour=time(19)))
    assert because(kim, "network").endswith(
        "It was planned for Fri 2027-01-15 09:00 (14:00 UTC), by the rules, hour and zone of "
        "that time. They have changed since."
    )
    with kim.database.writing() as session:
        later = datetime(2027, 1, 15, 22, tzinfo=UTC)
        session.execute(
            update(Delivery).where(Delivery.message_key == "network").values(send_at=later)
        )
    assert (
        "It was planned for Fri 2027-01-15 09:00 (14:00 UTC), could not come then, and was put "
        "off to Fri 2027-01-15 17:00 (22:00 UTC); the rest keeps its plan."
    ) in because(kim, "network")


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (Resend("network"), "Sent once more, as robin ordered on Fri 2027-01-15 18:00"),
        (Rewind("network"), "From here on all comes once more, as robin ordered on Fri 2027-01-15"),
    ],
)
def test_what_was_ordered_names_the_order(kim: World, order: Order, told: str) -> None:
    with kim.database.writing() as session:
        steering.give(session, order, [1], who="robin", now=kim.clock.course)
    assert told in because(kim, "network")
    kim.live_through(4)
    assert told in because(kim, "network")
    assert "robin" not in because(kim, "market")


def test_what_was_not_known_to_have_left_says_for_how_long(world: World) -> None:
    world.join(KIM, zone="Europe/Berlin")
    world.provider.answer = lambda _: LOST
    world.tick()
    world.pass_time(hours=1)
    hear(world, lesson_row(world, 1, "welcome"), "delivered")
    assert "From Thu 2027-01-14 12:00 (11:00 UTC) until then nobody knew" in because(
        world, "welcome"
    )


def test_a_condition_is_told_with_the_persons_value(kim: World) -> None:
    rewrite(kim, "course.toml", "[brand]", '[fields.years]\ntype = "number"\n\n[brand]')
    rewrite(kim, "03-market.md", "after: 1\n", "after: 1\nwhen: years > 5\n")
    told = "Not for them: it is sent when years > 5; years is 0."
    assert because(kim, "market") == told
    kim.live_through(4)
    assert because(kim, "market").endswith(told)


def test_what_was_done_by_hand_is_told(kim: World) -> None:
    with kim.database.writing() as session:
        steering.give(session, Skip("plan-b"), [1], who="robin", now=kim.clock.course)
    assert because(kim, "plan-b") == (
        "Not sent: skipped by hand, decided on Fri 2027-01-15 18:00 (23:00 UTC)."
    )


def test_an_unknown_mail_names_the_policy(world: World) -> None:
    world.join(KIM, zone="Europe/Berlin")
    world.provider.answer = lambda _: LOST
    world.tick()
    assert "Nobody knows whether it left" in because(world, "welcome")
    assert "UNKNOWN_POLICY=hold leaves it for you to decide" in because(world, "welcome")
    auto = explain(world, "auto").lessons[0].because[1]
    assert auto.startswith("UNKNOWN_POLICY=auto sends it again after 6 hours")
    assert because(world, "network") == (
        "Waits for a lesson before it to be settled until Fri 2027-01-15 12:00 (11:00 UTC) "
        "at the latest."
    )


def test_what_is_in_the_way_is_told_with_who_and_why(kim: World) -> None:
    now, hashed = kim.clock.course, kim.subscriber(KIM).email_hash
    with kim.database.writing() as session:
        course = session.scalars(select(Course.id)).one()
        suppress(session, [hashed], SuppressionReason.MANUAL, "a letter", now, course_id=course)
        steering.give(session, Pause(until=date(2027, 2, 1)), [1], who="robin", now=now)
        session.execute(update(Cohort).values(state="paused"))
        holds.place(session, Scope(), HoldKind.MANUAL, why="a typo", who="robin", now=now)
    found = " ".join(explain(kim).in_the_way)
    for words in (
        "may not be mailed, in this course: manual on Fri 2027-01-15 18:00 (23:00 UTC) by a letter",
        "Paused until Mon 2027-02-01 08:00 (13:00 UTC)",
        "minicourse subscriber resume kim@example.com",
        "minicourse cohort resume job-search/evergreen",
        "Held since Fri 2027-01-15 18:00 (23:00 UTC) by robin (all): a typo",
    ):
        assert words in found


def test_a_pause_puts_off_what_comes_next(kim: World) -> None:
    with kim.database.writing() as session:
        steering.give(
            session, Pause(until=date(2027, 2, 1)), [1], who="robin", now=kim.clock.course
        )
    coming = explain(kim).next
    assert coming
    assert "Its time will be over when the pause ends;" in because(kim, "market")
    kim.clock.course = datetime(2027, 2, 1, 13, 0, 2, tzinfo=UTC)
    kim.tick()
    (row,) = [row for row in kim.rows() if row.message_key == "market"]
    assert row.send_at == coming.due_at


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("pending", "Not sent: they have not confirmed."),
        ("completed", "Not sent: it came into the course when they were through."),
    ],
)
def test_who_is_not_a_learner_is_told_why(kim: World, state: str, words: str) -> None:
    with kim.database.writing() as session:
        session.execute(update(Enrollment).values(state=state, ended_at=kim.clock.course))
    assert because(kim, "market") == words
    assert explain(kim).next is None


# The record ---------------------------------------------------------------------------------------


def test_the_record_tells_each_change_oldest_first(kim: World) -> None:
    now = kim.clock.course
    with kim.database.writing() as session:
        correcting.change(session, KIM, Wishes(name="Kim S."), None, who="robin", now=now)
    with kim.database.writing() as session:
        later = now + timedelta(hours=1)
        pause = Pause(until=date(2027, 2, 1))
        steering.give(session, pause, [1], who="robin", now=later, why="by phone")
    with kim.database.reading() as session:
        entries = lives.of(session, KIM)
        found = [(one.who, one.what, one.why) for one in entries]
        assert [one.is_to_come for one in entries] == [False] * 6 + [True]
        details = str([line.detail for line in session.scalars(select(Audit))])
        kept = [(one.name, one.value) for one in session.scalars(select(PersonalDetail))]
    assert found == [
        ("subscriber", "signed up, now in evergreen", None),
        ("minicourse", "pending → active", None),
        ("subscriber", "consent asked, by test", None),
        ("subscriber", "consent confirmed, by test", None),
        ("robin", "set: name Kim → Kim S.", None),
        ("robin", "pause: until 2027-02-01 13:00 UTC", "by phone"),
        ("minicourse", "paused → active", None),
    ]
    assert "Kim" not in details
    assert kept == [("name", "Kim → Kim S.")]


# Finding ------------------------------------------------------------------------------------------


def test_people_are_found_by_what_one_has_of_them(any_world: World) -> None:
    world = any_world
    world.join(KIM, "Kim Öztürk")
    world.join("ada@example.org", "Ada 100%")
    with world.database.reading() as session:
        row = world.rows(1)[0]
        name = installation.get(session).name
        token = session.get_one(Enrollment, 1).token
        wanted = {
            "KIM@": KIM,
            "öztürk": KIM,
            "kim ö": KIM,
            "100%": "ada@example.org",
            f"{name}-{row.id}": KIM,
            f"https://course.example.com/manage/{token}": KIM,
            f"http://127.0.0.1:8000/unsubscribe/{token}?x=1": KIM,
        }
        for text, email in wanted.items():
            assert [line.email for line in finding.find(session, text)] == [email], text
        assert len(finding.find(session, "example")) == 2
        for text in ("nobody", "%", "_", "https://example.com/manage/abcdefghijklmnop"):
            if text != "%":
                with pytest.raises(NotFoundError, match="Nobody is like"):
                    finding.find(session, text)
        with pytest.raises(InvalidInputError):
            finding.find(session, " ")
        with pytest.raises(NotFoundError, match="not of this installation"):
            finding.find(session, "00000000-1")


def test_who_takes_several_courses_is_asked_for_one(kim: World) -> None:
    with kim.database.writing() as session:
        course = Course(slug="bread", state="published", created_at=kim.clock.course)
        course.live_revision_id = session.scalars(select(Revision.id)).one()
        session.add(course)
        session.flush()
        cohort = Cohort(
            course_id=course.id, name="bakers", state="open", created_at=kim.clock.course
        )
        session.add(cohort)
        session.flush()
        session.add(
            Enrollment(
                subscriber_id=kim.subscriber(KIM).id,
                course_id=course.id,
                cohort_id=cohort.id,
                state="active",
                token="t" * 20,
                created_at=kim.clock.course,
                starts_at=kim.clock.course,
            )
        )
    with kim.database.reading() as session:
        with pytest.raises(InvalidInputError, match="bread, job-search"):
            steering.one_of(session, KIM, None)
        assert steering.one_of(session, KIM, "job-search") == 1
