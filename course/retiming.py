"""Lessons that are decided and wait for their hour, when that becomes another: a person's own,
their cohort's, or that of the course."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from course import ledger, planning, progress, timing
from course.curriculum import Course as Curriculum
from course.db import among
from course.models import Delivery, Enrollment
from course.planning import Clock
from course.states import OPEN_ENROLLMENT, DeliveryState, MessageKind
from course.timing import Release, Rhythm

_BATCH = 1000
_Moves = Mapping[Release, list[int]]  # when they leave → deliveries
_RhythmOf = Callable[[Clock, str], Rhythm | None]  # None: that lesson stays where it is


def waits(now: datetime) -> ColumnElement[bool]:
    """Over Delivery: it is decided, and its time is still to come."""
    return and_(
        Delivery.rank == ledger.RANK_LESSON,
        Delivery.kind == MessageKind.LESSON,
        Delivery.state == DeliveryState.PENDING,
        Delivery.send_at > now,
    )


def retime(session: Session, enrollment_ids: Sequence[int], now: datetime) -> int:
    """Each lesson of these that waits comes on the next allowed day and hour of the rhythm that is
    theirs now, the gap kept. Returns how many come at another time than before."""
    learners = _learners(session, enrollment_ids)
    pace_of = planning.paces(session, {one.clock.course_id for one in learners.values()})
    moves = _moves(session, learners, lambda clock, lesson: pace_of(clock).of(lesson), now)
    return _move(session, moves, now)


@dataclass(frozen=True, slots=True)
class Edit:
    """A course as it is live, and as it is to be."""

    course_id: int
    before: Curriculum
    after: Curriculum

    @property
    def is_of_time(self) -> bool:
        then, now = self.before, self.after
        return (then.schedule, then.steps) != (now.schedule, now.steps)

    def rhythm_of(self, clock: Clock, lesson: str) -> Rhythm | None:
        """The lesson's days and hours on that clock, where the edit makes them others."""
        if lesson not in self.after.by_slug:
            return None  # it is removed, and with it what waits
        new = planning.pace(self.after, clock).of(lesson)
        return None if new == planning.pace(self.before, clock).of(lesson) else new


def count_reached(session: Session, edit: Edit, now: datetime) -> int:
    """How many lessons that wait would come at another time by this edit."""
    return sum(_size(moves) for moves in _touched(session, edit, now))


def follow(session: Session, edit: Edit, now: datetime) -> int:
    """After an edit of the course, as `retime`, for whomever it gives other days or hours: who
    chose an hour, or whose cohort has its own, keeps it. Returns how many move."""
    return sum(_move(session, moves, now) for moves in _touched(session, edit, now))


def _touched(session: Session, edit: Edit, now: datetime) -> Iterator[_Moves]:
    """Some at a time; none are looked for where every lesson keeps its days and hours."""
    if not edit.is_of_time:
        return
    rhythm_of = cache(edit.rhythm_of)
    waiting = session.scalars(
        select(Delivery.enrollment_id)
        .distinct()
        .where(Delivery.course_id == edit.course_id, waits(now))
        .order_by(Delivery.enrollment_id)
    ).all()
    for first in range(0, len(waiting), _BATCH):
        learners = _learners(session, waiting[first : first + _BATCH])
        yield _moves(session, learners, rhythm_of, now)


def _learners(session: Session, enrollment_ids: Sequence[int]) -> dict[int, planning.Learner]:
    mine = among(session, Enrollment.id, enrollment_ids)
    is_open = Enrollment.state.in_(OPEN_ENROLLMENT)
    return {one.id: one for one in planning.learners_where(session, mine, is_open)}


def _moves(
    session: Session,
    learners: Mapping[int, planning.Learner],
    rhythm_of: _RhythmOf,
    now: datetime,
) -> _Moves:
    """What of theirs comes at another time than now, and when."""
    stories = progress.stories(session, list(learners))
    moves: dict[Release, list[int]] = defaultdict(list)
    found = select(
        Delivery.id,
        Delivery.enrollment_id,
        Delivery.message_key,
        Delivery.due_at,
        Delivery.send_at,
        Delivery.is_shifted,
    ).where(waits(now), among(session, Delivery.enrollment_id, learners))
    for row in session.execute(found):
        rhythm = rhythm_of(learners[row.enrollment_id].clock, row.message_key)
        if rhythm is None:
            continue
        moment = timing.again_at(now, rhythm, stories[row.enrollment_id].sent_at)
        if moment != row.send_at:
            # What only leaves later keeps the due time from which the next lesson counts.
            due_at = moment if row.due_at == row.send_at else row.due_at
            moves[Release(due_at, moment, row.is_shifted)].append(row.id)
    return moves


def _move(session: Session, moves: _Moves, now: datetime) -> int:
    for release, ids in moves.items():
        ledger.put_off(session, ids, release, now)
    return _size(moves)


def _size(moves: _Moves) -> int:
    return sum(map(len, moves.values()))
