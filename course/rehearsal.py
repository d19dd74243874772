"""A rehearsal: one person goes through a live course in a cohort of its own, whose lessons come
seconds apart. All else is what learners get, and nothing of it is counted; `clean` takes it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from course import (
    audit,
    cohorts,
    courses,
    enrollment,
    history,
    installation,
    ledger,
    rollups,
    suppressions,
)
from course.courses import Live
from course.db import rows
from course.enrollment import Origin, Person
from course.errors import RefusedError
from course.history import Filter, Mail
from course.models import (
    Audit,
    Base,
    Cohort,
    Consent,
    Course,
    Delivery,
    Enrollment,
    Event,
    Hold,
    PersonalDetail,
    Subscriber,
    Suppression,
)
from course.people import email_hash
from course.states import OWN_WISH, DeliveryState, EnrollmentState

E = EnrollmentState
ORIGIN = Origin("rehearsal")


@dataclass(frozen=True, slots=True)
class Part:
    """A person's part in a rehearsal: `goes_on` where an earlier run began it."""

    enrollment_id: int
    goes_on: bool


def begin(
    session: Session,
    slug: str,
    person: Person,
    every: int,
    *,
    who: str,
    now: datetime,
    hash_key: str,
) -> Part:
    """Sign a person up as the form does, or find them where they are; from now on lessons come
    `every` so many seconds. Who is through, or has left, stays so until `clean`. RefusedError for
    who may not be mailed, or is a learner already."""
    live = courses.live(session, slug)
    _require_mailable(session, person, live, hash_key)
    _require_no_learner(session, person, live)
    cohort = _cohort(session, live, every, now)
    before = _newest(session, cohort, person)
    if before is not None and before.state != E.PENDING:
        return Part(before.id, goes_on=True)
    joined = enrollment.sign_up(
        session,
        cohort,
        person,
        ORIGIN,
        now,
        hash_key=hash_key,
        sandbox=installation.is_sandbox(session),
    )
    audit.record(session, who, "rehearse", now, course=slug, every=every)
    return Part(joined.id, goes_on=before is not None)


def _require_mailable(session: Session, person: Person, live: Live, hash_key: str) -> None:
    hashed = email_hash(person.email, hash_key)
    for entry in suppressions.standing(session, [hashed], live.id):
        if entry.reason not in OWN_WISH:
            raise RefusedError(
                f"{person.email} may not be mailed: {entry.reason}. Give another one: --to"
            )


def _require_no_learner(session: Session, person: Person, live: Live) -> None:
    """Who takes the course, or took it, must not lose their place in it, nor get it twice."""
    found = session.scalar(
        select(Enrollment.state)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(
            Subscriber.email == person.email,
            Enrollment.course_id == live.id,
            Enrollment.cohort_id.not_in(cohorts.rehearsals()),
        )
        .order_by(Enrollment.id.desc())
    )
    if found is not None:
        local, _, domain = person.email.partition("@")
        raise RefusedError(
            f"{person.email} is in {live.slug} already ({found}). Rehearse with an address of the "
            f"same inbox: --to {local.partition('+')[0]}+rehearsal@{domain}"
        )


def _cohort(session: Session, live: Live, every: int, now: datetime) -> Cohort:
    """The course is locked, so that two who begin at once make one cohort."""
    session.get_one(Course, live.id, with_for_update={"key_share": True})
    cohort = cohorts.rehearsal_of(session, live.id)
    if cohort is None:
        return cohorts.create_rehearsal(session, live.id, every, now)
    if cohort.rehearsal_every != every:
        cohort.rehearsal_every = every
        cohort.look_again_from = 0  # the next lesson may come at another time
        session.flush()
    return cohort


def _newest(session: Session, cohort: Cohort, person: Person) -> Enrollment | None:
    return session.scalar(
        select(Enrollment)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Subscriber.email == person.email, Enrollment.cohort_id == cohort.id)
        .order_by(Enrollment.id.desc())
    )


# While it runs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the person stands, and their mails, the oldest first."""

    state: EnrollmentState
    reason: str | None
    mails: Sequence[Mail]


def scene(session: Session, part: Part) -> Scene:
    """RefusedError where the rehearsal was removed meanwhile."""
    found = session.get(Enrollment, part.enrollment_id)
    if found is None:
        raise RefusedError("The rehearsal was removed meanwhile, with --clean.")
    mails = history.mails(session, Filter(enrollment_id=found.id))
    return Scene(EnrollmentState(found.state), found.reason, mails[::-1])


def confirm(session: Session, part: Part, now: datetime) -> bool:
    """What the person's click on the confirmation link does; False where it was done already."""
    found = session.get_one(Enrollment, part.enrollment_id)
    curriculum = courses.by_id(session, found.course_id).curriculum
    return enrollment.confirm(session, found, curriculum, ORIGIN, now)


# Afterwards ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Removed:
    """What went with a rehearsal. People who are in another course, too, stay."""

    people: int
    enrollments: int
    mails: int
    events: int
    consents: int


def clean(session: Session, slug: str, *, who: str, now: datetime) -> Removed | None:
    """Remove a course's rehearsal with all that came of it, but for what was learnt about an
    address: who bounced or complained stays barred. None where there is no rehearsal."""
    live = courses.live(session, slug)
    cohort = cohorts.rehearsal_of(session, live.id)
    if cohort is None:
        return None
    ids = _locked(session, cohort)
    _require_still(session, ids)
    alone = _came_for_it_alone(session, cohort)
    _forget_wishes(session, cohort, ids, alone)
    deliveries = select(Delivery.id).where(Delivery.enrollment_id.in_(ids))
    consents = select(Consent.id).where(Consent.enrollment_id.in_(ids))
    events = _gone(session, Event, Event.delivery_id.in_(deliveries))
    numbers = session.scalars(deliveries).all()
    ledger.lock(session, numbers)
    rollups.removed(session, numbers)
    mails = _gone(session, Delivery, Delivery.enrollment_id.in_(ids))
    _gone(session, PersonalDetail, PersonalDetail.consent_id.in_(consents))
    agreed = _gone(session, Consent, Consent.enrollment_id.in_(ids))
    _gone(session, Enrollment, Enrollment.id.in_(ids))
    _forget_people(session, alone)
    _gone(session, Hold, Hold.cohort_id == cohort.id)
    _gone(session, Cohort, Cohort.id == cohort.id)
    audit.record(session, who, "rehearse clean", now, course=slug, mails=mails)
    return Removed(len(alone), len(ids), mails, events, agreed)


def _locked(session: Session, cohort: Cohort) -> Sequence[int]:
    """Its enrollments; no planner writes about them until we are through."""
    found = select(Enrollment.id).where(Enrollment.cohort_id == cohort.id).order_by(Enrollment.id)
    return session.scalars(found.with_for_update()).all()


def _came_for_it_alone(session: Session, cohort: Cohort) -> Sequence[int]:
    mine = select(Enrollment.subscriber_id).where(Enrollment.cohort_id == cohort.id)
    other = exists().where(
        Enrollment.subscriber_id == Subscriber.id, Enrollment.cohort_id != cohort.id
    )
    return session.scalars(select(Subscriber.id).where(Subscriber.id.in_(mine), ~other)).all()


def _require_still(session: Session, ids: Sequence[int]) -> None:
    """A mail that is leaving just now is written about in a moment, so it must be there."""
    leaving = session.scalar(
        select(Delivery.id).where(
            Delivery.enrollment_id.in_(ids),
            Delivery.state.in_((DeliveryState.CLAIMED, DeliveryState.SENDING)),
        )
    )
    if leaving is not None:
        raise RefusedError(
            f"Delivery {leaving} of the rehearsal is leaving at this moment. "
            "Wait until it has, and run the same command again."
        )


def _forget_wishes(
    session: Session, cohort: Cohort, ids: Sequence[int], alone: Sequence[int]
) -> None:
    """Who left the rehearsal did not mean the course: learners of it do not rehearse, so that such
    a wish can only come from here. To want no mail at all is meant, by whoever gets any other."""
    people = (
        select(Subscriber.email_hash)
        .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .where(Enrollment.id.in_(ids))
    )
    here_alone = select(Subscriber.email_hash).where(Subscriber.id.in_(alone))
    since = select(func.min(Enrollment.created_at)).where(Enrollment.id.in_(ids))
    _gone(
        session,
        Suppression,
        Suppression.reason.in_(OWN_WISH),
        Suppression.created_at >= since.scalar_subquery(),
        or_(
            and_(Suppression.course_id == cohort.course_id, Suppression.email_hash.in_(people)),
            and_(Suppression.course_id.is_(None), Suppression.email_hash.in_(here_alone)),
        ),
    )


def _forget_people(session: Session, people: Sequence[int]) -> None:
    _gone(session, PersonalDetail, PersonalDetail.subscriber_id.in_(people))
    forget = update(Audit).where(Audit.subscriber_id.in_(people)).values(subscriber_id=None)
    rows(session, forget)
    _gone(session, Subscriber, Subscriber.id.in_(people))


def _gone(session: Session, table: type[Base], *where: ColumnElement[bool]) -> int:
    """How many rows went."""
    return rows(session, delete(table).where(*where)).rowcount
