"""What a delivery must be like to be sent: conditions in SQL, each written once."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, and_, case, func, not_, or_, select, true
from sqlalchemy.orm import Session

from course import holds
from course.models import Cohort, Delivery, Enrollment
from course.states import (
    OPEN_ENROLLMENT,
    RUNNING_COHORT,
    DeliveryState,
    EnrollmentState,
    Latecomers,
    MessageKind,
)

T = TypeVar("T")

# Confirmations, welcome mails, lessons. They are named so that the index of what waits is entered
# at the earliest of each rank, and left at what is not due yet.
EVERY_RANK = (0, 1, 2)

# An instant or a hold, or the parameter of a statement that is built once.
Moment = datetime | ColumnElement[datetime]
HoldId = int | ColumnElement[int]


def wanted() -> ColumnElement[bool]:
    """SQL over Delivery ⋈ Enrollment ⋈ Cohort: the enrollment still asks for this kind of mail."""
    return case(
        (Delivery.kind == MessageKind.CONFIRMATION, Enrollment.state == EnrollmentState.PENDING),
        (
            Delivery.kind.in_((MessageKind.LESSON, MessageKind.NOTE, MessageKind.REMINDER)),
            and_(Enrollment.state == EnrollmentState.ACTIVE, Cohort.state.in_(RUNNING_COHORT)),
        ),
        (Delivery.kind == MessageKind.JOINED, Enrollment.state == EnrollmentState.ACTIVE),
        # What people may ask for about themselves does not end with their course.
        (Delivery.kind == MessageKind.LINK, true()),
        else_=Enrollment.state.in_(OPEN_ENROLLMENT),
    )


def catches_up() -> ColumnElement[bool]:
    """SQL over Enrollment ⋈ Cohort: somebody who confirmed after the start, and what they missed
    comes one by one."""
    return and_(
        Cohort.latecomers == Latecomers.CATCH_UP, Enrollment.confirmed_at > Enrollment.starts_at
    )


def waiting(now: Moment, real: Moment, *, but_hold: HoldId | None = None) -> ColumnElement[bool]:
    """SQL over Delivery ⋈ Enrollment ⋈ Cohort: this row may be claimed now."""
    return and_(
        Delivery.state == DeliveryState.PENDING,
        Delivery.rank.in_(EVERY_RANK),
        Delivery.send_at <= now,
        or_(Delivery.retry_at.is_(None), Delivery.retry_at <= real),
        wanted(),
        not_(holds.held(but=but_hold)),
    )


def is_over() -> ColumnElement[bool]:
    """SQL over Delivery ⋈ Enrollment: nobody will ask for this mail any more."""
    return or_(
        and_(
            Enrollment.state.in_((EnrollmentState.CANCELLED, EnrollmentState.COMPLETED)),
            Delivery.kind != MessageKind.LINK,
        ),
        and_(
            Delivery.kind == MessageKind.CONFIRMATION,
            Enrollment.state != EnrollmentState.PENDING,
        ),
    )


def joined(statement: Select[T]) -> Select[T]:
    """Delivery with the enrollment and cohort that `wanted` and `held` ask about."""
    return statement.join(Enrollment, Enrollment.id == Delivery.enrollment_id).join(
        Cohort, Cohort.id == Enrollment.cohort_id
    )


def count(session: Session, *where: ColumnElement[bool]) -> int:
    """How many deliveries are like that; joined with enrollment and cohort."""
    statement = (
        select(func.count(Delivery.id))
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(*where)
    )
    return session.scalar(statement) or 0
