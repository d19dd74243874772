"""How often an address may be asked whether it wants a course: whoever owns it may never have heard
of us. It counts as long as nobody confirms, whatever became of the sign-up."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from course.db import among
from course.models import Delivery, Enrollment, Subscriber
from course.states import MessageKind

# For a course: one a day, and three ever. For all courses together: three a day.
EVER = 3
A_DAY = 3
DAY = timedelta(days=1)


def flooded(session: Session, enrollment_ids: Collection[int], now: datetime) -> set[int]:
    """Those of these enrollments whose address has to be left alone now. An address that was
    erased meanwhile is known by its hash."""
    mine, theirs = aliased(Subscriber), aliased(Subscriber)
    other = aliased(Enrollment)
    is_same_course = other.course_id == Enrollment.course_id
    is_new = Delivery.created_at > now - DAY
    too_many = or_(
        func.count().filter(is_same_course) >= EVER,
        func.count().filter(is_same_course, is_new) > 0,
        func.count().filter(is_new) >= A_DAY,
    )
    found = (
        select(Enrollment.id)
        .join(mine, mine.id == Enrollment.subscriber_id)
        .join(theirs, theirs.email_hash == mine.email_hash)
        .join(other, other.subscriber_id == theirs.id)
        .join(Delivery, Delivery.enrollment_id == other.id)
        .where(among(session, Enrollment.id, enrollment_ids))
        .where(other.confirmed_at.is_(None), Delivery.kind == MessageKind.CONFIRMATION)
        .group_by(Enrollment.id)
        .having(too_many)
    )
    return set(session.scalars(found))
