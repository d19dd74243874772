"""How lessons and cohorts do, summed up from the ledger; rehearsals are left out. Reads only.

A number that cannot be known is None, never 0: what happened to mails while no event was ever
heard, and opens and clicks of mails that left without tracking.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select
from sqlalchemy.orm import Session

from course import cohorts, courses, enrollment, installation
from course.courses import Live
from course.curriculum import COURSE_FILE, Tracking
from course.models import Cohort, Course, Delivery, Enrollment, Revision
from course.states import DeliveryState, EnrollmentState, MessageKind, Outcome


@dataclass(frozen=True, slots=True)
class LessonStats:
    """What became of one lesson's mails; `number` is None where the course has it no more."""

    course: str
    lesson: str
    number: int | None
    sent: int
    delivered: int | None
    opened: int | None
    clicked: int | None
    unsubscribed: int  # left before they received another lesson
    bounced: int | None
    dropped: int | None
    complained: int | None


@dataclass(frozen=True, slots=True)
class CohortStats:
    course: str
    cohort: str
    signed_up: int
    confirmed: int
    active: int
    completed: int


@dataclass(frozen=True, slots=True)
class Stats:
    lessons: list[LessonStats]
    cohorts: list[CohortStats]


def overall(session: Session, course: str | None = None) -> Stats:
    """Of all courses, or of one; NotFoundError where there is none of that name."""
    live = [courses.live(session, course)] if course else courses.all_live(session)
    return Stats(_lessons(session, live), _cohorts(session, [one.id for one in live]))


# Lessons ----------------------------------------------------------------------------------------


def _lessons(session: Session, live: Sequence[Live]) -> list[LessonStats]:
    ids = [course.id for course in live]
    groups: dict[tuple[int, str], list[Row[*tuple[Any, ...]]]] = defaultdict(list)
    for row in _sums(session, ids):
        groups[row.course_id, row.message_key].append(row)
    left = _left_after(session, ids)
    known = _Known(session, groups.values(), live)
    found = []
    for course in live:
        gone = sorted(slug for owner, slug in groups if owner == course.id)
        for slug in dict.fromkeys([*course.curriculum.by_slug, *gone]):
            rows = groups.get((course.id, slug), [])
            found.append(_lesson(course, slug, rows, left.get((course.id, slug), 0), known))
    return found


def _lesson(
    course: Live, slug: str, rows: Sequence[Row[*tuple[Any, ...]]], left: int, known: "_Known"
) -> LessonStats:
    lesson = course.curriculum.by_slug.get(slug)
    tracking = known.tracking([row.revision_id for row in rows] or [course.revision_id])
    return LessonStats(
        course=course.slug,
        lesson=slug,
        number=lesson.number if lesson else None,
        sent=_sum(rows, "sent"),
        delivered=known.heard(_sum(rows, "delivered")),
        opened=_sum(rows, "opened") or known.heard(0 if tracking.opens else None),
        clicked=_sum(rows, "clicked") or known.heard(0 if tracking.clicks else None),
        unsubscribed=left,
        bounced=known.heard(_sum(rows, "bounced")),
        dropped=known.heard(_sum(rows, "dropped")),
        complained=known.heard(_sum(rows, "complained")),
    )


def _sum(rows: Iterable[Row[*tuple[Any, ...]]], name: str) -> int:
    return sum(getattr(row, name) for row in rows)


class _Known:
    """What can be known: whether any event was ever heard, and which revisions were tracked."""

    def __init__(
        self,
        session: Session,
        groups: Iterable[Sequence[Row[*tuple[Any, ...]]]],
        live: Sequence[Live],
    ) -> None:
        self.has_heard = installation.get(session).last_event_at is not None
        ids = {row.revision_id for rows in groups for row in rows if row.revision_id is not None}
        ids |= {course.revision_id for course in live}
        rows = session.execute(select(Revision.id, Revision.files).where(Revision.id.in_(ids)))
        self._tracking = {number: _tracking(files) for number, files in rows}

    def heard(self, number: int | None) -> int | None:
        return number if self.has_heard else None

    def tracking(self, revisions: Iterable[int | None]) -> Tracking:
        """What was tracked in at least one of these revisions."""
        found = [self._tracking[number] for number in revisions if number in self._tracking]
        return Tracking(
            opens=any(one.opens for one in found), clicks=any(one.clicks for one in found)
        )


def _tracking(files: dict[str, str]) -> Tracking:
    return Tracking.model_validate(tomllib.loads(files[COURSE_FILE]).get("tracking", {}))


def _sums(session: Session, course_ids: Sequence[int]) -> Sequence[Row[*tuple[Any, ...]]]:
    return session.execute(
        select(
            Delivery.course_id,
            Delivery.message_key,
            Delivery.revision_id,
            func.count().label("sent"),
            _count(Delivery.outcome == Outcome.DELIVERED).label("delivered"),
            _count(Delivery.outcome == Outcome.BOUNCED).label("bounced"),
            _count(Delivery.outcome == Outcome.DROPPED).label("dropped"),
            func.count(Delivery.opened_at).label("opened"),
            func.count(Delivery.clicked_at).label("clicked"),
            func.count(Delivery.complained_at).label("complained"),
        )
        .where(
            Delivery.course_id.in_(course_ids),
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
            Delivery.enrollment_id.not_in(cohorts.rehearsing(session)),
        )
        .group_by(Delivery.course_id, Delivery.message_key, Delivery.revision_id)
    ).all()


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _left_after(session: Session, course_ids: Sequence[int]) -> dict[tuple[int, str], int]:
    """Of those who unsubscribed: after which lesson. The link in a mail knows only the person, so
    the last lesson before their leaving counts."""
    last = (
        select(
            Delivery.course_id,
            Delivery.message_key,
            func.row_number()
            .over(
                partition_by=Delivery.enrollment_id,
                order_by=(Delivery.settled_at.desc(), Delivery.id.desc()),
            )
            .label("place"),
        )
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .where(
            Enrollment.course_id.in_(course_ids),
            Enrollment.cohort_id.not_in(cohorts.rehearsals()),
            Enrollment.state == EnrollmentState.CANCELLED,
            Enrollment.reason.in_((enrollment.LEFT, enrollment.TAKEN_OUT)),
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
            Delivery.settled_at <= Enrollment.ended_at,
        )
        .subquery()
    )
    rows = session.execute(
        select(last.c.course_id, last.c.message_key, func.count())
        .where(last.c.place == 1)
        .group_by(last.c.course_id, last.c.message_key)
    )
    return {(course_id, slug): number for course_id, slug, number in rows}


# Cohorts ----------------------------------------------------------------------------------------


def _cohorts(session: Session, course_ids: Sequence[int]) -> list[CohortStats]:
    rows = session.execute(
        select(
            Course.slug,
            Cohort.name,
            func.count(Enrollment.id).label("signed_up"),
            func.count(Enrollment.confirmed_at).label("confirmed"),
            _count(Enrollment.state == EnrollmentState.ACTIVE).label("active"),
            _count(Enrollment.state == EnrollmentState.COMPLETED).label("completed"),
        )
        .select_from(Cohort)
        .join(Course, Course.id == Cohort.course_id)
        .outerjoin(Enrollment, Enrollment.cohort_id == Cohort.id)
        .where(Cohort.course_id.in_(course_ids), cohorts.IS_REAL)
        .group_by(Course.slug, Cohort.id, Cohort.name)
        .order_by(Course.slug, Cohort.id)
    )
    return [CohortStats(*row) for row in rows]
