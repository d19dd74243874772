"""One lesson left out for a learner, before it has left."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import not_, select
from sqlalchemy.orm import Session

from course import fates, ledger
from course.db import among
from course.models import Delivery, Enrollment
from course.states import SETTLED, DeliveryState, EnrollmentState, MessageKind
from course.steering import Fate, Judged, Learner, said, why_not

S = DeliveryState
BY_HAND = "skipped by hand"

Rows = Mapping[str, Delivery]  # by lesson


@dataclass(frozen=True, slots=True)
class Skip:
    """Without that lesson, or the next one. What comes after it takes its place."""

    lesson: str | None = None
    action = "subscriber skip"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del now
        rows = lesson_rows(session, [learner.enrollment.id for learner in found])
        return [self._judge(one, rows[one.enrollment.id]) for one in found]

    def _judge(self, learner: Learner, rows: Rows) -> Judged:
        if learner.state not in (EnrollmentState.ACTIVE, EnrollmentState.PAUSED):
            return said(learner, Fate.REFUSED, why_not(learner))
        if self.lesson is not None:
            lesson: str | None = learner.curriculum.lesson(self.lesson).slug
        else:
            lesson = _next(learner, rows)
        if lesson is None:
            return said(learner, Fate.REFUSED, "has no lesson to come")
        row = rows.get(lesson)
        if row is None or row.state == S.PENDING:
            return said(learner, Fate.TOUCHED, f"does not get {lesson}", lesson=lesson)
        if row.state == S.CANCELLED:
            return said(learner, Fate.ALREADY, f"does not get {lesson} already ({row.reason})")
        return said(learner, Fate.REFUSED, _too_late(row))

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        ids = [one.enrollment_id for one in touched]
        rows = lesson_rows(session, ids)
        lessons = {one.enrollment_id: str(one.detail["lesson"]) for one in touched}
        waiting = [rows[number].get(lesson) for number, lesson in lessons.items()]
        ledger.withhold(session, [row.id for row in waiting if row], BY_HAND, now)
        new = [number for number, lesson in lessons.items() if lesson not in rows[number]]
        ledger.plan(session, _decided(session, new, lessons, rows), now)
        ledger.look_again(session, ids, now)
        return {}


def lesson_rows(session: Session, enrollment_ids: Sequence[int]) -> Mapping[int, Rows]:
    """Each one's lessons that stand, in the order in which they were decided."""
    found = (
        select(Delivery)
        .where(
            among(session, Delivery.enrollment_id, enrollment_ids),
            Delivery.kind == MessageKind.LESSON,
            not_(Delivery.superseded),
        )
        .order_by(Delivery.id)
        .execution_options(populate_existing=True)
    )
    rows: dict[int, dict[str, Delivery]] = defaultdict(dict)
    for row in session.scalars(found):
        rows[row.enrollment_id][row.message_key] = row
    return rows


def pass_over(
    session: Session, enrollment: Enrollment, lessons: Sequence[str], reason: str, now: datetime
) -> None:
    """These lessons are decided for a learner, and move nothing."""
    rows = lesson_rows(session, [enrollment.id])[enrollment.id]
    mails = [_mail(enrollment, lesson, rows, reason) for lesson in lessons if lesson not in rows]
    ledger.plan(session, mails, now)


def _next(learner: Learner, rows: Rows) -> str | None:
    """The lesson that waits or is on its way, else the first that is not decided."""
    for row in rows.values():
        if row.state not in SETTLED:
            return row.message_key
    pace = learner.pace
    unwanted = pace.conditions.unwanted(learner.enrollment.fields)
    return next(
        (step.slug for step in pace.steps if step.slug not in rows and step.slug not in unwanted),
        None,
    )


def _too_late(row: Delivery) -> str:
    if row.state == S.FAILED:
        return (
            f"does not get {row.message_key}: it failed ({row.reason}), and the course has gone on"
        )
    if row.state == S.ACCEPTED:
        return f"has {row.message_key} already: {fates.utc(row.settled_at or row.send_at)}"
    return fates.on_its_way(row) or f"{row.message_key} is {row.state}"


def _decided(
    session: Session, ids: Sequence[int], lessons: Mapping[int, str], rows: Mapping[int, Rows]
) -> list[ledger.Planned]:
    found = select(Enrollment).where(among(session, Enrollment.id, ids)).order_by(Enrollment.id)
    return [
        _mail(one, lessons[one.id], rows.get(one.id, {}), BY_HAND) for one in session.scalars(found)
    ]


def _mail(enrollment: Enrollment, lesson: str, rows: Rows, reason: str) -> ledger.Planned:
    """Its due time is that of the one before it, so that nothing behind it moves."""
    before = [row.due_at for row in rows.values()]
    return ledger.Planned(
        enrollment_id=enrollment.id,
        course_id=enrollment.course_id,
        kind=MessageKind.LESSON,
        message_key=lesson,
        due_at=max(before, default=enrollment.starts_at or enrollment.created_at),
        rank=ledger.RANK_LESSON,
        reason=reason,
    )
