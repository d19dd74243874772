"""When the course of a cohort begins, and that of each person in it."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

from course import planning
from course.curriculum import Course as Curriculum
from course.models import Cohort
from course.states import Latecomers
from course.timing import to_utc


def zone_of(cohort: Cohort, curriculum: Curriculum) -> ZoneInfo:
    """The cohort's own: that of its dates, and of those who named none."""
    return planning.rhythm(curriculum, planning.clock_in(cohort, None, None)).zone


def begins_at(
    cohort: Cohort, curriculum: Curriculum, zone: str | None = None, hour: time | None = None
) -> datetime | None:
    """The first day at the hour of lessons, on the clock of that zone or the cohort's; None where
    each learner begins alone."""
    if cohort.starts_on is None:
        return None
    rhythm = planning.rhythm(curriculum, planning.clock_in(cohort, zone, hour))
    return to_utc(cohort.starts_on, rhythm.at, rhythm.zone)


def start_of(
    cohort: Cohort,
    curriculum: Curriculum,
    confirmed_at: datetime,
    *,
    zone: str | None,
    hour: time | None,
) -> datetime:
    """The instant from which the first lesson counts: confirmation, or a fixed cohort's date for
    those who confirm before it, and for those who are to catch up."""
    begins = begins_at(cohort, curriculum, zone, hour)
    if begins is None:
        return confirmed_at
    return begins if cohort.latecomers == Latecomers.CATCH_UP else max(begins, confirmed_at)
