"""How courses, lessons and cohorts do, counted from the ledger; rehearsals are left out. Reads
only.

A number that cannot be known is None, never 0: what happened to mails while no event was ever
heard, and opens and clicks of mails that left without tracking.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from course import courses
from course.courses import Live
from course.stats.cohorts import CohortStats
from course.stats.cohorts import read as read_cohorts
from course.stats.lessons import LessonStats
from course.stats.lessons import read as read_lessons

__all__ = ["CohortStats", "CourseStats", "LessonStats", "Stats", "chosen", "overall"]


@dataclass(frozen=True, slots=True)
class CourseStats:
    """A course in one line: its people, and what became of its lessons' mails."""

    course: str
    signed_up: int
    confirmed: int
    active: int
    completed: int
    sent: int
    delivered: int | None
    opened: int | None
    clicked: int | None
    unsubscribed: int
    bounced: int | None
    complained: int | None
    opens_tracked: int | None
    clicks_tracked: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    lessons: list[LessonStats]
    cohorts: list[CohortStats]

    @property
    def courses(self) -> list[CourseStats]:
        """The same, a line for each course that has lessons."""
        return [self._course(slug) for slug in dict.fromkeys(one.course for one in self.lessons)]

    def _course(self, slug: str) -> CourseStats:
        lessons = [one for one in self.lessons if one.course == slug]
        groups = [one for one in self.cohorts if one.course == slug]
        return CourseStats(
            course=slug,
            signed_up=sum(one.signed_up for one in groups),
            confirmed=sum(one.confirmed for one in groups),
            active=sum(one.active for one in groups),
            completed=sum(one.completed for one in groups),
            sent=sum(one.sent for one in lessons),
            delivered=_sum(one.delivered for one in lessons),
            opened=_sum(one.opened for one in lessons),
            clicked=_sum(one.clicked for one in lessons),
            unsubscribed=sum(one.unsubscribed for one in groups),
            bounced=_sum(one.bounced for one in lessons),
            complained=_sum(one.complained for one in lessons),
            opens_tracked=_sum(one.opens_tracked for one in lessons),
            clicks_tracked=_sum(one.clicks_tracked for one in lessons),
        )


def _sum(numbers: Iterable[int | None]) -> int | None:
    """Of what is known; None where nothing is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def chosen(session: Session, course: str | None) -> Sequence[Live]:
    """All courses, or the one; NotFoundError where there is none of that name."""
    return [courses.live(session, course)] if course is not None else courses.all_live(session)


def overall(session: Session, course: str | None = None) -> Stats:
    """Of all courses, or of one; NotFoundError where there is none of that name."""
    live = chosen(session, course)
    return Stats(read_lessons(session, live), read_cohorts(session, live))
