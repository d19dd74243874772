"""Lessons: what became of their mails, and how far learners come."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, select
from sqlalchemy.orm import Session

from course import cohorts, enrollment, rollups
from course.courses import Live
from course.models import Cohort, Delivery, Enrollment, MailSum
from course.states import DeliveryState, EnrollmentState, MessageKind
from course.stats.known import Known


@dataclass(frozen=True, slots=True)
class LessonStats:
    """What became of one lesson's mails; `number` is None where the course has it no more."""

    course: str
    lesson: str
    number: int | None
    sent: int
    delivered: int | None
    opened: int | None  # by people
    clicked: int | None  # by people
    unsubscribed: int  # left before they received another lesson
    bounced: int | None
    dropped: int | None
    complained: int | None


@dataclass(frozen=True, slots=True)
class Step(LessonStats):
    """A lesson as a step of the way through the course. Of what was delivered each mail is in one
    of `opened`, `machine_opened` and `open_unknown`."""

    entered: int  # whose turn it was: sent, waiting, failed or withheld
    machine_opened: int | None  # by machines alone
    open_unknown: int | None  # read without pictures, or not at all
    machine_clicked: int | None  # by machines alone
    went_on: int | None  # learners who were sent this lesson and one behind it
    dropped_off: int | None  # learners whose course was ended, with this as their last lesson


Groups = dict[tuple[int, str], list[Row[*tuple[Any, ...]]]]


def read(session: Session, live: Sequence[Live]) -> list[LessonStats]:
    """In the course's order; a lesson that was removed stands behind the others."""
    ids = [course.id for course in live]
    groups, left = _groups(session, ids), _left_after(session, ids)
    known = _known(session, groups, live)
    return [
        LessonStats(**_counted(course, slug, groups, left, known))
        for course in live
        for slug in _slugs(course, groups)
    ]


def funnel(session: Session, live: Sequence[Live]) -> list[Step]:
    """The same, as steps. Who came how far is read from the ledger."""
    ids = [course.id for course in live]
    groups, left = _groups(session, ids), _left_after(session, ids)
    known = _known(session, groups, live)
    found = []
    for course in live:
        ways = _ways(session, course)
        for slug in _slugs(course, groups):
            counted = _counted(course, slug, groups, left, known)
            read = _read_by(groups.get((course.id, slug), []), counted, known)
            on_the_way = _on_the_way(counted["number"], groups.get((course.id, slug), []), ways)
            found.append(Step(**counted, **read, **on_the_way))
    return found


def _slugs(course: Live, groups: Groups) -> list[str]:
    gone = sorted(slug for owner, slug in groups if owner == course.id)
    return list(dict.fromkeys([*course.curriculum.by_slug, *gone]))


def _known(session: Session, groups: Groups, live: Sequence[Live]) -> Known:
    return Known(session, (row.revision_id for rows in groups.values() for row in rows), live)


def _counted(
    course: Live, slug: str, groups: Groups, left: dict[tuple[int, str], int], known: Known
) -> dict[str, Any]:
    rows = groups.get((course.id, slug), [])
    lesson = course.curriculum.by_slug.get(slug)
    sent_in = [row.revision_id for row in rows if row.sent] or [course.revision_id]
    tracking = known.tracking(sent_in)
    return {
        "course": course.slug,
        "lesson": slug,
        "number": lesson.number if lesson else None,
        "sent": _sum(rows, "sent"),
        "delivered": known.heard(_sum(rows, "delivered")),
        "opened": _sum(rows, "opened") or known.heard(0 if tracking.opens else None),
        "clicked": _sum(rows, "clicked") or known.heard(0 if tracking.clicks else None),
        "unsubscribed": left.get((course.id, slug), 0),
        "bounced": known.heard(_sum(rows, "bounced")),
        "dropped": known.heard(_sum(rows, "dropped")),
        "complained": known.heard(_sum(rows, "complained")),
    }


def _read_by(
    rows: Sequence[Row[*tuple[Any, ...]]], counted: dict[str, Any], known: Known
) -> dict[str, Any]:
    """Whether machines were there is known exactly where it is known of people."""
    opens, clicks = counted["opened"] is not None, counted["clicked"] is not None
    return {
        "entered": _sum(rows, "entered"),
        "machine_opened": _sum(rows, "machine_opened") if opens else None,
        "open_unknown": known.heard(_sum(rows, "unread")) if opens else None,
        "machine_clicked": _sum(rows, "machine_clicked") if clicks else None,
    }


def _sum(rows: Iterable[Row[*tuple[Any, ...]]], name: str) -> int:
    return sum(getattr(row, name) for row in rows)


def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


# Mails ------------------------------------------------------------------------------------------


def _groups(session: Session, course_ids: Sequence[int]) -> Groups:
    found: Groups = defaultdict(list)
    by = (MailSum.course_id, MailSum.message_key, MailSum.revision_id)
    for row in rollups.of_mails(session, course_ids, *by):
        found[row.course_id, row.message_key].append(row)
    return {lesson: rows for lesson, rows in found.items() if _sum(rows, "entered")}


# Learners ---------------------------------------------------------------------------------------

# How many learners came as far as a lesson (by number), and are in that state.
Ways = dict[tuple[int, str], int]


def _ways(session: Session, course: Live) -> Ways:
    numbers = {lesson.slug: lesson.number for lesson in course.curriculum.lessons}
    if not numbers:
        return {}
    last = (
        select(
            Delivery.enrollment_id,
            func.max(case(numbers, value=Delivery.message_key)).label("number"),
        )
        .where(
            Delivery.course_id == course.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
            Delivery.edition == 0,
        )
        .group_by(Delivery.enrollment_id)
        .subquery()
    )
    rows = session.execute(
        select(last.c.number, Enrollment.state, func.count())
        .join(last, last.c.enrollment_id == Enrollment.id)
        .where(last.c.number.is_not(None), Enrollment.cohort_id.not_in(cohorts.rehearsals()))
        .group_by(last.c.number, Enrollment.state)
    )
    return {(number, state): learners for number, state, learners in rows}


def _on_the_way(
    number: int | None, rows: Sequence[Row[*tuple[Any, ...]]], ways: Ways
) -> dict[str, Any]:
    if number is None:
        return {"went_on": None, "dropped_off": None}
    stayed = sum(learners for (last, _), learners in ways.items() if last == number)
    return {
        "went_on": _sum(rows, "standing") - stayed,
        "dropped_off": ways.get((number, EnrollmentState.CANCELLED), 0),
    }


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
            # By cohort, so that an index leads to those who are gone.
            Enrollment.cohort_id.in_(_real_cohorts(session, course_ids)),
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


def _real_cohorts(session: Session, course_ids: Sequence[int]) -> Sequence[int]:
    found = select(Cohort.id).where(Cohort.course_id.in_(course_ids), cohorts.IS_REAL)
    return session.scalars(found).all()
