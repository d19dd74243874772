"""What is known of a person, corrected by hand: it holds from their next lesson on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from course import audit, courses, fields, ledger, planning, progress, subscribers, timing
from course.errors import InvalidInputError, NotFoundError
from course.models import Delivery, Enrollment, Subscriber
from course.people import clean
from course.states import OPEN_ENROLLMENT, DeliveryState, EnrollmentState, MessageKind


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
        _put_on_new_clock(session, person, now)
    line = audit.record(session, who, "subscriber set", now, subscriber_id=person.id, what=done)
    audit.keep(session, line, person.id, _changed(before, _known(person)))
    return done


_CLOCK = {"zone", "hour"}


def _put_on_new_clock(session: Session, person: Subscriber, now: datetime) -> None:
    """Lessons that are decided and wait for an hour of the old clock wait for one of the new."""
    mine = planning.learners_where(
        session, Enrollment.subscriber_id == person.id, Enrollment.state.in_(OPEN_ENROLLMENT)
    )
    pace_of = planning.paces(session, {learner.clock.course_id for learner in mine})
    stories = progress.stories(session, [learner.id for learner in mine])
    ahead = select(Delivery).where(
        Delivery.kind == MessageKind.LESSON,
        Delivery.rank == ledger.RANK_LESSON,
        Delivery.state == DeliveryState.PENDING,
        Delivery.send_at > now,
    )
    for learner in mine:
        for row in session.scalars(ahead.where(Delivery.enrollment_id == learner.id)):
            rhythm = pace_of(learner.clock).of(row.message_key)
            moment = timing.again_at(now, rhythm, stories[learner.id].sent_at)
            # What only leaves later keeps the due time from which the next lesson counts.
            due_at = moment if row.due_at == row.send_at else row.due_at
            ledger.put_off(session, [row.id], timing.Release(due_at, moment, row.is_shifted))


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
