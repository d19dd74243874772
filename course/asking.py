"""How often an address may be asked whether it wants a course: whoever owns it may never have heard
of us. It counts as long as nobody confirms, whatever became of the sign-up."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased

from course.db import UTCDateTime, among_given, packed
from course.models import Course, Delivery, Enrollment, Subscriber
from course.rowsets import run
from course.states import MessageKind

# An address gets for a course one a day, and three ever. An inbox gets, for all courses together
# and whatever addresses it has, three a day, and ten ever.
EVER = 3
A_DAY, IN_ALL = 3, 10
DAY = timedelta(days=1)


def flooded(session: Session, enrollment_ids: Collection[int], now: datetime) -> set[int]:
    """Those of these enrollments whose address or inbox has to be left alone now. What was erased
    meanwhile is known by its hash."""
    ids = packed(session, enrollment_ids)
    return set(run(session, _flooded, ids=ids, since=now - DAY).scalars())


@cache
def _flooded(postgresql: bool) -> Select[int]:
    mine, theirs = aliased(Subscriber), aliased(Subscriber)
    other = aliased(Enrollment)
    is_same = and_(other.course_id == Enrollment.course_id, theirs.email_hash == mine.email_hash)
    is_new = Delivery.created_at > bindparam("since", type_=UTCDateTime())
    too_many = or_(
        func.count().filter(is_same) >= EVER,
        func.count().filter(is_same, is_new) > 0,
        func.count().filter(is_new) >= A_DAY,
        func.count() >= IN_ALL,
    )
    return (
        select(Enrollment.id)
        .join(mine, mine.id == Enrollment.subscriber_id)
        .join(theirs, theirs.mailbox_hash == mine.mailbox_hash)
        .join(other, other.subscriber_id == theirs.id)
        .join(Delivery, Delivery.enrollment_id == other.id)
        .where(among_given(postgresql, Enrollment.id))
        .where(other.confirmed_at.is_(None), Delivery.kind == MessageKind.CONFIRMATION)
        .group_by(Enrollment.id)
        .having(too_many)
    )


def used_up(session: Session, hashed: str, mailbox: str) -> Iterator[str]:
    """In sentences for the author: where this address, or its inbox, gets no confirmation mail any
    more, and what to do for it."""
    found = session.execute(
        select(Course.slug, Subscriber.email_hash, func.count(), func.max(Delivery.created_at))
        .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .join(Course, Course.id == Enrollment.course_id)
        .join(Delivery, Delivery.enrollment_id == Enrollment.id)
        .where(Subscriber.mailbox_hash == mailbox)
        .where(Enrollment.confirmed_at.is_(None), Delivery.kind == MessageKind.CONFIRMATION)
        .group_by(Course.slug, Subscriber.email_hash)
        .order_by(Course.slug)
    ).all()
    for slug, theirs, number, last_at in found:
        if theirs == hashed and number >= EVER:
            yield _no_more(number, f"for {slug} went to this address", last_at, slug)
    in_all = sum(row[2] for row in found)
    if in_all >= IN_ALL:
        last_at = max(row[3] for row in found)
        yield _no_more(in_all, "went to this inbox, by all its addresses", last_at, "COURSE")


def _no_more(number: int, what: str, last_at: datetime, slug: str) -> str:
    return (
        f"{number} confirmation mails {what}, the last on {last_at:%Y-%m-%d}, and none was "
        "answered: it gets no more. Who asks you for the course comes in by: minicourse "
        f"subscriber import FILE --cohort {slug}/NAME --confirmed --source WORDS"
    )
