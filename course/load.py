"""How many mails leave for a cohort on which day, if all goes on as it is. Nothing is written."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache

from sqlalchemy import and_, not_, select
from sqlalchemy.orm import Session

from course import courses, ledger, planning, progress, suppressions, timing
from course.db import among
from course.models import Cohort, Delivery, Enrollment, Subscriber
from course.planning import Learner, Pace, PaceOf
from course.progress import Story
from course.states import RUNNING_COHORT, DeliveryState, EnrollmentState, MessageKind
from course.timing import DAY, local_date
from course.walking import Place, Waiting, forward

_CHUNK = 2000
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    mails: int


@dataclass(frozen=True, slots=True)
class Load:
    """How many lessons leave for a cohort on each day, on the clock of `zone`."""

    course: str
    cohort: str
    zone: str
    is_running: bool
    learners: int
    mails: int
    days: tuple[Day, ...]


def of_cohort(session: Session, cohort: Cohort, now: datetime, days: int) -> Load:
    """What leaves from now on until the last of so many days ends, for those who learn now.

    Some are read at a time, so that a cohort of any size takes the same memory.
    """
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    zone = planning.rhythm(curriculum, planning.clock_in(cohort, None, None)).zone
    today = local_date(now, zone)
    end = timing.to_utc(today + days * DAY, time(0), zone)
    learners, found = 0, Counter[date]()
    for some in _places(session, cohort.id, now):
        learners += some.total()
        for moment, mails in _leaving(some, end):
            found[local_date(moment, zone)] += mails
    return Load(
        course=cohort.course.slug,
        cohort=cohort.name,
        zone=zone.key,
        is_running=cohort.state in RUNNING_COHORT,
        learners=learners,
        mails=found.total(),
        days=tuple(
            Day(day, found[day]) for day in (today + number * DAY for number in range(days))
        ),
    )


def _leaving(standing: Counter[Place], end: datetime) -> Iterator[tuple[datetime, int]]:
    """When mails leave before `end`, and how many at once. A place is decided once, however many
    stand there; who began on other days soon stands at the same."""
    while standing:
        further = Counter[Place]()
        for place, learners in standing.items():
            step = _forward(place)
            if step is None or step.place.now >= end:
                continue
            if step.slug:
                yield step.place.now, learners
            further[step.place] += learners
        standing = further


_forward = lru_cache(maxsize=_KEPT)(forward)


def _places(session: Session, cohort_id: int, now: datetime) -> Iterator[Counter[Place]]:
    """Where the learners of a cohort stand, some of them at a time."""
    pace_of: PaceOf | None = None
    for learners in _learners(session, cohort_id):
        pace_of = pace_of or planning.paces(session, {learners[0].clock.course_id})
        ids = [learner.id for learner in learners if learner.running]
        stories, waiting = progress.stories(session, ids), _waiting(session, ids)
        yield Counter(
            _place(learner, pace_of(learner.clock), stories, waiting, now)
            for learner in learners
            if learner.running
        )


def _place(
    learner: Learner,
    pace: Pace,
    stories: Mapping[int, Story],
    waiting: Mapping[int, list[Waiting]],
    now: datetime,
) -> Place:
    story = stories.get(learner.id)
    return Place(
        pace=pace,
        rolling=learner.rolling,
        unwanted=pace.conditions.unwanted(learner.fields),
        starts_at=story.due_at if story else learner.starts_at,
        story=story,
        now=now,
        waiting=tuple(waiting.get(learner.id, ())),
    )


def _learners(session: Session, cohort_id: int) -> Iterator[Sequence[Learner]]:
    beyond = 0
    while True:
        active = (
            Enrollment.cohort_id == cohort_id,
            Enrollment.state == EnrollmentState.ACTIVE,
            Enrollment.id > beyond,
        )
        ids = session.scalars(
            select(Enrollment.id).where(*active).order_by(Enrollment.id).limit(_CHUNK)
        ).all()
        if not ids:
            return
        beyond = ids[-1]
        found = planning.learners_where(session, *active, Enrollment.id <= beyond, _MAILABLE)
        if found:
            yield found


# Nothing leaves to others, although they may be enrolled: an import leaves that as it is.
_MAILABLE = and_(Subscriber.email.is_not(None), not_(suppressions.bars_learner()))


def _waiting(session: Session, ids: Sequence[int]) -> Mapping[int, list[Waiting]]:
    found: dict[int, list[Waiting]] = defaultdict(list)
    for row in session.execute(_WAITING.where(among(session, Delivery.enrollment_id, ids))):
        found[row.enrollment_id].append(
            Waiting(
                slug=row.message_key,
                due_at=row.due_at,
                send_at=row.send_at,
                is_shifted=row.is_shifted,
                is_welcome=row.rank == ledger.RANK_WELCOME,
            )
        )
    return found


_WAITING = (
    select(
        Delivery.enrollment_id,
        Delivery.message_key,
        Delivery.due_at,
        Delivery.send_at,
        Delivery.is_shifted,
        Delivery.rank,
    )
    .where(
        Delivery.kind == MessageKind.LESSON,
        not_(Delivery.superseded),
        Delivery.state.in_((DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.SENDING)),
    )
    .order_by(Delivery.send_at, Delivery.id)
)
