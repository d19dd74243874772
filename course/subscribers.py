"""People and what they take part in, as the author looks at them; and their leaving, when they ask
the author for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session

from course import (
    audit,
    cohorts,
    courses,
    due,
    enrollment,
    fields,
    history,
    selecting,
    suppressions,
)
from course.course_file import Value
from course.due import Next
from course.enrollment import Origin, Person, Scope
from course.errors import NotFoundError, RefusedError
from course.history import Filter, Mail
from course.models import Cohort, Course, Delivery, Enrollment, Subscriber, Tag
from course.people import email_hash, parse_email
from course.selecting import Selection
from course.states import (
    OWN_WISH,
    DeliveryState,
    EnrollmentState,
    MessageKind,
    SuppressionReason,
)

ORIGIN = Origin("command line")


@dataclass(frozen=True, slots=True)
class Line:
    """One enrollment in a list."""

    email: str | None
    name: str
    zone: str | None
    course: str
    cohort: str
    state: str
    received: int  # of the lessons that the course has now
    lessons: int
    signed_up_at: datetime


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One enrollment with all its mails, the newest first."""

    course: str
    cohort: str
    state: str
    reason: str | None
    signed_up_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    received: int
    lessons: int
    fields: dict[str, Value]  # the course's own, with what holds where nothing was said
    next: Next | None
    mails: list[Mail]


@dataclass(frozen=True, slots=True)
class Barred:
    """Why an address may not be mailed; `course` is None for all courses."""

    course: str | None
    reason: str
    source: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Profile:
    """A person, their enrollments (the newest first) and what stands against mailing them."""

    email: str | None
    name: str
    zone: str | None
    hour: time | None
    is_sandbox: bool
    created_at: datetime
    tags: list[str]
    suppressions: list[Barred]
    enrollments: list[Enrolled]


def find(session: Session, email: str) -> Subscriber:
    """Whoever has that address, however it is written."""
    found = session.scalar(select(Subscriber).where(Subscriber.email == parse_email(email)))
    if found is None:
        raise NotFoundError(
            f"No subscriber {email!r}. See them with: minicourse subscriber list, "
            f"or: minicourse subscriber add {email} --cohort NAME"
        )
    return found


def add(
    session: Session,
    cohort: Cohort,
    person: Person,
    *,
    who: str,
    now: datetime,
    hash_key: str,
    sandbox: bool,
    tags: Sequence[str] = (),
) -> tuple[EnrollmentState, bool]:
    """Sign a person up as the form does, and keep these tags with them; returns how they stand, and
    whether a mail goes to them.

    RefusedError where the cohort is closed, or the address bounced or complained.
    """
    cohorts.require_open(cohort)
    _require_mailable(session, person.email, email_hash(person.email, hash_key), cohort)
    before = session.scalar(select(func.max(Delivery.id))) or 0
    joined = enrollment.sign_up(
        session, cohort, person, ORIGIN, now, hash_key=hash_key, sandbox=sandbox
    )
    audit.record(
        session,
        who,
        "subscriber add",
        now,
        subscriber_id=joined.subscriber_id,
        cohort=cohorts.label(cohort),
        tags=list(tags),
    )
    have = set(session.scalars(_TAGS.where(Tag.subscriber_id == joined.subscriber_id)))
    session.add_all(Tag(subscriber_id=joined.subscriber_id, name=name) for name in {*tags} - have)
    planned = select(Delivery.id).where(Delivery.enrollment_id == joined.id, Delivery.id > before)
    return EnrollmentState(joined.state), session.scalar(planned) is not None


def left_on(session: Session, email: str, cohort: Cohort, hash_key: str) -> datetime | None:
    """When that person left the course, or everything, by their own wish, and has not come back."""
    standing = suppressions.standing(session, [email_hash(email, hash_key)], cohort.course_id)
    left = [one.created_at for one in standing if one.reason == SuppressionReason.UNSUBSCRIBED]
    return max(left, default=None)


def _require_mailable(session: Session, email: str, hashed: str, cohort: Cohort) -> None:
    """Their own leaving does not bar a confirmation: it asks whether they want to come back. Who
    was erased is not to be asked."""
    for one in suppressions.standing(session, [hashed], cohort.course_id):
        if one.reason == SuppressionReason.ERASED:
            raise RefusedError(
                f"{email} was erased on {one.created_at:%Y-%m-%d}; back comes only who signs up "
                "again on the course's page"
            )
        if one.reason not in OWN_WISH:
            raise RefusedError(
                f"{email} may not be mailed: {one.reason} on {one.created_at:%Y-%m-%d}. "
                f"See: minicourse subscriber show {email}"
            )


def listing(session: Session, chosen: Selection, *, limit: int | None = None) -> list[Line]:
    """Enrollments, the newest first."""
    return lines(session, *selecting.where(session, chosen), limit=limit)


def lines(session: Session, *where: ColumnElement[bool], limit: int | None = None) -> list[Line]:
    """Those of them that are like that."""
    statement = _with_progress(session).where(*where).limit(limit)
    lessons = _lessons(session)
    return [_line(row, lessons) for row in session.execute(statement)]


def _with_progress(session: Session) -> Select[*tuple[Any, ...]]:
    """Enrollments, the newest first, each with how many of the live lessons it has received."""
    live_lesson = or_(
        false(),
        *(
            and_(Delivery.course_id == live.id, Delivery.message_key.in_(live.curriculum.by_slug))
            for live in courses.all_live(session)
        ),
    )
    received = (
        select(func.count(Delivery.message_key.distinct()))
        .where(
            Delivery.enrollment_id == Enrollment.id,
            Delivery.kind == MessageKind.LESSON,
            Delivery.state == DeliveryState.ACCEPTED,
            live_lesson,
        )
        .scalar_subquery()
    )
    return (
        select(
            Enrollment,
            Subscriber,
            Cohort.name.label("cohort"),
            Course.slug.label("course"),
            received.label("received"),
        )
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Course, Course.id == Enrollment.course_id)
        .order_by(Enrollment.id.desc())
    )


def _line(row: Row[*tuple[Any, ...]], lessons: dict[int, int]) -> Line:
    enrolled, person = row.Enrollment, row.Subscriber
    return Line(
        email=person.email,
        name=person.name or enrolled.form_name,
        zone=person.zone or enrolled.form_zone,
        course=row.course,
        cohort=row.cohort,
        state=enrolled.state,
        received=row.received,
        lessons=lessons[enrolled.course_id],
        signed_up_at=enrolled.created_at,
    )


def _lessons(session: Session) -> dict[int, int]:
    """How many lessons each course has."""
    return {live.id: len(live.curriculum.lessons) for live in courses.all_live(session)}


def profile(session: Session, email: str, now: datetime) -> Profile:
    """All about one person, with what comes next for them."""
    person = find(session, email)
    rows = session.execute(
        _with_progress(session).where(Enrollment.subscriber_id == person.id)
    ).all()
    coming = due.next_lessons(session, [row.Enrollment.id for row in rows], now)
    return Profile(
        email=person.email,
        name=person.name or next((row.Enrollment.form_name for row in rows), ""),
        zone=person.zone or next((row.Enrollment.form_zone for row in rows), None),
        hour=person.hour,
        is_sandbox=person.is_sandbox,
        created_at=person.created_at,
        tags=list(session.scalars(_TAGS.where(Tag.subscriber_id == person.id))),
        suppressions=_suppressions(session, person),
        enrollments=[_enrolled(session, row, coming.get(row.Enrollment.id)) for row in rows],
    )


_TAGS = select(Tag.name).order_by(Tag.name)


def _enrolled(session: Session, row: Row[*tuple[Any, ...]], coming: Next | None) -> Enrolled:
    one = row.Enrollment
    return Enrolled(
        course=row.course,
        cohort=row.cohort,
        state=one.state,
        reason=one.reason,
        signed_up_at=one.created_at,
        confirmed_at=one.confirmed_at,
        ended_at=one.ended_at,
        received=row.received,
        lessons=_lessons(session)[one.course_id],
        fields=fields.values(courses.by_id(session, one.course_id).curriculum, one.fields),
        next=coming,
        mails=history.mails(session, Filter(enrollment_id=one.id)),
    )


def _suppressions(session: Session, person: Subscriber) -> list[Barred]:
    slugs = {course.id: course.slug for course in session.scalars(select(Course))}
    return [
        Barred(slugs.get(one.course_id or 0), one.reason, one.source, one.created_at)
        for one in suppressions.standing(session, [person.email_hash])
    ]


def unsubscribe(
    session: Session, email: str, course: str | None, *, who: str, why: str | None, now: datetime
) -> list[str]:
    """Take a person out of one course, or of everything (None); returns the courses that stop."""
    person = find(session, email)
    which = [Enrollment.subscriber_id == person.id]
    if course is not None:
        which.append(Enrollment.course_id == courses.live(session, course).id)
    latest = session.scalar(select(Enrollment).where(*which).order_by(Enrollment.id.desc()))
    if latest is None:
        where = f"in {course}" if course else "in any course"
        raise RefusedError(
            f"{email} is not {where}. See: minicourse subscriber show {person.email}"
        )
    scope = Scope.ALL if course is None else Scope.COURSE
    stopped = enrollment.unsubscribe(
        session, latest, ORIGIN, now, scope, reason=enrollment.TAKEN_OUT
    )
    audit.record(
        session,
        who,
        "unsubscribe",
        now,
        why=why,
        subscriber_id=person.id,
        course=course,
        enrollments=stopped,
    )
    names = select(Course.slug).join(Enrollment).where(Enrollment.id.in_(stopped))
    return list(session.scalars(names.order_by(Course.slug)))
