"""What is known of a person, corrected by hand: it holds from their next lesson on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import audit, courses, fields, ledger, retiming, subscribers
from course.errors import InvalidInputError, NotFoundError
from course.models import Enrollment, Subscriber
from course.people import clean
from course.states import OPEN_ENROLLMENT, EnrollmentState


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be another about a person; None leaves it as it is, and an empty text takes it
    away."""

    name: str | None = None
    zone: str | None = None
    hour: time | str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)  # of one course


def change(
    session: Session,
    email: str,
    wishes: Wishes,
    course: str | None,
    *,
    who: str,
    now: datetime,
) -> list[str]:
    """Change it from the next lesson on; returns what was changed. What it was and is stands in the
    audit, where it can be erased."""
    person, done = subscribers.find(session, email), list[str]()
    before = _known(person)
    if wishes.name is not None:
        person.name = clean(wishes.name)
        done.append("name")
    if wishes.zone is not None:
        person.zone = wishes.zone or None
        done.append("zone")
    if wishes.hour is not None:
        person.hour = wishes.hour if isinstance(wishes.hour, time) else None
        done.append("hour")
    if wishes.fields:
        done += _answer(session, person, wishes.fields, course)
    session.flush()
    open_ones = session.scalars(
        select(Enrollment.id).where(
            Enrollment.subscriber_id == person.id, Enrollment.state == EnrollmentState.ACTIVE
        )
    ).all()
    ledger.look_again(session, open_ones, now)
    if _CLOCK & _changed(before, _known(person)).keys():
        retiming.retime(session, _in_courses(session, person), now)
    line = audit.record(session, who, "subscriber set", now, subscriber_id=person.id, what=done)
    audit.keep(session, line, person.id, _changed(before, _known(person)))
    return done


_CLOCK = {"zone", "hour"}


def _in_courses(session: Session, person: Subscriber) -> Sequence[int]:
    return session.scalars(
        select(Enrollment.id).where(
            Enrollment.subscriber_id == person.id, Enrollment.state.in_(OPEN_ENROLLMENT)
        )
    ).all()


def _known(person: Subscriber) -> dict[str, str]:
    hour = f"{person.hour:%H:%M}" if person.hour else ""
    return {"name": person.name, "zone": person.zone or "", "hour": hour}


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    return {
        name: f"{was or 'nothing'} → {after[name] or 'nothing'}"
        for name, was in before.items()
        if was != after[name]
    }


def _answer(
    session: Session, person: Subscriber, given: Mapping[str, str], course: str | None
) -> list[str]:
    if course is None:
        raise InvalidInputError("A field belongs to a course: name it with --course COURSE")
    live = courses.live(session, course)
    for name in given:
        if name not in live.curriculum.fields:
            known = ", ".join(live.curriculum.fields) or "none"
            raise InvalidInputError(f"{course} has no field {name!r}; it has: {known}")
    enrolled = session.scalar(
        select(Enrollment)
        .where(Enrollment.subscriber_id == person.id, Enrollment.course_id == live.id)
        .order_by(Enrollment.id.desc())
        .limit(1)
    )
    if enrolled is None:
        raise NotFoundError(f"{person.email} is not in {course}")
    kept = fields.said(enrolled.fields)
    kept = {name: value for name, value in kept.items() if name not in given}
    enrolled.fields = fields.pack(kept | fields.read_all(live.curriculum, given))
    return list(given)
