"""Lessons sent to a learner once more: one of them, or all from one on. The older row is put aside,
and the audit names the new ones, so that nobody takes them for a mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from course import brake, courses, fates, ledger, skipping, suppressions, timing
from course.editing import ADDED_LATER
from course.models import Delivery, Enrollment
from course.skipping import Rows, lesson_rows
from course.states import CohortState, DeliveryState, EnrollmentState, MessageKind
from course.steering import (
    Fate,
    Judged,
    Learner,
    said,
    why_not,
)

E, S = EnrollmentState, DeliveryState
_AGAIN = "to be sent again"


@dataclass(frozen=True, slots=True)
class Resend:
    """That one mail once more, now; the rest of the course stays where it is."""

    lesson: str
    action = "subscriber resend"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        del now
        rows = lesson_rows(session, [learner.enrollment.id for learner in found])
        return [self._judge(session, one, rows[one.enrollment.id]) for one in found]

    def _judge(self, session: Session, learner: Learner, rows: Rows) -> Judged:
        if learner.state not in (E.ACTIVE, E.COMPLETED):
            return said(learner, Fate.REFUSED, why_not(learner))
        lesson = learner.curriculum.lesson(self.lesson).slug
        row = rows.get(lesson)
        refused = _no_mail(session, learner) or _not_to_be_resent(learner, lesson, row)
        if refused or row is None:
            return said(learner, Fate.REFUSED, refused or "")
        words = f"gets {lesson} again, which {fates.fate(session, row)}"
        return said(learner, Fate.TOUCHED, words, lesson=lesson)

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        return {one.enrollment_id: self._act(session, one, now) for one in touched}

    def _act(self, session: Session, one: Judged, now: datetime) -> Mapping[str, object]:
        """The new row keeps the place in the plan, leaves at whatever hour it is, and starts no
        gap, as a welcome mail does."""
        row = lesson_rows(session, [one.enrollment_id])[one.enrollment_id][self.lesson]
        due_at, is_shifted = row.due_at, row.is_shifted
        _reopen(session, one, now)
        ledger.supersede(session, [row.id])
        mail = ledger.Planned(
            enrollment_id=row.enrollment_id,
            course_id=row.course_id,
            kind=MessageKind.LESSON,
            message_key=self.lesson,
            due_at=due_at,
            send_at=now,
            is_shifted=is_shifted,
            rank=ledger.RANK_WELCOME,
        )
        return _plan(session, mail, now)


@dataclass(frozen=True, slots=True)
class Rewind:
    """That lesson and all behind it once more: from the next allowed day and hour on, one after the
    other."""

    lesson: str
    action = "subscriber rewind"

    def judge(self, session: Session, found: Sequence[Learner], now: datetime) -> list[Judged]:
        rows = lesson_rows(session, [learner.enrollment.id for learner in found])
        return [self._judge(session, one, rows[one.enrollment.id], now) for one in found]

    def _judge(self, session: Session, learner: Learner, rows: Rows, now: datetime) -> Judged:
        if learner.state not in (E.ACTIVE, E.PAUSED, E.COMPLETED):
            return said(learner, Fate.REFUSED, why_not(learner))
        order = list(learner.curriculum.by_slug)
        lesson = learner.curriculum.lesson(self.lesson).slug
        again = [slug for slug in order[order.index(lesson) :] if slug in rows]
        refused = _no_mail(session, learner) or _in_the_way(learner, lesson, rows, again)
        if refused:
            return said(learner, Fate.REFUSED, refused)
        if again == [lesson] and rows[lesson].state == S.PENDING:
            return said(learner, Fate.ALREADY, f"gets {lesson} next already")
        due_at = self._due_at(session, learner, now)
        local = due_at.astimezone(learner.pace.rhythm.zone)
        return said(
            learner,
            Fate.TOUCHED,
            f"gets {lesson} and all behind it again, "
            f"from {local:%a %Y-%m-%d %H:%M} {local.tzinfo} on",
            lesson=lesson,
            lessons=again,
            due_at=due_at.isoformat(),
        )

    def _due_at(self, session: Session, learner: Learner, now: datetime) -> datetime:
        latest = select(func.max(Delivery.settled_at)).where(
            Delivery.enrollment_id == learner.enrollment.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == S.ACCEPTED,
            # A welcome mail starts no gap, but for itself: sent again it is no welcome.
            or_(Delivery.rank == ledger.RANK_LESSON, Delivery.message_key == self.lesson),
        )
        rhythm = learner.pace.of(self.lesson)
        return timing.again_at(now, rhythm, session.scalar(latest))

    def act(
        self, session: Session, touched: Sequence[Judged], now: datetime
    ) -> Mapping[int, Mapping[str, object]]:
        return {one.enrollment_id: self._act(session, one, now) for one in touched}

    def _act(self, session: Session, one: Judged, now: datetime) -> Mapping[str, object]:
        rows = lesson_rows(session, [one.enrollment_id])[one.enrollment_id]
        again = [rows[slug] for slug in one.detail["lessons"]]
        course_id, ids = again[0].course_id, [row.id for row in again]
        _reopen(session, one, now, before=self.lesson)
        waiting = [row.id for row in again if row.state == S.PENDING]
        ledger.withhold(session, waiting, _AGAIN, now)
        ledger.supersede(session, ids)
        mail = ledger.Planned(
            enrollment_id=one.enrollment_id,
            course_id=course_id,
            kind=MessageKind.LESSON,
            message_key=self.lesson,
            due_at=datetime.fromisoformat(one.detail["due_at"]),
            rank=ledger.RANK_LESSON,
        )
        return _plan(session, mail, now)


# What both ask ------------------------------------------------------------------------------------


def _no_mail(session: Session, learner: Learner) -> str | None:
    if learner.cohort.state == CohortState.ARCHIVED:
        return f"gets no lessons: the cohort {learner.cohort.name} is archived"
    for one in suppressions.standing(session, [learner.person.email_hash], learner.course.id):
        return (
            f"may not be mailed: {one.reason} on {one.created_at:%Y-%m-%d} ({one.source}); "
            f"see: minicourse subscriber show {learner.person.email}"
        )
    return None


def _not_to_be_resent(learner: Learner, lesson: str, row: Delivery | None) -> str | None:
    if row is None or row.state == S.PENDING:
        return f"has not had {lesson} yet; it comes by itself"
    if row.state == S.FAILED:
        return f"has not had {lesson}: it failed; to try again: minicourse delivery retry {row.id}"
    if row.state == S.CANCELLED:
        return (
            f"has not had {lesson} ({row.reason}); to send it and all behind it: "
            f"minicourse subscriber rewind {learner.person.email} --to {lesson}"
        )
    return fates.on_its_way(row)


def _in_the_way(learner: Learner, lesson: str, rows: Rows, again: Sequence[str]) -> str | None:
    if lesson not in again:
        return f"has not come to {lesson} yet; it comes by itself"
    if lesson in learner.pace.conditions.unwanted(learner.enrollment.fields):
        when = learner.curriculum.lesson(lesson).when
        return f"does not get {lesson}, which is for others: when {when}"
    for row in rows.values():
        if reason := fates.on_its_way(row):
            return reason
        if row.state == S.PENDING and row.message_key not in again:
            return f"gets {row.message_key} next; once it has left, rewind"
    return None


# What both do -------------------------------------------------------------------------------------


def _reopen(session: Session, one: Judged, now: datetime, before: str | None = None) -> None:
    """Who is through takes part again. Lessons that came into the course since are not for them,
    but for those that stand behind the one they begin with."""
    enrollment = session.get_one(Enrollment, one.enrollment_id)
    session.refresh(enrollment)
    if enrollment.state != E.COMPLETED:
        return
    slugs = list(courses.by_id(session, enrollment.course_id).curriculum.by_slug)
    past = slugs if before is None else slugs[: slugs.index(before)]
    skipping.pass_over(session, enrollment, past, ADDED_LATER, now)
    session.execute(
        update(Enrollment)
        .where(Enrollment.id == enrollment.id, Enrollment.state == E.COMPLETED)
        .values(state=E.ACTIVE, ended_at=None, next_due_at=now)
        .execution_options(synchronize_session=False)
    )


def _plan(session: Session, mail: ledger.Planned, now: datetime) -> Mapping[str, object]:
    ledger.plan(session, [mail], now)
    ledger.look_again(session, [mail.enrollment_id], now)
    brake.foresee(session, 1, now)
    made = select(Delivery.id).where(
        Delivery.enrollment_id == mail.enrollment_id,
        Delivery.message_key == mail.message_key,
        Delivery.edition == 0,
    )
    return {"deliveries": [session.scalars(made).one()]}
