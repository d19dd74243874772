"""Chosen learners: one way to say which enrollments are meant, for lists, exports, bulk orders and
notes alike."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    cast,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session

from course import cohorts, courses, fields
from course.course_file import Value
from course.db import is_postgresql
from course.errors import InvalidInputError, NotFoundError
from course.models import Cohort, Delivery, Enrollment, Subscriber, Tag
from course.states import DeliveryState, MessageKind

_PROGRESS = re.compile(r"(<=|>=|<|>|=)?\s*(\d{1,4})")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which enrollments; what is not said excludes nobody. All that is said must hold."""

    course: str | None = None
    cohort: str | None = None  # `course/cohort`, or the short form
    email: str | None = None
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # each of them
    without_tags: tuple[str, ...] = ()  # none of them
    progress: str | None = None  # lessons received: `3`, `>=2`, `<5`
    fields: Mapping[str, str] = field(default_factory=dict)  # of that course

    def __bool__(self) -> bool:
        return self != Selection()


def where(session: Session, chosen: Selection) -> list[ColumnElement[bool]]:
    """SQL over Enrollment ⋈ Subscriber ⋈ Cohort; rehearsals are chosen only by their cohort's
    name. InvalidInputError or NotFoundError name what is wrong in it."""
    found: list[ColumnElement[bool]] = []
    cohort = cohorts.find(session, chosen.cohort) if chosen.cohort else None
    if cohort is not None:
        found.append(Enrollment.cohort_id == cohort.id)
    else:
        found.append(Enrollment.cohort_id.not_in(cohorts.rehearsals()))
    course_id = courses.live(session, chosen.course).id if chosen.course else None
    if course_id is not None:
        found.append(Enrollment.course_id == course_id)
    if chosen.email:
        found.append(Subscriber.email == chosen.email)
    if chosen.states:
        found.append(Enrollment.state.in_(chosen.states))
    found += [_tagged(session, name) for name in chosen.tags]
    found += [not_(_tagged(session, name)) for name in chosen.without_tags]
    if chosen.progress is not None:
        found.append(_progress(chosen.progress))
    if chosen.fields:
        of = course_id or (cohort.course_id if cohort else None)
        found += _fields(session, chosen.fields, of)
    return found


def ids(session: Session, chosen: Selection) -> list[int]:
    """The enrollments, in the order of their numbers."""
    return list(session.scalars(enrollments(session, chosen).order_by(Enrollment.id)))


def enrollments(session: Session, chosen: Selection) -> Select[int]:
    return (
        select(Enrollment.id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(*where(session, chosen))
    )


def received() -> Any:
    """SQL over Enrollment: how many lessons the provider has taken for it."""
    return (
        select(func.count(Delivery.message_key.distinct()))
        .where(
            Delivery.enrollment_id == Enrollment.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
        )
        .correlate(Enrollment)
        .scalar_subquery()
    )


def _tagged(session: Session, name: str) -> ColumnElement[bool]:
    if session.scalar(select(Tag.name).where(Tag.name == name).limit(1)) is None:
        known = ", ".join(session.scalars(select(Tag.name).distinct().order_by(Tag.name)))
        raise NotFoundError(f"Nobody has the tag {name!r}; there is: {known or 'none'}")
    mine = select(1).where(Tag.subscriber_id == Subscriber.id, Tag.name == name)
    return exists(mine.correlate(Subscriber))


def _progress(text: str) -> ColumnElement[bool]:
    match = _PROGRESS.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(
            f"--progress {text!r} is no number of lessons; write it like 3, >=2 or <5"
        )
    count, number = received(), int(match[2])
    compared: dict[str, ColumnElement[bool]] = {
        "=": count == number,
        "<": count < number,
        ">": count > number,
        "<=": count <= number,
        ">=": count >= number,
    }
    return compared[match[1] or "="]


def _fields(
    session: Session, wanted: Mapping[str, str], course_id: int | None
) -> list[ColumnElement[bool]]:
    if course_id is None:
        raise InvalidInputError("--field belongs to a course: name it with --course COURSE")
    course = courses.by_id(session, course_id).curriculum
    for name in wanted:
        if name not in course.fields:
            known = ", ".join(course.fields) or "none"
            raise InvalidInputError(f"{course.slug} has no field {name!r}; it has: {known}")
    said = func.nullif(Enrollment.fields, "")
    # SQLite has JSON's functions for any text, and would cast to a number.
    kept = cast(said, JSON) if is_postgresql(session) else type_coerce(said, JSON)
    return [
        _is(kept, name, fields.read(name, course.fields[name], given), course.fields[name])
        for name, given in wanted.items()
    ]


def _is(kept: ColumnElement[Any], name: str, value: Value, declared: Any) -> ColumnElement[bool]:
    """What nobody said, or what does not fit any more, has the field's default."""
    stored = kept[name]
    match value:
        case bool():
            found = stored.as_boolean() == value
        case int() | float():
            found = stored.as_float() == value
        case _:
            found = stored.as_string() == value
    return found if value != declared.default_value else or_(found, stored.as_string().is_(None))
