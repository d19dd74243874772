"""`minicourse cohort list|show`: how cohorts are, and where everyone in them stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import groupby

import click
from sqlalchemy.orm import Session

from course import cohorts, courses, load, places, planning, standing
from course.commands import context as at
from course.commands.context import json_option, print_facts, print_json, print_table
from course.load import Day
from course.models import Cohort
from course.notation import WEEKDAYS
from course.places import Shut
from course.standing import Stand
from course.states import EnrollmentState, Latecomers

_DAYS_AHEAD = 7
_BAR = 40


@dataclass(frozen=True, slots=True)
class CohortLine:
    """A cohort with how many enrollments are in each state; `starts_on` is None: rolling. What
    its terms do not say is as in the course. `shut`: why nobody may sign up now."""

    course: str
    cohort: str
    state: str
    starts_on: date | None
    zone: str | None
    hour: time | None
    days: str | None
    capacity: int | None
    places_left: int | None
    closes_on: date | None
    latecomers: str
    shut: str | None
    is_front: bool
    created_at: datetime
    pending: int
    active: int
    paused: int
    completed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class CohortShown(CohortLine):
    """And where they stand, and what leaves on the next days."""

    standing: tuple[Stand, ...]
    next_sends: tuple[Day, ...]


def _line(session: Session, found: Cohort, now: datetime) -> dict[str, object]:
    counts = cohorts.counts(session, found)
    curriculum = courses.by_id(session, found.course_id).curriculum
    room = places.look(session, found, curriculum, now)
    return {
        "course": found.course.slug,
        "cohort": found.name,
        "state": found.state,
        "starts_on": found.starts_on,
        "zone": found.zone,
        "hour": found.hour,
        "days": found.weekdays,
        "capacity": found.capacity,
        "places_left": room.left,
        "closes_on": found.closes_on,
        "latecomers": found.latecomers,
        "shut": room.shut,
        "is_front": found.is_front,
        "created_at": found.created_at,
        **{str(state): counts.get(state, 0) for state in EnrollmentState},
    }


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Rehearsals, too.")
@json_option
def list_(everything: bool, as_json: bool) -> None:
    """List the cohorts; the front one (*) is filled by the course's page.

    \b
    Example:
      minicourse cohort list
    """
    context = at.load()
    with context.raw_database.reading() as session:
        found = cohorts.every(session, with_rehearsals=everything)
        lines = [CohortLine(**_line(session, one, context.now)) for one in found]  # type: ignore[arg-type]
    if as_json:
        print_json(lines)
        return
    for course, some in groupby(lines, key=lambda line: line.course):
        _print(course, list(some))


def _print(course: str, lines: list[CohortLine]) -> None:
    states = list(EnrollmentState)
    names = [f"{line.cohort}{' *' * line.is_front}" for line in lines]
    print_table(
        [
            ("cohort", "whole" if max(map(len, names)) <= _NARROW else ""),
            "state",
            ("start", "whole"),
            *((_HEADS.get(state, state), "right") for state in states),
        ],
        [
            (
                name,
                _state(line),
                line.starts_on or "rolling",
                *(getattr(line, state) for state in states),
            )
            for name, line in zip(names, lines, strict=True)
        ],
        title=course,
    )


# Of eighty columns, so many are left for a name; and a state's head is no wider than need be.
_NARROW = 19
_HEADS = {EnrollmentState.COMPLETED: "done", EnrollmentState.CANCELLED: "left"}
_WHY = {Shut.OVER: "sign-up over", Shut.BEGUN: "has begun", Shut.FULL: "full"}


def _state(line: CohortLine) -> str:
    """The state, and what else decides whether people may sign up."""
    if line.shut in _WHY:
        return f"{line.state}, {_WHY[Shut(line.shut)]}"
    if line.shut is None and line.closes_on:
        return f"{line.state} until {line.closes_on}"
    return line.state


@click.command()
@click.argument("name", metavar="COURSE/NAME")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a cohort: its dates, its people, where they stand, what leaves next.

    \b
    Example:
      minicourse cohort show job-search/evergreen
    """
    context = at.load()
    with context.raw_database.reading() as session:
        found = cohorts.find(session, name)
        curriculum = courses.by_id(session, found.course_id).curriculum
        rhythm = planning.rhythm(curriculum, planning.clock_in(found, None, None))
        shown = CohortShown(
            **_line(session, found, context.now),  # type: ignore[arg-type]
            standing=tuple(standing.of_cohort(session, found, curriculum)),
            next_sends=load.of_cohort(session, found, context.now, _DAYS_AHEAD).days,
        )
        label = cohorts.label(found)
    if as_json:
        print_json(shown)
        return
    until = f"–{rhythm.until:%H:%M}" if rhythm.until else ""
    days = ",".join(WEEKDAYS[number] for number in sorted(rhythm.weekdays))
    print_facts(
        [
            ("cohort", label),
            ("state", shown.state),
            ("sign-up", _sign_up(shown)),
            ("start", shown.starts_on or "rolling: each learner starts when they confirm"),
            *_latecomers(shown),
            ("lessons", f"{days} at {rhythm.at:%H:%M}{until}, {rhythm.zone.key}"),
            ("page", f"{context.settings.public_url}/c/{label}"),
            ("front", "yes: the course's page fills it" if shown.is_front else "no"),
            ("created", shown.created_at),
            *((str(state), getattr(shown, state)) for state in EnrollmentState),
        ]
    )
    _print_standing(shown.standing)
    _print_next(shown.next_sends)


def _sign_up(line: CohortLine) -> str:
    places_ = "" if line.capacity is None else f"{line.places_left:,} of {line.capacity:,} places"
    match line.shut:
        case Shut.CLOSED:
            return f"nobody: it is {line.state}"
        case Shut.OVER:
            return f"over since the end of {line.closes_on}"
        case Shut.BEGUN:
            return "over: it has begun, and latecomers go to the next cohort"
        case Shut.FULL:
            if line.capacity == 1:
                return "full: the one place is taken"
            return f"full: all {line.capacity:,} places are taken"
        case _:
            until = f"until {line.closes_on}" if line.closes_on else "open"
            return f"{until}, {places_} left" if places_ else until


_RULES = {
    Latecomers.JOIN: "join: begin when they confirm",
    Latecomers.CATCH_UP: "catch-up: get what they missed one by one",
    Latecomers.NEXT: "next: go to the next cohort",
}


def _latecomers(line: CohortLine) -> Iterator[tuple[str, object]]:
    if line.starts_on:
        yield "latecomers", _RULES[Latecomers(line.latecomers)]


def _print_standing(stands: Sequence[Stand]) -> None:
    """A bar for each lesson: how many have it as their latest."""
    most = max(stand.learners for stand in stands)
    if not most:
        return
    click.echo()
    print_table(
        ["latest lesson", ("learners", "right"), ""],
        [
            (
                f"{stand.number} {stand.lesson}" if stand.lesson else "none yet",
                stand.learners,
                "█" * -(-stand.learners * _BAR // most) or " ",
            )
            for stand in stands
        ],
    )


def _print_next(days: Sequence[Day]) -> None:
    if not any(day.mails for day in days):
        return
    click.echo()
    print_table(
        ["next sends", ("lessons", "right")],
        [(f"{day.day:%a %Y-%m-%d}", day.mails) for day in days if day.mails],
    )
