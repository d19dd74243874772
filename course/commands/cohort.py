"""`minicourse cohort`: groups of learners, rolling or with a fixed start."""

from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

import click
from sqlalchemy.orm import Session

from course import audit, cohorts, courses
from course.cohorts import Verb
from course.commands.context import (
    Context,
    ask,
    dry_run_option,
    json_option,
    known_zone,
    load,
    print_facts,
    print_json,
    print_table,
    say,
    yes_option,
)
from course.errors import InvalidInputError
from course.models import Cohort, Course
from course.states import EnrollmentState


@click.group()
def cohort() -> None:
    """Cohorts: create, list, show, open, close, pause, resume, front, archive.

    A cohort is written COURSE/NAME, or NAME where only one course has it.

    \b
    Example:
      minicourse cohort list
    """


@dataclass(frozen=True, slots=True)
class CohortLine:
    """A cohort with how many enrollments are in each state; `starts_on` is None: rolling."""

    course: str
    cohort: str
    state: str
    starts_on: date | None
    zone: str | None
    is_front: bool
    created_at: datetime
    pending: int
    active: int
    paused: int
    completed: int
    cancelled: int


def _line(session: Session, found: Cohort) -> CohortLine:
    counts = cohorts.counts(session, found)
    return CohortLine(
        course=found.course.slug,
        cohort=found.name,
        state=found.state,
        starts_on=found.starts_on,
        zone=found.zone,
        is_front=found.is_front,
        created_at=found.created_at,
        **{str(state): counts.get(state, 0) for state in EnrollmentState},
    )


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="The first day, as YYYY-MM-DD.")
@click.option("--rolling", is_flag=True, help="Each learner starts when they confirm.")
@click.option("--zone", help="The zone of those whose own is not known, like Europe/Berlin.")
def create(name: str, start: datetime | None, rolling: bool, zone: str | None) -> None:
    """Make a cohort and open it.

    \b
    Examples:
      minicourse cohort create job-search/spring --start 2030-03-04
      minicourse cohort create job-search/always --rolling --zone America/New_York
    """
    if rolling == (start is not None):
        raise click.UsageError("Say when it starts: --start YYYY-MM-DD, or --rolling.")
    context = load()
    day = start.date() if start else None
    label = context.raw_database.run(lambda s: _create(s, name, day, zone, context))
    click.echo(f"{label} is open: {'rolling' if day is None else f'starts on {day}'}")
    say(f"Its page: {context.settings.public_url}/c/{label}")


def _create(
    session: Session, name: str, starts_on: date | None, zone: str | None, context: Context
) -> str:
    course_name, slash, short = name.partition("/")
    if not slash:
        raise InvalidInputError(f"{name!r} names no course; write it like job-search/{name}")
    if starts_on is not None and starts_on < context.now.date():
        raise InvalidInputError(f"--start {starts_on} is over; give a day that is still to come")
    course = session.get_one(Course, courses.live(session, course_name).id)
    made = cohorts.create(
        session, course, short, context.now, starts_on=starts_on, zone=known_zone(zone)
    )
    audit.record(session, context.who, "cohort create", context.now, cohort=cohorts.label(made))
    return cohorts.label(made)


@cohort.command("list")
@click.option("--all", "everything", is_flag=True, help="Rehearsals, too.")
@json_option
def list_(everything: bool, as_json: bool) -> None:
    """List the cohorts; the front one (*) is filled by the course's page.

    \b
    Example:
      minicourse cohort list
    """
    context = load()
    with context.raw_database.reading() as session:
        found = cohorts.every(session, with_rehearsals=everything)
        lines = [_line(session, one) for one in found]
    if as_json:
        print_json(lines)
        return
    for course, some in groupby(lines, key=lambda line: line.course):
        _print(course, list(some))


def _print(course: str, lines: list[CohortLine]) -> None:
    states = [str(state) for state in EnrollmentState]
    print_table(
        ["cohort", "state", ("start", "whole"), *((state, "right") for state in states)],
        [
            (
                f"{line.cohort}{' *' * line.is_front}",
                line.state,
                line.starts_on or "rolling",
                *(getattr(line, state) for state in states),
            )
            for line in lines
        ],
        title=course,
    )


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a cohort and how many people stand where.

    \b
    Example:
      minicourse cohort show job-search/evergreen
    """
    context = load()
    with context.raw_database.reading() as session:
        found = cohorts.find(session, name)
        line, label = _line(session, found), cohorts.label(found)
    if as_json:
        print_json(line)
        return
    print_facts(
        [
            ("cohort", label),
            ("state", line.state),
            ("start", line.starts_on or "rolling: each learner starts when they confirm"),
            ("zone", line.zone or "the course's"),
            ("page", f"{context.settings.public_url}/c/{label}"),
            ("front", "yes: the course's page fills it" if line.is_front else "no"),
            ("created", line.created_at),
            *((str(state), getattr(line, state)) for state in EnrollmentState),
        ]
    )


@cohort.command("open")
@click.argument("name", metavar="COURSE/NAME")
def open_(name: str) -> None:
    """Let people sign up to a cohort.

    \b
    Example:
      minicourse cohort open job-search/spring
    """
    _do(name, Verb.OPEN)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
def close(name: str) -> None:
    """Take nobody in any more; those who are in the cohort go on.

    \b
    Example:
      minicourse cohort close job-search/spring
    """
    _do(name, Verb.CLOSE)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
@yes_option
def pause(name: str, dry_run: bool, yes: bool) -> None:
    """Send no lessons to a cohort until it is resumed. Nobody loses any.

    \b
    Examples:
      minicourse cohort pause job-search/spring --dry-run
      minicourse cohort pause job-search/spring --yes
    """
    _do(name, Verb.PAUSE, dry_run=dry_run, yes=yes, question="{learners} get no lessons")


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
@dry_run_option
@yes_option
def resume(name: str, dry_run: bool, yes: bool) -> None:
    """Let a paused cohort go on. What became late comes one by one, as the course says.

    \b
    Examples:
      minicourse cohort resume job-search/spring --dry-run
      minicourse cohort resume job-search/spring --yes
    """
    _do(name, Verb.RESUME, dry_run=dry_run, yes=yes, question="{learners} get lessons again")


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
def archive(name: str) -> None:
    """Put a cohort away for good: one that nobody waits or learns in any more.

    \b
    Example:
      minicourse cohort archive job-search/spring
    """
    _do(name, Verb.ARCHIVE)


@cohort.command()
@click.argument("name", metavar="COURSE/NAME")
def front(name: str) -> None:
    """Have the course's page fill this cohort from now on.

    \b
    Example:
      minicourse cohort front job-search/spring
    """
    context = load()

    def work(session: Session) -> tuple[str, bool]:
        found = cohorts.find(session, name)
        changed = cohorts.make_front(session, found)
        if changed:
            _record(session, context, found, "front")
        return cohorts.label(found), changed

    label, changed = context.raw_database.run(work)
    click.echo(f"{label} is the front{'' if changed else ' already'}")


def _do(
    name: str, verb: Verb, *, dry_run: bool = False, yes: bool = True, question: str = ""
) -> None:
    """Whatever touches more than one person is asked about first, with their number."""
    context = load()
    with context.raw_database.writing() as session:
        found = cohorts.find(session, name)
        learners = cohorts.counts(session, found).get(EnrollmentState.ACTIVE, 0)
        would = cohorts.change(session, found, verb)
        label, state = cohorts.label(found), found.state
        session.rollback()
    if not would:
        click.echo(f"{label} was {state} already")
        return
    told = question.format(learners=f"{learners:,} {'person' if learners == 1 else 'people'}")
    if dry_run:
        click.echo(f"{label} would be {state}; {told}")
        return
    if learners > 1 and question:
        ask(f"{label}: {told}. Go on?", yes)

    def work(session: Session) -> None:
        cohort = cohorts.find(session, name)
        if cohorts.change(session, cohort, verb):
            _record(session, context, cohort, verb)

    context.raw_database.run(work)
    click.echo(f"{label} is {state}")


def _record(session: Session, context: Context, found: Cohort, verb: str) -> None:
    label = cohorts.label(found)
    audit.record(session, context.who, f"cohort {verb}", context.now, cohort=label)
