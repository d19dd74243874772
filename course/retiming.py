"""Lessons that are decided and wait for their hour, when that becomes another: a person's own, or
their cohort's."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from course import ledger, planning, progress, timing
from course.db import among
from course.models import Delivery, Enrollment
from course.states import OPEN_ENROLLMENT, DeliveryState, MessageKind
from course.timing import Release


def waits(now: datetime) -> ColumnElement[bool]:
    """Over Delivery: it is decided, and its time is still to come."""
    return and_(
        Delivery.rank == ledger.RANK_LESSON,
        Delivery.kind == MessageKind.LESSON,
        Delivery.state == DeliveryState.PENDING,
        Delivery.send_at > now,
    )


def retime(session: Session, enrollment_ids: Sequence[int], now: datetime) -> int:
    """Each lesson of these that waits comes on the next allowed day and hour of the rhythm that is
    theirs now, the gap kept. Returns how many come at another time than before."""
    mine = among(session, Enrollment.id, enrollment_ids)
    learners = {
        one.id: one
        for one in planning.learners_where(session, mine, Enrollment.state.in_(OPEN_ENROLLMENT))
    }
    pace_of = planning.paces(session, {one.clock.course_id for one in learners.values()})
    stories = progress.stories(session, list(learners))
    moved: dict[Release, list[int]] = defaultdict(list)
    found = select(
        Delivery.id,
        Delivery.enrollment_id,
        Delivery.message_key,
        Delivery.due_at,
        Delivery.send_at,
        Delivery.is_shifted,
    ).where(waits(now), among(session, Delivery.enrollment_id, learners))
    for row in session.execute(found):
        rhythm = pace_of(learners[row.enrollment_id].clock).of(row.message_key)
        moment = timing.again_at(now, rhythm, stories[row.enrollment_id].sent_at)
        if moment != row.send_at:
            # What only leaves later keeps the due time from which the next lesson counts.
            due_at = moment if row.due_at == row.send_at else row.due_at
            moved[Release(due_at, moment, row.is_shifted)].append(row.id)
    for release, ids in moved.items():
        ledger.put_off(session, ids, release)
    return sum(map(len, moved.values()))
