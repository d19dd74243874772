"""What a list says of people who are here already: their tags, and with `--update` name, zone, hour
and the course's fields. Never how they stand, never their address."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Executable, bindparam, join, select, update
from sqlalchemy.orm import Session

from course import fields, ledger
from course.db import among
from course.joining import FORMS, Person, newer_form, newer_person
from course.models import Cohort, Enrollment, Subscriber, Tag
from course.rowsets import RowSet, insert_from, run
from course.sheets import Row
from course.states import EnrollmentState

_ADDRESSES = RowSet(email=Subscriber.email)
_TAGS = RowSet(email=Subscriber.email, name=Tag.name)
_PEOPLE = RowSet(id=Subscriber.id, name=Subscriber.name, zone=Subscriber.zone, hour=Subscriber.hour)


def tag(session: Session, rows: Iterable[Row]) -> None:
    """Add the tags of these rows; who has one keeps it."""
    pairs = [(row.person.email, name) for row in rows for name in row.tags]
    if pairs:
        run(session, _new_tags, given=_TAGS.pack(session, pairs))


@cache
def _new_tags(postgresql: bool) -> Executable:
    given = _TAGS.given(postgresql)
    source = join(given, Subscriber, Subscriber.email == given.c.email)
    return insert_from(
        postgresql, Tag, source, {"subscriber_id": Subscriber.id, "name": given.c.name}
    )


@dataclass(frozen=True, slots=True)
class _Amended:
    """A person of the course, and what a row says that is not so yet."""

    subscriber_id: int
    enrollment_id: int
    is_waiting: bool  # what they said waits for their confirmation with them
    row: Row
    fields: str  # theirs, with those of the row


def count(session: Session, cohort: Cohort, rows: Collection[Row]) -> int:
    """How many of these `amend` would change."""
    return len(_differing(session, cohort, rows))


def amend(session: Session, cohort: Cohort, rows: Collection[Row], now: datetime) -> int:
    """Correct what is known of these people of the cohort's course; returns how many it changed."""
    found = _differing(session, cohort, rows)
    if not found:
        return 0
    known = [one for one in found if not one.is_waiting]
    run(session, _new_values, given=_PEOPLE.pack(session, list(map(_of_person, known))))
    run(session, _new_forms, given=FORMS.pack(session, list(map(_of_form, found))))
    tag(session, [one.row for one in found])
    active = session.scalars(
        select(Enrollment.id).where(
            among(session, Enrollment.subscriber_id, [one.subscriber_id for one in found]),
            Enrollment.state == EnrollmentState.ACTIVE,
        )
    )
    ledger.look_again(session, active.all(), now)
    return len(found)


def _of_person(one: _Amended) -> tuple[Any, ...]:
    person = one.row.person
    return (one.subscriber_id, person.name, person.zone, person.hour)


def _of_form(one: _Amended) -> tuple[Any, ...]:
    person = one.row.person if one.is_waiting else Person(one.row.person.email)
    return (one.enrollment_id, person.name, person.zone, person.hour, one.fields)


@cache
def _new_values(postgresql: bool) -> Executable:
    given = _PEOPLE.given(postgresql)
    return (
        update(Subscriber)
        .where(Subscriber.id == given.c.id)
        .values(**newer_person(given.c.name, given.c.zone, given.c.hour))
    )


@cache
def _new_forms(postgresql: bool) -> Executable:
    given = FORMS.given(postgresql)
    return update(Enrollment).where(Enrollment.id == given.c.id).values(**newer_form(given))


def _differing(session: Session, cohort: Cohort, rows: Collection[Row]) -> list[_Amended]:
    by_email = {row.person.email: row for row in rows}
    given = _ADDRESSES.pack(session, [(email,) for email in by_email])
    known = run(session, _here, given=given, course=cohort.course_id).all()
    tags = _tags(session, given) if any(row.tags for row in rows) else {}
    # Who is through and has come back is what they are now.
    latest = {one.email: one for one in known}
    found = []
    for email, one in latest.items():
        row, said = by_email[email], fields.said(one.fields)
        merged = fields.pack({**said, **fields.said(row.person.fields)})
        is_waiting = one.state == EnrollmentState.PENDING
        theirs = (
            (one.form_name, one.form_zone, one.form_hour)
            if is_waiting
            else (one.name, one.zone, one.hour)
        )
        ours = (row.person.name, row.person.zone, row.person.hour)
        differs = any(new and new != old for new, old in zip(ours, theirs, strict=True))
        is_new = set(row.tags) - tags.get(email, set())
        if differs or is_new or merged != one.fields:
            found.append(_Amended(one.subscriber_id, one.id, is_waiting, row, merged))
    return found


@cache
def _here(postgresql: bool) -> Executable:
    given = _ADDRESSES.given(postgresql)
    return (
        select(
            Subscriber.email,
            Subscriber.name,
            Subscriber.zone,
            Subscriber.hour,
            Enrollment.id,
            Enrollment.subscriber_id,
            Enrollment.state,
            Enrollment.form_name,
            Enrollment.form_zone,
            Enrollment.form_hour,
            Enrollment.fields,
        )
        .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .where(
            Subscriber.email.in_(select(given.c.email)),
            Enrollment.course_id == bindparam("course"),
            Enrollment.state != EnrollmentState.CANCELLED,
        )
        .order_by(Enrollment.id)
    )


def _tags(session: Session, given: str) -> dict[str, set[str]]:
    found = defaultdict(set)
    for email, name in run(session, _their_tags, given=given):
        found[email].add(name)
    return found


@cache
def _their_tags(postgresql: bool) -> Executable:
    given = _ADDRESSES.given(postgresql)
    return (
        select(Subscriber.email, Tag.name)
        .join(Tag, Tag.subscriber_id == Subscriber.id)
        .where(Subscriber.email.in_(select(given.c.email)))
    )
