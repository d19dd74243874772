"""The promises I1 to I8 as far as the ledger alone can tell, each one query over all rows, for
either database. Each returns the rows where it does not hold.

What the provider took stands here as what it has told: an event, an outcome, a request that it
accepted. Whether the provider's own log says the same is what the tests ask (`tests/checker.py`).
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    exists,
    extract,
    func,
    not_,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from course import cohorts, courses
from course.curriculum import parse
from course.ledger import RANK_LESSON
from course.models import Audit, Cohort, Delivery, Enrollment, Event, Installation, Request
from course.states import (
    RUNNING_COHORT,
    UNDECIDED,
    DeliveryState,
    EnrollmentState,
    MessageKind,
    Mode,
)

S = DeliveryState
# Machines' clocks differ a little, and a line may be crossed while somebody leaves.
_CLOCKS_DIFFER = timedelta(minutes=5)

_HEARD_OF = or_(
    Delivery.outcome.is_not(None),
    Delivery.opened_at.is_not(None),
    Delivery.clicked_at.is_not(None),
    Delivery.complained_at.is_not(None),
    exists().where(Event.delivery_id == Delivery.id),
)


def _mails(session: Session, *where: ColumnElement[bool]) -> list[str]:
    found = select(Delivery.id).where(*where).order_by(Delivery.id)
    return [f"delivery {number}" for number in session.scalars(found)]


def sent_twice(session: Session) -> Iterable[str]:
    """A request carries no more mails than were written down before it left; and of two rows for
    one mail the older one was put aside by an order."""
    carried = (
        select(Delivery.request_id, func.count().label("mails"))
        .where(Delivery.request_id.is_not(None), Delivery.state == S.ACCEPTED)
        .group_by(Delivery.request_id)
        .subquery()
    )
    crowded = select(Request.id).join(carried, carried.c.request_id == Request.id)
    requests = session.scalars(crowded.where(carried.c.mails > Request.size).order_by(Request.id))
    mislabelled = _mails(session, Delivery.edition.not_in((0, Delivery.id)))
    return [*(f"request {number}" for number in requests), *mislabelled]


def accepted_unseen(session: Session) -> Iterable[str]:
    """By an answer, by an event, or by a person's word about a request whose answer was lost."""
    no_request = and_(Delivery.request_id.is_(None), not_(_HEARD_OF))
    return _mails(
        session, Delivery.state == S.ACCEPTED, or_(Delivery.settled_at.is_(None), no_request)
    )


def sent_unawares(session: Session) -> Iterable[str]:
    """What the provider has told of is accepted; what was not sent keeps no sender waiting."""
    idle = (S.PENDING, S.ACCEPTED, S.FAILED, S.CANCELLED, S.UNKNOWN)
    return _mails(
        session,
        or_(
            and_(Delivery.state.in_((S.PENDING, S.CLAIMED, S.FAILED, S.CANCELLED)), _HEARD_OF),
            and_(Delivery.state.in_(idle), Delivery.lease_until.is_not(None)),
            and_(Delivery.state.not_in(idle), Delivery.lease_until.is_(None)),
        ),
    )


def doubled_or_forgotten(session: Session) -> Iterable[str]:
    """Of each mail one row that stands; and each learner is looked at again, or waits for a lesson
    whose settling will have them looked at."""
    doubled = (
        select(Delivery.enrollment_id)
        .where(Delivery.edition == 0)
        .group_by(Delivery.enrollment_id, Delivery.message_key)
        .having(func.count() > 1)
        .order_by(Delivery.enrollment_id)
    )
    waits = exists().where(
        Delivery.enrollment_id == Enrollment.id,
        Delivery.kind == MessageKind.LESSON,
        Delivery.state.in_(UNDECIDED),
    )
    forgotten = (
        select(Enrollment.id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(
            Enrollment.state == EnrollmentState.ACTIVE,
            Cohort.state.in_(RUNNING_COHORT),
            Enrollment.next_due_at.is_(None),
            not_(waits),
        )
        .order_by(Enrollment.id)
    )
    found = [number for which in (doubled, forgotten) for number in session.scalars(which)]
    return [f"enrollment {number}" for number in found]


def doubted(session: Session) -> Iterable[str]:
    """Whatever was heard of is unknown no more; and what is unknown had crossed the line."""
    crossed = and_(Delivery.request_id.is_not(None), Delivery.unknown_since.is_not(None))
    return _mails(
        session,
        or_(
            and_(Delivery.state.in_((S.UNKNOWN, S.SENDING)), _HEARD_OF),
            and_(Delivery.state == S.UNKNOWN, not_(crossed)),
        ),
    )


def after_leaving(session: Session) -> Iterable[str]:
    """Nothing waits for those who left; and in a live database, where leaving and sending are told
    by the same real time, no lesson crossed the line since."""
    is_live = exists().where(Installation.mode == Mode.LIVE)
    late = extract("epoch", Request.sent_at) - extract("epoch", Enrollment.ended_at)
    found = (
        select(Delivery.id)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .outerjoin(Request, Request.id == Delivery.request_id)
        .where(
            Enrollment.state == EnrollmentState.CANCELLED,
            or_(
                and_(Delivery.state == S.PENDING, Delivery.kind != MessageKind.LINK),
                and_(
                    Delivery.state == S.ACCEPTED,
                    Delivery.kind == MessageKind.LESSON,
                    is_live,
                    late > _CLOCKS_DIFFER.total_seconds(),
                ),
            ),
        )
        .order_by(Delivery.id)
    )
    return [f"delivery {number}" for number in session.scalars(found)]


def too_close(session: Session) -> Iterable[str]:
    """Each lesson was to leave no sooner after the one before than the course said at either time.
    The welcome mail starts no gap, and a rehearsal has none."""
    ordered = _ordered(session)
    gap_of = cache(lambda revision: _minimum_gap(session, revision))
    return [
        f"delivery {row.id}"
        for live in courses.all_live(session)
        for row in _closer_than(session, live.id, live.curriculum.schedule.minimum_gap)
        if row.send_at - row.before_at < min(gap_of(row.revision_id), gap_of(row.before_revision))
        and not ordered & {row.id, row.before}
    ]


def _closer_than(session: Session, course_id: int, gap: timedelta) -> Sequence[Row[Any]]:
    pairs = _pairs().where(Delivery.course_id == course_id).subquery().c
    apart = extract("epoch", pairs.send_at) - extract("epoch", pairs.before_at)
    close = select(*pairs).where(apart < gap.total_seconds()).order_by(pairs.id)
    return session.execute(close).all()


def out_of_order(session: Session) -> Iterable[str]:
    """Rows are made in the order of the course; so they cross the line, but for ordered ones."""
    pairs = _pairs().subquery().c
    turned = select(pairs.id, pairs.before).where(pairs.request_id < pairs.before_request)
    ordered = _ordered(session)
    return [
        f"delivery {row.id}"
        for row in session.execute(turned.order_by(pairs.id))
        if not ordered & {row.id, row.before}
    ]


def _pairs() -> Select[Any]:
    """Each accepted lesson beside the one before it; none that was put in another's place."""
    twin = aliased(Delivery)
    is_repeated = exists().where(
        twin.enrollment_id == Delivery.enrollment_id,
        twin.message_key == Delivery.message_key,
        twin.edition != 0,
    )
    values: dict[str, InstrumentedAttribute[Any]] = {
        "before": Delivery.id,
        "before_at": Delivery.send_at,
        "before_request": Delivery.request_id,
        "before_revision": Delivery.revision_id,
    }
    befores = [
        func.lag(column, type_=column.type)
        .over(partition_by=Delivery.enrollment_id, order_by=Delivery.id)
        .label(name)
        for name, column in values.items()
    ]
    mine = (Delivery.id, Delivery.send_at, Delivery.request_id, Delivery.revision_id)
    return (
        select(*mine, *befores)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .where(
            Delivery.state == S.ACCEPTED,
            Delivery.rank == RANK_LESSON,
            Delivery.kind == MessageKind.LESSON,
            Delivery.edition == 0,
            Delivery.unknown_since.is_(None),  # its sending is not known to the hour
            Delivery.revision_id.is_not(None),  # nor where another copy of this database sent it
            not_(is_repeated),
            cohorts.IS_REAL,
        )
    )


def _ordered(session: Session) -> set[int]:
    """Mails that a person, or the policy `auto`, sent again: those have their own order."""
    orders = select(Audit.detail).where(Audit.action.in_(_AGAIN))
    return {number for detail in session.scalars(orders) for number in detail.get("deliveries", ())}


_AGAIN = ("resolve", "retry", "subscriber rewind", "subscriber resend", "next lesson")


def _minimum_gap(session: Session, revision_id: int) -> timedelta:
    slug, files = courses.revision_files(session, revision_id)
    return parse(slug, files).schedule.minimum_gap
