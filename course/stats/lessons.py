"""Lessons: what became of their mails, and how far learners come."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, case, exists, func, not_, select
from sqlalchemy.orm import Session, aliased

from course import reach, rollups
from course.cohorts import IS_REAL
from course.courses import Live
from course.models import Cohort, Delivery, Enrollment, MailSum
from course.states import HAD, DeliveryState, MessageKind
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
    # Of what was delivered, what left tracked: opens and clicks are counted of these alone.
    opens_tracked: int | None
    clicks_tracked: int | None


@dataclass(frozen=True, slots=True)
class Step(LessonStats):
    """A lesson as a step of the way through the course. Of `opens_tracked` each mail is in one of
    `opened`, `machine_opened` and `open_unknown`."""

    entered: int  # learners whose turn it was: sent, waiting, failed or withheld
    machine_opened: int | None  # by machines alone
    open_unknown: int | None  # read without pictures, or not at all
    machine_clicked: int | None  # by machines alone
    went_on: int | None  # learners who were sent this lesson and one behind it
    dropped_off: int | None  # learners whose course was ended, with this as their last lesson


Groups = dict[tuple[int, str], list[Row[*tuple[Any, ...]]]]


def read(session: Session, live: Sequence[Live]) -> list[LessonStats]:
    """In the course's order; a lesson that was removed stands behind the others."""
    ids = [course.id for course in live]
    groups, left = _groups(session, ids), _left_after(_classes(session, ids))
    known = _known(session, groups, live)
    return [
        LessonStats(**_counted(course, slug, groups, left, known))
        for course in live
        for slug in _slugs(course, groups)
    ]


def funnel(session: Session, live: Sequence[Live]) -> list[Step]:
    """The same, as steps."""
    ids = [course.id for course in live]
    groups, classes = _groups(session, ids), _classes(session, ids)
    left = _left_after(classes)
    known, repeated = _known(session, groups, live), _repeated(session, ids)
    found = []
    for course in live:
        ways = _ways(course, classes)
        for slug in _slugs(course, groups):
            counted = _counted(course, slug, groups, left, known)
            rows = groups.get((course.id, slug), [])
            entered = _sum(rows, "entered") + repeated[course.id, slug]
            read = _read_by(rows, counted, known)
            on_the_way = _on_the_way(counted["number"], ways)
            found.append(Step(**counted, entered=entered, **read, **on_the_way))
    return found


def _slugs(course: Live, groups: Groups) -> list[str]:
    gone = sorted(slug for owner, slug in groups if owner == course.id)
    return list(dict.fromkeys([*course.curriculum.by_slug, *gone]))


def _known(session: Session, groups: Groups, live: Sequence[Live]) -> Known:
    return Known(session, (row.revision_id for rows in groups.values() for row in rows), live)


def _counted(
    course: Live, slug: str, groups: Groups, left: Mapping[tuple[int, str], int], known: Known
) -> dict[str, Any]:
    rows = groups.get((course.id, slug), [])
    lesson = course.curriculum.by_slug.get(slug)
    opens, clicks = known.tracked(rows, "opens"), known.tracked(rows, "clicks")
    if not _sum(rows, "sent"):  # as the next ones leave
        tracking = known.tracking(course.revision_id)
        opens, clicks = rows if tracking.opens else None, rows if tracking.clicks else None
    return {
        "course": course.slug,
        "lesson": slug,
        "number": lesson.number if lesson else None,
        "sent": _sum(rows, "sent"),
        "delivered": known.heard(_sum(rows, "delivered")),
        "opened": known.heard(_known_sum(opens, "opened")),
        "clicked": known.heard(_known_sum(clicks, "clicked")),
        "unsubscribed": left.get((course.id, slug), 0),
        "bounced": known.heard(_sum(rows, "bounced")),
        "dropped": known.heard(_sum(rows, "dropped")),
        "complained": known.heard(_sum(rows, "complained")),
        "opens_tracked": known.heard(_known_sum(opens, "delivered")),
        "clicks_tracked": known.heard(_known_sum(clicks, "delivered")),
    }


def _read_by(
    rows: Sequence[Row[*tuple[Any, ...]]], counted: dict[str, Any], known: Known
) -> dict[str, Any]:
    """Whether machines were there is known exactly where it is known of people."""
    opens = known.tracked(rows, "opens") or [] if counted["opened"] is not None else None
    clicks = known.tracked(rows, "clicks") or [] if counted["clicked"] is not None else None
    return {
        "machine_opened": _known_sum(opens, "machine_opened"),
        "open_unknown": _known_sum(opens, "unread"),
        "machine_clicked": _known_sum(clicks, "machine_clicked"),
    }


def _known_sum(rows: Iterable[Row[*tuple[Any, ...]]] | None, name: str) -> int | None:
    return None if rows is None else _sum(rows, name)


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
    return {lesson: rows for lesson, rows in found.items() if any(map(_is_there, rows))}


def _is_there(row: Row[*tuple[Any, ...]]) -> bool:
    return bool(row.entered or row.sent)


def _repeated(session: Session, course_ids: Sequence[int]) -> Counter[tuple[int, str]]:
    """Learners who were sent a lesson that is to come to them again, and stands nowhere yet."""
    again = aliased(Delivery)
    stands = exists().where(
        *(again.enrollment_id == Delivery.enrollment_id, again.edition == 0),
        again.message_key == Delivery.message_key,
        not_(and_(again.state == DeliveryState.CANCELLED, func.coalesce(again.reason, "") == HAD)),
    )
    lesson = Delivery.course_id, Delivery.message_key
    counted = (
        select(*lesson, func.count(Delivery.enrollment_id.distinct()))
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(Delivery.edition != 0, Delivery.state == DeliveryState.ACCEPTED)
        .where(Delivery.course_id.in_(course_ids), Delivery.kind == MessageKind.LESSON)
        .where(IS_REAL, ~stands)
        .group_by(*lesson)
    )
    return Counter({(course, slug): number for course, slug, number in session.execute(counted)})


# Learners ---------------------------------------------------------------------------------------

# By the course's number. Which lessons they were sent says how far they came, in whatever order
# these stand now.
Classes = dict[int, list[reach.Learners]]


class Ways(NamedTuple):
    """Learners, by the numbers of lessons: who came to a later one, and whose course was ended
    there."""

    went_on: Counter[int]
    dropped_off: Counter[int]


def _classes(session: Session, course_ids: Sequence[int]) -> Classes:
    found: Classes = defaultdict(list)
    for one in reach.by_lessons(session, course_ids):
        found[one.course_id].append(one)
    return found


def _left_after(classes: Classes) -> Counter[tuple[int, str]]:
    """Of those who unsubscribed: after which lesson."""
    found: Counter[tuple[int, str]] = Counter()
    for course_id, learners in classes.items():
        for one in learners:
            found[course_id, one.left_after] += one.number
    return found


def _ways(course: Live, classes: Classes) -> Ways:
    numbers = {lesson.slug: lesson.number for lesson in course.curriculum.lessons}
    found = Ways(Counter(), Counter())
    for one in classes[course.id]:
        *before, last = sorted(numbers[slug] for slug in one.lessons if slug in numbers) or [0]
        found.went_on.update(dict.fromkeys(before, one.number))
        found.dropped_off[last] += one.number * one.is_out
    return found


def _on_the_way(number: int | None, ways: Ways) -> dict[str, Any]:
    if number is None:
        return {"went_on": None, "dropped_off": None}
    return {"went_on": ways.went_on[number], "dropped_off": ways.dropped_off[number]}
