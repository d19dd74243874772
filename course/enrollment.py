"""Sign-up, confirmation, leaving and coming back: what a person does with one course.

Every function takes a writing session and `now`, changes state by conditional UPDATE and says what
it did. None of them sends: they write ledger rows, and the next tick does the rest.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from course import asking, invitations, joining, ledger, places, reach, suppressions
from course.curriculum import Course as Curriculum
from course.joining import Joined
from course.joining import Origin as Origin
from course.joining import Person as Person
from course.joining import Wording as Wording
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.starting import start_of
from course.states import LEFT as LEFT
from course.states import (
    OPEN_ENROLLMENT,
    DeliveryState,
    EnrollmentState,
    MessageKind,
    SuppressionReason,
)
from course.states import TAKEN_OUT as TAKEN_OUT
from course.tokens import CONFIRM_DAYS

E = EnrollmentState
UNDO_DAYS = 7


def sign_up(
    session: Session,
    cohort: Cohort,
    person: Person,
    origin: Origin,
    now: datetime,
    *,
    hash_key: str,
    sandbox: bool,
) -> Joined:
    """Ask a person to confirm; returns their open enrollment in the cohort's course.

    Whoever is pending gets another confirmation when one may go (one a day, three ever); whoever
    takes part already gets a mail that says so, once a day. The caller's answer must not differ.
    """
    while True:
        asked = ask(session, cohort, [person], origin, now, hash_key=hash_key, sandbox=sandbox)
        if asked:
            return asked[0]
        subscriber = select(Subscriber.id).where(Subscriber.email == person.email)
        enrollment = find_open(session, session.scalars(subscriber).one(), cohort.course_id)
        if enrollment is not None:  # else it was left this very moment, and none is open any more
            break
    if enrollment.state == E.PENDING:
        joining.note_forms(session, {enrollment.id: person}, cohort)
        joining.consent(session, [enrollment.id], "asked", origin, now)
        ask_to_confirm(session, enrollment, now)
    else:
        key = f"already-{now:%Y-%m-%d}"
        _plan(session, [enrollment.id], cohort.course_id, MessageKind.ALREADY, key, now)
    return Joined(enrollment.id, enrollment.subscriber_id, enrollment.state)


def ask(
    session: Session,
    cohort: Cohort,
    people: Sequence[Person],
    origin: Origin,
    now: datetime,
    *,
    hash_key: str,
    sandbox: bool,
) -> list[Joined]:
    """Ask those to confirm who have no open enrollment in the cohort's course, and return theirs;
    for the others nothing changes."""
    made = list(joining.enroll(session, cohort, people, now, hash_key=hash_key, sandbox=sandbox))
    ids = [joined.id for joined in made]
    joining.consent(session, ids, "asked", origin, now)
    refused = asking.flooded(session, ids, now)
    may_go = [number for number in ids if number not in refused]
    _plan(session, may_go, cohort.course_id, MessageKind.CONFIRMATION, "confirm-1", now)
    return made


def find_open(session: Session, subscriber_id: int, course_id: int) -> Enrollment | None:
    return session.scalar(
        select(Enrollment).where(
            Enrollment.subscriber_id == subscriber_id,
            Enrollment.course_id == course_id,
            Enrollment.state.in_(OPEN_ENROLLMENT),
        )
    )


def ask_to_confirm(session: Session, enrollment: Enrollment, now: datetime) -> bool:
    """Plan the next confirmation mail of a pending enrollment; False when none may go now."""
    if enrollment.state != E.PENDING or asking.flooded(session, [enrollment.id], now):
        return False
    sent = session.scalar(
        select(func.count()).where(
            Delivery.enrollment_id == enrollment.id,
            Delivery.kind == MessageKind.CONFIRMATION,
        )
    )
    key = f"confirm-{(sent or 0) + 1}"
    _plan(session, [enrollment.id], enrollment.course_id, MessageKind.CONFIRMATION, key, now)
    return True


def _plan(
    session: Session,
    enrollment_ids: Iterable[int],
    course_id: int,
    kind: MessageKind,
    key: str,
    now: datetime,
) -> None:
    mails = [
        ledger.Planned(
            enrollment_id=enrollment_id,
            course_id=course_id,
            kind=kind,
            message_key=key,
            due_at=now,
            rank=ledger.RANKS[kind],
        )
        for enrollment_id in enrollment_ids
    ]
    ledger.plan(session, mails, now)


class Confirmed(StrEnum):
    """What a confirmation link leads to."""

    NOW = "now"  # this very call made the enrollment active
    BEFORE = "before"  # it was active already
    OVER = "over"  # it has been left or completed since
    EXPIRED = "expired"


def confirmation_stands(enrollment: Enrollment, made_at: datetime, now: datetime) -> Confirmed:
    """What POSTing a link made at `made_at` would do; reads only, for the page behind GET."""
    if enrollment.state in (E.ACTIVE, E.PAUSED):
        return Confirmed.BEFORE
    if enrollment.state != E.PENDING:
        return Confirmed.OVER
    return Confirmed.EXPIRED if now - made_at > timedelta(days=CONFIRM_DAYS) else Confirmed.NOW


def confirm(
    session: Session, enrollment: Enrollment, curriculum: Curriculum, origin: Origin, now: datetime
) -> bool:
    """pending → active: the clock of the course starts. False when it was not pending any more, or
    there is no place.

    Where their cohort has none, they begin in the next one that has. The person's own earlier
    unsubscribe is lifted, a bounce or a complaint never.
    """
    cohort = places.place(session, enrollment, curriculum, now, lock=True).cohort
    if cohort is None:
        return False
    enrollment.cohort = cohort
    session.flush()
    person = enrollment.subscriber
    zone, hour = enrollment.form_zone or person.zone, enrollment.form_hour or person.hour
    starts_at = start_of(cohort, curriculum, now, zone=zone, hour=hour)
    if not joining.begin(session, {enrollment.id: starts_at}, "confirmed", origin, now):
        return False
    suppressions.lift_own_wish(session, enrollment.subscriber.email_hash, enrollment.course_id)
    session.refresh(enrollment)
    session.expire(enrollment.subscriber)
    invitations.invite(session, [enrollment.id], now)
    return True


def take_in(
    session: Session,
    cohort: Cohort,
    people: Sequence[Person],
    origin: Origin,
    now: datetime,
    *,
    starts: Callable[[Person, str | None, time | None], datetime],
    hash_key: str,
    sandbox: bool,
) -> dict[Person, tuple[int, datetime]]:
    """Enroll people whose consent the author holds already: nothing is asked, and nothing that
    stands against mailing them is lifted. The clock of the course starts when `starts` says, for a
    person in that zone with that hour. Returns who they are, each with the enrollment and the start
    of its clock: who takes part already is left out."""
    made = joining.enroll(session, cohort, people, now, hash_key=hash_key, sandbox=sandbox)
    new = set(made.values())
    asked = joining.waiting(session, [each for each in people if each not in new], cohort.course_id)
    joining.note_forms(session, asked, cohort)
    found = asked | {joined.id: person for joined, person in made.items()}
    clocks = joining.clocks(session, found)
    begins = {number: starts(found[number], *clock) for number, clock in clocks.items()}
    begun = joining.begin(session, begins, "imported", origin, now)
    return {found[number]: (number, begins[number]) for number in begun}


class Scope(StrEnum):
    """What a person leaves: this course, or everything we could ever send."""

    COURSE = "course"
    ALL = "all"


def unsubscribe(
    session: Session,
    enrollment: Enrollment,
    origin: Origin,
    now: datetime,
    scope: Scope = Scope.COURSE,
    *,
    reason: str = LEFT,
) -> list[int]:
    """Leave; returns the enrollments that were stopped by this call (none when repeated).

    The rows that wait to be sent are cancelled in the same transaction, so that nothing whose line
    comes later can leave.
    """
    course_id = None if scope is Scope.ALL else enrollment.course_id
    stopped = _stop(session, enrollment.subscriber_id, course_id, reason, now)
    suppressions.add(
        session,
        [enrollment.subscriber.email_hash],
        SuppressionReason.UNSUBSCRIBED,
        origin.source,
        now,
        course_id=course_id,
    )
    joining.consent(session, stopped, "withdrawn", origin, now)
    return stopped


def withdraw_addresses(
    session: Session,
    email_hashes: list[str],
    reason: SuppressionReason,
    now: datetime,
    *,
    course_id: int | None = None,
) -> list[int]:
    """A bounce or complaint: every open enrollment of these addresses ends, whatever the course
    (or in that one alone)."""
    people = list(
        session.scalars(select(Subscriber.id).where(Subscriber.email_hash.in_(email_hashes)))
    )
    which: list[ColumnElement[bool]] = [Enrollment.subscriber_id.in_(people)]
    if course_id is not None:
        which.append(Enrollment.course_id == course_id)
    return _stop_where(session, which, str(reason), now)


def _stop(
    session: Session, subscriber_id: int, course_id: int | None, reason: str, now: datetime
) -> list[int]:
    which = [Enrollment.subscriber_id == subscriber_id]
    if course_id is not None:
        which.append(Enrollment.course_id == course_id)
    return _stop_where(session, which, reason, now)


def _stop_where(
    session: Session, which: list[ColumnElement[bool]], reason: str, now: datetime
) -> list[int]:
    ids = list(
        session.scalars(
            select(Enrollment.id)
            .where(*which, Enrollment.state.in_(OPEN_ENROLLMENT))
            .order_by(Enrollment.id)
            .with_for_update(key_share=True)
        )
    )
    with reach.turned(session, ids):
        stopped = list(
            session.scalars(
                update(Enrollment)
                .where(Enrollment.id.in_(ids), Enrollment.state.in_(OPEN_ENROLLMENT))
                .values(
                    state=E.CANCELLED,
                    reason=reason,
                    ended_at=now,
                    next_due_at=None,
                    paused_until=None,
                )
                .returning(Enrollment.id)
                .execution_options(synchronize_session=False)
            )
        )
    ledger.cancel(session, stopped, reason, now)
    return stopped


def can_undo(enrollment: Enrollment, now: datetime) -> bool:
    return (
        enrollment.state == E.CANCELLED
        and enrollment.reason == LEFT
        and enrollment.confirmed_at is not None
        and enrollment.ended_at is not None
        and now - enrollment.ended_at <= timedelta(days=UNDO_DAYS)
    )


def undo_unsubscribe(
    session: Session, enrollment: Enrollment, origin: Origin, now: datetime
) -> bool:
    """Within a week, take back a leaving; False when it is too late or another took its place."""
    if not can_undo(enrollment, now):
        return False
    if find_open(session, enrollment.subscriber_id, enrollment.course_id) is not None:
        return False
    mine = select(Enrollment.id).where(Enrollment.id == enrollment.id)
    session.execute(mine.with_for_update(key_share=True))
    with reach.turned(session, [enrollment.id]):
        changed = session.scalars(
            update(Enrollment)
            .where(Enrollment.id == enrollment.id, Enrollment.state == E.CANCELLED)
            .values(state=E.ACTIVE, reason=None, ended_at=None, next_due_at=now)
            .returning(Enrollment.id)
            .execution_options(synchronize_session=False)
        ).all()
    if not changed:
        return False
    suppressions.lift_own_wish(session, enrollment.subscriber.email_hash, enrollment.course_id)
    # The lesson that the leaving cancelled is owed again.
    owed = session.scalars(
        select(Delivery.id).where(
            Delivery.enrollment_id == enrollment.id,
            Delivery.state == DeliveryState.CANCELLED,
            Delivery.reason == LEFT,
        )
    )
    ledger.supersede(session, list(owed))
    joining.consent(session, [enrollment.id], "restored", origin, now)
    session.refresh(enrollment)
    return True


def by_token(session: Session, token: str) -> Enrollment | None:
    return session.scalar(select(Enrollment).where(Enrollment.token == token))
