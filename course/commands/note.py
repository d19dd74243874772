"""`minicourse note`: one Markdown file to chosen active people."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.orm import Session

from course import audit, checking, courses, holds, note_file, notes, recipients
from course.checking.findings import Severity
from course.commands.bars import bar
from course.commands.check import show_findings
from course.commands.choosing import selection_options
from course.commands.context import (
    Context,
    announce_mode,
    ask,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    print_table,
    say,
    short_time,
    yes_option,
)
from course.courses import Live
from course.errors import InvalidInputError, RefusedError
from course.holds import Scope
from course.note_file import NoteFile
from course.notes import Audience, Chosen, Line, Moment
from course.office import site_of
from course.plain_files import Folder
from course.selecting import Selection
from course.sources import Source
from course.states import HoldKind, HoldScope
from course.wording import counted

if TYPE_CHECKING:
    from course.rendering import CompiledCourse

_file = click.argument(
    "file", metavar="FILE.md", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_course = click.option("--course", help="The course whose people it is for.")


@click.group()
def note() -> None:
    """Notes: send, check, preview, test, list, show, hold, cancel.

    A note is one Markdown file with a subject, for chosen people who are in the middle of a
    course. It counts for nobody's progress, and nobody gets it twice.

    \b
    Example:
      minicourse note list
    """


# Before it is sent --------------------------------------------------------------------------------


@note.command()
@_file
@_course
def check(file: Path, course: str | None) -> None:
    """Look a note over as `course check` does a lesson. Exit 3 when there is something to mend.

    \b
    Example:
      minicourse note check new-date.md
    """
    context = load()
    with context.raw_database.reading() as session:
        live = notes.course_of(session, Selection(course=course))
        found = _findings(context, session, live, _read(file), file)
    show_findings(found)
    click.echo(f"{file}: {counted(len(found), 'thing')} to mend" if found else f"{file}: all well")
    if found:
        click.get_current_context().exit(3)


@note.command()
@_file
@_course
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to. Default: out/preview in the home.",
)
def preview(file: Path, course: str | None, out: Path | None) -> None:
    """Write a note's mail as HTML and as text, as the built-in reader Kim would get it.

    \b
    Example:
      minicourse note preview new-date.md
    """
    from course import samples

    context = load()
    compiled, written = _compiled(context, file, course)
    person = samples.dressed(samples.PEOPLE[0].person, compiled.course)
    mail = compiled.lesson(written.slug).mail(compiled.values(person))
    folder = (out or context.settings.home / "out" / "preview").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Subject: {mail.subject}")
    for ending, text in (("html", mail.html), ("txt", mail.text)):
        path = folder / f"{compiled.course.slug}-note-{written.slug}.{ending}"
        path.write_text(text, encoding="utf-8")
        click.echo(path)


@note.command()
@_file
@_course
@click.option("--to", required=True, metavar="EMAIL", help="Your own address.")
def test(file: Path, course: str | None, to: str) -> None:
    """Send a note to yourself. Nothing is counted, but for SEND_LIMIT.

    \b
    Example:
      minicourse note test new-date.md --to me@example.com
    """
    from course import people, samples, trial
    from course.processes.ports import require_sandbox

    context = load()
    address = people.parse_email(to, sandbox=context.settings.sandboxed)
    _ = context.database  # refused first where settings and database do not belong together
    announce_mode(context.settings)
    require_sandbox(context.settings)
    compiled, written = _compiled(context, file, course)
    person = samples.PEOPLE[0].person
    letter = trial.outgoing(context.settings, compiled, written.slug, person, address)
    trial.send(context.office, letter)
    click.echo(f"Sent to {address}: {letter.subject}")


# Sending ------------------------------------------------------------------------------------------


@note.command()
@_file
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
    written, moment = _read(file), Moment(_moment(at, context.now))
    with context.database.reading() as session:
        course = notes.course_of(session, chosen)
        notes.require_same_text(session, course, written)
        _require_sound(_findings(context, session, course, written, file))
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


# What was ordered ---------------------------------------------------------------------------------


@note.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the notes that were ordered, and how their mails stand.

    \b
    Example:
      minicourse note list
    """
    context = load()
    with context.raw_database.reading() as session:
        lines = notes.listing(session)
    if as_json:
        print_json(lines)
        return
    print_table(
        [
            ("note", "whole"),
            ("ordered", "whole"),
            *((name, "right") for name in ("pending", "accepted", "cancelled", "other")),
        ],
        [
            (
                f"{line.course}/{line.note}",
                f"{line.ordered_at:%Y-%m-%d}",
                line.pending,
                line.accepted,
                line.cancelled,
                line.other,
            )
            for line in lines
        ],
    )


@note.command()
@click.argument("name", metavar="[COURSE/]NOTE")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a note: its text, when it leaves, and how its mails stand.

    \b
    Example:
      minicourse note show new-date
    """
    context = load()
    with context.raw_database.reading() as session:
        found = notes.named(session, name)
        course = courses.by_id(session, found.course_id).slug
        (line,) = notes.listing(session, found.slug, course)
        text, held = found.text, notes.held_by(session, found)
    if as_json:
        print_json({**_plain(line), "holds": [one.id for one in held], "text": text})
        return
    print_facts(
        [
            ("note", f"{line.course}/{line.note}"),
            ("ordered", line.ordered_at),
            ("by", line.ordered_by),
            ("leaves", _span(line)),
            *(
                fact
                for one in held
                for fact in (
                    ("held since", one.since),
                    ("to let it go", f"minicourse send release {one.id}"),
                )
            ),
            *((name, getattr(line, name)) for name in ("pending", "accepted", "cancelled")),
            ("on their way, unknown or failed", line.other),
        ]
    )
    click.echo()
    click.echo(text.rstrip())


def _plain(line: Line) -> dict[str, object]:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__}


def _span(line: Line) -> str:
    first, last = short_time(line.first_at), short_time(line.last_at)
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


@note.command()
@click.argument("name", metavar="[COURSE/]NOTE")
def hold(name: str) -> None:
    """Keep back what has not left of a note; a release lets it go.

    \b
    Example:
      minicourse note hold new-date
    """
    context = load()

    def work(session: Session) -> int:
        found = notes.named(session, name)
        course = courses.by_id(session, found.course_id).slug
        (line,) = notes.listing(session, found.slug, course)
        if not line.pending + line.other:
            raise RefusedError(
                f"Nothing of {course}/{found.slug} is left to hold back: "
                f"{line.accepted:,} accepted, {line.cancelled:,} cancelled"
            )
        scope = Scope(
            HoldScope.LESSON, course_id=found.course_id, lesson=note_file.key_of(found.slug)
        )
        audit.record(session, context.who, "note hold", context.now, note=found.slug)
        return holds.place(
            session, scope, HoldKind.MANUAL, why="a note", who=context.who, now=context.now
        ).id

    number = context.raw_database.run(work)
    click.echo(f"{name} is held. Let it go with: minicourse send release {number}")


@note.command()
@click.argument("name", metavar="[COURSE/]NOTE")
@dry_run_option
@yes_option
def cancel(name: str, dry_run: bool, yes: bool) -> None:
    """Take back what has not left of a note, for good.

    \b
    Example:
      minicourse note cancel new-date --dry-run
    """
    context = load()
    with context.raw_database.reading() as session:
        found = notes.named(session, name)
        course = courses.by_id(session, found.course_id).slug
        (line,) = notes.listing(session, found.slug, course)
    told = counted(line.pending, "mail")
    if dry_run:
        click.echo(f"{course}/{line.note}: {told} would be cancelled")
        return
    if not line.pending:
        click.echo(f"{course}/{line.note}: nothing is left to cancel")
        return
    if line.pending > 1:
        ask(f"{course}/{line.note}: cancel {told}?", yes)
    total = 0
    with bar("Cancelling", line.pending) as shown:
        while count := context.raw_database.run(
            lambda s: notes.cancel_some(s, notes.named(s, f"{course}/{line.note}"), context.now)
        ):
            total += count
            shown.advance(count)
    context.raw_database.run(
        lambda s: audit.record(
            s, context.who, "note cancel", context.now, course=course, note=line.note, mails=total
        )
    )
    click.echo(f"{course}/{line.note}: {counted(total, 'mail')} cancelled")


# The file -----------------------------------------------------------------------------------------


def _read(file: Path) -> NoteFile:
    return note_file.parse(file.name, Folder(file.parent).text(file), where=_where(file))


def _where(file: Path) -> str:
    return "" if file.parent == Path() else f"{file.parent}/"


def _compiled(
    context: Context, file: Path, course: str | None
) -> "tuple[CompiledCourse, NoteFile]":
    """The note as it would be sent: within the course as it is live."""
    from course import rendering

    written = _read(file)
    with context.raw_database.reading() as session:
        live = notes.course_of(session, Selection(course=course))
        slug, files = courses.revision_files(session, live.revision_id)
    whole = note_file.as_course(files, written.slug, written.text)
    site = site_of(context.settings)
    return rendering.load_course(slug, whole, site, where=_where(file)), written


def _findings(
    context: Context, session: Session, course: Live, written: NoteFile, file: Path
) -> list[checking.Finding]:
    """What is wrong with the note itself, under the name that its author knows."""
    slug, files = courses.revision_files(session, course.revision_id)
    whole = note_file.as_course(files, written.slug, written.text)
    source = Source(slug, file.parent, whole, None)
    found = checking.check(source, site_of(context.settings), where="")
    name = note_file.lesson_file(written.slug)
    return [replace(one, file=str(file)) for one in found if one.file == name]


def _require_sound(found: list[checking.Finding]) -> None:
    """Errors are not sent; warnings are told."""
    show_findings(found)
    if any(one.severity is Severity.ERROR for one in found):
        raise RefusedError("The note has errors, see above. Mend them and send it again.")


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
