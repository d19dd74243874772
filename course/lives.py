"""A person's record: every change of what is known of them and of how they stand, the oldest first.
From the audit, the consents and the enrollments; the values of a person come from the table that
can be erased. Reads only."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import subscribers
from course.models import (
    Audit,
    Cohort,
    Consent,
    Course,
    Enrollment,
    PersonalDetail,
    Subscriber,
    Suppression,
)
from course.states import EnrollmentState


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened to a person's record, or is going to; times are UTC."""

    at: datetime
    who: str
    what: str
    course: str | None = None
    why: str | None = None
    is_to_come: bool = False


def of(session: Session, email: str) -> list[Entry]:
    person = subscribers.find(session, email)
    found = [
        *_enrollments(session, person),
        *_consents(session, person),
        *_suppressions(session, person),
        *_orders(session, person),
    ]
    return sorted(found, key=lambda entry: (entry.is_to_come, entry.at))


def _enrollments(session: Session, person: Subscriber) -> Iterator[Entry]:
    mine = (
        select(Enrollment, Course.slug, Cohort.name)
        .join(Course, Course.id == Enrollment.course_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(Enrollment.subscriber_id == person.id)
    )
    for one, course, cohort in session.execute(mine):
        yield Entry(one.created_at, "subscriber", f"signed up, now in {cohort}", course)
        if one.confirmed_at is not None:
            yield Entry(one.confirmed_at, "minicourse", "pending → active", course)
        if one.ended_at is not None:
            was = f"{one.state} ({one.reason})" if one.reason else one.state
            yield Entry(one.ended_at, "minicourse", f"→ {was}", course)
        if one.state == EnrollmentState.PAUSED and one.paused_until is not None:
            yield Entry(one.paused_until, "minicourse", "paused → active", course, is_to_come=True)


def _consents(session: Session, person: Subscriber) -> Iterator[Entry]:
    mine = (
        select(Consent, Course.slug)
        .join(Enrollment, Enrollment.id == Consent.enrollment_id)
        .join(Course, Course.id == Enrollment.course_id)
        .where(Enrollment.subscriber_id == person.id)
        .order_by(Consent.id)
    )
    for one, course in session.execute(mine):
        words = [f"consent {one.act}, by {one.source}"]
        if one.wording_version:
            words.append(f"words {one.wording_version}")
        if one.file_hash:
            words.append(f"file {one.file_hash[:12]}")
        yield Entry(one.at, "subscriber", ", ".join(words), course)


def _suppressions(session: Session, person: Subscriber) -> Iterator[Entry]:
    mine = (
        select(Suppression, Course.slug)
        .outerjoin(Course, Course.id == Suppression.course_id)
        .where(Suppression.email_hash == person.email_hash)
    )
    for one, course in session.execute(mine):
        words = f"gets no mail: {one.reason} ({one.source})"
        yield Entry(one.created_at, "minicourse", words, course)


def _orders(session: Session, person: Subscriber) -> Iterator[Entry]:
    mine = select(Audit).where(Audit.subscriber_id == person.id).order_by(Audit.id)
    values = _personal(session, person)
    for line in session.scalars(mine):
        detail = {**line.detail, **values.get(line.id, {})}
        if line.id in values:  # they say what was changed, and to what
            detail.pop("what", None)
        course = detail.pop("course", None)
        yield Entry(line.at, line.who, _what(line.action, detail), course, line.why)


def _personal(session: Session, person: Subscriber) -> Mapping[int, Mapping[str, str]]:
    """By line of the audit."""
    kept = select(PersonalDetail).where(
        PersonalDetail.subscriber_id == person.id, PersonalDetail.audit_id.is_not(None)
    )
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for one in session.scalars(kept.order_by(PersonalDetail.id)):
        found[one.audit_id or 0][one.name] = one.value
    return found


def _what(action: str, detail: Mapping[str, Any]) -> str:
    told = [f"{name} {_shown(value)}" for name, value in detail.items() if value not in (None, [])]
    name = action.removeprefix("subscriber ")
    return f"{name}: {', '.join(told)}" if told else name


def _shown(value: object) -> str:
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(map(str, value))
    text = str(value)
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC" if "T" in text else text
    except ValueError:
        return text
