"""From due learners to ledger rows: the planner looks at everyone whose time has come, and only at
them, and writes what is due or when to look again."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Update, func, or_, select, update
from sqlalchemy.orm import Session

from course import conditions, courses, ledger, progress, suppressions, timing
from course.curriculum import Course as Curriculum
from course.db import among, rows
from course.fields import Conditions, conditions_of
from course.models import Cohort, Enrollment, Subscriber
from course.rowsets import RowSet, run
from course.states import (
    RUNNING_COHORT,
    EnrollmentState,
    Latecomers,
    MessageKind,
)
from course.timing import Due, Finished, Late, Passed, Past, Rhythm, Step, Wait

BATCH = 1000
# Who may not be mailed keeps their place, and is looked at once a day.
BARRED_PAUSE = timedelta(days=1)
# Why a lesson was skipped.
LATE, PASSED = "late", "not for them"

Decision = Due | Wait | Finished | None


class Clock(NamedTuple):
    """What, beside the course itself, decides when its lessons come to a learner."""

    course_id: int
    zone: str | None
    hour: time | None
    every: int | None = None  # a rehearsal's pause, in seconds
    weekdays: str | None = None  # a cohort's own, as `mon,wed`
    catches_up: bool = False  # came late, to a cohort whose latecomers do


@dataclass(frozen=True, eq=False, slots=True)
class Pace:
    """A course on one clock; learners who share it share the very object."""

    steps: tuple[Step, ...]
    rhythm: Rhythm
    late: Late
    conditions: Conditions

    def of(self, lesson: str) -> Rhythm:
        """The days and hours of that lesson; a removed one has the course's."""
        step = next((step for step in self.steps if step.slug == lesson), None)
        return self.rhythm.of(step) if step else self.rhythm


PaceOf = Callable[[Clock], Pace]


@dataclass(frozen=True, slots=True)
class Learner:
    """An active enrollment, as far as planning asks."""

    id: int
    clock: Clock
    starts_at: datetime
    rolling: bool
    running: bool
    fields: str = ""  # as the enrollment keeps them


def plan(session: Session, now: datetime, limit: int = BATCH) -> int:
    """Look at up to `limit` learners whose time has come; returns how many they were.

    Each gets a ledger row, a new time to be looked at, or its completion, all in this transaction.
    """
    _wake(session, now, limit)
    _look_again(session, now, limit)
    learners, barred = _due(session, now, limit)
    pace_of = _paces(session, learners)
    mails: list[ledger.Planned] = []
    look_at: list[tuple[int, datetime]] = []
    waiting: list[int] = []  # for something to be settled, which will have them looked at
    finished: list[int] = []
    passed: list[ledger.Planned] = []
    begun: list[int] = []
    for learner, turn in _turns(session, learners, pace_of, now):
        match turn.decision:
            case Due(comes_at=moment) as due if moment <= now:
                passed += _passed(learner, due.passed)
                mails.append(_planned(learner, due, turn.release))
                if not learner.rolling and due.slug == pace_of(learner.clock).steps[0].slug:
                    begun.append(learner.id)
                if turn.then is None:
                    waiting.append(learner.id)
                else:
                    look_at.append((learner.id, turn.then))
            case Due(comes_at=moment) | Wait(until=datetime() as moment):
                look_at.append((learner.id, moment))
            case Wait() | None:
                waiting.append(learner.id)
            case Finished(passed=others):
                passed += _passed(learner, others)
                finished.append(learner.id)
    ledger.plan(session, passed + mails, now)
    # Whose first day has come need not be told that it will.
    ledger.cancel(session, begun, LATE, now, kinds=[MessageKind.REMINDER])
    if look_at:
        run(session, _look_at, given=_LOOKS.pack(session, look_at))
    _set(session, waiting, next_due_at=None)
    _set(session, barred, next_due_at=now + BARRED_PAUSE)
    _set(session, finished, state=EnrollmentState.COMPLETED, ended_at=now, next_due_at=None)
    return len(learners) + len(barred)


_LOOKS = RowSet(id=Enrollment.id, at=Enrollment.next_due_at)


@cache
def _look_at(postgresql: bool) -> Update:
    given = _LOOKS.given(postgresql)
    return (
        update(Enrollment)
        .where(Enrollment.id == given.c.id, Enrollment.state == EnrollmentState.ACTIVE)
        .values(next_due_at=given.c.at)
    )


def decide(
    session: Session, learners: Sequence[Learner], now: datetime
) -> Iterable[tuple[Learner, Decision]]:
    """What comes next for each; None while the cohort does not run (resuming sets the time)."""
    for learner, turn in _turns(session, learners, _paces(session, learners), now):
        yield learner, turn.decision


@dataclass(frozen=True, slots=True)
class _Turn:
    """What comes for all who stand at one place."""

    decision: Decision
    # Of a lesson whose time has come: when it may leave, None where it is too late for that; and
    # when to look again, None: when it is settled.
    release: timing.Release | None = None
    then: datetime | None = None


def _turns(
    session: Session, learners: Sequence[Learner], pace_of: PaceOf, now: datetime
) -> Iterable[tuple[Learner, _Turn]]:
    """Many learners stand at the same place, though they began on other days: that is decided
    once."""
    stories = progress.stories(session, [learner.id for learner in learners if learner.running])
    turns: dict[tuple[object, ...], _Turn] = {}
    for learner in learners:
        if not learner.running:
            yield learner, _Turn(None)
            continue
        pace, story = pace_of(learner.clock), stories.get(learner.id)
        unwanted = pace.conditions.unwanted(learner.fields)
        # Once there is a row, the next lesson counts from that.
        place = (pace, learner.rolling, story or learner.starts_at, unwanted)
        if place not in turns:
            turns[place] = _turn(pace, learner, story.past if story else {}, now)
        yield learner, turns[place]


def _turn(pace: Pace, learner: Learner, past: Mapping[str, Past], now: datetime) -> _Turn:
    decision = next_lesson(pace, learner, past, now)
    if not isinstance(decision, Due) or decision.comes_at > now:
        return _Turn(decision)
    release = _release(decision, pace, now)
    if release is None:  # a lesson that is skipped is decided at once
        return _Turn(decision, release, now)
    return _Turn(decision, release, _behind(pace, learner, past, decision, release, now))


def _behind(
    pace: Pace,
    learner: Learner,
    past: Mapping[str, Past],
    due: Due,
    release: timing.Release,
    now: datetime,
) -> datetime | None:
    """When the lesson behind this one comes, should this one leave as planned. Leaving later moves
    the other back at most, so nobody need look when this one is settled; but where there is none
    behind it, or that is due at once. Whoever moves this one has the learner looked at again."""
    sent_at = None if due.is_welcome else release.send_at
    own = {one.slug: Past(is_settled=True, due_at=one.due_at) for one in due.passed}
    own[due.slug] = Past(is_settled=True, due_at=release.due_at, sent_at=sent_at)
    match next_lesson(pace, learner, {**past, **own}, now):
        case Due(comes_at=moment) if moment > now:
            return moment
        case _:
            return None


def next_lesson(
    pace: Pace, learner: Learner, past: Mapping[str, Past], now: datetime
) -> Due | Wait | Finished:
    """What comes next for a learner with these rows."""
    return timing.next_lesson(
        pace.steps,
        past,
        pace.rhythm,
        learner.starts_at,
        now,
        rolling=learner.rolling,
        unwanted=pace.conditions.unwanted(learner.fields),
    )


def clock_in(
    cohort: Cohort, zone: str | None, hour: time | None, *, is_late: bool = False
) -> Clock:
    """The clock of somebody in that cohort with that zone and hour, where they named one; and who
    confirmed after its start, or not."""
    return Clock(
        cohort.course_id,
        zone or cohort.zone,
        hour or cohort.hour,
        cohort.rehearsal_every,
        cohort.weekdays,
        is_late and cohort.latecomers == Latecomers.CATCH_UP,
    )


def pace(curriculum: Curriculum, clock: Clock) -> Pace:
    """How that course goes on that clock."""
    return Pace(
        curriculum.steps,
        rhythm(curriculum, clock),
        # The rest of the plan stays where it is for who catches up.
        Late.SEND if clock.catches_up else curriculum.schedule.late,
        conditions_of(curriculum),
    )


@lru_cache(maxsize=4096)
def rhythm(curriculum: Curriculum, clock: Clock) -> Rhythm:
    """When that course's lessons come on that clock."""
    zone = ZoneInfo(clock.zone) if clock.zone else None
    found = curriculum.rhythm(zone, clock.hour, clock.weekdays)
    every = timedelta(seconds=clock.every) if clock.every else None
    return replace(found, every=every, catches_up=clock.catches_up)


def learners_where(session: Session, *where: Any) -> list[Learner]:
    """Learners for questions about the future; reads only."""
    return [_learner(row) for row in session.execute(_LEARNERS.where(*where))]


# The columns of Enrollment ⋈ Cohort ⋈ Subscriber that `clock_of` reads.
CLOCK = (
    Enrollment.course_id,
    func.coalesce(Subscriber.zone, Cohort.zone).label("zone"),
    func.coalesce(Subscriber.hour, Cohort.hour).label("hour"),
    Cohort.rehearsal_every,
    Cohort.weekdays,
    conditions.catches_up().label("catches_up"),
)
_LEARNERS = (
    select(
        Enrollment.id,
        Enrollment.fields,
        *CLOCK,
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
        clock=clock_of(row),
        fields=row.fields,
        starts_at=row.starts_at,
        rolling=row.starts_on is None,
        running=row.cohort_state in RUNNING_COHORT,
    )


def clock_of(row: Row[*tuple[Any, ...]]) -> Clock:
    catches_up = bool(row.catches_up)
    return Clock(row.course_id, row.zone, row.hour, row.rehearsal_every, row.weekdays, catches_up)


def paces(session: Session, course_ids: Collection[int]) -> PaceOf:
    """How these courses go on any clock: each course is read once, each pace made once."""
    live = courses.by_ids(session, course_ids)
    return cache(lambda clock: pace(live[clock.course_id].curriculum, clock))


def _paces(session: Session, learners: Iterable[Learner]) -> PaceOf:
    return paces(session, {learner.clock.course_id for learner in learners})


def _due(session: Session, now: datetime, limit: int) -> tuple[list[Learner], list[int]]:
    """Whose time has come; apart from them those whose address may not be mailed now. That is
    asked once more at the line."""
    is_barred = or_(Subscriber.email.is_(None), suppressions.bars_learner())
    found = rows(
        session,
        _LEARNERS.add_columns(is_barred.label("is_barred"))
        .where(Enrollment.state == EnrollmentState.ACTIVE, Enrollment.next_due_at <= now)
        .order_by(Enrollment.next_due_at, Enrollment.id)
        .limit(limit)
        .with_for_update(of=Enrollment, skip_locked=True),
    ).all()
    barred = sorted(row.id for row in found if row.is_barred)
    return [_learner(row) for row in found if not row.is_barred], barred


def _passed(learner: Learner, passed: Iterable[Passed]) -> list[ledger.Planned]:
    return [
        ledger.Planned(
            enrollment_id=learner.id,
            course_id=learner.clock.course_id,
            kind=MessageKind.LESSON,
            message_key=one.slug,
            due_at=one.due_at,
            rank=ledger.RANK_LESSON,
            reason=PASSED,
        )
        for one in passed
    ]


def _release(due: Due, pace: Pace, now: datetime) -> timing.Release | None:
    """When it may leave; None: it is too late, and skipped."""
    if due.is_welcome:
        return timing.Release(due.due_at, due.due_at)
    return timing.release(due.due_at, now, pace.of(due.slug), pace.late)


def _planned(learner: Learner, due: Due, release: timing.Release | None) -> ledger.Planned:
    return ledger.Planned(
        enrollment_id=learner.id,
        course_id=learner.clock.course_id,
        kind=MessageKind.LESSON,
        message_key=due.slug,
        due_at=release.due_at if release else due.due_at,
        send_at=release.send_at if release else None,
        is_shifted=bool(release and release.is_shifted),
        rank=ledger.RANK_WELCOME if due.is_welcome else ledger.RANK_LESSON,
        reason=None if release else LATE,
    )


# After a pause ------------------------------------------------------------------------------------


def _wake(session: Session, now: datetime, limit: int) -> None:
    """Those whose pause is over go on; what became late meanwhile is treated as late."""
    over = session.scalars(
        select(Enrollment.id)
        .where(Enrollment.paused_until <= now)
        .order_by(Enrollment.paused_until)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    resume(session, over, now)


def resume(session: Session, enrollment_ids: Sequence[int], now: datetime) -> int:
    """paused → active; returns how many were paused."""
    if not enrollment_ids:
        return 0
    found = rows(
        session,
        update(Enrollment)
        .where(
            among(session, Enrollment.id, enrollment_ids),
            Enrollment.state == EnrollmentState.PAUSED,
        )
        .values(state=EnrollmentState.ACTIVE, paused_until=None, next_due_at=now)
        .returning(Enrollment.id),
    )
    return len(found.all())


# After an edit ------------------------------------------------------------------------------------


def _look_again(session: Session, now: datetime, limit: int) -> None:
    """Where all of a cohort are to be looked at again, send the planner to the next ones: at once
    it would take as long as there are learners, and nobody could write."""
    marked = session.execute(
        select(Cohort.id, Cohort.look_again_from)
        .where(Cohort.look_again_from.is_not(None))
        .order_by(Cohort.id)
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    for cohort_id, beyond in marked:
        ids = _some_of(session, cohort_id, beyond, limit)
        ledger.look_again(session, ids, now)
        came_to = ids[-1] if len(ids) == limit else None
        session.execute(
            update(Cohort).where(Cohort.id == cohort_id).values(look_again_from=came_to)
        )
        limit -= len(ids)
        if not limit:
            break


def _some_of(session: Session, cohort_id: int, beyond: int | None, limit: int) -> Sequence[int]:
    return session.scalars(
        select(Enrollment.id)
        .where(
            Enrollment.cohort_id == cohort_id,
            Enrollment.state == EnrollmentState.ACTIVE,
            Enrollment.id > beyond,
        )
        .order_by(Enrollment.id)
        .limit(limit)
        .with_for_update(key_share=True)
    ).all()


def _set(session: Session, ids: Sequence[int], **values: object) -> None:
    if not ids:
        return
    rows(
        session,
        update(Enrollment)
        .where(among(session, Enrollment.id, ids), Enrollment.state == EnrollmentState.ACTIVE)
        .values(**values),
    )
