"""The ledger: every change of a delivery's state, each ONE conditional, set-based UPDATE whose row
count decides. Nothing here reads a state and writes it later.

The transitions are those of `states.TRANSITIONS`. Course time (`now`) says what is due; real time
(`real`) rules leases and back-off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import starmap
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Integer,
    ScalarSelect,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import Session

from course import conditions, holds, rollups
from course.db import (
    UTCDateTime,
    among,
    among_given,
    changed,
    insert_ignoring,
    is_postgresql,
    packed,
)
from course.models import Cohort, Course, Delivery, Enrollment, Request, Subscriber
from course.note_file import slug_in
from course.rowsets import RowSet, gathered, insert_from, run
from course.states import (
    DeliveryState,
    EnrollmentState,
    LinkPurpose,
    MessageKind,
)
from course.suppressions import suppressed
from course.timing import Release

S = DeliveryState
# A lesson behind an unknown one waits this long for news of it, then goes on.
UNKNOWN_PATIENCE = timedelta(days=1)
# A row that lost two claims is claimed alone; alone it may lose five, then it has failed.
SUSPECT_AFTER, LOST_FOR_GOOD = 2, 7
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
    return sorted(starmap(_claimed, gathered(session, _mine, **own)))


@cache
def _claiming(_postgresql: bool, *, suspects: bool, is_but: bool) -> Update:
    lost = Delivery.lost_claims >= SUSPECT_AFTER
    but_hold = bindparam("but_hold", type_=Integer) if is_but else None
    due = (
        conditions.joined(select(Delivery.id))
        .where(
            conditions.waiting(_moment("now"), _moment("real"), but_hold=but_hold),
            lost if suspects else not_(lost),
        )
        .order_by(Delivery.rank, Delivery.send_at, Delivery.id)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(of=Delivery, skip_locked=True)
        # As a plain subquery PostgreSQL may run it more than once, and claim more than the limit.
        .cte("due")
    )
    live = select(Course.live_revision_id).where(Course.id == Delivery.course_id).scalar_subquery()
    return (
        update(Delivery)
        .where(Delivery.id.in_(select(due.c.id)), Delivery.state == S.PENDING)
        .values(
            state=S.CLAIMED,
            claim_token=bindparam("token"),
            lease_until=_moment("until"),
            revision_id=live,
            reason=None,
        )
    )


def _moment(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=UTCDateTime())


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
    ).where(Delivery.lease_until == _moment("until"), Delivery.claim_token == bindparam("token"))


def _claimed(id_: int, enrollment: int, course: int, kind: str, *rest: Any) -> Claimed:
    return Claimed(id_, enrollment, course, _KINDS[kind], *rest)


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
    lock(session, ids)
    request = Request(revision_id=revision_id, size=len(ids), sent_at=real)
    session.add(request)
    session.flush()
    ours = {"ids": packed(session, ids), "token": token}
    is_but = {"but_hold": but_hold} if but_hold is not None else {}
    build = partial(_crossing, is_but=bool(is_but))
    count = run(session, build, request=request.id, real=real, **ours, **is_but).rowcount
    crossed = frozenset(ids)
    if count < len(ids):
        passed = select(Delivery.id).where(Delivery.request_id == request.id)
        crossed = frozenset(session.scalars(passed))
    if len(crossed) < len(ids):
        gone = run(session, _cancelling, now=now, **ours).scalars().all()
        look_again(session, gone, now)
        run(session, _returning, **ours)
    if not crossed:
        session.delete(request)
        return None
    request.size = len(crossed)
    return Crossed(request.id, crossed)


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
        .where(Delivery.lease_until > _moment("real"), exists(may_cross))
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
        .values(state=S.CANCELLED, reason=reason, settled_at=_moment("now"), **_LOOSE)
        .returning(Delivery.enrollment_id)
    )


@cache
def _returning(postgresql: bool) -> Update:
    """What else did not pass it."""
    return _ours(postgresql).values(state=S.PENDING, **_LOOSE)


_LOOSE = {"claim_token": None, "lease_until": None}


def accept(session: Session, crossed: Crossed, now: datetime) -> int:
    """T4, → accepted, on the provider's 202; whatever happened meanwhile, the evidence wins."""
    lock(session, list(crossed.ids))
    rollups.accepted(session, list(crossed.ids), crossed.request_id)
    ids, request = packed(session, crossed.ids), crossed.request_id
    count = run(session, _accepting, ids=ids, request=request, now=now).rowcount
    run(session, _looking_again, request=request, now=now)
    return count


@cache
def _accepting(postgresql: bool) -> Update:
    return (
        update(Delivery)
        .where(among_given(postgresql, Delivery.id), Delivery.state != S.ACCEPTED)
        .values(
            state=S.ACCEPTED,
            request_id=bindparam("request"),
            settled_at=_moment("now"),
            reason=None,
            retry_at=None,
            **_LOOSE,
        )
    )


@cache
def _looking_again(_postgresql: bool) -> Update:
    """Whose mails left in that request."""
    learners = select(Delivery.enrollment_id).where(Delivery.request_id == bindparam("request"))
    return (
        update(Enrollment)
        .where(Enrollment.id.in_(learners), Enrollment.state == EnrollmentState.ACTIVE)
        .values(next_due_at=_moment("now"))
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
        **_LOOSE,
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
        session, ids, token, state=S.UNKNOWN, reason=reason, unknown_since=now, **_LOOSE
    )
    _wait_for_unknown(session, ids, now)
    return count


def fail(session: Session, ids: Sequence[int], token: str, reason: str, now: datetime) -> int:
    """T9, claimed or sending → failed: the fault lies in this very row."""
    lock(session, ids)
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), _held_by(token))
        .values(state=S.FAILED, reason=reason, settled_at=now, **_LOOSE)
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
            **_LOOSE,
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
            **_LOOSE,
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
    moved = session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), Delivery.state != S.ACCEPTED)
        .values(state=S.ACCEPTED, reason=None, retry_at=None, settled_at=now, **_LOOSE)
        .returning(Delivery.enrollment_id)
        .execution_options(synchronize_session=False)
    ).all()
    look_again(session, [row.enrollment_id for row in moved], now)
    return len(moved)


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
        .values(state=S.CANCELLED, reason=reason, settled_at=now, **_LOOSE)
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
        .values(state=S.CANCELLED, reason="removed", settled_at=now, **_LOOSE)
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


def put_off(session: Session, ids: Sequence[int], release: Release) -> None:
    """A late row stays pending and leaves at another time."""
    lock(session, ids)
    session.execute(
        update(Delivery)
        .where(among(session, Delivery.id, ids), Delivery.state == S.PENDING)
        .values(due_at=release.due_at, send_at=release.send_at, is_shifted=release.is_shifted)
        .execution_options(synchronize_session=False)
    )


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


def look_again(session: Session, enrollment_ids: Sequence[int], now: datetime) -> None:
    """Let the planner look at these learners with its next step."""
    if enrollment_ids:
        who = among(session, Enrollment.id, set(enrollment_ids))
        is_active = Enrollment.state == EnrollmentState.ACTIVE
        changed(session, update(Enrollment).where(who, is_active).values(next_due_at=now))


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


def lock(session: Session, ids: Sequence[int]) -> None:
    """PostgreSQL: enrollments first, then deliveries, each in id order, so that set-wise updates
    of several processes cannot deadlock. SQLite has one writer and needs none of it."""
    if not is_postgresql(session) or not ids:
        return
    mine = select(Delivery.enrollment_id).where(among(session, Delivery.id, ids))
    session.execute(
        select(Enrollment.id)
        .where(Enrollment.id.in_(mine))
        .order_by(Enrollment.id)
        .with_for_update(key_share=True)
    )
    session.execute(
        select(Delivery.id)
        .where(among(session, Delivery.id, ids))
        .order_by(Delivery.id)
        .with_for_update()
    )
