"""Learners by the hundred thousand: written set-wise, in the state that sign-up, confirmation and a
first lesson would have left them in."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Text,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import Session

from course import brake, cohorts, courses, ledger, reach, rollups
from course.courses import Live
from course.db import Database, UTCDateTime, is_postgresql
from course.models import Delivery, Enrollment, Request, Subscriber
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.timing import to_utc

COURSE = "job-search"
# A Thursday at 09:30 UTC: in each of these zones nine o'clock is over, but not long ago.
NOW = datetime(2027, 1, 14, 9, 30, tzinfo=UTC)
ZONES = (
    None,  # the course's own
    "Europe/London",
    "Europe/Berlin",
    "Africa/Johannesburg",
    "Africa/Nairobi",
    "Asia/Dubai",
    "Asia/Karachi",
)
CONFIRMED = NOW - timedelta(hours=25)
# When the next lesson came, for each learner in each zone: not an hour ago.
DUE = NOW - timedelta(minutes=30)
_TOMORROW = NOW.date() + timedelta(days=1)
_REQUEST_SIZE = 1000


def enroll(database: Database, count: int) -> None:
    """So many active learners in all zones, each with an accepted first lesson; the next one is
    due tomorrow at nine."""
    with database.writing() as session:
        if not is_postgresql(session):
            session.execute(text("PRAGMA cache_size=-500000"))  # 500 MB, while it is filled
        cohort = cohorts.find(session, cohorts.EVERGREEN)
        _insert(session, Subscriber, _subscribers(session, count))
        _insert(session, Enrollment, _enrollments(session, cohort.id, cohort.course_id))
        course = courses.by_id(session, cohort.course_id)
        _requests(session, course, count)
        _insert(session, Delivery, _accepted(course))
        first = frozenset([course.curriculum.lessons[0].slug])
        place = reach.numbered(session, [first])[first]
        session.execute(update(Enrollment).values(lesson_set_id=place))
        rollups.mend(session, rollups.differences(session))
        reach.mend(session, reach.differences(session))
    database.dispose()
    _settle_down(database)


def make_due(database: Database, first: int, last: int) -> None:
    """The time of the learners first … last has come."""
    with database.writing() as session:
        session.execute(
            update(Enrollment).where(Enrollment.id.between(first, last)).values(next_due_at=NOW)
        )


def plan_all(database: Database) -> None:
    """The next lesson of everybody stands in the ledger, has just become due, and was foreseen."""
    with database.writing() as session:
        count = session.scalar(select(func.count(Enrollment.id))) or 0
        brake.foresee(session, count, NOW - timedelta(hours=1))
        course = courses.live(session, COURSE)
        # The planner writes them zone by zone: the learners of one lie scattered among all.
        zone = Enrollment.subscriber_id % len(ZONES)
        _insert(session, Delivery, _pending(course), order=[zone, Enrollment.id])
        tomorrow = _nine_on(_TOMORROW, Enrollment.subscriber_id)
        session.execute(update(Enrollment).values(next_due_at=tomorrow))
        rollups.mend(session, rollups.differences(session))
    database.dispose()
    _settle_down(database)


def _settle_down(database: Database) -> None:
    """What PostgreSQL would do by itself within minutes."""
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM ANALYZE"))
        database.dispose()


# Statements ---------------------------------------------------------------------------------------


def _insert(
    session: Session, table: type[Any], columns: dict[str, Any], order: Sequence[Any] = ()
) -> None:
    found = select(*columns.values()).order_by(*order)
    session.execute(insert(table).from_select(list(columns), found))


def _subscribers(session: Session, count: int) -> dict[str, Any]:
    numbers = select(literal(1).label("i")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.i + 1).where(numbers.c.i < count))
    number = cast(numbers.c.i, Text)
    zones = {place: zone for place, zone in enumerate(ZONES) if zone}
    return {
        "email": literal("learner.") + number + literal("@example.org"),
        "email_hash": _random_hex(session) + _random_hex(session),
        "mailbox_hash": _random_hex(session) + _random_hex(session),
        "name": literal("Robin ") + number,
        "zone": case(zones, value=numbers.c.i % len(ZONES), else_=null()),
        "is_sandbox": literal(True),
        "created_at": literal(CONFIRMED, UTCDateTime()),
    }


def _enrollments(session: Session, cohort_id: int, course_id: int) -> dict[str, Any]:
    confirmed = literal(CONFIRMED, UTCDateTime())
    return {
        "subscriber_id": Subscriber.id,
        "course_id": literal(course_id),
        "cohort_id": literal(cohort_id),
        "state": literal(EnrollmentState.ACTIVE.value),
        "token": func.substr(_random_hex(session), 1, 22),
        "created_at": confirmed,
        "confirmed_at": confirmed,
        "starts_at": confirmed,
        "next_due_at": _nine_on(_TOMORROW, Subscriber.id),
    }


def _requests(session: Session, course: Live, mails: int) -> None:
    sent = {
        "revision_id": course.revision_id,
        "size": _REQUEST_SIZE,
        "sent_at": CONFIRMED,
        "is_summed": True,
    }
    session.execute(insert(Request), [sent] * -(-mails // _REQUEST_SIZE))


def _nine_on(day: date, number: Any) -> ColumnElement[Any]:
    """Nine o'clock on that day, by the clock of the subscriber of that number."""

    def nine(zone: str | None) -> ColumnElement[Any]:
        return literal(to_utc(day, time(9), ZoneInfo(zone or "Europe/Berlin")), UTCDateTime())

    others = {place: nine(zone) for place, zone in enumerate(ZONES) if zone}
    return case(others, value=number % len(ZONES), else_=nine(None))


def _accepted(course: Live) -> dict[str, Any]:
    """The first lesson of each."""
    return {
        **_lesson(course, 0, ledger.RANK_WELCOME, literal(CONFIRMED, UTCDateTime())),
        "state": literal(DeliveryState.ACCEPTED.value),
        "revision_id": literal(course.revision_id),
        "request_id": (Enrollment.id - 1) // _REQUEST_SIZE + 1,
        "settled_at": literal(CONFIRMED, UTCDateTime()),
    }


def _pending(course: Live) -> dict[str, Any]:
    """The second one."""
    return {
        **_lesson(course, 1, ledger.RANK_LESSON, literal(DUE, UTCDateTime())),
        "state": literal(DeliveryState.PENDING.value),
    }


def _lesson(course: Live, number: int, rank: int, due: ColumnElement[Any]) -> dict[str, Any]:
    return {
        "enrollment_id": Enrollment.id,
        "course_id": literal(course.id),
        "kind": literal(MessageKind.LESSON.value),
        "message_key": literal(course.curriculum.lessons[number].slug),
        "rank": literal(rank),
        "created_at": due,
        "due_at": due,
        "send_at": due,
    }


def _random_hex(session: Session) -> ColumnElement[Any]:
    """32 random characters, others in each row."""
    if is_postgresql(session):
        return func.md5(cast(func.random(), Text), type_=Text)
    return func.lower(func.hex(func.randomblob(16)), type_=Text)
