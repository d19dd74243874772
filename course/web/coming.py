"""What a learner has and what comes next, for their pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, false, select
from sqlalchemy.orm import Session

from course import ledger, planning
from course.curriculum import Course as Curriculum
from course.models import Delivery, Enrollment
from course.planning import Learner
from course.states import UNDECIDED, DeliveryState, EnrollmentState, MessageKind
from course.timing import Due, Past


@dataclass(frozen=True, slots=True)
class Next:
    """The next mail that has a date."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Ahead:
    """The number of the mail that leaves now, if one does, and what comes after it; or the mail
    that waits for its hour, and behind it nothing that has a date."""

    now: int | None = None
    next: Next | None = None


@dataclass(frozen=True, slots=True)
class Coming:
    """Where a learner stands, on their own clock."""

    received: int
    total: int
    zone: ZoneInfo
    weekdays: frozenset[int]
    hour: time
    goes_on: bool
    ahead: Ahead


def coming(
    session: Session, enrollment: Enrollment, curriculum: Curriculum, now: datetime
) -> Coming:
    """Reads only."""
    rows = _lessons(session, enrollment.id)
    learner = planning.learners_where(session, Enrollment.id == enrollment.id)[0]
    received = {row.message_key for row in rows if row.state == DeliveryState.ACCEPTED}
    rhythm = planning.rhythm(curriculum, learner.clock)
    goes_on = enrollment.state == EnrollmentState.ACTIVE and learner.running
    return Coming(
        received=len(received & set(curriculum.by_slug)),
        total=len(curriculum.lessons),
        zone=rhythm.zone,
        weekdays=rhythm.weekdays,
        hour=rhythm.at,
        goes_on=goes_on,
        ahead=_ahead(rows, curriculum, learner, now) if goes_on else Ahead(),
    )


def _lessons(session: Session, enrollment_id: int) -> list[Row[*tuple[Any, ...]]]:
    statement = select(
        Delivery.message_key,
        Delivery.state,
        Delivery.due_at,
        Delivery.send_at,
        Delivery.settled_at,
        Delivery.rank,
    )
    return list(
        session.execute(
            statement.where(
                Delivery.enrollment_id == enrollment_id,
                Delivery.kind == MessageKind.LESSON,
                Delivery.superseded == false(),
            )
        )
    )


def _ahead(
    rows: list[Row[*tuple[Any, ...]]],
    curriculum: Curriculum,
    learner: Learner,
    now: datetime,
) -> Ahead:
    """A row that is not settled counts as gone: its mail leaves within moments, but where it waits
    for an hour to come."""
    for row in rows:
        lesson = curriculum.by_slug.get(row.message_key)
        if row.state == DeliveryState.PENDING and row.send_at > now and lesson:
            return Ahead(next=Next(lesson.number, row.send_at))
    leaving = [row.message_key for row in rows if row.state in UNDECIDED]
    past = {row.message_key: Past(True, row.due_at, _sent_at(row)) for row in rows}
    return look_ahead(curriculum, learner, past, leaving[0] if leaving else None, now)


def _sent_at(row: Row[*tuple[Any, ...]]) -> datetime | None:
    """What the gap counts from; a welcome mail starts none."""
    if row.rank != ledger.RANK_LESSON:
        return None
    moment: datetime = row.settled_at or row.send_at
    return moment


def look_ahead(
    curriculum: Curriculum,
    learner: Learner,
    past: Mapping[str, Past],
    leaving: str | None,
    now: datetime,
) -> Ahead:
    """`leaving` is the lesson whose mail is on its way; a lesson that is due joins it. Pure."""
    found = planning.next_lesson(planning.pace(curriculum, learner.clock), learner, past, now)
    if isinstance(found, Due) and found.comes_at <= now and leaving is None:
        sent_at = None if found.is_welcome else now
        gone = {**past, found.slug: Past(True, found.due_at, sent_at)}
        return look_ahead(curriculum, learner, gone, found.slug, now)
    lesson = curriculum.by_slug.get(leaving or "")
    number = lesson.number if lesson else None
    if not isinstance(found, Due):
        return Ahead(number)
    return Ahead(number, Next(curriculum.lesson(found.slug).number, found.comes_at))
