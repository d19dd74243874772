"""Day by day: who came, what was sent, who left. Days are those of one zone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from course import cohorts, enrollment, rollups
from course.courses import Live
from course.models import Enrollment
from course.states import EnrollmentState

# Two clocks that differ by less show the same days, but at midnight.
_APART = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class DayStats:
    day: date
    signed_up: int
    sent: int  # lessons that the provider took, by the day on which they left
    unsubscribed: int


@dataclass(frozen=True, slots=True)
class Daily:
    zone: str
    days: list[DayStats]


def zone_of(live: Sequence[Live]) -> ZoneInfo:
    """The courses' own, where they share one; else UTC."""
    zones = {course.curriculum.schedule.zone for course in live}
    return zones.pop() if len(zones) == 1 else ZoneInfo("UTC")


def by_day(
    session: Session, live: Sequence[Live], now: datetime, days: int, zone: ZoneInfo
) -> Daily:
    """The last so many days, today among them. Each is found by an index: the cost is what
    happened on these days, however many learners there are."""
    ids = [course.id for course in live]
    today = now.astimezone(zone).date()
    every = [today - timedelta(days=back) for back in reversed(range(days))]
    sent = _sent(session, ids, every, zone)
    found = []
    for day in every:
        begins, ends = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        came, left = (session.scalar(one) or 0 for one in _questions(ids, begins, ends))
        found.append(DayStats(day, came, sent[day], left))
    return Daily(zone.key, found)


def reasons(now: datetime, real: datetime) -> list[str]:
    """What to know of these days where the course's time is not the real one."""
    if abs(now - real) < _APART:
        return []
    return [
        "The clock of the course is shifted (MINICOURSE_CLOCK_FILE). Sign-ups and leavings stand "
        "on its days; what was sent stands on the real day on which it left, and on these days "
        f"only if it is one of them. The real day is {real:%Y-%m-%d}."
    ]


def _sent(
    session: Session, ids: Sequence[int], days: Sequence[date], zone: ZoneInfo
) -> Counter[date]:
    begins, ends = _midnight(days[0], zone), _midnight(days[-1] + timedelta(days=1), zone)
    found: Counter[date] = Counter()
    for moment, mails in rollups.sent_between(session, ids, begins, ends).items():
        found[moment.astimezone(zone).date()] += mails
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _questions(ids: Iterable[int], begins: datetime, ends: datetime) -> Iterator[Select[int]]:
    """How many came, and how many left."""
    mine = Enrollment.course_id.in_(ids), Enrollment.cohort_id.not_in(cohorts.rehearsals())
    enrollments = select(func.count(Enrollment.id)).where(*mine)
    yield enrollments.where(Enrollment.created_at >= begins, Enrollment.created_at < ends)
    yield enrollments.where(
        Enrollment.ended_at >= begins,
        Enrollment.ended_at < ends,
        Enrollment.state == EnrollmentState.CANCELLED,
        Enrollment.reason.in_((enrollment.LEFT, enrollment.TAKEN_OUT)),
    )
