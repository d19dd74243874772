"""Orders about learners: whom an order touches, whom it does not and why, and then the order.

Each order first judges, which only reads: a dry run ends there. It is given in the transaction that
judges once more, under lock, and each person whom it touches gets a line in the audit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from course import audit, courses, ledger, planning, subscribers
from course.curriculum import Course as Curriculum
from course.db import among
from course.errors import InvalidInputError, RefusedError
from course.models import Cohort, Course, Delivery, Enrollment, Subscriber
from course.states import OPEN_ENROLLMENT, DeliveryState, EnrollmentState

E = EnrollmentState
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Learner:
    """An enrollment with all that an order asks about."""

    enrollment: Enrollment
    person: Subscriber
    cohort: Cohort
    course: Course
    curriculum: Curriculum

    @property
    def state(self) -> EnrollmentState:
        return EnrollmentState(self.enrollment.state)

    @property
    def pace(self) -> planning.Pace:
        """How the course goes for them."""
        one = self.enrollment
        is_late = bool(one.confirmed_at and one.starts_at and one.confirmed_at > one.starts_at)
        person = self.person
        clock = planning.clock_in(self.cohort, person.zone, person.hour, is_late=is_late)
        return planning.pace(self.curriculum, clock)


class Fate(StrEnum):
    """What an order does to a learner."""

    TOUCHED = "touched"
    ALREADY = "already"  # it is so without it
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judged:
    """A learner, what an order does to them and in which words; `detail` is for the audit."""

    enrollment_id: int
    subscriber_id: int
    email: str | None
    course: str
    cohort: str
    fate: Fate
    words: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_touched(self) -> bool:
        return self.fate is Fate.TOUCHED


class Order(Protocol):
    """Something that a person wants done with learners."""

    @property
    def action(self) -> str:
        """Its name in the audit."""

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        """What it does to each; reads only."""

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, Any]]:
        """Do it to these. Returns, by enrollment, what the audit is to know besides."""


def look(session: Session, order: Order, ids: Sequence[int], now: datetime) -> list[Judged]:
    """What the order would do."""
    return order.judge(session, learners(session, ids), now)


def give(
    session: Session,
    order: Order,
    ids: Sequence[int],
    *,
    who: str,
    now: datetime,
    why: str | None = None,
) -> list[Judged]:
    """Do it, to a batch at most; returns what it did to whom."""
    found = learners(session, ids, is_locked=True)
    waiting = select(Delivery.id).where(
        among(session, Delivery.enrollment_id, ids), Delivery.state == DeliveryState.PENDING
    )
    ledger.lock(session, session.scalars(waiting).all())
    judged = order.judge(session, found, now)
    touched = [one for one in judged if one.is_touched]
    known = order.act(session, touched, now) if touched else {}
    for one in touched:
        audit.record(
            session,
            who,
            order.action,
            now,
            why=why,
            subscriber_id=one.subscriber_id,
            course=one.course,
            **one.detail,
            **known.get(one.enrollment_id, {}),
        )
    return judged


def learners(session: Session, ids: Sequence[int], *, is_locked: bool = False) -> list[Learner]:
    statement = _LEARNERS.where(among(session, Enrollment.id, ids)).order_by(Enrollment.id)
    if is_locked:
        statement = statement.with_for_update(of=Enrollment, key_share=True)
    found = session.execute(statement).all()
    live = courses.by_ids(session, {row.Course.id for row in found})
    return [Learner(*row, live[row.Course.id].curriculum) for row in found]


_LEARNERS: Select[Enrollment, Subscriber, Cohort, Course] = (
    select(Enrollment, Subscriber, Cohort, Course)
    .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
    .join(Cohort, Cohort.id == Enrollment.cohort_id)
    .join(Course, Course.id == Enrollment.course_id)
)


def one_of(session: Session, email: str, course: str | None) -> int:
    """That person's newest enrollment in the course; where they are in several, it must be
    named."""
    person = subscribers.find(session, email)
    mine = (
        select(Enrollment.id, Enrollment.state, Course.slug)
        .join(Course, Course.id == Enrollment.course_id)
        .where(Enrollment.subscriber_id == person.id)
        .order_by(Enrollment.id)
    )
    if course is not None:
        mine = mine.where(Enrollment.course_id == courses.live(session, course).id)
    found = session.execute(mine).all()
    if not found:
        where = f"in {course}" if course else "in any course"
        raise RefusedError(
            f"{person.email} is not {where}. See: minicourse subscriber show {person.email}"
        )
    newest = {row.slug: row for row in found}
    running = {slug: row for slug, row in newest.items() if row.state in OPEN_ENROLLMENT} or newest
    if len(running) > 1:
        raise InvalidInputError(
            f"{person.email} is in several courses: {', '.join(sorted(running))}. "
            "Say which one with --course"
        )
    number: int = next(iter(running.values())).id
    return number


# What orders share ------------------------------------------------------------------------------


def said(learner: Learner, fate: Fate, words: str, **detail: Any) -> Judged:
    return Judged(
        learner.enrollment.id,
        learner.person.id,
        learner.person.email,
        learner.course.slug,
        learner.cohort.name,
        fate,
        words,
        detail,
    )


def why_not(learner: Learner) -> str:
    """Why an order that does not fit the state is refused, and what is possible instead."""
    email, enrollment = learner.person.email, learner.enrollment
    ended = f"{enrollment.ended_at:%Y-%m-%d}" if enrollment.ended_at else "an unknown day"
    match learner.state:
        case E.PENDING:
            return (
                "has not confirmed yet; to ask once more: minicourse subscriber add "
                f"{email} --cohort {learner.course.slug}/{learner.cohort.name}"
            )
        case E.ACTIVE:
            return "takes part already"
        case E.PAUSED:
            return f"is paused; first: minicourse subscriber resume {email}"
        case E.COMPLETED:
            return (
                f"has been through since {ended}; to send lessons again: "
                f"minicourse subscriber rewind {email} --to LESSON"
            )
        case E.CANCELLED:
            return f"left on {ended} ({enrollment.reason}); back comes who signs up and confirms"
