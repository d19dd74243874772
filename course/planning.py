"""From due learners to ledger rows: the planner looks at everyone whose time has come, and only at
them, and writes what is due or when to look again."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, false, select, update
from sqlalchemy.orm import Session

from course import conditions, courses, ledger, timing
from course.curriculum import Course as Curriculum
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.states import (
    RUNNING_COHORT,
    SETTLED,
    DeliveryState,
    EnrollmentState,
    MessageKind,
)
from course.timing import Due, Finished, Past, Rhythm, Step, Wait

BATCH = 1000
LATE = "late"  # why a lesson was skipped


@dataclass(frozen=True, slots=True)
class Learner:
    """An active enrollment, as far as planning asks."""

    id: int
    course_id: int
    zone: str | None
    starts_at: datetime
    rolling: bool
    running: bool


def plan(session: Session, now: datetime, limit: int = BATCH) -> int:
    """Look at up to `limit` learners whose time has come; returns how many they were.

    Each gets a ledger row, a new time to be looked at, or its completion, all in this transaction.
    """
    learners = _due(session, now, limit)
    if not learners:
        return 0
    rows: list[ledger.Planned] = []
    look_at: dict[datetime | None, list[int]] = defaultdict(list)
    finished: list[int] = []
    for learner, decision in decide(session, learners, now):
        match decision:
            case Due(due_at=due) if due <= now:
                row = _planned(session, learner, decision, now)
                rows.append(row)
                # A lesson that is skipped is decided at once: the next one may be looked at.
                look_at[now if row.reason else None].append(learner.id)
            case Due(due_at=due):
                look_at[due].append(learner.id)
            case Wait(until=until):
                look_at[until].append(learner.id)
            case Finished():
                finished.append(learner.id)
            case None:
                look_at[None].append(learner.id)
    ledger.plan(session, rows, now)
    for moment, ids in look_at.items():
        _set(session, ids, next_due_at=moment)
    _set(session, finished, state=EnrollmentState.COMPLETED, ended_at=now, next_due_at=None)
    return len(learners)


def decide(
    session: Session, learners: Sequence[Learner], now: datetime
) -> Iterable[tuple[Learner, Due | Wait | Finished | None]]:
    """What comes next for each; None while the cohort does not run (resuming sets the time)."""
    past = _past(session, [learner.id for learner in learners])
    schedules = {
        course_id: courses.by_id(session, course_id).curriculum
        for course_id in {learner.course_id for learner in learners}
    }
    for learner in learners:
        if not learner.running:
            yield learner, None
            continue
        curriculum = schedules[learner.course_id]
        yield (
            learner,
            timing.next_lesson(
                steps(curriculum),
                past.get(learner.id, {}),
                rhythm(curriculum, learner.zone),
                learner.starts_at,
                now,
                rolling=learner.rolling,
            ),
        )


@lru_cache(maxsize=64)
def steps(curriculum: Curriculum) -> tuple[Step, ...]:
    return tuple(Step(lesson.slug, lesson.after) for lesson in curriculum.lessons)


@lru_cache(maxsize=4096)
def rhythm(curriculum: Curriculum, zone: str | None) -> Rhythm:
    return curriculum.rhythm(ZoneInfo(zone) if zone else None)


def learners_where(session: Session, *where: object) -> list[Learner]:
    """Learners for questions about the future; reads only."""
    return [_learner(row) for row in session.execute(_LEARNERS.where(*where))]  # type: ignore[arg-type]


_LEARNERS = (
    select(
        Enrollment.id,
        Enrollment.course_id,
        Subscriber.zone,
        Cohort.zone.label("cohort_zone"),
        Enrollment.starts_at,
        Cohort.starts_on,
        Cohort.state.label("cohort_state"),
    )
    .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
    .join(Cohort, Cohort.id == Enrollment.cohort_id)
)


def _learner(row: Row[*tuple[Any, ...]]) -> Learner:
    return Learner(
        id=row.id,
        course_id=row.course_id,
        zone=row.zone or row.cohort_zone,
        starts_at=row.starts_at,
        rolling=row.starts_on is None,
        running=row.cohort_state in RUNNING_COHORT,
    )


def _due(session: Session, now: datetime, limit: int) -> list[Learner]:
    rows = session.execute(
        _LEARNERS.where(Enrollment.state == EnrollmentState.ACTIVE, Enrollment.next_due_at <= now)
        .order_by(Enrollment.next_due_at, Enrollment.id)
        .limit(limit)
        .with_for_update(of=Enrollment, skip_locked=True)
    )
    return [_learner(row) for row in rows]


def _past(session: Session, ids: Sequence[int]) -> Mapping[int, dict[str, Past]]:
    found: dict[int, dict[str, Past]] = defaultdict(dict)
    rows = session.execute(
        select(
            Delivery.enrollment_id,
            Delivery.message_key,
            Delivery.state,
            Delivery.due_at,
            Delivery.settled_at,
            Delivery.unknown_since,
        ).where(
            Delivery.enrollment_id.in_(ids),
            Delivery.kind == MessageKind.LESSON,
            Delivery.superseded == false(),
        )
    )
    for row in rows:
        found[row.enrollment_id][row.message_key] = Past(
            is_settled=row.state in SETTLED,
            due_at=row.due_at,
            sent_at=row.settled_at if row.state == DeliveryState.ACCEPTED else None,
            patience_until=row.unknown_since + ledger.UNKNOWN_PATIENCE
            if row.state == DeliveryState.UNKNOWN
            else None,
        )
    return found


def _planned(session: Session, learner: Learner, due: Due, now: datetime) -> ledger.Planned:
    row = ledger.Planned(
        enrollment_id=learner.id,
        course_id=learner.course_id,
        kind=MessageKind.LESSON,
        message_key=due.slug,
        due_at=due.due_at,
        rank=ledger.RANK_WELCOME if due.is_welcome else ledger.RANK_LESSON,
    )
    if due.is_welcome:
        return row
    curriculum = courses.by_id(session, learner.course_id).curriculum
    pace = rhythm(curriculum, learner.zone)
    release = timing.release(due.due_at, now, pace, curriculum.schedule.late)
    if release is None:
        return replace(row, reason=LATE)
    return replace(
        row, due_at=release.due_at, send_at=release.send_at, is_shifted=release.is_shifted
    )


def replan_late(session: Session, now: datetime, real: datetime, limit: int = BATCH) -> int:
    """Lessons that waited long past their time (a hold, an outage) and could leave now: each is
    shifted, put off to its allowed hours or skipped, as its course says. Returns how many."""
    rows = _waiting_late(session, now, real, limit)
    moved: dict[timing.Release | None, list[int]] = defaultdict(list)
    for row in rows:
        curriculum = courses.by_id(session, row.course_id).curriculum
        release = timing.release(
            row.send_at,
            now,
            rhythm(curriculum, row.zone or row.cohort_zone),
            curriculum.schedule.late,
            was_shifted=row.is_shifted,
        )
        # What only leaves later keeps the due time from which the next lesson counts.
        if release and release.is_shifted == row.is_shifted:
            release = replace(release, due_at=row.due_at)
        moved[release].append(row.id)
    for release, ids in moved.items():
        if release is None:
            ledger.withhold(session, ids, LATE, now)
        else:
            ledger.put_off(session, ids, release)
    return len(rows)


def _waiting_late(
    session: Session, now: datetime, real: datetime, limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    return session.execute(
        select(
            Delivery.id,
            Delivery.course_id,
            Delivery.due_at,
            Delivery.send_at,
            Delivery.is_shifted,
            Subscriber.zone,
            Cohort.zone.label("cohort_zone"),
        )
        .join(Enrollment, Enrollment.id == Delivery.enrollment_id)
        .join(Cohort, Cohort.id == Enrollment.cohort_id)
        .join(Subscriber, Subscriber.id == Enrollment.subscriber_id)
        .where(
            Delivery.rank == ledger.RANK_LESSON,
            Delivery.kind == MessageKind.LESSON,
            Delivery.send_at < now - timing.LATE_AFTER,
            conditions.waiting(now, real),
        )
        .order_by(Delivery.id)
        .limit(limit)
    ).all()


def _set(session: Session, ids: Sequence[int], **values: object) -> None:
    if not ids:
        return
    session.execute(
        update(Enrollment)
        .where(Enrollment.id.in_(ids), Enrollment.state == EnrollmentState.ACTIVE)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
