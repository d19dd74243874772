"""What comes when, for somebody who signs up. Nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from course import planning, starting, timing
from course.curriculum import Course as Curriculum
from course.models import Cohort
from course.notation import WEEKDAYS
from course.planning import Pace
from course.timing import DAY, Rhythm, local_date
from course.walking import Place, Step, forward

_SATURDAY = 5
_EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A lesson that arrives, and what lies between it and the one before, or the sign-up."""

    number: int
    lesson: str
    subject: str
    due_at: datetime
    local_due_at: datetime
    zone: str  # as the clocks there are called on that day
    minutes_since: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What somebody gets who confirms at that moment."""

    course: str
    cohort: str | None
    zone: str
    signed_up_at: datetime
    starts_at: datetime
    mails: tuple[Arrival, ...]
    left_out: tuple[str, ...]  # lessons that never come, as their `when` says


def of_newcomer(
    curriculum: Curriculum,
    cohort: Cohort,
    *,
    zone: str | None,
    hour: time | None,
    signed_up_at: datetime,
) -> Timeline:
    """What arrives when for somebody who joins that cohort then, in that zone if they named one."""
    starts_at = starting.start_of(cohort, curriculum, signed_up_at, zone=zone, hour=hour)
    is_late = starts_at < signed_up_at
    pace = planning.pace(curriculum, planning.clock_in(cohort, zone, hour, is_late=is_late))
    place = Place(
        pace=pace,
        rolling=cohort.starts_on is None,
        unwanted=pace.conditions.unwanted(""),
        starts_at=starts_at,
        story=None,
        now=signed_up_at,
    )
    mails = tuple(_arrivals(curriculum, place))
    arriving = {mail.lesson for mail in mails}
    return Timeline(
        course=curriculum.slug,
        cohort=cohort.name,
        zone=pace.rhythm.zone.key,
        signed_up_at=signed_up_at,
        starts_at=place.starts_at,
        mails=mails,
        left_out=tuple(one.slug for one in curriculum.lessons if one.slug not in arriving),
    )


def _arrivals(curriculum: Curriculum, place: Place) -> Iterator[Arrival]:
    zone = place.pace.rhythm.zone
    while step := forward(place):
        if step.slug:
            lesson, moment = curriculum.lesson(step.slug), step.place.now
            local = moment.astimezone(zone)
            yield Arrival(
                number=lesson.number,
                lesson=lesson.slug,
                subject=lesson.subject,
                due_at=moment,
                local_due_at=local,
                zone=local.tzname() or "",
                minutes_since=round((moment - place.now) / timedelta(minutes=1)),
                notes=tuple(_notes(place, step)),
            )
        place = step.place


# What lies between -------------------------------------------------------------------------------


def _notes(place: Place, step: Step) -> Iterator[str]:
    zone, arrives = place.pace.rhythm.zone, step.place.now
    # What the same planner says of a course that knows no closed days.
    free = forward(replace(place, pace=_without_closed_days(place.pace)))
    wished = min(arrives, free.place.now) if free else arrives
    began, came = local_date(place.starts_at, zone), local_date(arrives, zone)
    planned = local_date(wished, zone)
    rhythm = place.pace.of(step.slug or "")
    if over := _closed(rhythm, began + DAY, planned):
        yield f"over {', '.join(over)}"
    if moved := _closed(rhythm, planned, came):
        yield f"moved from {planned:%a %Y-%m-%d}: {', '.join(moved)}"
    yield from _clock_changes(place.starts_at, arrives, zone)


def _without_closed_days(pace: Pace) -> Pace:
    return replace(
        pace,
        steps=tuple(replace(step, weekdays=None) for step in pace.steps),
        rhythm=replace(pace.rhythm, weekdays=_EVERY_DAY, skip_dates=frozenset()),
    )


def _closed(rhythm: Rhythm, first: date, end: date) -> list[str]:
    """Why days from `first` until before `end` are closed, each reason once."""
    days = (first + number * DAY for number in range((end - first).days))
    return list(dict.fromkeys(_reason(rhythm, day) for day in days if not rhythm.allows(day)))


def _reason(rhythm: Rhythm, day: date) -> str:
    if day.weekday() in rhythm.weekdays:
        return "skip_dates"
    return "weekend" if day.weekday() >= _SATURDAY else WEEKDAYS[day.weekday()].capitalize()


def _clock_changes(began: datetime, arrives: datetime, zone: ZoneInfo) -> Iterator[str]:
    days = (local_date(arrives, zone) - local_date(began, zone)).days
    first = local_date(began, zone)
    midnights = [timing.to_utc(first + number * DAY, time(0), zone) for number in range(days + 1)]
    moments = [began, *(one for one in midnights if began < one < arrives), arrives]
    for before, after in pairwise(one.astimezone(zone) for one in moments):
        change = (after.utcoffset() or timedelta()) - (before.utcoffset() or timedelta())
        if change:
            way = "forward" if change > timedelta() else "back"
            minutes = abs(change) // timedelta(minutes=1)
            yield f"clocks go {way} {length(minutes)} on {before:%a %Y-%m-%d}"


def length(minutes: int) -> str:
    """`2d 14h 30m`, without what is nought."""
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number) or "at once"
