"""T1: a mail that is due becomes a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Executable, Select, literal, select, true
from sqlalchemy.orm import Session

from course import rollups
from course.db import insert_ignoring
from course.ledger.rows import S
from course.models import Delivery
from course.rowsets import RowSet, insert_from, run
from course.states import MessageKind

RANK_WELCOME, RANK_LESSON = 1, 2
RANKS = {
    MessageKind.CONFIRMATION: 0,
    MessageKind.ALREADY: 0,
    MessageKind.LINK: 0,
    MessageKind.JOINED: RANK_WELCOME,
    MessageKind.REMINDER: RANK_WELCOME,
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A mail that is due: what T1 inserts."""

    enrollment_id: int
    course_id: int
    kind: MessageKind
    message_key: str
    due_at: datetime
    rank: int
    send_at: datetime | None = None  # None: at its due time
    is_shifted: bool = False
    reason: str | None = None  # withheld for this reason: it becomes a cancelled row


def plan(session: Session, mails: Sequence[Planned], now: datetime) -> None:
    """T1, – → pending (or straight to cancelled, where the plan withholds a lesson). A row that
    stands already stays as it is, so that two planners do no harm."""
    if not mails:
        return
    found = [
        (
            mail.enrollment_id,
            mail.course_id,
            mail.kind,
            mail.message_key,
            mail.due_at,
            mail.send_at or mail.due_at,
            mail.is_shifted,
            mail.rank,
            S.CANCELLED if mail.reason else S.PENDING,
            mail.reason,
            now if mail.reason else None,
        )
        for mail in mails
    ]
    new = run(session, _new_rows, given=_PLANNED.pack(session, found), created_at=now).scalars()
    rollups.added(session, new.all())


_PLANNED = RowSet(
    enrollment_id=Delivery.enrollment_id,
    course_id=Delivery.course_id,
    kind=Delivery.kind,
    message_key=Delivery.message_key,
    due_at=Delivery.due_at,
    send_at=Delivery.send_at,
    is_shifted=Delivery.is_shifted,
    rank=Delivery.rank,
    state=Delivery.state,
    reason=Delivery.reason,
    settled_at=Delivery.settled_at,
)


@cache
def _new_rows(postgresql: bool) -> Executable:
    given = _PLANNED.given(postgresql)
    insert = insert_from(postgresql, Delivery, given, dict(given.c), same=["created_at"])
    return insert.returning(Delivery.id)


def pass_over(
    session: Session,
    learners: Select[int, Any],
    course_id: int,
    lesson: str,
    reason: str,
    now: datetime,
) -> None:
    """T1 for a lesson that an author withholds, – → cancelled, for all of `learners`, a SELECT of
    (enrollment, due time)."""
    who = learners.subquery().columns
    same = {
        Delivery.course_id: course_id,
        Delivery.kind: MessageKind.LESSON,
        Delivery.message_key: lesson,
        Delivery.rank: RANK_LESSON,
        Delivery.state: S.CANCELLED,
        Delivery.reason: reason,
        Delivery.created_at: now,
        Delivery.settled_at: now,
        Delivery.is_shifted: False,
        Delivery.lost_claims: 0,
        Delivery.tries: 0,
        Delivery.outcome_rank: 0,
    }
    values = [literal(value, column.type) for column, value in same.items()]
    found = select(who.id, who.due_at, who.due_at, *values).where(true())
    names = ["enrollment_id", "due_at", "send_at", *(column.key for column in same)]
    insert = insert_ignoring(session, Delivery).from_select(names, found)
    rollups.added(session, session.scalars(insert.returning(Delivery.id)).all())
