"""T4 to T9: what the provider's answer, its events, or its silence make of a row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from course import conditions, reach, rollups
from course.db import among, among_given, changed, packed
from course.ledger.line import Crossed
from course.ledger.rows import LOOSE, LOST_FOR_GOOD, S, lock, look_again, moment
from course.models import Delivery, Enrollment
from course.rowsets import run
from course.states import EnrollmentState

# A lesson behind an unknown one waits this long for news of it, then goes on.
UNKNOWN_PATIENCE = timedelta(days=1)


def accept(session: Session, crossed: Crossed, now: datetime) -> int:
    """T4, → accepted, on the provider's 202; whatever happened meanwhile, the evidence wins."""
    ids, request = list(crossed.ids), crossed.request_id
    lock(session, ids)
    rollups.accepted_in(session, request)
    count = run(session, _accepting, request=request, now=now).rowcount
    if count < len(ids):
        # Of the others some may have gone back meanwhile, and even crossed again since.
        rollups.accepted(session, ids, request)
        given = packed(session, ids)
        count += run(session, _accepting_after_all, ids=given, request=request, now=now).rowcount
    run(session, _waking, request=request, now=now)
    return count


@cache
def _accepting(_postgresql: bool) -> Update:
    """Naming the request once more would cost as much again: its index, its foreign key."""
    return (
        update(Delivery)
        .where(Delivery.request_id == bindparam("request"), Delivery.state != S.ACCEPTED)
        .values(state=S.ACCEPTED, settled_at=moment("now"), reason=None, retry_at=None, **LOOSE)
    )


@cache
def _accepting_after_all(postgresql: bool) -> Update:
    return (
        update(Delivery)
        .where(among_given(postgresql, Delivery.id), Delivery.state != S.ACCEPTED)
        .values(
            state=S.ACCEPTED,
            request_id=bindparam("request"),
            settled_at=moment("now"),
            reason=None,
            retry_at=None,
            **LOOSE,
        )
    )


@cache
def _waking(_postgresql: bool) -> Update:
    """Whose mails left in that request, and who is looked at for no other reason: the planner knew
    of nothing behind their lesson, or came while it was on its way."""
    learners = select(Delivery.enrollment_id).where(Delivery.request_id == bindparam("request"))
    return (
        update(Enrollment)
        .where(
            Enrollment.id.in_(learners),
            Enrollment.state == EnrollmentState.ACTIVE,
            Enrollment.next_due_at.is_(None),
        )
        .values(next_due_at=moment("now"))
    )


def give_back(
    session: Session,
    ids: Sequence[int],
    token: str,
    *,
    retry_at: datetime | None = None,
    reason: str | None = None,
) -> int:
    """T5, claimed or sending → pending: nothing was taken. Guarded by our token, so that a row
    that the reaper has already called unknown stays unknown."""
    count = _release(
        session,
        ids,
        token,
        state=S.PENDING,
        retry_at=retry_at,
        reason=reason,
        tries=Delivery.tries + (1 if retry_at is not None else 0),
        **LOOSE,
    )
    _drop_unwanted(session, ids)
    return count


def _drop_unwanted(session: Session, ids: Sequence[int]) -> None:
    """T10 for what was on its way while its enrollment ended, and came back: nobody would ever
    take it again. It is cancelled as it would have been then."""
    mine = Enrollment.id == Delivery.enrollment_id

    def theirs(value: ColumnElement[Any]) -> ScalarSelect[Any]:
        return select(value).where(mine).correlate(Delivery).scalar_subquery()

    changed(
        session,
        update(Delivery)
        .where(
            among(session, Delivery.id, ids),
            Delivery.state == S.PENDING,
            exists(select(1).where(mine, conditions.is_over()).correlate(Delivery)),
        )
        .values(
            state=S.CANCELLED,
            reason=theirs(func.coalesce(Enrollment.reason, "not wanted any more")),
            settled_at=theirs(func.coalesce(Enrollment.ended_at, Enrollment.confirmed_at)),
        ),
    )


def reclaim(
    session: Session, ids: Sequence[int], token: str, *, real: datetime, lease: timedelta
) -> int:
    """T9, sending → claimed: a request was refused as a whole, and its rows are tried in smaller
    company to find the one at fault."""
    return _release(session, ids, token, state=S.CLAIMED, lease_until=real + lease)


def doubt(session: Session, ids: Sequence[int], token: str, reason: str, now: datetime) -> int:
    """T6, sending → unknown: the answer was lost, so nobody can know."""
    count = _release(
        session, ids, token, state=S.UNKNOWN, reason=reason, unknown_since=now, **LOOSE
    )
    _wait_for_unknown(session, ids, now)
    return count


def fail(session: Session, ids: Sequence[int], token: str, reason: str, now: datetime) -> int:
    """T9, claimed or sending → failed: the fault lies in this very row."""
    lock(session, ids)
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), _held_by(token))
        .values(state=S.FAILED, reason=reason, settled_at=now, **LOOSE)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved], now)
    return len(moved)


def _held_by(token: str) -> ColumnElement[bool]:
    return and_(Delivery.claim_token == token, Delivery.state.in_((S.CLAIMED, S.SENDING)))


def _release(session: Session, ids: Sequence[int], token: str, **values: object) -> int:
    lock(session, ids)
    moved = session.scalars(
        update(Delivery)
        .where(among(session, Delivery.id, ids), _held_by(token))
        .values(**values)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    )
    return len(list(moved))


def reap(
    session: Session, *, now: datetime, real: datetime, lease: timedelta, limit: int = 1000
) -> tuple[int, int]:
    """T7: leases that are over. A claimed row had not crossed and goes back to pending; a sending
    one may have left, so it becomes unknown, never pending. Returns (given back, unknown).

    A lease that ends far ahead was written before the clock stepped back, and is over as well.
    """
    is_over = or_(Delivery.lease_until <= real, Delivery.lease_until > real + 2 * lease)
    over = session.execute(
        select(Delivery.id, Delivery.state)
        .where(Delivery.state.in_((S.CLAIMED, S.SENDING)), is_over)
        .limit(limit)
    ).all()
    lock(session, [row.id for row in over])
    # Whether it is over is asked again in each UPDATE: its owner may have come back.
    stalled = [
        among(session, Delivery.id, [row.id for row in over if row.state == S.CLAIMED]),
        is_over,
    ]
    doubtful = [row.id for row in over if row.state == S.SENDING]
    back = _reap_stalled(session, stalled, now)
    unknown = session.scalars(
        update(Delivery)
        .where(among(session, Delivery.id, doubtful), Delivery.state == S.SENDING, is_over)
        .values(
            state=S.UNKNOWN,
            reason="the sender stopped before the answer",
            unknown_since=now,
            **LOOSE,
        )
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    _wait_for_unknown(session, unknown, now)
    return back, len(unknown)


def _reap_stalled(session: Session, which: list[ColumnElement[bool]], now: datetime) -> int:
    lost = Delivery.lost_claims + 1
    gone = lost >= LOST_FOR_GOOD
    moved = session.execute(
        update(Delivery)
        .where(*which, Delivery.state == S.CLAIMED)
        .values(
            state=case((gone, S.FAILED), else_=S.PENDING),
            reason=case((gone, "whoever took it ended before sending it"), else_=None),
            settled_at=case((gone, now), else_=None),
            lost_claims=lost,
            **LOOSE,
        )
        .returning(Delivery.id, Delivery.enrollment_id, Delivery.state)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved if row.state == S.FAILED], now)
    _drop_unwanted(session, [row.id for row in moved])
    return len(moved)


def prove(session: Session, ids: Sequence[int], now: datetime) -> int:
    """T8, any → accepted: an event names the delivery, so the provider has it."""
    lock(session, ids)
    rollups.accepted(session, ids)
    with reach.changed(session, ids):
        moved = session.execute(
            update(Delivery)
            .where(among(session, Delivery.id, ids), Delivery.state != S.ACCEPTED)
            .values(state=S.ACCEPTED, reason=None, retry_at=None, settled_at=now, **LOOSE)
            .returning(Delivery.enrollment_id)
            .execution_options(synchronize_session=False)
        ).all()
    look_again(session, [row.enrollment_id for row in moved], now)
    return len(moved)


def _wait_for_unknown(session: Session, ids: Sequence[int], now: datetime) -> None:
    session.execute(
        update(Enrollment)
        .where(
            Enrollment.id.in_(
                select(Delivery.enrollment_id).where(among(session, Delivery.id, ids))
            ),
            Enrollment.state == EnrollmentState.ACTIVE,
        )
        .values(next_due_at=now + UNKNOWN_PATIENCE)
        .execution_options(synchronize_session=False)
    )
