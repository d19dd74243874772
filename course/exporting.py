"""Learners as a list that others can read, and we can read again."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from course import courses, fields, selecting
from course.course_file import Value
from course.curriculum import Course as Curriculum
from course.db import among
from course.models import Cohort, Course, Enrollment, Subscriber, Tag
from course.selecting import Selection
from course.sheets import COLUMNS, MORE

BATCH = 1000
FIRST = (*COLUMNS, "course", "cohort", "state", "received", "lessons", "tags")
LAST = ("signed_up_at", "confirmed_at")


@dataclass(frozen=True, slots=True)
class Learner:
    """One enrollment, with all that an export says of it."""

    email: str
    name: str
    zone: str | None
    hour: str | None
    course: str
    cohort: str
    state: str
    received: int
    lessons: int
    tags: list[str]
    signed_up_at: datetime
    confirmed_at: datetime | None
    fields: dict[str, Value]  # what they said, and nothing where they said nothing


class Export:
    """Those who are chosen, some at a time in the order of their enrollments: a list of any length
    takes the same memory, and nobody waits for it."""

    def __init__(self, session: Session, chosen: Selection) -> None:
        where = selecting.where(session, chosen)
        self._live = {live.id: live.curriculum for live in courses.all_live(session)}
        self._query = _LEARNERS.where(*where, Subscriber.email.is_not(None))
        counted = self._query.with_only_columns(Enrollment.course_id, func.count())
        counted = counted.group_by(Enrollment.course_id)
        counts: dict[int, int] = {row[0]: row[1] for row in session.execute(counted)}
        self.total = sum(counts.values())
        self.fields = _fields(self._live[number] for number in sorted(counts))

    def some(self, session: Session, beyond: int) -> tuple[list[Learner], int]:
        """The next ones, and the number of the last: to go on beyond it."""
        query = self._query.where(Enrollment.id > beyond).order_by(Enrollment.id).limit(BATCH)
        found = session.execute(query).all()
        tags = _tags(session, [row.subscriber_id for row in found])
        learners = [_learner(row, self._live[row.course_id], tags) for row in found]
        return learners, found[-1].id if found else beyond


def columns(field_names: Sequence[str]) -> list[str]:
    """The header of a CSV file; a course's field that is called like another column is told
    apart."""
    taken = {*FIRST, *LAST, *MORE}
    return [
        *FIRST,
        *LAST,
        *(f"field_{name}" if name in taken else name for name in field_names),
    ]


def cells(learner: Learner, field_names: Sequence[str]) -> Iterator[Any]:
    """One line of it."""
    for name in FIRST:
        value = getattr(learner, name)
        yield _joined(value) if name == "tags" else value
    for name in LAST:
        moment = getattr(learner, name)
        yield moment.isoformat() if moment else None
    for name in field_names:
        yield _said(learner.fields.get(name))


def _joined(tags: Sequence[str]) -> str:
    """As `sheets.tags_in` reads them."""
    return ",".join(_quoted(tag) if set(tag) & set(',;|"') else tag for tag in tags)


def _quoted(tag: str) -> str:
    doubled = tag.replace('"', '""')
    return f'"{doubled}"'


def _said(value: Value | None) -> Value | None:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _fields(curricula: Iterator[Curriculum]) -> list[str]:
    return list(dict.fromkeys(name for curriculum in curricula for name in curriculum.fields))


_LEARNERS: Select[*tuple[Any, ...]] = (
    select(
        Enrollment.id,
        Enrollment.subscriber_id,
        Enrollment.course_id,
        Enrollment.state,
        Enrollment.fields,
        Enrollment.created_at,
        Enrollment.confirmed_at,
        Subscriber.email,
        func.coalesce(func.nullif(Subscriber.name, ""), Enrollment.form_name).label("name"),
        func.coalesce(Subscriber.zone, Enrollment.form_zone).label("zone"),
        func.coalesce(Subscriber.hour, Enrollment.form_hour).label("hour"),
        Course.slug.label("course"),
        Cohort.name.label("cohort"),
        selecting.received().label("received"),
    )
    .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
    .join(Cohort, Cohort.id == Enrollment.cohort_id)
    .join(Course, Course.id == Enrollment.course_id)
)


def _learner(
    row: Row[*tuple[Any, ...]], curriculum: Curriculum, tags: Mapping[int, list[str]]
) -> Learner:
    said = fields.said(row.fields)
    return Learner(
        email=row.email,
        name=row.name,
        zone=row.zone,
        hour=f"{row.hour:%H:%M}" if row.hour else None,
        course=row.course,
        cohort=row.cohort,
        state=row.state,
        received=row.received,
        lessons=len(curriculum.lessons),
        tags=tags.get(row.subscriber_id, []),
        signed_up_at=row.created_at,
        confirmed_at=row.confirmed_at,
        fields={name: said[name] for name in curriculum.fields if name in said},
    )


def _tags(session: Session, subscriber_ids: Sequence[int]) -> dict[int, list[str]]:
    found = defaultdict(list)
    query = select(Tag.subscriber_id, Tag.name).where(
        among(session, Tag.subscriber_id, subscriber_ids)
    )
    for subscriber_id, name in session.execute(query.order_by(Tag.name)):
        found[subscriber_id].append(name)
    return found
