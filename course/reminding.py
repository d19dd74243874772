"""Whoever has not confirmed is reminded once, two days after the first mail went: it was asked for,
and may lie in a spam folder. The reminder is the confirmation again, and counts as one."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from course import courses, enrollment, places
from course.models import Cohort, Delivery, Enrollment
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.tokens import CONFIRM_DAYS

AFTER = timedelta(days=2)
_UNTIL = timedelta(days=CONFIRM_DAYS)  # whoever is older is not awaited any more


def waiting(session: Session, now: datetime, after: int, limit: int) -> list[int]:
    """Pending enrollments, beyond that id, whose only confirmation mail went two days ago."""
    first, another = aliased(Delivery), aliased(Delivery)
    has_another = exists().where(
        another.enrollment_id == Enrollment.id,
        another.kind == MessageKind.CONFIRMATION,
        another.id != first.id,
    )
    found = (
        select(Enrollment.id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(first, first.enrollment_id == Enrollment.id)
        .where(
            Cohort.rehearsal_every.is_(None),
            Enrollment.state == EnrollmentState.PENDING,
            Enrollment.id > after,
            first.kind == MessageKind.CONFIRMATION,
            first.state == DeliveryState.ACCEPTED,
            first.settled_at.between(now - _UNTIL, now - AFTER),
            ~has_another,
        )
        .order_by(Enrollment.id)
        .limit(limit)
    )
    return list(session.scalars(found))


def remind(session: Session, ids: Sequence[int], now: datetime) -> int:
    """Those of them whose course wants it, and who still have a place; returns how many."""
    reminded = 0
    for number in ids:
        found = session.get_one(Enrollment, number)
        live = courses.by_id(session, found.course_id)
        if not live.curriculum.signup.reminder:
            continue
        if places.place(session, found, live.curriculum, now).cohort is not None:
            reminded += enrollment.ask_to_confirm(session, found, now)
    return reminded
