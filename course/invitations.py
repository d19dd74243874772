"""What people are told who wait for the first day of their cohort: that their place is safe, and
the day before, that it begins."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from course import ledger, planning
from course.db import among
from course.models import Delivery, Enrollment
from course.states import EnrollmentState, MessageKind
from course.timing import DAY, Due, to_utc

MOVED = "the start was moved"  # why a reminder does not go out


def begins(session: Session, enrollment_ids: Sequence[int]) -> dict[int, datetime]:
    """When the first lesson comes to each of these, on their own clock; who begins alone, or gets
    no lesson at all, is left out."""
    learners = planning.learners_where(session, among(session, Enrollment.id, enrollment_ids))
    pace_of = planning.paces(session, {learner.clock.course_id for learner in learners})
    found = {}
    for learner in learners:
        if learner.rolling:
            continue
        pace = pace_of(learner.clock)
        first = planning.next_lesson(pace, learner, {}, learner.starts_at)
        if isinstance(first, Due):
            found[learner.id] = first.due_at.astimezone(pace.rhythm.zone)
    return found


def invite(session: Session, enrollment_ids: Sequence[int], now: datetime) -> None:
    """Plan both mails of those who have just come to a cohort and wait for its first day; who was
    invited before is not once more. Who comes on the last day needs no reminder."""
    waiting = session.execute(
        select(Enrollment.id, Enrollment.course_id).where(
            among(session, Enrollment.id, enrollment_ids), Enrollment.starts_at > now
        )
    ).all()
    firsts = begins(session, [row.id for row in waiting])
    mails = []
    for number, course_id in waiting:
        if (first := firsts.get(number)) is None:
            continue
        mails.append(_planned(number, course_id, MessageKind.JOINED, now))
        reminds_at = day_before(first)
        if now.astimezone(first.tzinfo).date() < reminds_at.astimezone(first.tzinfo).date():
            mails.append(_planned(number, course_id, MessageKind.REMINDER, reminds_at))
    ledger.plan(session, mails, now)


def invited(session: Session, enrollment_ids: Sequence[int]) -> frozenset[int]:
    """Who of these got the first of the two, or is to get it."""
    return frozenset(
        session.scalars(
            select(Delivery.enrollment_id).where(
                among(session, Delivery.enrollment_id, enrollment_ids),
                Delivery.kind == MessageKind.JOINED,
            )
        )
    )


def day_before(first: datetime) -> datetime:
    """The same hour of the day before, on that clock."""
    assert isinstance(first.tzinfo, ZoneInfo)
    return to_utc(first.date() - DAY, first.time(), first.tzinfo)


def move(session: Session, enrollment_ids: Sequence[int], now: datetime) -> int:
    """The first lesson of these comes at another time than before: so does their reminder. Who had
    it gets one for the new day, too; who was told nothing of the first (whoever was imported) is
    not reminded of the other. Returns how many are to be reminded."""
    firsts = begins(session, enrollment_ids)
    standing = session.scalars(
        select(Delivery.id).where(
            among(session, Delivery.enrollment_id, enrollment_ids),
            Delivery.kind == MessageKind.REMINDER,
            Delivery.edition == 0,
        )
    ).all()
    ledger.cancel(session, list(firsts), MOVED, now, kinds=[MessageKind.REMINDER])
    ledger.supersede(session, standing)
    open_ones = session.execute(
        select(Enrollment.id, Enrollment.course_id).where(
            among(session, Enrollment.id, firsts),
            Enrollment.state.in_((EnrollmentState.ACTIVE, EnrollmentState.PAUSED)),
            exists().where(
                Delivery.enrollment_id == Enrollment.id,
                Delivery.kind.in_((MessageKind.JOINED, MessageKind.REMINDER)),
            ),
        )
    )
    mails = [
        _planned(number, course_id, MessageKind.REMINDER, day_before(firsts[number]))
        for number, course_id in open_ones
        if day_before(firsts[number]) > now
    ]
    ledger.plan(session, mails, now)
    return len(mails)


def _planned(
    enrollment_id: int, course_id: int, kind: MessageKind, due_at: datetime
) -> ledger.Planned:
    return ledger.Planned(
        enrollment_id=enrollment_id,
        course_id=course_id,
        kind=kind,
        message_key=str(kind),
        due_at=due_at,
        rank=ledger.RANKS[kind],
    )
