"""May this address be mailed? One answer, asked at planning and again at the line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, delete, exists, or_, select
from sqlalchemy.orm import Session

from course.db import insert_ignoring
from course.models import Course, Delivery, Enrollment, Lift, Subscriber, Suppression
from course.rowsets import RowSet, insert_from, run
from course.states import OWN_WISH, MessageKind, SuppressionReason

_ENTRIES = RowSet(email_hash=Suppression.email_hash)


def suppressed(email_hash: Any) -> ColumnElement[bool]:
    """SQL: an entry stands against this delivery's address, for its course or for all.

    A confirmation passes the person's own wish (they are asking again), and so does a link that
    they have just ordered on their page; a bounce or a complaint nothing.
    """
    return exists(
        select(1)
        .where(
            Suppression.email_hash == email_hash,
            or_(Suppression.course_id.is_(None), Suppression.course_id == Delivery.course_id),
            or_(
                Delivery.kind.not_in((MessageKind.CONFIRMATION, MessageKind.LINK)),
                Suppression.reason.not_in(OWN_WISH),
            ),
        )
        .correlate(Delivery, Subscriber)
    )


def bars_learner() -> ColumnElement[bool]:
    """SQL over Enrollment and Subscriber: an entry stands against the lessons of that course."""
    return exists(
        select(1)
        .where(
            Suppression.email_hash == Subscriber.email_hash,
            or_(Suppression.course_id.is_(None), Suppression.course_id == Enrollment.course_id),
        )
        .correlate(Subscriber, Enrollment)
    )


def standing(
    session: Session, email_hashes: Iterable[str], course_id: int | None = None
) -> list[Suppression]:
    """What stands against these addresses: for that course or for all, or (None) for any."""
    found = select(Suppression).where(Suppression.email_hash.in_(list(email_hashes)))
    if course_id is not None:
        found = found.where(
            or_(Suppression.course_id.is_(None), Suppression.course_id == course_id)
        )
    return list(session.scalars(found.order_by(Suppression.id)))


def add(
    session: Session,
    email_hashes: list[str],
    reason: SuppressionReason,
    source: str,
    now: datetime,
    *,
    course_id: int | None = None,
) -> int:
    """Suppress these addresses for one course, or for all (None); repeated, it changes nothing.
    Returns how many entries are new."""
    made = run(
        session,
        _new_entries,
        given=_ENTRIES.pack(session, [(one,) for one in email_hashes]),
        course_id=course_id,
        reason=reason,
        source=source,
        created_at=now,
    )
    return len(made.all())


@cache
def _new_entries(postgresql: bool) -> Executable:
    given, same = _ENTRIES.given(postgresql), ["course_id", "reason", "source", "created_at"]
    insert = insert_from(postgresql, Suppression, given, dict(given.c), same)
    return insert.returning(Suppression.id)


def lift_own_wish(session: Session, email_hash: str, course_id: int) -> None:
    """A person confirmed anew: what they alone had asked for no longer stands, here and for all;
    nor at the provider, where it is lifted by and by: nobody waits for its answer now."""
    gone = session.execute(
        delete(Suppression)
        .where(
            Suppression.email_hash == email_hash,
            or_(Suppression.course_id.is_(None), Suppression.course_id == course_id),
            Suppression.reason.in_(OWN_WISH),
        )
        .returning(Suppression.id)
    ).all()
    if gone:
        lift_there(session, [email_hash])


def lift_there(session: Session, email_hashes: Iterable[str]) -> None:
    """Have the provider's own unsubscribe of these people deleted; see `syncing`."""
    people = select(Subscriber.id).where(
        Subscriber.email_hash.in_(list(email_hashes)), Subscriber.email.is_not(None)
    )
    session.execute(insert_ignoring(session, Lift).from_select(["subscriber_id"], people))


# By hand ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """An address that may not be mailed; `email` is None where it is nobody's whom we know."""

    email: str | None
    email_hash: str
    course: str | None  # None: for all
    reason: str
    source: str
    since: datetime


def entries(
    session: Session, *, email_hash: str | None = None, limit: int | None = None
) -> Iterator[Entry]:
    """The newest first; of one address, or of all."""
    found = (
        select(Subscriber.email, Suppression, Course.slug)
        .outerjoin(
            Subscriber,
            (Subscriber.email_hash == Suppression.email_hash) & Subscriber.email.is_not(None),
        )
        .outerjoin(Course, Course.id == Suppression.course_id)
        .order_by(Suppression.id.desc())
        .limit(limit)
    )
    if email_hash is not None:
        found = found.where(Suppression.email_hash == email_hash)
    for email, one, course in session.execute(found.execution_options(yield_per=1000)):
        yield Entry(email, one.email_hash, course, one.reason, one.source, one.created_at)


def remove(
    session: Session,
    email_hash: str,
    course_id: int | None,
    reasons: Iterable[SuppressionReason],
) -> list[str]:
    """Take away what stands for that scope alone and for one of these reasons; returns which."""
    return list(
        session.scalars(
            delete(Suppression)
            .where(
                Suppression.email_hash == email_hash,
                Suppression.course_id.is_(None)
                if course_id is None
                else Suppression.course_id == course_id,
                Suppression.reason.in_(list(reasons)),
            )
            .returning(Suppression.reason)
            .execution_options(synchronize_session=False)
        )
    )
