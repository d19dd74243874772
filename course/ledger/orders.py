"""T10 and what else becomes of rows that wait, or have come to their end, by order."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, not_, select, true, update
from sqlalchemy.orm import Session

from course import rollups
from course.db import among, is_postgresql
from course.ledger.planned import RANK_LESSON, RANK_WELCOME
from course.ledger.rows import LOOSE, S, lock, look_again
from course.models import Delivery
from course.states import MessageKind
from course.timing import Release


def cancel(
    session: Session,
    enrollment_ids: Sequence[int],
    reason: str,
    now: datetime,
    *,
    kinds: Sequence[MessageKind] | None = None,
) -> int:
    """T10, pending or claimed → cancelled, in the transaction that withdraws the permission: the
    row's lock orders it against the line (T3)."""
    which = [
        among(session, Delivery.enrollment_id, enrollment_ids),
        Delivery.state.in_((S.PENDING, S.CLAIMED)),
        Delivery.kind.in_(kinds) if kinds else true(),
    ]
    if is_postgresql(session):
        session.execute(select(Delivery.id).where(*which).order_by(Delivery.id).with_for_update())
    moved = session.scalars(
        update(Delivery)
        .where(*which)
        .values(state=S.CANCELLED, reason=reason, settled_at=now, **LOOSE)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(list(moved))


def cancel_removed(session: Session, course_id: int, lessons: Sequence[str], now: datetime) -> int:
    """T10 for an edited course: what waits for a lesson that the course has no more."""
    gone = [
        Delivery.course_id == course_id,
        Delivery.kind == MessageKind.LESSON,
        Delivery.message_key.not_in(lessons),
        Delivery.state.in_((S.PENDING, S.CLAIMED)),
    ]
    # Each by the index of its state.
    pending = and_(Delivery.state == S.PENDING, Delivery.rank.in_((RANK_WELCOME, RANK_LESSON)))
    claimed = and_(Delivery.state == S.CLAIMED, Delivery.lease_until.is_not(None))
    found = [
        session.scalars(select(Delivery.id).where(state, *gone)).all()
        for state in (pending, claimed)
    ]
    ids = [number for some in found for number in some]
    lock(session, ids)
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), *gone)
        .values(state=S.CANCELLED, reason="removed", settled_at=now, **LOOSE)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved], now)
    return len(moved)


def withhold(session: Session, ids: Sequence[int], reason: str, now: datetime) -> int:
    """T10 for single rows, pending → cancelled(reason)."""
    lock(session, ids)
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), Delivery.state == S.PENDING)
        .values(state=S.CANCELLED, reason=reason, settled_at=now)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved], now)
    return len(moved)


def put_off(session: Session, ids: Sequence[int], release: Release, now: datetime) -> None:
    """A row stays pending and leaves at another time. The lesson behind it may then come sooner
    than was foreseen: in a course with a window at another time of its day."""
    lock(session, ids)
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), Delivery.state == S.PENDING)
        .values(due_at=release.due_at, send_at=release.send_at, is_shifted=release.is_shifted)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved], now)


def supersede(session: Session, ids: Sequence[int]) -> int:
    """Take settled rows out of the way of a new one; only a person's order may do this."""
    lock(session, ids)
    with rollups.kept(session, ids):
        moved = session.scalars(
            update(Delivery)
            .where(
                among(session, Delivery.id, ids),
                not_(Delivery.superseded),
                Delivery.state.in_((S.ACCEPTED, S.FAILED, S.CANCELLED)),
            )
            .values(edition=Delivery.id)
            .returning(Delivery.id)
            .execution_options(synchronize_session=False)
        ).all()
    return len(moved)
