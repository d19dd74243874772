"""What a fleet of workers is told: that so much waits. A hint is neither an order nor a truth. It
may be lost or come twice: whoever hears one asks the ledger, and the next tick hints again.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from course import conditions, holds, throttle
from course.models import Course, Delivery

# What a tick hints at, at most, in claims. Beyond it the next tick is early enough.
MOST = 32


@dataclass(frozen=True, slots=True)
class Hint:
    """One claim that can be had: of that course, in that revision, so many rows."""

    course_id: int
    revision_id: int
    rows: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What may be claimed now, and the delivery whose turn is next: while that one stays the same,
    nobody takes anything."""

    hints: list[Hint]
    first: int | None


NOTHING = Waiting([], None)


def look(session: Session, now: datetime, real: datetime) -> Waiting:
    """What a fleet could do now, as one hint for each claim."""
    if holds.is_all_held(session):
        return NOTHING
    size = throttle.allowance(session, real).rows
    if not size:
        return NOTHING
    first = first_waiting(session, now, real)
    if first is None:
        return NOTHING
    line = (
        conditions.joined(select(Delivery.id))
        .add_columns(Delivery.course_id)
        .where(conditions.waiting(now, real))
        .order_by(Delivery.rank, Delivery.send_at, Delivery.id)
        .limit(MOST * size)
        .subquery()
    )
    found = session.execute(
        select(Course.id, Course.live_revision_id, func.count())
        .join(line, line.c.course_id == Course.id)
        .group_by(Course.id, Course.live_revision_id)
        .order_by(Course.id)
    )
    hints = [
        Hint(course_id, revision_id, min(size, rows - done))
        for course_id, revision_id, rows in found
        if revision_id is not None
        for done in range(0, rows, size)
    ]
    return Waiting(hints[:MOST], first)


def first_waiting(session: Session, now: datetime, real: datetime) -> int | None:
    """The delivery that whoever claims next would get first."""
    return session.scalar(
        conditions.joined(select(Delivery.id))
        .where(conditions.waiting(now, real))
        .order_by(Delivery.rank, Delivery.send_at, Delivery.id)
        .limit(1)
    )
