"""Mails that failed, or that the provider dropped for a reason of ours, tried again by a person's
order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, literal, not_, or_, select, update
from sqlalchemy.orm import Session, aliased

from course import audit, brake, conditions, ledger, rollups
from course.db import insert_ignoring
from course.errors import NotFoundError, RefusedError
from course.models import Delivery, Enrollment
from course.states import DeliveryState, EnrollmentState, MessageKind, Outcome

S = DeliveryState


@dataclass(frozen=True, slots=True)
class Retried:
    """How many mails go again, and which do not, since their learner has left."""

    again: int
    left: list[int]


def retryable() -> ColumnElement[bool]:
    """SQL over Delivery: it failed, or the provider dropped it for its quota or for its content,
    which says nothing about the person. (A drop for the address is the provider's suppression.)"""
    reason = func.lower(func.coalesce(Delivery.outcome_reason, ""))
    dropped = and_(
        Delivery.state == S.ACCEPTED,
        Delivery.outcome == Outcome.DROPPED,
        or_(reason.contains("quota"), reason.contains("content")),
    )
    return and_(not_(Delivery.superseded), or_(Delivery.state == S.FAILED, dropped))


def to_retry(session: Session, delivery_id: int | None) -> list[int]:
    """That mail, or all that can be tried again; RefusedError where that one cannot be."""
    if delivery_id is None:
        return list(session.scalars(select(Delivery.id).where(retryable()).order_by(Delivery.id)))
    row = session.get(Delivery, delivery_id)
    if row is None:
        raise NotFoundError(
            f"No delivery {delivery_id}. See what failed with: "
            "minicourse delivery list --state failed"
        )
    if session.scalar(select(Delivery.id).where(Delivery.id == delivery_id, retryable())) is None:
        fate = "superseded by a later one" if row.superseded else row.state
        raise RefusedError(
            f"Delivery {delivery_id} is {fate}; only a failed one, or one dropped for quota or "
            f"content, can be retried. See it with: minicourse delivery show {delivery_id}"
        )
    return [delivery_id]


def retry(session: Session, ids: Sequence[int], *, who: str, now: datetime) -> Retried:
    """Supersede these mails by new ones that leave at once; at most a batch in one call. Whoever is
    through with the course only because a mail failed takes part again until it has left."""
    ledger.lock(session, ids)
    _reopen(session, ids, now)
    chosen = list(
        session.scalars(
            select(Delivery.id).where(Delivery.id.in_(ids), retryable(), not_(_is_over()))
        )
    )
    ledger.supersede(session, chosen)
    _plan_again(session, chosen, now)
    again = select(Delivery.enrollment_id).where(Delivery.id.in_(chosen))
    ledger.look_again(session, list(session.scalars(again)), now)
    brake.foresee(session, len(chosen), now)
    if chosen:
        audit.record(session, who, "retry", now, deliveries=chosen)
    return Retried(len(chosen), sorted(set(ids) - set(chosen)))


def _is_over() -> ColumnElement[bool]:
    mine = select(1).where(Enrollment.id == Delivery.enrollment_id, conditions.is_over())
    return exists(mine.correlate(Delivery))


def _reopen(session: Session, ids: Sequence[int], now: datetime) -> None:
    other = aliased(Enrollment)
    came_back = exists().where(
        other.subscriber_id == Enrollment.subscriber_id,
        other.course_id == Enrollment.course_id,
        other.id > Enrollment.id,
    )
    lessons = select(Delivery.enrollment_id).where(
        Delivery.id.in_(ids), Delivery.kind == MessageKind.LESSON, retryable()
    )
    session.execute(
        update(Enrollment)
        .where(
            Enrollment.id.in_(lessons),
            Enrollment.state == EnrollmentState.COMPLETED,
            not_(came_back),
        )
        .values(state=EnrollmentState.ACTIVE, ended_at=None, next_due_at=now)
        .execution_options(synchronize_session=False)
    )


def _plan_again(session: Session, ids: Sequence[int], now: datetime) -> None:
    """A new row beside each old one. It keeps its place in the plan (`due_at`)."""
    moment = literal(now, Delivery.created_at.type)
    values = {
        "enrollment_id": Delivery.enrollment_id,
        "course_id": Delivery.course_id,
        "kind": Delivery.kind,
        "message_key": Delivery.message_key,
        "rank": Delivery.rank,
        "state": literal(str(S.PENDING)),
        "created_at": moment,
        "due_at": Delivery.due_at,
        "send_at": moment,
    }
    rows = select(*values.values()).where(Delivery.id.in_(ids))
    insert = insert_ignoring(session, Delivery).from_select(list(values), rows)
    rollups.added(session, session.scalars(insert.returning(Delivery.id)).all())
