"""Whether there is a place in a cohort: its last day to sign up, its capacity, its latecomers."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from course import cohorts
from course.curriculum import Course as Curriculum
from course.models import Cohort, Enrollment
from course.starting import begins_at, zone_of
from course.states import CohortState, EnrollmentState, Latecomers
from course.timing import local_date
from course.tokens import CONFIRM_DAYS

E = EnrollmentState


class Shut(StrEnum):
    """Why nobody may sign up to a cohort now."""

    CLOSED = "closed"  # by its author
    OVER = "over"  # its last day to sign up is past
    BEGUN = "begun"  # and latecomers go to the next one
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Places:
    """`left` is None where as many may join as like."""

    shut: Shut | None
    left: int | None


def look(session: Session, cohort: Cohort, curriculum: Curriculum, now: datetime) -> Places:
    """Whether somebody may sign up now."""
    left = _left(cohort, taken(session, cohort, now)) if cohort.capacity is not None else None
    if cohort.state != CohortState.OPEN:
        return Places(Shut.CLOSED, left)
    if cohort.closes_on is not None and _today(cohort, curriculum, now) > cohort.closes_on:
        return Places(Shut.OVER, left)
    if _turns_latecomers_away(cohort, curriculum, now):
        return Places(Shut.BEGUN, left)
    return Places(Shut.FULL if left == 0 else None, left)


def has_begun(cohort: Cohort, curriculum: Curriculum, now: datetime) -> bool:
    """Whether the first day of a cohort that has one has come, at its hour."""
    begins = begins_at(cohort, curriculum)
    return begins is not None and begins <= now


def taken(session: Session, cohort: Cohort, now: datetime) -> int:
    """Who has a place: those who confirmed and did not leave, and those who may still confirm by
    the mail that their sign-up brought."""
    return _count(session, cohort, or_(_IS_IN, _may_confirm(now)))


def next_after(
    session: Session,
    cohort: Cohort,
    curriculum: Curriculum,
    now: datetime,
    *,
    lock: bool = False,
) -> Cohort | None:
    """The course's next cohort, by its first day, that takes people in."""
    today = _today(cohort, curriculum, now)
    later = session.scalars(
        select(Cohort)
        .where(
            Cohort.course_id == cohort.course_id,
            cohorts.IS_REAL,
            Cohort.state == CohortState.OPEN,
            Cohort.starts_on > max(cohort.starts_on or today, today),
        )
        .order_by(Cohort.starts_on, Cohort.id)
    )
    for one in later:
        if lock:
            _lock(session, one)
        if look(session, one, curriculum, now).shut is None:
            return one
    return None


@dataclass(frozen=True, slots=True)
class Placed:
    """The cohort in which a pending person begins by confirming, None: in none; and what shuts
    the one that they signed up to."""

    cohort: Cohort | None
    shut: Shut | None = None


def place(
    session: Session,
    enrollment: Enrollment,
    curriculum: Curriculum,
    now: datetime,
    *,
    lock: bool = False,
) -> Placed:
    """Where somebody who confirms now has a place: in their cohort, or in the next one.

    With `lock` no other confirmation takes it until this transaction ends.
    """
    cohort = enrollment.cohort
    if lock:
        _lock(session, cohort)
    shut = _shut_to(session, enrollment, curriculum, now)
    if shut is None:
        return Placed(cohort)
    return Placed(next_after(session, cohort, curriculum, now, lock=lock), shut)


def _shut_to(
    session: Session, enrollment: Enrollment, curriculum: Curriculum, now: datetime
) -> Shut | None:
    """Who signed up in time may confirm later, and has a place as long as the mail's link works;
    after that only what others leave."""
    cohort = enrollment.cohort
    if _turns_latecomers_away(cohort, curriculum, now):
        return Shut.BEGUN
    if cohort.capacity is None:
        return None
    held: ColumnElement[bool] = _IS_IN
    if enrollment.created_at <= now - timedelta(days=CONFIRM_DAYS):
        held = or_(_IS_IN, _may_confirm(now))
    others = _count(session, cohort, held, Enrollment.id != enrollment.id)
    return Shut.FULL if others >= cohort.capacity else None


_IS_IN = Enrollment.state.in_((E.ACTIVE, E.PAUSED, E.COMPLETED))


def _may_confirm(now: datetime) -> ColumnElement[bool]:
    fresh = Enrollment.created_at > now - timedelta(days=CONFIRM_DAYS)
    return and_(Enrollment.state == E.PENDING, fresh)


def _count(session: Session, cohort: Cohort, *where: ColumnElement[bool]) -> int:
    statement = select(func.count()).where(Enrollment.cohort_id == cohort.id, *where)
    return session.scalar(statement) or 0


def _left(cohort: Cohort, taken: int) -> int:
    return max(0, (cohort.capacity or 0) - taken)


def _turns_latecomers_away(cohort: Cohort, curriculum: Curriculum, now: datetime) -> bool:
    return cohort.latecomers == Latecomers.NEXT and has_begun(cohort, curriculum, now)


def _today(cohort: Cohort, curriculum: Curriculum, now: datetime) -> date:
    return local_date(now, zone_of(cohort, curriculum))


def _lock(session: Session, cohort: Cohort) -> None:
    """Two who confirm at the same moment are counted one after the other. (SQLite has one writer
    anyway.)"""
    if cohort.capacity is not None:
        session.refresh(cohort, with_for_update=True)
