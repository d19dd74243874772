"""From sandbox to real mail: who is in the database, what is missing, and a step without return."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from course import installation, ledger, reach, rollups
from course.db import Database
from course.errors import NotFoundError
from course.models import (
    Audit,
    Consent,
    Course,
    Delivery,
    Enrollment,
    Event,
    PersonalDetail,
    Request,
    Subscriber,
    Tag,
)
from course.settings import Settings

_BATCH = 500


@dataclass(frozen=True, slots=True)
class SandboxPerson:
    """Somebody who came while mail went nowhere, and where they stand in which course."""

    id: int
    email: str
    courses: tuple[str, ...]


def sandbox_people(session: Session) -> list[SandboxPerson]:
    """Everybody whom a real host would mail though they came in sandbox mode."""
    rows = session.execute(
        select(Subscriber.id, Subscriber.email, Course.slug, Enrollment.state)
        .outerjoin(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .outerjoin(Course, Course.id == Enrollment.course_id)
        .where(Subscriber.is_sandbox)
        .order_by(Subscriber.id, Enrollment.id)
    )
    found: dict[int, SandboxPerson] = {}
    for row in rows:
        person = found.get(row.id) or SandboxPerson(row.id, row.email or "(erased)", ())
        stands = (f"{row.slug} ({row.state})",) if row.slug else ()
        found[row.id] = SandboxPerson(row.id, person.email, (*person.courses, *stands))
    return list(found.values())


def chosen(people: Sequence[SandboxPerson], emails: Sequence[str]) -> list[SandboxPerson]:
    """Those of these addresses; NotFoundError names one that is not among them."""
    by_email = {person.email: person for person in people}
    for email in emails:
        if email.strip().lower() not in by_email:
            raise NotFoundError(f"No sandbox person {email!r}. List them with: minicourse live")
    return [by_email[email.strip().lower()] for email in emails]


def go_live(
    database: Database, settings: Settings, keep: Sequence[SandboxPerson], now: datetime
) -> int:
    """Keep these as real people, forget the other sandbox people and mark the database for ever.

    Returns how many were forgotten. Raises, with the database still in sandbox mode, where the
    settings do not fit.
    """
    keep_ids = [person.id for person in keep]
    forgotten = 0
    while count := database.run(lambda session: _forget_some(session, keep_ids)):
        forgotten += count
    database.run(lambda session: _mark(session, settings, keep_ids, now))
    return forgotten


def _forget_some(session: Session, keep: Sequence[int]) -> int:
    """A batch of people, in a transaction that holds nobody up. Suppressions stay: they are hashes,
    and somebody may have meant it."""
    people = list(
        session.scalars(
            select(Subscriber.id)
            .where(Subscriber.is_sandbox, Subscriber.id.not_in(keep))
            .order_by(Subscriber.id)
            .limit(_BATCH)
        )
    )
    enrollments = select(Enrollment.id).where(Enrollment.subscriber_id.in_(people))
    deliveries = select(Delivery.id).where(Delivery.enrollment_id.in_(enrollments))
    mails = session.scalars(deliveries).all()
    ledger.lock(session, mails)
    rollups.removed(session, mails)
    reach.removed(session, mails)
    for statement in (
        delete(Event).where(Event.delivery_id.in_(deliveries)),
        delete(Delivery).where(Delivery.enrollment_id.in_(enrollments)),
        delete(PersonalDetail).where(PersonalDetail.subscriber_id.in_(people)),
        delete(Tag).where(Tag.subscriber_id.in_(people)),
        delete(Consent).where(Consent.enrollment_id.in_(enrollments)),
        update(Audit).where(Audit.subscriber_id.in_(people)).values(subscriber_id=None),
        delete(Enrollment).where(Enrollment.subscriber_id.in_(people)),
        delete(Subscriber).where(Subscriber.id.in_(people)),
    ):
        session.execute(statement.execution_options(synchronize_session=False))
    return len(people)


def _mark(session: Session, settings: Settings, keep: Sequence[int], now: datetime) -> None:
    session.execute(update(Subscriber).where(Subscriber.id.in_(keep)).values(is_sandbox=False))
    # Requests to the stand-in would count towards SEND_LIMIT.
    session.execute(delete(Request).where(~exists().where(Delivery.request_id == Request.id)))
    installation.check(session, settings)
    installation.become_live(session, now)
