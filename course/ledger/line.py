"""T2 and T3: a row is claimed, and crosses the line behind which its mail may have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Update,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from course import conditions, holds
from course.db import among_given, changed, packed, rows
from course.ledger.rows import LOOSE, SUSPECT_AFTER, S, lock_mails, look_again, moment
from course.models import Cohort, Course, Delivery, Enrollment, Request, Subscriber
from course.note_file import slug_in
from course.rowsets import gathered, run
from course.states import LinkPurpose, MessageKind
from course.suppressions import suppressed


class Claimed(NamedTuple):
    """A row that is ours until its lease ends."""

    id: int
    enrollment_id: int
    course_id: int
    kind: MessageKind
    message_key: str
    revision_id: int
    tries: int

    @property
    def message_name(self) -> str:
        """Rows of one name get the same mail: a lesson's slug, a note's key, or the kind of a
        system mail and, of a link, what it is for."""
        if self.kind is MessageKind.LINK:
            return f"{self.kind}-{LinkPurpose.of(self.message_key)}"
        is_named = self.kind in (MessageKind.LESSON, MessageKind.NOTE)
        return self.message_key if is_named else str(self.kind)

    @property
    def note(self) -> str | None:
        """The slug of the note that it is."""
        return slug_in(self.message_key) if self.kind is MessageKind.NOTE else None


def claim(
    session: Session,
    token: str,
    limit: int,
    *,
    now: datetime,
    real: datetime,
    lease: timedelta,
    but_hold: int | None = None,
    suspects: bool = False,
) -> list[Claimed]:
    """T2, pending → claimed: up to `limit` rows in the order confirmations, welcome mails, lessons
    by due time, each stamped with the revision that is live.

    Rows whose claims were lost twice are `suspects`: perhaps they end whoever takes them, so they
    are claimed apart from the others, one at a time.
    """
    until = real + lease
    own = {"token": token, "until": until}
    is_but = {"but_hold": but_hold} if but_hold is not None else {}
    build = partial(_claiming, suspects=suspects, is_but=bool(is_but))
    count = run(session, build, now=now, real=real, limit=limit, **own, **is_but).rowcount
    if not count:
        return []
    return sorted(
        Claimed(id_, enrollment, course, _KINDS[kind], key, revision, tries)
        for id_, enrollment, course, kind, key, revision, tries in gathered(session, _mine, **own)
    )


@cache
def _claiming(postgresql: bool, *, suspects: bool, is_but: bool) -> Update:
    lost = Delivery.lost_claims >= SUSPECT_AFTER
    but_hold = bindparam("but_hold", type_=Integer) if is_but else None
    due = (
        conditions.joined(select(Delivery.id))
        .where(
            conditions.waiting(moment("now"), moment("real"), but_hold=but_hold),
            lost if suspects else not_(lost),
        )
        .order_by(Delivery.rank, Delivery.send_at, Delivery.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(of=Delivery, skip_locked=True)
        # As a plain subquery PostgreSQL may run it more than once, and claim more than the limit.
        .cte("due")
    )
    found = select(due.c.id)
    # PostgreSQL would rather read all of a table than look a thousand rows up.
    is_due = (
        Delivery.id == func.any(func.array(found.scalar_subquery()))
        if postgresql
        else Delivery.id.in_(found)
    )
    live = select(Course.live_revision_id).where(Course.id == Delivery.course_id).scalar_subquery()
    return (
        update(Delivery)
        .where(is_due, Delivery.state == S.PENDING)
        .values(
            state=S.CLAIMED,
            claim_token=bindparam("token"),
            lease_until=moment("until"),
            revision_id=live,
            reason=None,
        )
    )


@cache
def _mine(_postgresql: bool) -> Select[*tuple[Any, ...]]:
    return select(
        Delivery.id,
        Delivery.enrollment_id,
        Delivery.course_id,
        Delivery.kind,
        Delivery.message_key,
        Delivery.revision_id,
        Delivery.tries,
    ).where(Delivery.lease_until == moment("until"), Delivery.claim_token == bindparam("token"))


_KINDS = {str(kind): kind for kind in MessageKind}


@dataclass(frozen=True, slots=True)
class Crossed:
    """What T3 let over the line: only these may be handed to the provider."""

    request_id: int
    ids: frozenset[int]


def cross(
    session: Session,
    ids: Sequence[int],
    token: str,
    *,
    revision_id: int,
    now: datetime,
    real: datetime,
    but_hold: int | None = None,
) -> Crossed | None:
    """T3, claimed → sending: the line. Commit durably before a byte leaves.

    A row crosses while it is ours, its lease lives, its address may be mailed, its enrollment asks
    for it and nothing holds it. Of the others, what is paused or held goes back to pending, what
    nobody wants any more is cancelled with the reason. None: no row crossed.
    """
    lock_mails(session, ids)
    made = run(session, _request, revision_id=revision_id, size=len(ids), sent_at=real)
    request_id: int = made.scalar_one()
    ours = {"ids": packed(session, ids), "token": token}
    is_but = {"but_hold": but_hold} if but_hold is not None else {}
    build = partial(_crossing, is_but=bool(is_but))
    count = run(session, build, request=request_id, real=real, **ours, **is_but).rowcount
    if count == len(ids):
        return Crossed(request_id, frozenset(ids))
    passed = select(Delivery.id).where(Delivery.request_id == request_id)
    crossed = frozenset(session.scalars(passed))
    gone = run(session, _cancelling, now=now, **ours).scalars().all()
    look_again(session, gone, now)
    run(session, _returning, **ours)
    if not crossed:
        rows(session, delete(Request).where(Request.id == request_id))
        return None
    changed(session, update(Request).where(Request.id == request_id).values(size=len(crossed)))
    return Crossed(request_id, crossed)


@cache
def _request(_postgresql: bool) -> ReturningInsert[int]:
    return insert(Request).returning(Request.id)


def _ours(postgresql: bool) -> Update:
    """What is still claimed by us."""
    return update(Delivery).where(
        among_given(postgresql, Delivery.id),
        Delivery.state == S.CLAIMED,
        Delivery.claim_token == bindparam("token"),
    )


def _around() -> Select[int]:
    """A delivery's enrollment, cohort and subscriber."""
    return (
        select(1)
        .select_from(Enrollment)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(Enrollment.id == Delivery.enrollment_id)
        .correlate(Delivery)
    )


def _barred() -> ColumnElement[bool]:
    return or_(Subscriber.email.is_(None), suppressed(Subscriber.email_hash))


@cache
def _crossing(postgresql: bool, *, is_but: bool) -> Update:
    held = holds.held(but=bindparam("but_hold", type_=Integer) if is_but else None)
    may_cross = _around().where(conditions.wanted(), not_(_barred()), not_(held))
    return (
        _ours(postgresql)
        .where(Delivery.lease_until > moment("real"), exists(may_cross))
        .values(state=S.SENDING, request_id=bindparam("request"))
    )


@cache
def _cancelling(postgresql: bool) -> Update:
    """What did not pass the guard of T3 and never will."""
    barred, left = _barred(), conditions.is_over()
    reason = case(
        (exists(_around().where(barred)), literal("suppressed")),
        (exists(_around().where(left)), literal("not wanted any more")),
        else_=None,
    )
    return (
        _ours(postgresql)
        .where(exists(_around().where(or_(barred, left))))
        .values(state=S.CANCELLED, reason=reason, settled_at=moment("now"), **LOOSE)
        .returning(Delivery.enrollment_id)
    )


@cache
def _returning(postgresql: bool) -> Update:
    """What else did not pass it."""
    return _ours(postgresql).values(state=S.PENDING, **LOOSE)
