"""`minicourse note check`, `preview` and `test`: a note before it is sent."""

from dataclasses import replace
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import checking, courses, note_file, notes, rendering, samples
from course.checking.findings import Severity
from course.commands.check import show_findings
from course.commands.context import ATTENTION, Context, announce_mode, load
from course.commands.preview import folder_for, out_option, write_mail
from course.courses import Live
from course.errors import RefusedError
from course.note_file import NoteFile
from course.office import site_of
from course.plain_files import Folder
from course.rendering import CompiledCourse
from course.selecting import Selection
from course.sources import Source
from course.wording import counted

file_argument = click.argument(
    "file", metavar="FILE.md", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
_course = click.option("--course", help="The course whose people it is for.")


@click.command()
@file_argument
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
        found = findings(context, session, live, read(file), file)
    show_findings(found)
    click.echo(f"{file}: {counted(len(found), 'thing')} to mend" if found else f"{file}: all well")
    if found:
        click.get_current_context().exit(ATTENTION)


@click.command()
@file_argument
@_course
@out_option
def preview(file: Path, course: str | None, out: Path | None) -> None:
    """Write a note's mail as HTML and as text, as the built-in reader Kim would get it.

    \b
    Example:
      minicourse note preview new-date.md
    """
    context = load()
    compiled, written = _compiled(context, file, course)
    name = f"{compiled.course.slug}-note-{written.slug}"
    person = samples.PEOPLE[0].person
    write_mail(compiled, written.slug, person, folder_for(out, context), name)


@click.command()
@file_argument
@_course
@click.option("--to", required=True, metavar="EMAIL", help="Your own address.")
def test(file: Path, course: str | None, to: str) -> None:
    """Send a note to yourself. Nothing is counted, but for SEND_LIMIT.

    \b
    Example:
      minicourse note test new-date.md --to me@example.com
    """
    from course import people, trial
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


# The file -----------------------------------------------------------------------------------------


def read(file: Path) -> NoteFile:
    return note_file.parse(file.name, Folder(file.parent).text(file), where=_where(file))


def _where(file: Path) -> str:
    return "" if file.parent == Path() else f"{file.parent}/"


def _compiled(context: Context, file: Path, course: str | None) -> tuple[CompiledCourse, NoteFile]:
    """The note as it would be sent: within the course as it is live."""
    written = read(file)
    with context.raw_database.reading() as session:
        live = notes.course_of(session, Selection(course=course))
        slug, files = courses.revision_files(session, live.revision_id)
    whole = note_file.as_course(files, written.slug, written.text)
    site = site_of(context.settings)
    return rendering.load_course(slug, whole, site, where=_where(file)), written


def findings(
    context: Context, session: Session, course: Live, written: NoteFile, file: Path
) -> list[checking.Finding]:
    """What is wrong with the note itself, under the name that its author knows."""
    slug, files = courses.revision_files(session, course.revision_id)
    whole = note_file.as_course(files, written.slug, written.text)
    source = Source(slug, file.parent, whole, None)
    found = checking.check(source, site_of(context.settings), where="")
    name = note_file.lesson_file(written.slug)
    return [replace(one, file=str(file)) for one in found if one.file == name]


def require_sound(found: list[checking.Finding]) -> None:
    """Errors are not sent; warnings are told."""
    show_findings(found)
    if any(one.severity is Severity.ERROR for one in found):
        raise RefusedError("The note has errors, see above. Mend them and send it again.")
