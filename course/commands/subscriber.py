"""`minicourse subscriber`: people and what they take part in."""

from collections.abc import Iterator

import click
from sqlalchemy.orm import Session

from course import (
    cohorts,
    correcting,
    courses,
    installation,
    lives,
    places,
    subscribers,
    tags,
)
from course.commands import explaining, steering
from course.commands.choosing import pair, selection_options
from course.commands.context import (
    Context,
    ask,
    json_option,
    known_hour,
    known_zone,
    limit_option,
    load,
    print_facts,
    print_json,
    print_table,
    row_limit,
    say_if_cut,
    short_time,
    yes_option,
)
from course.commands.explaining import print_history, print_lines
from course.commands.exporting import export
from course.commands.importing import import_
from course.commands.privacy import consents_, erase
from course.correcting import Wishes
from course.enrollment import Person
from course.errors import NotFoundError
from course.models import Cohort
from course.people import clean, parse_email
from course.selecting import Selection
from course.states import EnrollmentState
from course.subscribers import Enrolled, Profile


@click.group()
def subscriber() -> None:
    """People: whom there are, what they get and why, and what is to change for them.

    \b
    Example:
      minicourse subscriber list
    """


# Add --------------------------------------------------------------------------------------------


@subscriber.command()
@click.argument("email")
@click.option("--cohort", required=True, metavar="COURSE/NAME", help="The cohort to join.")
@click.option("--name", default="", help="How lessons address them.")
@click.option("--zone", help="Their time zone, like Europe/Berlin.")
@click.option("--tag", "names", multiple=True, metavar="TAG", help="A word to keep with them.")
@yes_option
def add(
    email: str, cohort: str, name: str, zone: str | None, names: tuple[str, ...], yes: bool
) -> None:
    """Ask a person by mail to confirm, as the form does.

    Who has left is asked again only if you say so; who was erased is not.

    \b
    Example:
      minicourse subscriber add kim@example.com --cohort evergreen --name Kim
    """
    context = load()
    person = Person(parse_email(email), clean(name), known_zone(zone))
    kept = [tags.read(one) for one in names]
    with context.database.reading() as session:
        found = cohorts.find(session, cohort)
        left_on = subscribers.left_on(session, person.email, found, context.hash_key)
    if left_on:
        ask(f"{person.email} left on {left_on:%Y-%m-%d}. Ask them to come back?", yes)
    said = context.database.run(lambda s: _add(s, cohort, person, kept, context))
    click.echo(f"{person.email}: {said}")


def _add(session: Session, cohort: str, person: Person, kept: list[str], context: Context) -> str:
    found = cohorts.find(session, cohort)
    state, is_mailed = subscribers.add(
        session,
        found,
        person,
        who=context.who,
        now=context.now,
        hash_key=context.hash_key,
        sandbox=installation.is_sandbox(session),
        tags=kept,
    )
    if state is EnrollmentState.PENDING:
        if is_mailed:
            return f"gets a confirmation mail; {_begins(session, found, context)}"
        return (
            "was asked already; one confirmation goes a day, three ever, and to an inbox ten. "
            f"See: minicourse subscriber explain {person.email}"
        )
    return f"is {state} already; a mail that says so goes at most once a day"


def _begins(session: Session, cohort: Cohort, context: Context) -> str:
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    if cohort.starts_on is None or places.has_begun(cohort, curriculum, context.now):
        return "the course starts when they confirm"
    return f"it keeps their place, and the course starts on {cohort.starts_on}"


# List and show ----------------------------------------------------------------------------------


@subscriber.command("list")
@selection_options
@limit_option
@json_option
def list_(chosen: Selection, limit: int | None, as_json: bool) -> None:
    """List who takes part in what, the newest first.

    \b
    Examples:
      minicourse subscriber list
      minicourse subscriber list --cohort evergreen --state active --progress '<2'
    """
    context = load()
    rows = row_limit(limit, as_json)
    with context.raw_database.reading() as session:
        lines = subscribers.listing(session, chosen, limit=rows)
    if as_json:
        print_json(lines)
        return
    print_lines(lines)
    say_if_cut(len(lines), rows)


@subscriber.command()
@click.argument("email")
@click.option(
    "--history", "with_history", is_flag=True, help="Every change in place of that, oldest first."
)
@json_option
def show(email: str, with_history: bool, as_json: bool) -> None:
    """Show a person: what they take part in, what comes next, and each of their mails.

    \b
    Examples:
      minicourse subscriber show kim@example.com
      minicourse subscriber show kim@example.com --history
    """
    context = load()
    if with_history:
        with context.raw_database.reading() as session:
            entries = lives.of(session, email)
        (print_json if as_json else print_history)(entries)
        return
    with context.raw_database.reading() as session:
        found = subscribers.profile(session, email, context.now)
    if as_json:
        print_json(found)
        return
    print_facts(_person(found))
    for one in found.enrollments:
        click.echo()
        print_facts(_enrolled(one))
        click.echo()
        print_table(
            [("id", "right"), ("mail", "whole"), "state", "outcome", ("when (UTC)", "whole")],
            [(str(mail.id), mail.message, mail.fate, mail.outcome, mail.at) for mail in one.mails],
        )


def _person(found: Profile) -> Iterator[tuple[str, object]]:
    yield "subscriber", found.email
    yield "name", found.name
    yield "zone", found.zone or "not known"
    if found.hour:
        yield "hour", f"{found.hour:%H:%M}"
    if found.tags:
        yield "tags", ", ".join(found.tags)
    yield "since", found.created_at
    if found.is_sandbox:
        yield "sandbox", "made in sandbox mode: gets no real mail"
    for one in found.suppressions:
        where = f"for {one.course}" if one.course else "for everything"
        yield "no mail", f"{where}: {one.reason} on {one.since:%Y-%m-%d} ({one.source})"


def _enrolled(one: Enrolled) -> Iterator[tuple[str, object]]:
    yield "cohort", f"{one.course}/{one.cohort}"
    yield "state", f"{one.state} ({one.reason})" if one.reason else one.state
    yield "signed up", one.signed_up_at
    yield from one.fields.items()
    yield "confirmed", one.confirmed_at
    if one.ended_at:
        yield "ended", one.ended_at
    yield "progress", f"{one.received} of {one.lessons} lessons"
    if one.next:
        local, zone = one.next.local_due_at, one.next.local_due_at.tzinfo
        yield "next", f"{one.next.lesson}, {local:%a %Y-%m-%d %H:%M} {zone}"
        yield "", f"({short_time(one.next.due_at)} UTC)"


# Set --------------------------------------------------------------------------------------------


@subscriber.command("set")
@click.argument("email")
@click.option("--name", help="What they are called; empty: not known.")
@click.option("--zone", help="Their time zone, like Europe/Berlin; empty: not known.")
@click.option("--hour", metavar="HH:MM", help="When they want their lessons; empty: as the course.")
@click.option("--course", help="The course that --field belongs to.")
@click.option(
    "--field",
    "answers",
    metavar="NAME=VALUE",
    multiple=True,
    help="What they said in one of the course's own fields; empty: nothing.",
)
def set_(
    email: str,
    name: str | None,
    zone: str | None,
    hour: str | None,
    course: str | None,
    answers: tuple[str, ...],
) -> None:
    """Correct what is known of a person. It holds from their next lesson on.

    \b
    Examples:
      minicourse subscriber set kim@example.com --zone Europe/Paris --hour 07:30
      minicourse subscriber set kim@example.com --name "Kim Sample"

    And a field of a course: minicourse subscriber set EMAIL --course bread --field oven=wood
    """
    wishes = Wishes(
        name=name,
        zone=known_zone(zone) if zone else zone,
        hour=known_hour(hour) if hour else hour,
        fields=dict(map(pair, answers)),
    )
    context = load()
    done = context.raw_database.run(
        lambda s: correcting.change(s, email, wishes, course, who=context.who, now=context.now)
    )
    if not done:
        raise click.UsageError("Say what to change: --name, --zone, --hour or --field.")
    click.echo(f"{email}: changed {', '.join(done)}")


# Unsubscribe ------------------------------------------------------------------------------------


@subscriber.command()
@click.argument("email")
@click.option("--course", help="Only this course. Default: everything, for good.")
@click.option("--why", help="For the record, such as how they asked.")
def unsubscribe(email: str, course: str | None, why: str | None) -> None:
    """Take a person out of everything, or of one course, because they asked for it.

    Mails that wait are cancelled. Only the person can take it back, by signing up and confirming.

    \b
    Examples:
      minicourse subscriber unsubscribe kim@example.com
      minicourse subscriber unsubscribe kim@example.com \\
        --course job-search --why "by phone"
    """
    context = load()
    stopped = context.raw_database.run(lambda s: _unsubscribe(s, email, course, why, context))
    scope = f"of {course}" if course else "of everything"
    what = f"stopped: {', '.join(stopped)}" if stopped else "nothing was running"
    click.echo(f"{email} is out {scope}; {what}")


def _unsubscribe(
    session: Session, email: str, course: str | None, why: str | None, context: Context
) -> list[str]:
    try:
        subscribers.find(session, email)
    except NotFoundError:
        raise NotFoundError(
            f"No subscriber {email!r}, so nobody to take out. "
            "See who there is with: minicourse subscriber list"
        ) from None
    return subscribers.unsubscribe(
        session, email, course, who=context.who, why=why, now=context.now
    )


for _command in (
    *(import_, export, *steering.COMMANDS, explaining.find, explaining.explain),
    *(erase, consents_),
):
    subscriber.add_command(_command)
