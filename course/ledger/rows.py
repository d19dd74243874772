"""What all transitions share: who is locked, and who is looked at again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, select, update
from sqlalchemy.orm import Session

from course.db import UTCDateTime, among, changed, is_postgresql
from course.models import Delivery, Enrollment
from course.states import DeliveryState, EnrollmentState

S = DeliveryState
# A row that lost two claims is claimed alone; alone it may lose five, then it has failed.
SUSPECT_AFTER, LOST_FOR_GOOD = 2, 7
LOOSE = {"claim_token": None, "lease_until": None}


def moment(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=UTCDateTime())


def look_again(session: Session, enrollment_ids: Sequence[int], now: datetime) -> None:
    """Let the planner look at these learners with its next step."""
    if enrollment_ids:
        who = among(session, Enrollment.id, set(enrollment_ids))
        is_active = Enrollment.state == EnrollmentState.ACTIVE
        changed(session, update(Enrollment).where(who, is_active).values(next_due_at=now))


def lock(session: Session, ids: Sequence[int]) -> None:
    """PostgreSQL: enrollments first, then deliveries, each in id order, so that set-wise updates
    of several processes cannot deadlock. SQLite has one writer and needs none of it."""
    if is_postgresql(session) and ids:
        mine = select(Delivery.enrollment_id).where(among(session, Delivery.id, ids))
        session.execute(
            select(Enrollment.id)
            .where(Enrollment.id.in_(mine))
            .order_by(Enrollment.id)
            .with_for_update(key_share=True)
        )
    lock_mails(session, ids)


def lock_mails(session: Session, ids: Sequence[int]) -> None:
    """The deliveries alone, for what changes no enrollment."""
    if not is_postgresql(session) or not ids:
        return
    session.execute(
        select(Delivery.id)
        .where(among(session, Delivery.id, ids))
        .order_by(Delivery.id)
        .with_for_update()
    )
