"""`minicourse lesson`: what the lessons say, and how a mail will look."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from course import catalog, courses, history
from course.commands.context import (
    Context,
    json_option,
    load,
    print_facts,
    print_json,
    say,
    short_time,
)
from course.commands.course import print_lessons, wait
from course.commands.preview import preview
from course.commands.trial import test
from course.states import DeliveryState

if TYPE_CHECKING:
    from course.sent import Letter


@click.group()
def lesson() -> None:
    """Lessons: list, show, preview, test.

    \b
    Example:
      minicourse lesson list
    """


@lesson.command("list")
@click.argument("course", required=False)
@json_option
def list_(course: str | None, as_json: bool) -> None:
    """List the lessons that are live, of one course or of all.

    \b
    Examples:
      minicourse lesson list
      minicourse lesson list job-search
    """
    context = load()
    with context.raw_database.reading() as session:
        live = [courses.live(session, course)] if course else courses.all_live(session)
    lines = {one.slug: catalog.lessons(one.curriculum) for one in live}
    if as_json:
        print_json([line for some in lines.values() for line in some])
        return
    for slug, some in lines.items():
        click.echo(slug)
        print_lessons(some)


@lesson.command()
@click.argument("name", metavar="[COURSE/]LESSON", required=False)
@click.option("--delivery", metavar="ID", help="A mail that was sent, in the words of that day.")
@click.option("--html", "as_html", is_flag=True, help="With --delivery: its HTML, alone.")
@json_option
def show(name: str | None, delivery: str | None, as_html: bool, as_json: bool) -> None:
    """Show a lesson as it is live; or, with --delivery, any mail as it was sent.

    A mail that was sent is rendered anew from the revision that it was sent from, for the person
    as they are known now. ID is its number, also as it travels: INSTALLATION-ID.

    \b
    Examples:
      minicourse lesson show job-search/welcome
      minicourse lesson show --delivery 1
      minicourse lesson show --delivery 1 --html
    """
    if (name is None) == (delivery is None):
        raise click.UsageError("Name a lesson, or a mail that was sent: --delivery ID.")
    if as_html and delivery is None:
        raise click.UsageError("--html goes with --delivery.")
    if as_html and as_json:
        raise click.UsageError("Give --html or --json, not both.")
    context = load()
    if delivery is not None:
        _show_letter(context, delivery, as_html=as_html, as_json=as_json)
    elif name is not None:
        _show_live(context, name, as_json=as_json)


def _show_live(context: Context, name: str, *, as_json: bool) -> None:
    with context.raw_database.reading() as session:
        live, found = catalog.live_lesson(session, name)
    line = next(one for one in catalog.lessons(live.curriculum) if one.lesson == found.slug)
    facts = {
        "course": live.slug,
        "lesson": found.slug,
        "number": found.number,
        "file": found.file,
        "revision": live.revision_number,
        "subject": found.subject,
        "preheader": found.preheader,
    }
    if as_json:
        days_hours = {"after_days": found.after.days, "after_hours": found.after.hours}
        print_json(facts | days_hours | {"body": found.body})
        return
    print_facts([*facts.items(), ("after", wait(line))])
    click.echo(f"\n{found.body.strip()}")


def _show_letter(context: Context, written: str, *, as_html: bool, as_json: bool) -> None:
    from course import sent  # the renderer is slow to load

    with context.raw_database.reading() as session:
        found = sent.letter(session, history.number_of(session, written), context.settings)
    if as_json:
        print_json(found)
        return
    if as_html:
        click.echo(found.html)
    else:
        print_facts(_facts(found))
        click.echo(f"\n{found.text.strip()}")
    if found.may_differ:
        say("The person's name or zone may have changed since; they stand there as of now.")


def _facts(found: "Letter") -> Iterator[tuple[str, object]]:
    yield "delivery", str(found.delivery)
    yield "mail", f"{found.course}/{found.message}"
    unsure = "" if found.state == DeliveryState.ACCEPTED else f" ({found.state})"
    yield "sent", f"{found.sent_at:%Y-%m-%d %H:%M:%S} UTC{unsure}"
    yield "revision", f"{found.revision}, applied {short_time(found.applied_at)} UTC"
    yield "from", found.sender
    yield "to", found.to
    yield "reply to", found.reply_to
    yield "subject", found.subject
    yield from found.headers.items()


lesson.add_command(preview)
lesson.add_command(test)
