"""`minicourse cohort create|edit|clone`: what an author says of a cohort."""

from collections.abc import Callable
from datetime import date, datetime

import click
from sqlalchemy.orm import Session

from course import arranging, audit, cohorts, courses
from course.arranging import Edited
from course.commands.context import DATE, Context, F, ask, dry_run_option, load, say, yes_option
from course.errors import InvalidInputError
from course.models import Cohort, Course
from course.wording import counted

_OPTIONS = (
    ("zone", "ZONE", "The zone of those whose own is not known, like Europe/Berlin."),
    ("hour", "HH:MM", "When its lessons come, where not as in the course."),
    ("days", "DAYS", "Their weekdays, where not as in the course: mon,wed,fri."),
    ("capacity", "N", "How many have a place."),
    ("closes", "DATE", "The last day to sign up."),
    (
        "latecomers",
        "RULE",
        "Who confirms after the first day: join (begins then), catch-up (gets what was missed "
        "one by one), next (goes to the next cohort).",
    ),
)


def _terms_options(command: F) -> F:
    decorated: Callable[..., object] = command
    for name, metavar, about in reversed(_OPTIONS):
        decorated = click.option(f"--{name}", metavar=metavar, help=about)(decorated)
    return decorated  # type: ignore[return-value]


@click.command()
@click.argument("name", metavar="COURSE/NAME")
@click.option("--start", type=DATE, help="The first day, as YYYY-MM-DD.")
@click.option("--rolling", is_flag=True, help="Each learner starts when they confirm.")
@_terms_options
@click.option("--front", is_flag=True, help="The course's page fills it from now on.")
def create(
    name: str, start: datetime | None, rolling: bool, front: bool, **words: str | None
) -> None:
    """Make a cohort and open it.

    \b
    Examples:
      minicourse cohort create job-search/spring --start 2030-03-04
      minicourse cohort create job-search/small --start 2030-03-04 --hour 18:00 \\
        --days mon,thu --capacity 30 --closes 2030-03-01 --latecomers next --front
      minicourse cohort create job-search/always --rolling --zone America/New_York
    """
    if rolling and start:
        raise click.UsageError("Say --start or --rolling, not both.")
    if not rolling and not start:
        raise click.UsageError("Say when it starts: --start YYYY-MM-DD, or --rolling.")
    context, day = load(), start.date() if start else None
    terms = {"starts_on": day, **arranging.read(words)}

    def work(session: Session) -> str:
        course, short = _course(session, name)
        _require_ahead(context, terms)
        made = cohorts.create(session, course, short, context.now, front=front, **terms)
        audit.record(session, context.who, "cohort create", context.now, cohort=cohorts.label(made))
        return cohorts.label(made)

    _say_made(context, context.raw_database.run(work), day)


def _course(session: Session, name: str) -> tuple[Course, str]:
    course_name, slash, short = name.partition("/")
    if not slash:
        raise InvalidInputError(f"{name!r} names no course; write it like job-search/{name}")
    return session.get_one(Course, courses.live(session, course_name).id), short


def _require_ahead(context: Context, terms: arranging.Terms) -> None:
    for option, column in (("start", "starts_on"), ("closes", "closes_on")):
        day = terms.get(column)
        if day is not None and day < context.now.date():
            raise InvalidInputError(f"--{option} {day} is over; give a day that is still to come")


def _say_made(context: Context, label: str, day: date | None) -> None:
    click.echo(f"{label} is open: {'rolling' if day is None else f'starts on {day}'}")
    say(f"Its page: {context.settings.public_url}/c/{label}")


@click.command()
@click.argument("name", metavar="COURSE/NAME")
@click.argument("new", metavar="NEW")
@click.option("--start", type=DATE, help="Its first day, as YYYY-MM-DD.")
def clone(name: str, new: str, start: datetime | None) -> None:
    """Make a cohort like another one, and open it.

    It takes over zone, hour, days, capacity and rule for latecomers; its last day to sign up lies
    as far from its first one.

    \b
    Example:
      minicourse cohort clone job-search/spring autumn --start 2030-09-02
    """
    context, day = load(), start.date() if start else None
    _require_ahead(context, {"starts_on": day})

    def work(session: Session) -> str:
        like = cohorts.find(session, name)
        made = arranging.clone(session, like, new, day, context.now)
        audit.record(
            session,
            context.who,
            "cohort clone",
            context.now,
            cohort=cohorts.label(made),
            like=cohorts.label(like),
        )
        return cohorts.label(made)

    _say_made(context, context.raw_database.run(work), day)


@click.command()
@click.argument("name", metavar="COURSE/NAME")
@click.option("--start", metavar="DATE", help="The first day, as YYYY-MM-DD; before it has come.")
@_terms_options
@dry_run_option
@yes_option
def edit(name: str, dry_run: bool, yes: bool, **words: str | None) -> None:
    """Change what is said of a cohort; '' takes it away.

    Who waits for the first day waits for the new one, and is reminded the day before it. Who
    chose an hour or a zone keeps that. Nobody is told by itself that a date was moved.

    \b
    Examples:
      minicourse cohort edit job-search/spring --capacity 40 --closes 2030-03-03
      minicourse cohort edit job-search/spring --start 2030-03-11 --dry-run
      minicourse cohort edit job-search/spring --hour 18:00 --days '' --yes
    """
    terms = arranging.read(words)
    if not terms:
        raise click.UsageError("Say what to change, such as --capacity 40.")
    context = load()
    _require_ahead(context, terms)
    with context.raw_database.writing() as session:
        found, edited = _edit(session, name, terms, context)
        label = cohorts.label(found)
        session.rollback()
    if not edited.terms:
        click.echo(f"{label} was so already")
        return
    told = _told(label, terms, edited)
    if dry_run:
        for line in told:
            click.echo(f"Would be: {line}")
        return
    if edited.touched > 1:
        ask(f"{'; '.join(told)}. Go on?", yes)

    def work(session: Session) -> None:
        cohort, done = _edit(session, name, terms, context)
        audit.record(
            session,
            context.who,
            "cohort edit",
            context.now,
            cohort=cohorts.label(cohort),
            changes={column: _shown(terms[column]) for column in done.terms},
        )

    context.raw_database.run(work)
    for line in told:
        click.echo(line)


def _edit(
    session: Session, name: str, terms: arranging.Terms, context: Context
) -> tuple[Cohort, Edited]:
    found = cohorts.find(session, name)
    cohorts.require_editable(found)
    curriculum = courses.by_id(session, found.course_id).curriculum
    return found, arranging.edit(session, found, terms, curriculum, context.now)


_SHOWN = {
    "starts_on": "first day",
    "weekdays": "days",
    "closes_on": "last day to sign up",
}


def _told(label: str, terms: arranging.Terms, edited: Edited) -> list[str]:
    changes = ", ".join(f"{_SHOWN.get(one, one)} {_shown(terms[one])}" for one in edited.terms)
    lines = [f"{label}: {changes}"]
    if edited.begin_anew:
        people = counted(edited.begin_anew, "person begins", "people begin")
        lines.append(
            f"{people} on {terms['starts_on']}; reminders the day before: {edited.reminded:,}"
        )
    elif edited.retimed:
        people = counted(edited.retimed, "person gets", "people get")
        lines.append(f"{people} lessons at another time")
    if edited.moved:
        mails = counted(edited.moved, "planned mail moves", "planned mails move")
        lines.append(f"{mails} to another time, too")
    return lines


def _shown(value: object) -> str:
    if value is None:
        return "taken away"
    return f"{value:%H:%M}" if hasattr(value, "hour") else str(value)
