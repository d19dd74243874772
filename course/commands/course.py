"""`minicourse course`: what there is, what is live, and making files live."""

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import audit, catalog, changes, courses, sources
from course.catalog import LessonLine
from course.changes import Changes
from course.commands.check import check
from course.commands.context import (
    Context,
    dry_run_option,
    json_option,
    load,
    print_facts,
    print_json,
    print_table,
    say,
)
from course.commands.new import new
from course.models import Course, Revision
from course.sources import Source


@click.group()
def course() -> None:
    """Courses: new, check, list, show, apply, publish.

    \b
    Example:
      minicourse course list
    """


course.add_command(check)
course.add_command(new)


@course.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the courses, and whether files wait to go live.

    \b
    Example:
      minicourse course list
    """
    context = load()
    found = sources_on_disk(context.settings.home)
    with context.raw_database.reading() as session:
        lines = catalog.listing(session, found)
    if as_json:
        print_json(lines)
        return
    print_table(
        ["course", "title", "state", *_numbers("revision", "lessons", "learners")],
        [
            (
                line.course,
                line.title,
                line.state or "not applied",
                line.revision,
                line.lessons,
                line.learners,
            )
            for line in lines
        ],
    )
    say_not_live([line.course for line in lines if line.changes_not_live])
    if not lines:
        say(f"No course in {context.settings.home / 'lessons'}: make a folder with a course.toml.")


def sources_on_disk(home: Path) -> list[Source]:
    return [sources.read(home, folder.name) for folder in sources.course_folders(home)]


def say_not_live(slugs: Sequence[str]) -> None:
    for slug in slugs:
        say(f"Changes in {slug} are not live → {courses.step_to_live(slug)}")


def _numbers(*names: str) -> list[tuple[str, str]]:
    return [(name, "right") for name in names]


@course.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a course as it is live.

    \b
    Example:
      minicourse course show job-search
    """
    context = load()
    with context.raw_database.reading() as session:
        found = catalog.details(session, name)
    if as_json:
        print_json(found)
        return
    commit = f", commit {found.git_commit}" if found.git_commit else ""
    print_facts(
        [
            ("course", found.course),
            ("title", found.title),
            ("description", found.description),
            ("state", found.state),
            ("page", f"{context.settings.public_url}/c/{found.course}"),
            ("sender", found.sender),
            ("sends", f"{', '.join(found.weekdays)} at {found.hour}, {found.zone} by default"),
            ("tracking", _tracking(found)),
            ("revision", f"{found.revision}, by {found.applied_by}{commit}"),
            ("applied", f"{found.applied_at:%Y-%m-%d %H:%M} UTC"),
        ]
    )
    print_lessons(found.lessons)


def _tracking(found: catalog.Details) -> str:
    words = [("opens", found.tracks_opens), ("clicks", found.tracks_clicks)]
    return ", ".join(word for word, is_on in words if is_on) or "off"


def print_lessons(lines: Sequence[LessonLine]) -> None:
    print_table(
        [("no.", "right"), "lesson", "after", "subject"],
        [(line.number, line.lesson, wait(line), line.subject) for line in lines],
    )


def wait(line: LessonLine) -> str:
    """`at once`, `1 day`, `4 hours`."""
    for number, word in ((line.after_days, "day"), (line.after_hours, "hour")):
        if number:
            return f"{number} {word}{'s' * (number > 1)}"
    return "at once"


@course.command()
@click.argument("name")
@dry_run_option
def apply(name: str, dry_run: bool) -> None:
    """Make a course's files the ones that are sent.

    Everything is read and every mail rendered once before; what cannot be sent cannot go live.
    Mails that wait already leave in the new words.

    \b
    Examples:
      minicourse course apply job-search
      minicourse course apply job-search --dry-run
    """
    context = load()
    source = sources.read(context.settings.home, name)
    if dry_run:
        with context.raw_database.writing() as session:
            revision, found, state = _apply(session, source, context)
            session.rollback()
    else:
        revision, found, state = context.raw_database.run(lambda s: _apply(s, source, context))
    if not found:
        click.echo(f"{name}: nothing changed; revision {revision} is live")
        return
    click.echo(f"{name}: revision {revision} {'would be' if dry_run else 'is'} live")
    for line in _words(found):
        click.echo(f"  {line}")
    if state == courses.DRAFT and not dry_run:
        say(f"Nobody can sign up yet → minicourse course publish {name}")


def _apply(session: Session, source: Source, context: Context) -> tuple[int, Changes, str]:
    """The number of the live revision, what it changed, and the course's state."""
    before = _live_files(session, source.slug)
    revision, _ = courses.apply(session, source, context.who, context.now)
    state = session.get_one(Course, revision.course_id).state
    return revision.number, changes.compare(source.slug, before, source.files), state


def _live_files(session: Session, slug: str) -> dict[str, str] | None:
    live = next((one for one in courses.all_live(session) if one.slug == slug), None)
    return session.get_one(Revision, live.revision_id).files if live else None


def _words(found: Changes) -> list[str]:
    lists = (
        ("lessons added", found.added),
        ("lessons changed", found.changed),
        ("lessons moved", found.moved),
        ("lessons removed", found.removed),
        ("files changed", found.files),
    )
    return [f"{what}: {', '.join(names)}" for what, names in lists if names]


@course.command()
@click.argument("name")
def publish(name: str) -> None:
    """Open a course to the public.

    Its page takes sign-ups from then on, into the rolling cohort `evergreen` where the course has
    no cohort yet.

    \b
    Example:
      minicourse course publish job-search
    """
    context = load()
    cohort = context.raw_database.run(lambda s: _publish(s, name, context))
    click.echo(f"{name} is published: {context.settings.public_url}/c/{name} fills {cohort}")


def _publish(session: Session, name: str, context: Context) -> str:
    cohort = courses.publish(session, name, context.now)
    audit.record(session, context.who, "publish", context.now, course=name)
    return cohort.name
