"""The next lesson before its time, for a learner who sends for it, where the course allows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import brake, ledger, planning, progress
from course.models import Audit, Delivery, Enrollment
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.steering import Fate, Judged, Learner, said, why_not
from course.timing import Due, Release

ACTION = "next lesson"


@dataclass(frozen=True, slots=True)
class SendNext:
    """It leaves now, whatever the day and hour, and the rest counts from it. One such order in
    every minimum gap: a course is not drained in a minute. What the course sends by itself keeps
    its gap from the lesson that was sent for."""

    action = ACTION

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        return [self._judge(session, learner, now) for learner in found]

    def _judge(self, session: Session, learner: Learner, now: datetime) -> Judged:
        if learner.state is not EnrollmentState.ACTIVE:
            return said(learner, Fate.REFUSED, why_not(learner))
        if not learner.curriculum.page.next_now:
            return said(learner, Fate.REFUSED, "is in a course that sends nothing before its time")
        lesson = _next(session, learner.enrollment.id, now)
        if lesson is None:
            return said(learner, Fate.REFUSED, "has no lesson that could leave before its time")
        again = possible_again(session, learner, now)
        if again is not None:
            return said(learner, Fate.REFUSED, "has sent for one already")
        return said(learner, Fate.TOUCHED, f"gets {lesson} now", lesson=lesson)

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        """A row that waits for its hour leaves now; the others get one."""
        lessons = {one.enrollment_id: str(one.detail["lesson"]) for one in touched}
        course_of = {number: session.get_one(Enrollment, number).course_id for number in lessons}
        mails = [
            ledger.Planned(
                enrollment_id=number,
                course_id=course_of[number],
                kind=MessageKind.LESSON,
                message_key=lesson,
                due_at=now,
                rank=ledger.RANK_LESSON,
            )
            for number, lesson in lessons.items()
        ]
        for number, lesson in lessons.items():
            row = _waiting(session, number, now)
            if row is not None and row.message_key == lesson:
                ledger.put_off(session, [row.id], Release(now, now, row.is_shifted), now)
        ledger.plan(session, mails, now)
        # What was to come behind it may come sooner as well.
        ledger.look_again(session, list(lessons), now)
        brake.foresee(session, len(mails), now)
        return {
            number: {"deliveries": _rows(session, number, lesson)}
            for number, lesson in lessons.items()
        }


def possible_again(session: Session, learner: Learner, now: datetime) -> datetime | None:
    """From when on they may send for the next one; None: now."""
    gap = learner.pace.rhythm.minimum_gap
    orders = session.execute(
        select(Audit.at, Audit.detail).where(
            Audit.subscriber_id == learner.person.id, Audit.action == ACTION, Audit.at > now - gap
        )
    )
    latest = [at for at, detail in orders if detail.get("course") == learner.course.slug]
    return max(latest) + gap if latest else None


def _next(session: Session, enrollment_id: int, now: datetime) -> str | None:
    """The first lesson is not sent for: it begins the course, for some on one day together."""
    found = planning.learners_where(session, Enrollment.id == enrollment_id)
    story = progress.stories(session, [enrollment_id]).get(enrollment_id)
    if story is None:
        return None
    row = _waiting(session, enrollment_id, now)
    if row is not None:
        runs = all(learner.running for learner in found)
        return row.message_key if runs and len(story.lessons) > 1 else None
    for _, decision in planning.decide(session, found, now):
        if isinstance(decision, Due) and decision.comes_at > now:
            return decision.slug
    return None


def _waiting(session: Session, enrollment_id: int, now: datetime) -> Delivery | None:
    """Their lesson that is decided and waits for an hour to come."""
    return session.scalar(
        select(Delivery)
        .where(
            Delivery.enrollment_id == enrollment_id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.PENDING,
            Delivery.send_at > now,
        )
        .order_by(Delivery.id)
        .limit(1)
    )


def _rows(session: Session, enrollment_id: int, lesson: str) -> list[int]:
    return list(
        session.scalars(
            select(Delivery.id).where(
                Delivery.enrollment_id == enrollment_id, Delivery.message_key == lesson
            )
        )
    )
