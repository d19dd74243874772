"""What is due, what is in its way, and what comes next: the ledger and the planner asked, without
sending anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, func, not_, select, true
from sqlalchemy.orm import Session

from course import cohorts, conditions, courses, history, holds, installation, lateness, planning
from course.history import Mail
from course.models import Cohort, Course, Delivery, Enrollment, Subscriber
from course.states import RUNNING_COHORT, UNDECIDED, DeliveryState, EnrollmentState, MessageKind
from course.suppressions import suppressed
from course.timing import Due

T = TypeVar("T")

S = DeliveryState
# What waits longer than this needs a person: a scheduler looks every few seconds.
LATE = timedelta(minutes=15)
# Looked at to find the next release: of so many, one has a lesson before it.
_CANDIDATES = 50


def would_send(session: Session, now: datetime, real: datetime) -> list[Mail]:
    """Who would get what now, by the real planner. It writes: the caller takes the session's
    transaction back."""
    while planning.plan(session, now) == planning.BATCH:
        pass
    reached = lateness.replan(session, now, real)
    while reached:
        reached = lateness.replan(session, now, real, beyond=reached)
    session.flush()
    return history.read(
        session,
        history.MAILS.where(
            conditions.waiting(now, real), not_(suppressed(Subscriber.email_hash))
        ).order_by(Delivery.rank, Delivery.send_at, Delivery.id),
    )


# What is in the way -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many mails stand where; `due` and `late` also count learners whose time has come and
    who have not been planned yet. `late` is as `late` counts it."""

    due: int
    late: int
    held: int
    retrying: int
    unknown: int
    failed: int
    retry_at: datetime | None  # when the first of the retrying goes again


def backlog(
    session: Session,
    now: datetime,
    real: datetime,
    *,
    failed_since: datetime | None = None,
    with_rehearsals: bool = True,
) -> Backlog:
    """`failed` counts those since that time, or ever."""
    whose = true() if with_rehearsals else cohorts.IS_REAL
    waiting = and_(Delivery.state == S.PENDING, conditions.wanted(), not_(holds.held()), whose)
    retrying = and_(waiting, Delivery.send_at <= now, Delivery.retry_at > real)
    failed = [Delivery.state == S.FAILED, not_(Delivery.superseded), whose]
    if failed_since is not None:
        failed.append(Delivery.settled_at >= failed_since)
    return Backlog(
        due=conditions.count(session, conditions.waiting(now, real), whose)
        + _unplanned(session, now, whose),
        late=late(session, now, whose),
        held=conditions.count(
            session,
            Delivery.state == S.PENDING,
            Delivery.send_at <= now,
            conditions.wanted(),
            holds.held(),
            whose,
        ),
        retrying=conditions.count(session, retrying),
        unknown=conditions.count(session, Delivery.state == S.UNKNOWN, whose),
        failed=conditions.count(session, *failed),
        retry_at=_first_retry(session, retrying),
    )


def late(session: Session, now: datetime, whose: ColumnElement[bool] | None = None) -> int:
    """How many mails might have left more than a quarter of an hour ago and wait still, whether or
    not they were tried, or their learner was planned."""
    if holds.is_all_held(session):
        return 0
    whose = cohorts.IS_REAL if whose is None else whose
    overdue = now - LATE
    waiting = and_(Delivery.state == S.PENDING, conditions.wanted(), not_(holds.held()), whose)
    written = conditions.count(session, waiting, Delivery.send_at < overdue)
    return written + _unplanned(session, overdue, whose)


def oldest(
    session: Session, now: datetime, real: datetime, *, with_rehearsals: bool = True
) -> datetime | None:
    """Since when the oldest mail that may leave has been due: as with `due`, it may be one that
    no row was written for, as nobody planned."""
    if holds.is_all_held(session):
        return None
    whose = true() if with_rehearsals else cohorts.IS_REAL
    written = conditions.joined(select(func.min(Delivery.send_at))).where(
        conditions.waiting(now, real), whose
    )
    planned = _not_planned(select(func.min(Enrollment.next_due_at)), now, whose)
    found = session.scalar(written), session.scalar(planned)
    return min((moment for moment in found if moment is not None), default=None)


def _unplanned(session: Session, until: datetime, whose: ColumnElement[bool]) -> int:
    return session.scalar(_not_planned(select(func.count(Enrollment.id)), until, whose)) or 0


def _not_planned(statement: Select[T], until: datetime, whose: ColumnElement[bool]) -> Select[T]:
    """Of learners whose time has come, and whom no planner has looked at since."""
    return statement.join(Cohort, Cohort.id == Enrollment.cohort_id).where(
        Enrollment.state == EnrollmentState.ACTIVE,
        Enrollment.next_due_at <= until,
        Cohort.state.in_(RUNNING_COHORT),
        whose,
    )


def _first_retry(session: Session, retrying: ColumnElement[bool]) -> datetime | None:
    statement = (
        select(func.min(Delivery.retry_at))
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(retrying)
    )
    return session.scalar(statement)


# What comes next --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Next:
    """A learner's next lesson: the instant, and the same on their own clock."""

    lesson: str
    due_at: datetime
    local_due_at: datetime


def next_lessons(session: Session, enrollment_ids: Sequence[int], now: datetime) -> dict[int, Next]:
    """What each of these learners gets next; who is not active, or is through, is left out."""
    learners = {
        learner.id: learner
        for learner in planning.learners_where(
            session,
            Enrollment.id.in_(enrollment_ids),
            Enrollment.state == EnrollmentState.ACTIVE,
            Cohort.state.in_(RUNNING_COHORT),
        )
    }
    found = _on_their_way(session, list(learners))
    others = [learner for number, learner in learners.items() if number not in found]
    for learner, decision in planning.decide(session, others, now):
        if isinstance(decision, Due):
            found[learner.id] = decision.slug, decision.comes_at
    return {
        number: Next(slug, due_at, due_at.astimezone(_zone(session, learners[number])))
        for number, (slug, due_at) in found.items()
    }


def _on_their_way(session: Session, ids: Sequence[int]) -> dict[int, tuple[str, datetime]]:
    """Lessons that have a row already and are not settled."""
    rows = session.execute(
        select(Delivery.enrollment_id, Delivery.message_key, Delivery.send_at)
        .where(
            Delivery.enrollment_id.in_(ids),
            Delivery.kind == MessageKind.LESSON,
            Delivery.state.in_(UNDECIDED),
        )
        .order_by(Delivery.id)
    )
    return {number: (slug, send_at) for number, slug, send_at in rows}


def _zone(session: Session, learner: planning.Learner) -> ZoneInfo:
    curriculum = courses.by_id(session, learner.clock.course_id).curriculum
    return planning.rhythm(curriculum, learner.clock).zone


@dataclass(frozen=True, slots=True)
class Release:
    """The next lesson that leaves, and when."""

    course: str
    lesson: str
    due_at: datetime


def next_release(session: Session, now: datetime) -> Release | None:
    """The first lesson that leaves after now, but for rehearsals; None where nobody waits."""
    courses_of = dict(_soonest(session, now))
    coming = next_lessons(session, list(courses_of), now)
    releases = [
        Release(courses_of[number], one.lesson, one.due_at)
        for number, one in coming.items()
        if one.due_at > now
    ]
    return min(releases, key=lambda release: release.due_at, default=None)


def _soonest(session: Session, now: datetime) -> list[tuple[int, str]]:
    """The enrollments that are looked at next, and those whose row waits for its time."""
    planned = (
        select(Enrollment.id, Course.slug)
        .join(Course, Course.id == Enrollment.course_id)
        .where(
            Enrollment.state == EnrollmentState.ACTIVE,
            Enrollment.next_due_at > now,
            Enrollment.cohort_id.not_in(cohorts.rehearsals()),
        )
        .order_by(Enrollment.next_due_at)
        .limit(_CANDIDATES)
    )
    written = (
        select(Delivery.enrollment_id, Course.slug)
        .join(Course, Course.id == Delivery.course_id)
        .where(
            Delivery.state == S.PENDING,
            Delivery.send_at > now,
            Delivery.enrollment_id.not_in(cohorts.rehearsing(session)),
        )
        .order_by(Delivery.send_at)
        .limit(_CANDIDATES)
    )
    rows = [*session.execute(planned), *session.execute(written)]
    return [(number, slug) for number, slug in rows]


def breaker_until(session: Session) -> datetime | None:
    """Until when, after lost answers, only single mails go (real time); None while all is well."""
    here = installation.get(session)
    return here.breaker_until if here.ambiguous_in_a_row else None


def quiet_until(session: Session, real: datetime) -> datetime | None:
    """Until when the provider wants to hear nothing (real time); None when it does not say."""
    until = installation.get(session).quiet_until
    return until if until is not None and until > real else None
