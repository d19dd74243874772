"""Learners steered by hand: every order against every state, and what becomes of the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select, update

from course import cohorts, correcting, holds, moving, skipping, soundness, steering, tags
from course.answers import Answer, Verdict
from course.commands.steering import COMMANDS
from course.errors import InvalidInputError, MinicourseError, NotFoundError
from course.holds import Scope
from course.models import Audit, Cohort, Course, Delivery, Enrollment, Subscriber, Tag
from course.moving import Move
from course.pausing import Pause, Resume
from course.repeating import Resend, Rewind
from course.skipping import Skip
from course.states import HoldKind, SuppressionReason
from course.steering import Fate, Judged, Order
from course.suppressions import add as suppress
from course.tags import DropTag, SetTag
from tests import checker
from tests.standin import Taken
from tests.world import World

LOST = Answer(Verdict.UNKNOWN, None, detail="TimeoutError: timed out")
DAY = timedelta(days=1)
ENDED = datetime(2027, 1, 17, 11, tzinfo=UTC)


def give(world: World, order: Order, *ids: int) -> Judged:
    """The order, given to these; returns what it did to the first."""
    judged = world.database.run(
        lambda s: steering.give(s, order, ids, who="robin", now=world.clock.course, why="asked")
    )
    return judged[0]


def look(world: World, order: Order, *ids: int) -> Judged:
    with world.database.reading() as session:
        return steering.look(session, order, ids, world.clock.course)[0]


@contextmanager
def held(world: World) -> Iterator[None]:
    """Nothing leaves meanwhile."""
    with world.database.writing() as session:
        hold = holds.place(
            session, Scope(), HoldKind.MANUAL, why="a test", who="robin", now=world.clock.course
        ).id
    yield
    with world.database.writing() as session:
        holds.release(session, [hold], "robin", world.clock.course)


def make(world: World, name: str, state: str = "open", **values: object) -> int:
    """A cohort of the course."""
    with world.database.writing() as session:
        course = session.scalars(select(Course)).one()
        made = cohorts.create(session, course, name, world.clock.course)
        made.state = state
        for key, value in values.items():
            setattr(made, key, value)
        session.flush()
        return made.id


def put(world: World, number: int, **values: object) -> None:
    with world.database.writing() as session:
        session.execute(update(Enrollment).where(Enrollment.id == number).values(**values))


def left_when(world: World, number: int) -> list[tuple[str, str]]:
    """The lessons that left, in the order in which they did, on the learner's own clock."""
    rows = [row for row in world.rows(number) if row.kind == "lesson" and row.state == "accepted"]
    rows.sort(key=lambda row: (row.settled_at or ENDED, row.id))
    zone = timedelta(hours=1)  # Berlin in winter
    return [(row.message_key, f"{(row.settled_at or ENDED) + zone:%a %H:%M}") for row in rows]


def all_is_well(world: World, ordered: set[int] | None = None) -> None:
    """`db check` has nothing to say, and neither has the checker of the tests."""
    with world.database.reading() as session:
        assert [one for one in soundness.check(session) if not one.is_well] == []
        taken = [
            Taken(row.id, row.settled_at, row.request_id or 0)
            for row in session.scalars(
                select(Delivery)
                .where(Delivery.state == "accepted")
                .order_by(Delivery.settled_at, Delivery.id)
            )
            if row.settled_at
        ]
        assert checker.violations(checker.look(session), taken, ordered=ordered or set()) == []


# Every order against every state ------------------------------------------------------------------

PAUSE, RESUME, SKIP = Pause(until=date(2027, 2, 1)), Resume(), Skip()
REWIND, RESEND, TAG, UNTAG = Rewind("network"), Resend("network"), SetTag("vip"), DropTag("vip")
MOVE = Move(0)  # to the cohort that the table makes
AGAIN = "minicourse subscriber rewind kim@example.com --to LESSON"
UNCONFIRMED = "minicourse subscriber add kim@example.com --cohort job-search/evergreen"
LEFT = "left on 2027-01-17 (unsubscribed); back comes who signs up and confirms"
REWOUND = "+gets network and all behind it again, from Mon 2027-01-18 09:00 Europe/Berlin on"
UNPAUSE = "first: minicourse subscriber resume kim@example.com"

# What each order says to a learner in each state: +: they are touched; =: it is so without it;
# and else it is refused with words that hold these.
TABLE: dict[Order, dict[str, str]] = {
    PAUSE: {
        "pending": UNCONFIRMED,
        "active": "+paused until Mon 2027-02-01",
        "paused": "+paused until Mon 2027-02-01",
        "completed": AGAIN,
        "cancelled": LEFT,
    },
    RESUME: {
        "pending": UNCONFIRMED,
        "active": "=is not paused",
        "paused": "+goes on",
        "completed": AGAIN,
        "cancelled": LEFT,
    },
    SKIP: {
        "pending": UNCONFIRMED,
        "active": "+does not get market",
        "paused": "+does not get market",
        "completed": AGAIN,
        "cancelled": LEFT,
    },
    MOVE: {
        "pending": "+from evergreen to autumn",
        "active": "+from evergreen to autumn",
        "paused": "+from evergreen to autumn",
        "completed": AGAIN,
        "cancelled": LEFT,
    },
    REWIND: {
        "pending": UNCONFIRMED,
        "active": REWOUND,
        "paused": REWOUND,
        "completed": REWOUND,
        "cancelled": LEFT,
    },
    RESEND: {
        "pending": UNCONFIRMED,
        "active": "+gets network again, which left on 2027-01-15 08:0",
        "paused": UNPAUSE,
        "completed": "+gets network again, which left on 2027-01-15 08:0",
        "cancelled": LEFT,
    },
    TAG: dict.fromkeys(("pending", "active", "paused", "completed", "cancelled"), "+tagged vip"),
    UNTAG: dict.fromkeys(
        ("pending", "active", "paused", "completed", "cancelled"), "=is not tagged vip"
    ),
}


def test_what_each_order_does_in_each_state(world: World) -> None:
    number = world.join("kim@example.com")
    world.live_through(1.5)
    assert [slug for slug, _ in left_when(world, number)] == ["welcome", "network"]
    autumn = make(world, "autumn")
    marks = {Fate.TOUCHED: "+", Fate.ALREADY: "=", Fate.REFUSED: ""}
    for order, cells in TABLE.items():
        assert set(cells) == {"pending", "active", "paused", "completed", "cancelled"}
        for state, expected in cells.items():
            ended = ENDED if state in ("completed", "cancelled") else None
            put(world, number, state=state, ended_at=ended, reason="unsubscribed")
            judged = look(world, Move(autumn) if order is MOVE else order, number)
            found = marks[judged.fate] + judged.words
            assert expected in found, (order, state, found)
            assert found[0] in "+=" or expected[0] not in "+="


def test_the_table_has_every_order() -> None:
    assert {order.action for order in TABLE} == {
        f"subscriber {command.name}" for command in COMMANDS
    }


def test_what_is_refused_or_so_already_changes_nothing(world: World) -> None:
    number = world.sign_up("kim@example.com")
    for order in (PAUSE, RESUME, SKIP, REWIND, RESEND):
        assert give(world, order, number).fate is Fate.REFUSED
    assert world.state(number) == "pending"
    with world.database.reading() as session:
        assert session.scalars(select(Audit)).all() == []


def test_each_touched_person_gets_a_line_in_the_audit(world: World) -> None:
    ids = [world.join(f"{name}@example.com") for name in ("ada", "kim")]
    waits = world.sign_up("cy@example.com")
    give(world, Pause(), *ids, waits)
    with world.database.reading() as session:
        lines = session.scalars(select(Audit).order_by(Audit.id)).all()
    assert [(line.who, line.action, line.why) for line in lines] == [
        ("robin", "subscriber pause", "asked")
    ] * 2
    assert {line.subscriber_id for line in lines} == {
        world.subscriber("ada@example.com").id,
        world.subscriber("kim@example.com").id,
    }
    assert "example.com" not in str([line.detail for line in lines])


# Pause and resume ---------------------------------------------------------------------------------


def test_who_pauses_until_a_day_goes_on_there_one_lesson_after_the_other(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(1.5)  # Friday night
    judged = give(world, Pause(until=date(2027, 1, 27)), number)
    assert judged.words == "paused until Wed 2027-01-27"
    world.live_through(20)
    assert left_when(world, number)[1:4] == [
        ("network", "Fri 09:01"),
        ("market", "Wed 09:01"),
        ("practice", "Thu 09:01"),
    ]
    all_is_well(world)


def test_a_row_that_waits_is_kept_back_and_leaves_as_a_late_lesson(any_world: World) -> None:
    world = any_world
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(0.8)
    with held(world):
        world.live_through(0.2)  # network is planned, and waits
    assert world.lessons(number)[-1] == ("network", "pending")
    give(world, Pause(), number)
    world.live_through(8)
    assert world.lessons(number)[-1] == ("network", "pending")
    world.clock.course = datetime(2027, 1, 25, 22, tzinfo=UTC)
    give(world, Resume(), number)
    world.live_through(2)
    assert left_when(world, number) == [
        ("welcome", "Thu 12:01"),
        ("network", "Tue 09:01"),
        ("market", "Wed 09:01"),
    ]
    all_is_well(world)


def test_a_pause_is_changed_by_another_one(world: World) -> None:
    number = world.join("kim@example.com")
    give(world, Pause(days=7), number)
    assert give(world, Pause(days=7), number).fate is Fate.ALREADY
    assert give(world, Pause(days=10), number).words == "paused until Sun 2027-01-24"
    assert give(world, Pause(), number).words == "paused until somebody resumes them"
    assert give(world, Pause(), number).fate is Fate.ALREADY


def test_a_pause_ends_in_the_morning_where_the_person_lives(world: World) -> None:
    number = world.join("kim@example.com", zone="Asia/Tokyo")
    give(world, Pause(until=date(2027, 1, 20)), number)
    with world.database.reading() as session:
        until = session.get_one(Enrollment, number).paused_until
    assert until == datetime(2027, 1, 19, 23, tzinfo=UTC)  # eight in the morning there


def test_a_pause_until_today_is_none(world: World) -> None:
    number = world.join("kim@example.com")
    with pytest.raises(InvalidInputError, match="2027-01-14 has begun already"):
        give(world, Pause(until=date(2027, 1, 14)), number)


def test_who_leaves_during_a_pause_is_not_looked_at_for_ever(world: World) -> None:
    number = world.join("kim@example.com")
    give(world, Pause(days=2), number)
    world.leave(number)
    world.live_through(4)
    assert world.state(number) == "cancelled"
    with world.database.reading() as session:
        assert session.get_one(Enrollment, number).paused_until is None


# Skip ---------------------------------------------------------------------------------------------


def test_the_lesson_behind_a_skipped_one_takes_its_place(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(1.5)
    give(world, Skip(), number)
    give(world, Skip("plan-b"), number)
    world.live_through(4)
    assert left_when(world, number) == [
        ("welcome", "Thu 12:01"),
        ("network", "Fri 09:01"),
        ("practice", "Mon 09:01"),
        ("leverage", "Tue 09:01"),
    ]
    assert look(world, Skip("plan-b"), number).fate is Fate.ALREADY
    all_is_well(world)


def test_a_row_that_waits_is_withheld(world: World) -> None:
    number = world.join("kim@example.com")
    with held(world):
        world.tick()
        assert give(world, Skip(), number).words == "does not get welcome"
    world.live_through(1)
    assert world.lessons(number)[:2] == [("welcome", "cancelled"), ("network", "accepted")]
    with world.database.reading() as session:
        reasons = session.scalars(select(Delivery.reason).where(Delivery.state == "cancelled"))
        assert skipping.BY_HAND in set(reasons)


@pytest.mark.parametrize(
    ("lesson", "words"),
    [
        ("welcome", "has welcome already: 2027-01-14 11:0"),
        ("network", "minicourse delivery resolve"),
    ],
)
def test_what_left_or_may_have_left_is_not_skipped(world: World, lesson: str, words: str) -> None:
    number = world.join("kim@example.com")
    world.live_through(0.5)
    world.provider.answer = lambda _: LOST
    world.live_through(0.5)
    judged = give(world, Skip(lesson), number)
    assert judged.fate is Fate.REFUSED
    assert words in judged.words


def test_a_lesson_that_there_is_not_is_named(world: World) -> None:
    number = world.join("kim@example.com")
    for order in (Skip("nope"), Rewind("nope"), Resend("nope")):
        with pytest.raises(NotFoundError, match="No lesson 'nope'"):
            give(world, order, number)


def test_whoever_has_all_lessons_has_none_to_skip(world: World) -> None:
    number = world.join("kim@example.com")
    for _ in range(7):
        assert give(world, Skip(), number).fate is Fate.TOUCHED
    assert give(world, Skip(), number).words == "has no lesson to come"


# Rewind and resend --------------------------------------------------------------------------------


def test_a_rewind_sends_all_from_there_on_again_each_at_its_time(any_world: World) -> None:
    world = any_world
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(4.5)  # Monday evening: three lessons have left
    give(world, Rewind("network"), number)
    assert world.lessons(number) == [
        ("welcome", "accepted"),
        ("network", "pending"),
    ]
    world.live_through(3)
    assert left_when(world, number) == [
        ("welcome", "Thu 12:01"),
        ("network", "Fri 09:01"),
        ("market", "Mon 09:01"),
        ("network", "Tue 09:01"),
        ("market", "Wed 09:01"),
        ("practice", "Thu 09:01"),
    ]
    all_is_well(world)


def test_a_rewind_keeps_the_gap_to_the_last_sending(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(4.91)  # Tuesday 09:50: practice left at nine
    assert left_when(world, number)[-1][0] == "practice"
    world.clock.course = datetime(2027, 1, 19, 22, tzinfo=UTC)
    with world.database.writing() as session:
        session.execute(update(Subscriber).values(hour=time(1)))
    judged = give(world, Rewind("welcome"), number)
    # One in the morning would be sixteen hours after nine.
    assert "from Thu 2027-01-21 01:00" in judged.words
    world.live_through(6)
    all_is_well(world)


def test_a_welcome_that_is_sent_again_keeps_the_gap_to_the_one_before(any_world: World) -> None:
    world = any_world
    world.clock.course = datetime(2027, 1, 14, 5, 30, tzinfo=UTC)  # 06:30 in Berlin
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.tick()
    assert left_when(world, number) == [("welcome", "Thu 06:30")]
    for judged in (look(world, Rewind("welcome"), number), give(world, Rewind("welcome"), number)):
        assert "from Fri 2027-01-15 09:00" in judged.words
    world.live_through(5.5)
    assert left_when(world, number) == [
        ("welcome", "Thu 06:30"),
        ("welcome", "Fri 09:01"),
        ("network", "Mon 09:01"),
        ("market", "Tue 09:01"),
    ]
    all_is_well(world)


# Another clock ------------------------------------------------------------------------------------


def wish(world: World, **wishes: object) -> None:
    with world.database.writing() as session:
        now = world.clock.course
        found = correcting.Wishes(**wishes)  # type: ignore[arg-type]
        correcting.change(session, "kim@example.com", found, None, who="robin", now=now)


@pytest.mark.parametrize(
    ("zone", "hour", "expected"),
    [
        ("America/New_York", None, datetime(2027, 1, 18, 14, tzinfo=UTC)),
        (None, time(18), datetime(2027, 1, 18, 17, tzinfo=UTC)),
        (None, time(7), datetime(2027, 1, 19, 6, tzinfo=UTC)),  # it is past seven
    ],
)
def test_what_waits_for_an_hour_of_the_old_clock_waits_for_one_of_the_new(
    any_world: World, zone: str | None, hour: time | None, expected: datetime
) -> None:
    world = any_world
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(0.5)
    world.clock.course = datetime(2027, 1, 18, 6, 30, tzinfo=UTC)  # network is three days late
    world.tick()
    network = world.rows(number)[-1]
    assert (network.is_shifted, network.send_at) == (True, datetime(2027, 1, 18, 8, tzinfo=UTC))
    wish(world, zone=zone, hour=hour)
    network = world.rows(number)[-1]
    assert (network.due_at, network.send_at) == (expected, expected)
    wish(world, name="Kim")  # this moves nothing
    assert world.rows(number)[-1].send_at == expected
    world.live_through(3)
    all_is_well(world)


def test_a_new_clock_keeps_the_gap(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(4.5)  # Monday: market left at nine
    give(world, Rewind("market"), number)
    assert world.rows(number)[-1].send_at == datetime(2027, 1, 19, 8, tzinfo=UTC)
    wish(world, hour=time(1))
    assert world.rows(number)[-1].send_at == datetime(2027, 1, 20, 0, tzinfo=UTC)


def test_who_is_through_takes_part_again(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(12)
    assert world.state(number) == "completed"
    give(world, Rewind("leverage"), number)
    assert world.state(number) == "active"
    world.live_through(6)
    assert [slug for slug, _ in left_when(world, number)][-4:] == ["leverage", "decision"] * 2
    assert world.state(number) == "completed"
    all_is_well(world)


def test_a_resent_mail_leaves_at_once_and_moves_nothing(any_world: World) -> None:
    world = any_world
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(4.5)  # Monday, half past midnight
    judged = give(world, Resend("network"), number)
    assert "which left on 2027-01-15 08:0" in judged.words
    again = world.rows(number)[-1].id
    world.tick()
    assert left_when(world, number)[-1] == ("network", "Tue 00:00")
    world.live_through(1)
    assert left_when(world, number)[-1] == ("practice", "Tue 09:01")
    all_is_well(world, {again})
    with world.database.reading() as session:
        (line,) = session.scalars(select(Audit))
    assert line.detail["deliveries"] == [again]


def test_a_resend_to_one_who_is_through_changes_nothing_else(world: World) -> None:
    number = world.join("kim@example.com")
    world.live_through(12)
    before = len(left_when(world, number))
    give(world, Resend("network"), number)
    world.live_through(3)
    assert len(left_when(world, number)) == before + 1
    assert world.state(number) == "completed"


def test_what_may_have_left_is_settled_first(world: World) -> None:
    number = world.join("kim@example.com")
    world.live_through(0.5)
    world.provider.answer = lambda _: LOST
    world.live_through(0.5)
    for order in (Rewind("network"), Rewind("welcome"), Resend("network")):
        judged = give(world, order, number)
        assert judged.fate is Fate.REFUSED
        assert "minicourse delivery resolve" in judged.words


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Rewind("practice"), "has not come to practice yet"),
        (Resend("practice"), "has not had practice yet"),
        (Resend("market"), "has not had market (skipped by hand)"),
    ],
)
def test_what_was_not_sent_is_not_sent_again(world: World, order: Order, words: str) -> None:
    number = world.join("kim@example.com")
    world.live_through(1.5)
    give(world, Skip("market"), number)
    judged = give(world, order, number)
    assert judged.fate is Fate.REFUSED
    assert words in judged.words


def test_whose_address_may_not_be_mailed_gets_nothing_again(world: World) -> None:
    number = world.join("kim@example.com")
    world.live_through(1.5)
    hashed = world.subscriber("kim@example.com").email_hash
    with world.database.writing() as session:
        suppress(session, [hashed], SuppressionReason.BOUNCED, "test", world.clock.course)
    for order in (REWIND, RESEND):
        assert "may not be mailed: bounced" in give(world, order, number).words


# Move ---------------------------------------------------------------------------------------------


def test_who_waits_for_a_start_gets_the_new_ones(world: World) -> None:
    spring = make(world, "spring", starts_on=date(2027, 3, 1))
    summer = make(world, "summer", starts_on=date(2027, 6, 7))
    number = world.join("kim@example.com")
    give(world, Move(spring), number)
    give(world, Move(summer), number)
    with world.database.reading() as session:
        row = session.get_one(Enrollment, number)
        assert row.starts_at == datetime(2027, 6, 7, 7, tzinfo=UTC)
    world.live_through(20)
    assert world.lessons(number) == []


def told(world: World, number: int) -> list[tuple[str, str, str]]:
    """What they were, or will be, told of a first day."""
    return [
        (row.kind, row.state, f"{row.send_at:%m-%d}")
        for row in world.rows(number)
        if row.kind in ("joined", "reminder")
    ]


@pytest.mark.parametrize("state", ["active", "paused"])
def test_who_is_to_wait_for_a_start_is_told_once(any_world: World, state: str) -> None:
    world = any_world
    spring = make(world, "spring", starts_on=date(2027, 3, 1))
    summer = make(world, "summer", starts_on=date(2027, 6, 7))
    number = world.join("kim@example.com")
    put(world, number, state=state)
    words = "from evergreen to spring; a mail tells them when it begins"
    assert look(world, Move(spring), number).words == words
    give(world, Move(spring), number)
    put(world, number, state="active", next_due_at=None)
    assert told(world, number) == [
        ("joined", "pending", "01-14"),
        ("reminder", "pending", "02-28"),
    ]
    world.tick()
    (mail,) = [one for one in world.provider.requests if one.attachments]
    assert "Monday, 1 March, 09:00" in str(mail.personalizations[0].substitutions)
    assert look(world, Move(summer), number).words == "from spring to summer"
    give(world, Move(summer), number)
    assert told(world, number) == [
        ("joined", "accepted", "01-14"),
        ("reminder", "cancelled", "02-28"),
        ("reminder", "pending", "06-06"),
    ]
    give(world, Move(make(world, "always")), number)
    assert told(world, number)[-1] == ("reminder", "cancelled", "06-06")


def test_who_waits_for_no_start_is_told_of_none(world: World) -> None:
    """They have begun, or have not confirmed, or it has begun."""
    spring = make(world, "spring", starts_on=date(2027, 3, 1))
    begun, asked = world.join("kim@example.com"), world.sign_up("cy@example.com")
    world.live_through(1.5)
    late = world.join("ada@example.com")
    over = make(world, "over", starts_on=date(2027, 1, 11))
    for number, cohort in ((begun, spring), (asked, spring), (late, over)):
        assert "mail" not in look(world, Move(cohort), number).words
        give(world, Move(cohort), number)
        assert told(world, number) == []
    assert world.confirm(asked)
    assert [kind for kind, *_ in told(world, asked)] == ["joined", "reminder"]


def test_who_has_begun_goes_on_where_they_are(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(1.5)
    give(world, Move(make(world, "evenings", hour=time(19))), number)
    world.live_through(4)
    assert left_when(world, number)[-2:] == [("market", "Mon 19:01"), ("practice", "Tue 19:01")]


def test_what_waits_for_its_hour_waits_for_the_new_cohorts(world: World) -> None:
    number = world.join("kim@example.com", zone="Europe/Berlin")
    world.live_through(4.5)
    give(world, Rewind("network"), number)
    give(world, Move(make(world, "evenings", hour=time(19))), number)
    assert world.rows(number)[-1].send_at == datetime(2027, 1, 19, 18, tzinfo=UTC)


def test_a_full_cohort_takes_as_many_as_it_has_places_for(world: World) -> None:
    small = make(world, "small", capacity=1)
    ids = [world.join(f"{name}@example.com") for name in ("ada", "kim")]
    judged = world.database.run(
        lambda s: steering.give(s, Move(small), ids, who="robin", now=world.clock.course)
    )
    assert [one.fate for one in judged] == [Fate.TOUCHED, Fate.REFUSED]
    assert judged[1].words == "finds no place: job-search/small is full (1 place)"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("draft", "is draft. Open it first: minicourse cohort open job-search/other"),
        ("paused", "is paused. Let it go on first: minicourse cohort resume job-search/other"),
        ("archived", "is archived. Nobody joins it any more"),
    ],
)
def test_nobody_is_put_into_a_cohort_that_does_not_run(
    world: World, state: str, words: str
) -> None:
    make(world, "other", state)
    with world.database.reading() as session, pytest.raises(MinicourseError) as caught:
        moving.target(session, "other")
    assert words in str(caught.value)


def test_a_cohort_of_another_course_is_refused(world: World) -> None:
    number = world.join("kim@example.com")
    with world.database.writing() as session:
        other = Course(slug="bread", state="draft", created_at=world.clock.course)
        session.add(other)
        session.flush()
        cohort = Cohort(
            course_id=other.id, name="bakers", state="open", created_at=world.clock.course
        )
        session.add(cohort)
        session.flush()
        elsewhere = cohort.id
    assert "is of another course" in look(world, Move(elsewhere), number).words


# Tags ---------------------------------------------------------------------------------------------


def test_a_tag_is_a_persons_and_kept_once(world: World) -> None:
    number = world.join("kim@example.com")
    assert give(world, SetTag("vip"), number).fate is Fate.TOUCHED
    assert give(world, SetTag("vip"), number).fate is Fate.ALREADY
    with world.database.reading() as session:
        assert tags.of(session, world.subscriber("kim@example.com").id) == ["vip"]
    assert give(world, DropTag("vip"), number).words == "no longer tagged vip"
    with world.database.reading() as session:
        assert session.scalars(select(Tag)).all() == []


def test_a_tag_is_a_word() -> None:
    assert tags.read(" VIP ") == "vip"
    assert tags.read("kurs:köln-2") == "kurs:köln-2"
    for wrong in ("", "two words", "-x", "a,b", "x" * 65):
        with pytest.raises(InvalidInputError, match="is no tag"):
            tags.read(wrong)
