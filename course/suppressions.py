"""May this address be mailed? One answer, asked at planning and again at the line."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, delete, exists, or_, select
from sqlalchemy.orm import Session

from course.models import Delivery, Enrollment, Subscriber, Suppression
from course.rowsets import RowSet, insert_from, run
from course.states import OWN_WISH, MessageKind, SuppressionReason

_ENTRIES = RowSet(email_hash=Suppression.email_hash)


def suppressed(email_hash: Any) -> ColumnElement[bool]:
    """SQL: an entry stands against this delivery's address, for its course or for all.

    A confirmation passes the person's own wish (they are asking again), never a bounce or a
    complaint.
    """
    return exists(
        select(1)
        .where(
            Suppression.email_hash == email_hash,
            or_(Suppression.course_id.is_(None), Suppression.course_id == Delivery.course_id),
            or_(
                Delivery.kind != MessageKind.CONFIRMATION,
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
) -> None:
    """Suppress these addresses for one course, or for all (None); repeated, it changes nothing."""
    run(
        session,
        _new_entries,
        given=_ENTRIES.pack(session, [(one,) for one in email_hashes]),
        course_id=course_id,
        reason=reason,
        source=source,
        created_at=now,
    )


@cache
def _new_entries(postgresql: bool) -> Executable:
    given, same = _ENTRIES.given(postgresql), ["course_id", "reason", "source", "created_at"]
    return insert_from(postgresql, Suppression, given, dict(given.c), same)


def lift_own_wish(session: Session, email_hash: str, course_id: int) -> None:
    """A person confirmed anew: what they alone had asked for no longer stands, here and for all."""
    session.execute(
        delete(Suppression).where(
            Suppression.email_hash == email_hash,
            or_(Suppression.course_id.is_(None), Suppression.course_id == course_id),
            Suppression.reason.in_(OWN_WISH),
        )
    )
