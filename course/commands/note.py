"""`minicourse note`: one Markdown file to chosen active people."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import notes, recipients
from course.commands.bars import bar
from course.commands.choosing import selection_options
from course.commands.context import (
    Context,
    ask,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    say,
    yes_option,
)
from course.commands.note_draft import (
    check,
    file_argument,
    findings,
    preview,
    read,
    require_sound,
    test,
)
from course.commands.note_orders import cancel, hold, list_, show
from course.courses import Live
from course.errors import InvalidInputError
from course.note_file import NoteFile
from course.notes import Audience, Chosen, Moment
from course.selecting import Selection
from course.wording import counted


@click.group()
def note() -> None:
    """Notes: send, check, preview, test, list, show, hold, cancel.

    A note is one Markdown file with a subject, for chosen people who are in the middle of a
    course. It counts for nobody's progress, and nobody gets it twice.

    \b
    Example:
      minicourse note list
    """


for _command in (check, preview, test):
    note.add_command(_command)


@note.command()
@file_argument
@selection_options
@click.option("--who-got", "revision", type=int, metavar="REV", help="Only who was sent that one.")
@click.option(
    "--at",
    metavar="TIME",
    help="On each reader's own clock, like '2030-03-04 09:00'; with +01:00 at that instant.",
)
@click.option("--why", help="For the record.")
@dry_run_option
@yes_option
@json_option
def send(
    file: Path,
    chosen: Selection,
    revision: int | None,
    at: str | None,
    why: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send a note to chosen people who are in the middle of the course.

    How many they are is said first. Nobody gets it twice, however often it is ordered; who joins
    the selection later gets it when it is ordered again.

    \b
    Examples:
      minicourse note send new-date.md --cohort job-search/evergreen --dry-run
      minicourse note send new-date.md --progress '>=1' --yes \\
        --at '2030-03-04 09:00'
      minicourse note send new-date.md --who-got 1 --yes
    """
    context = load()
    written, moment = read(file), Moment(_moment(at, context.now))
    with context.database.reading() as session:
        course = notes.course_of(session, chosen)
        notes.require_same_text(session, course, written)
        require_sound(findings(context, session, course, written, file))
        whom = Chosen(replace(chosen, course=course.slug), _revision(session, course, revision))
        there = notes.audience(session, course, written, whom)
    if not as_json:
        _print_audience(course, written, there, at)
    planned = 0
    if not dry_run and there.to_send:
        if there.to_send > 1:
            ask(f"Send “{written.subject}” to {there.to_send:,} people?", yes)
        planned = _send(context, course, written, whom, moment, there.to_send, why)
    if as_json:
        told = {"course": course.slug, "note": written.slug, "dry_run": dry_run}
        print_json({**told, "audience": there, "planned": planned})
    elif planned:
        click.echo(f"{counted(planned, 'mail')} planned; the next tick sends what is due.")
        say(f"Stop it with: minicourse note cancel {course.slug}/{written.slug}")


def _send(
    context: Context,
    course: Live,
    written: NoteFile,
    whom: Chosen,
    moment: Moment,
    total: int,
    why: str | None,
) -> int:
    database = context.database
    database.run(
        lambda s: notes.order(s, course, written, who=context.who, now=context.now, why=why)
    )
    planned = 0
    with bar("Planning", total) as shown:
        for count in notes.plan_all(database.run, course, written, whom, moment, context.now):
            planned += count
            shown.advance(count)
    return planned


def _print_audience(course: Live, written: NoteFile, there: Audience, at: str | None) -> None:
    print_facts(
        [
            ("note", f"{course.slug}/{written.slug}"),
            ("subject", written.subject),
            ("goes to", counted(there.to_send, "person", "people")),
            ("when", at or "now"),
            *_left_out(there),
        ]
    )


def _left_out(there: Audience) -> Iterator[tuple[str, object]]:
    for number, one, several, why in (
        (there.had, "has", "have", "it already, or it waits for them"),
        (there.not_active, "is", "are", "not active: not confirmed, paused, done or gone"),
        (there.paused_cohort, "is", "are", "in a cohort that is paused"),
        (there.suppressed, "may", "may", "not be mailed"),
    ):
        if number:
            yield "left out", f"{number:,} {one if number == 1 else several} {why}"


def _revision(session: Session, course: Live, number: int | None) -> int | None:
    if number is None:
        return None
    return recipients.revision(session, course.id, course.slug, number).id


def _moment(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            f"--at {text!r} is no time; write it like '2030-03-04 09:00'"
        ) from None
    if found.replace(tzinfo=found.tzinfo or now.tzinfo) < now:
        raise InvalidInputError(f"--at {text!r} is over; leave it out to send now")
    return found


for _command in (list_, show, hold, cancel):
    note.add_command(_command)
