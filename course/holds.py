"""Holds: rows that every process obeys within a tick. Nothing in a hold's scope is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from course.models import Delivery, Enrollment, Hold
from course.states import HoldKind, HoldScope

# These the world may mend by itself (a key, credits): one mail tries now and then.
PROBED = (HoldKind.KEY, HoldKind.CREDITS, HoldKind.SENDER)
_FIRST_PROBE = timedelta(minutes=1)
_LONGEST_PROBE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a hold covers: everything, a course, one of its cohorts or one of its lessons."""

    kind: HoldScope = HoldScope.ALL
    course_id: int | None = None
    cohort_id: int | None = None
    lesson: str | None = None


def held(*, but: int | ColumnElement[int] | None = None) -> ColumnElement[bool]:
    """SQL over Delivery joined with its Enrollment: a hold (other than `but`) covers this row.
    Whether any stands at all is asked once for all rows, and mostly that is the answer."""
    covers = or_(
        Hold.scope == HoldScope.ALL,
        and_(Hold.scope == HoldScope.COURSE, Hold.course_id == Delivery.course_id),
        and_(Hold.scope == HoldScope.COHORT, Hold.cohort_id == Enrollment.cohort_id),
        and_(
            Hold.scope == HoldScope.LESSON,
            Hold.course_id == Delivery.course_id,
            Hold.lesson == Delivery.message_key,
        ),
    )
    standing = [Hold.ended_at.is_(None), covers]
    if but is not None:
        standing.append(Hold.id != but)
    any_stands = exists(select(1).where(Hold.ended_at.is_(None)))
    return and_(any_stands, exists(select(1).where(*standing).correlate(Delivery, Enrollment)))


def all_held() -> ColumnElement[bool]:
    """SQL: nothing at all may leave. Whoever asks this first need not look at what waits."""
    return exists().where(Hold.ended_at.is_(None), Hold.scope == HoldScope.ALL)


def is_all_held(session: Session) -> bool:
    return bool(session.scalar(_IS_ALL_HELD))


_IS_ALL_HELD = select(all_held())  # asked for every batch


def place(
    session: Session,
    scope: Scope,
    kind: HoldKind,
    *,
    why: str,
    who: str,
    now: datetime,
    real: datetime | None = None,
) -> Hold:
    """Hold that scope; where the same hold stands already, that one is returned."""
    twin = session.scalar(
        select(Hold).where(
            Hold.ended_at.is_(None),
            Hold.kind == kind,
            Hold.scope == scope.kind,
            Hold.course_id.is_not_distinct_from(scope.course_id),
            Hold.cohort_id.is_not_distinct_from(scope.cohort_id),
            Hold.lesson.is_not_distinct_from(scope.lesson),
        )
    )
    if twin:
        return twin
    hold = Hold(
        scope=scope.kind,
        course_id=scope.course_id,
        cohort_id=scope.cohort_id,
        lesson=scope.lesson,
        kind=kind,
        why=why,
        who=who,
        since=now,
        probe_at=(real or now) + _FIRST_PROBE if kind in PROBED else None,
    )
    session.add(hold)
    session.flush()
    return hold


def standing(session: Session) -> list[Hold]:
    return list(session.scalars(select(Hold).where(Hold.ended_at.is_(None)).order_by(Hold.id)))


def release(session: Session, hold_ids: list[int], who: str, now: datetime) -> int:
    """End these holds; returns how many were still standing."""
    ended = session.scalars(
        update(Hold)
        .where(Hold.id.in_(hold_ids), Hold.ended_at.is_(None))
        .values(ended_at=now, ended_by=who)
        .returning(Hold.id)
    )
    return len(list(ended))


def take_probe(session: Session, real: datetime) -> int | None:
    """The id of the hold whose turn it is to be tried with one mail, its next turn already set
    further away; None when none is due. Of several processes one gets it."""
    hold = session.scalar(
        select(Hold)
        .where(Hold.ended_at.is_(None), Hold.probe_at <= real)
        .order_by(Hold.probe_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if hold is None:
        return None
    hold.probes += 1
    hold.probe_at = real + min(_FIRST_PROBE * 2**hold.probes, _LONGEST_PROBE)
    return hold.id
