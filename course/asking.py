"""How often an address may be asked whether it wants a course: whoever owns it may never have heard
of us. It counts as long as nobody confirms, whatever became of the sign-up."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from course.db import among
from course.models import Delivery, Enrollment, Subscriber
from course.states import MessageKind

# An address gets for a course one a day, and three ever. An inbox gets, for all courses together
# and whatever addresses it has, three a day, and ten ever.
EVER = 3
A_DAY, IN_ALL = 3, 10
DAY = timedelta(days=1)


def flooded(session: Session, enrollment_ids: Collection[int], now: datetime) -> set[int]:
    """Those of these enrollments whose address or inbox has to be left alone now. What was erased
    meanwhile is known by its hash."""
    mine, theirs = aliased(Subscriber), aliased(Subscriber)
    other = aliased(Enrollment)
    is_same = and_(other.course_id == Enrollment.course_id, theirs.email_hash == mine.email_hash)
    is_new = Delivery.created_at > now - DAY
    too_many = or_(
        func.count().filter(is_same) >= EVER,
        func.count().filter(is_same, is_new) > 0,
        func.count().filter(is_new) >= A_DAY,
        func.count() >= IN_ALL,
    )
    found = (
        select(Enrollment.id)
        .join(mine, mine.id == Enrollment.subscriber_id)
        .join(theirs, theirs.mailbox_hash == mine.mailbox_hash)
        .join(other, other.subscriber_id == theirs.id)
        .join(Delivery, Delivery.enrollment_id == other.id)
        .where(among(session, Enrollment.id, enrollment_ids))
        .where(other.confirmed_at.is_(None), Delivery.kind == MessageKind.CONFIRMATION)
        .group_by(Enrollment.id)
        .having(too_many)
    )
    return set(session.scalars(found))
