"""What people write into the tables by joining, many at once: themselves, their enrollment, what
their form said, their consent, and the start of their clock.

One person is a batch of one. Why and when each of these happens stands in `enrollment`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Executable,
    FromClause,
    bindparam,
    func,
    join,
    select,
    update,
)
from sqlalchemy.orm import Session

from course import ledger
from course.models import Cohort, Consent, Enrollment, Subscriber
from course.people import email_hash, mailbox_hash
from course.rowsets import Column, RowSet, insert_from, run
from course.states import EnrollmentState, MessageKind
from course.tokens import new_token

E = EnrollmentState


@dataclass(frozen=True, slots=True)
class Wording:
    """The words that a person agreed to: a version for people, a hash for proof."""

    version: str
    hash: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who signs up, as cleaned at the entrance (see `people`)."""

    email: str
    name: str = ""
    zone: str | None = None
    hour: time | None = None
    fields: str = ""  # the course's own, as `fields.pack` writes them


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a consent came from: a page, a link, a list; and in which words it was given."""

    source: str
    wording: Wording | None = None
    file_hash: str | None = None  # of the list (SHA-256, hex)


class Joined(NamedTuple):
    """A person's open enrollment."""

    id: int
    subscriber_id: int
    state: str


_PEOPLE = RowSet(
    email=Subscriber.email,
    email_hash=Subscriber.email_hash,
    mailbox_hash=Subscriber.mailbox_hash,
    form_name=Enrollment.form_name,
    form_zone=Enrollment.form_zone,
    form_hour=Enrollment.form_hour,
    fields=Enrollment.fields,
    token=Enrollment.token,
)
_ADDRESSES = RowSet(email=Subscriber.email)
FORMS = RowSet(
    id=Enrollment.id,
    form_name=Enrollment.form_name,
    form_zone=Enrollment.form_zone,
    form_hour=Enrollment.form_hour,
    fields=Enrollment.fields,
)
_STARTS = RowSet(id=Enrollment.id, starts_at=Enrollment.starts_at)
_IDS = RowSet(enrollment_id=Consent.enrollment_id)


def enroll(
    session: Session,
    cohort: Cohort,
    people: Sequence[Person],
    now: datetime,
    *,
    hash_key: str,
    sandbox: bool,
) -> dict[Joined, Person]:
    """Make each a subscriber, with a pending enrollment where none is open; returns the new."""
    tokens = {new_token(): person for person in people}
    given = _PEOPLE.pack(
        session,
        [
            (
                *(p.email, email_hash(p.email, hash_key), mailbox_hash(p.email, hash_key)),
                *(p.name, p.zone, p.hour, p.fields, token),
            )
            for token, p in tokens.items()
        ],
    )
    run(session, _new_subscribers, given=given, is_sandbox=sandbox, created_at=now)
    made = run(
        session,
        _new_enrollments,
        given=given,
        course_id=cohort.course_id,
        cohort_id=cohort.id,
        state=E.PENDING,
        created_at=now,
    )
    return {Joined(*joined): tokens[token] for *joined, token in sorted(made)}


@cache
def _new_subscribers(postgresql: bool) -> Executable:
    given = _PEOPLE.given(postgresql)
    own = ("email", "email_hash", "mailbox_hash")
    person = {name: given.c[name] for name in own}
    return insert_from(postgresql, Subscriber, given, person, same=["is_sandbox", "created_at"])


@cache
def _new_enrollments(postgresql: bool) -> Executable:
    given = _PEOPLE.given(postgresql)
    said = ("token", "form_name", "form_zone", "form_hour", "fields")
    form = {name: given.c[name] for name in said}
    return insert_from(
        postgresql,
        Enrollment,
        join(given, Subscriber, Subscriber.email == given.c.email),
        {"subscriber_id": Subscriber.id, **form},
        same=["course_id", "cohort_id", "state", "created_at"],
    ).returning(Enrollment.id, Enrollment.subscriber_id, Enrollment.state, Enrollment.token)


def note_forms(session: Session, people: Mapping[int, Person], cohort: Cohort) -> None:
    """The latest form of each pending enrollment counts; it becomes the person's own only with
    their confirmation."""
    if not people:
        return
    found = [(number, p.name, p.zone, p.hour, p.fields) for number, p in people.items()]
    run(session, _newer_form, given=FORMS.pack(session, found), cohort=cohort.id)


@cache
def _newer_form(postgresql: bool) -> Executable:
    given = FORMS.given(postgresql)
    return (
        update(Enrollment)
        .where(Enrollment.id == given.c.id, Enrollment.state == E.PENDING)
        .values(cohort_id=bindparam("cohort"), **newer_form(given))
    )


def newer_form(given: FromClause) -> dict[str, ColumnElement[Any]]:
    """What one of `FORMS` leaves out stays as it was."""
    return {
        "form_name": func.coalesce(func.nullif(given.c.form_name, ""), Enrollment.form_name),
        "form_zone": func.coalesce(given.c.form_zone, Enrollment.form_zone),
        "form_hour": func.coalesce(given.c.form_hour, Enrollment.form_hour),
        "fields": func.coalesce(func.nullif(given.c.fields, ""), Enrollment.fields),
    }


def waiting(session: Session, people: Iterable[Person], course_id: int) -> dict[int, Person]:
    """The pending enrollments of these people in that course."""
    by_email = {person.email: person for person in people}
    if not by_email:
        return {}
    given = _ADDRESSES.pack(session, [(email,) for email in by_email])
    found = run(session, _pending, given=given, course=course_id)
    return {number: by_email[email] for number, email in found}


@cache
def _pending(postgresql: bool) -> Executable:
    given = _ADDRESSES.given(postgresql)
    return (
        select(Enrollment.id, Subscriber.email)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(
            Subscriber.email.in_(select(given.c.email)),
            Enrollment.course_id == bindparam("course"),
            Enrollment.state == E.PENDING,
        )
        .order_by(Enrollment.id)
        .with_for_update(of=Enrollment, key_share=True)
    )


def clocks(
    session: Session, enrollment_ids: Iterable[int]
) -> dict[int, tuple[str | None, time | None]]:
    """The zone and hour that each form named, or else that are the person's own."""
    given = _IDS.pack(session, [(number,) for number in enrollment_ids])
    return {row[0]: (row[1], row[2]) for row in run(session, _clocks, given=given)}


@cache
def _clocks(postgresql: bool) -> Executable:
    given = _IDS.given(postgresql)
    return (
        select(
            Enrollment.id,
            func.coalesce(Enrollment.form_zone, Subscriber.zone),
            func.coalesce(Enrollment.form_hour, Subscriber.hour),
        )
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Enrollment.id.in_(select(given.c.enrollment_id)))
    )


def begin(
    session: Session, starts: Mapping[int, datetime], act: str, origin: Origin, now: datetime
) -> list[int]:
    """pending → active, each with the start of its clock; returns those that were still pending.
    What their form said becomes the person's own."""
    given = _STARTS.pack(session, list(starts.items()))
    begun = list(run(session, _started, given=given, now=now).scalars())
    run(session, _become_own, given=_IDS.pack(session, [(number,) for number in begun]))
    ledger.cancel(session, begun, "confirmed", now, kinds=[MessageKind.CONFIRMATION])
    consent(session, begun, act, origin, now)
    return begun


@cache
def _started(postgresql: bool) -> Executable:
    given, now = _STARTS.given(postgresql), bindparam("now", type_=Enrollment.confirmed_at.type)
    return (
        update(Enrollment)
        .where(Enrollment.id == given.c.id, Enrollment.state == E.PENDING)
        .values(state=E.ACTIVE, confirmed_at=now, starts_at=given.c.starts_at, next_due_at=now)
        .returning(Enrollment.id)
    )


@cache
def _become_own(postgresql: bool) -> Executable:
    given = _IDS.given(postgresql)
    return (
        update(Subscriber)
        .where(Subscriber.id == Enrollment.subscriber_id, Enrollment.id == given.c.enrollment_id)
        .values(**newer_person(Enrollment.form_name, Enrollment.form_zone, Enrollment.form_hour))
    )


def newer_person(name: Column, zone: Column, hour: Column) -> dict[str, ColumnElement[Any]]:
    """What nothing is said of stays as it was."""
    return {
        "name": func.coalesce(func.nullif(name, ""), Subscriber.name),
        "zone": func.coalesce(zone, Subscriber.zone),
        "hour": func.coalesce(hour, Subscriber.hour),
    }


def consent(
    session: Session, enrollment_ids: Iterable[int], act: str, origin: Origin, now: datetime
) -> None:
    """Write down what was agreed to or withdrawn: append-only, one row each."""
    run(
        session,
        _new_consents,
        given=_IDS.pack(session, [(number,) for number in enrollment_ids]),
        act=act,
        at=now,
        source=origin.source,
        wording_version=origin.wording.version if origin.wording else None,
        wording_hash=origin.wording.hash if origin.wording else None,
        file_hash=origin.file_hash,
    )


@cache
def _new_consents(postgresql: bool) -> Executable:
    given = _IDS.given(postgresql)
    same = ["act", "at", "source", "wording_version", "wording_hash", "file_hash"]
    return insert_from(postgresql, Consent, given, dict(given.c), same)
