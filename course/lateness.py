"""What waited too long: each lesson that may be late is looked at once more before it leaves."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Row, Select, func, select, true, tuple_
from sqlalchemy.orm import Session

from course import conditions, holds, ledger, planning, timing
from course.db import is_postgresql, rows
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.rowsets import listed
from course.states import MessageKind
from course.timing import Late

# Many wait alike, and most may leave: more can be looked at in one go than planned.
BATCH = 5 * planning.BATCH


def is_any(session: Session, now: datetime, real: datetime) -> bool:
    """Whether anything that waits is late, as after a hold or an outage. All is read in one go,
    which holds nobody up; as a rule nothing is late, and nothing has to be written."""
    if holds.is_all_held(session):
        return False
    found = session.execute(_waiting(now, real).distinct()).all()
    pace_of = planning.paces(session, {row.course_id for row in found})
    return any(_is_late(row, pace_of(planning.clock_of(row)), now) for row in found)


class Reached(NamedTuple):
    """How far a walk through what waits has come."""

    send_at: datetime
    id: int


def replan(
    session: Session,
    now: datetime,
    real: datetime,
    limit: int = BATCH,
    *,
    beyond: Reached | None = None,
) -> Reached | None:
    """Lessons that waited past their time (a hold, an outage) and could leave now: each that is
    late is shifted, put off to its allowed hours or skipped, as its course says. Looks at `limit`
    of them `beyond` where the last look ended; returns where this one did, None: at the end."""
    if holds.is_all_held(session):
        return None
    found = _look(session, now, real, limit, beyond)
    pace_of = planning.paces(session, {row.course_id for row in found})
    moved: dict[timing.Release | None, list[int]] = defaultdict(list)
    count, last = 0, Reached(now, 0)
    for row in found:
        ids = orjson.loads(row.ids)
        count, last = count + len(ids), Reached(row.send_at, max(ids))
        pace = pace_of(planning.clock_of(row))
        if not _is_late(row, pace, now):
            continue  # it may leave: there it is day
        late = Late.SEND if row.kind == MessageKind.NOTE else pace.late
        rhythm = pace.of(row.message_key)
        release = timing.release(row.send_at, now, rhythm, late, was_shifted=row.is_shifted)
        # What only leaves later keeps the due time from which the next lesson counts.
        if release and release.is_shifted == row.is_shifted:
            release = replace(release, due_at=row.due_at)
        moved[release] += ids
    for release, ids in moved.items():
        if release is None:
            ledger.withhold(session, ids, planning.LATE, now)
        else:
            ledger.put_off(session, ids, release, now)
    return last if count == limit else None


_Row = Row[*tuple[Any, ...]]


def _is_late(row: _Row, pace: planning.Pace, now: datetime) -> bool:
    return timing.is_late(row.send_at, now, pace.of(row.message_key))


def _look(
    session: Session, now: datetime, real: datetime, limit: int, beyond: Reached | None
) -> Sequence[_Row]:
    """In the order of the index. Many stand alike, and come as one row with all their `ids`."""
    # As one comparison, so that PostgreSQL enters its index there: of one hour may be a million.
    place = tuple_(Delivery.send_at, Delivery.id)
    each = (
        _waiting(now, real)
        .add_columns(Delivery.id)
        .where(place > (beyond.send_at, beyond.id) if beyond else true())
        .order_by(Delivery.send_at, Delivery.id)
        .limit(limit)
        .subquery()
        .columns
    )
    alike = [column for column in each if column is not each.id]
    # The last one ends with the row where the next look begins.
    last = func.max(each.id)
    return rows(
        session,
        select(listed(is_postgresql(session), each.id).label("ids"), *alike)
        .group_by(*alike)
        .order_by(each.send_at, last),
    ).all()


def _waiting(now: datetime, real: datetime) -> Select[*tuple[Any, ...]]:
    """What may be late, by all that decides it: whether it is, its own clock says."""
    return (
        select(
            *planning.CLOCK,
            Delivery.kind,
            Delivery.message_key,
            Delivery.due_at,
            Delivery.send_at,
            Delivery.is_shifted,
        )
        .select_from(Delivery)
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(
            Delivery.rank == ledger.RANK_LESSON,
            Delivery.kind.in_((MessageKind.LESSON, MessageKind.NOTE)),
            Cohort.rehearsal_every.is_(None),
            Delivery.send_at < now - timing.LATE_AT_NIGHT_AFTER,
            conditions.waiting(now, real),
        )
    )
