"""`minicourse course`: what there is, what is live, and making files live."""

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy.orm import Session

from course import audit, catalog, courses, sources
from course.catalog import LessonLine
from course.commands.check import check
from course.commands.context import (
    Context,
    json_option,
    load,
    print_facts,
    print_json,
    print_table,
    say,
)
from course.commands.form import form
from course.commands.new import new
from course.commands.rehearse import rehearse
from course.commands.revisions import apply, plan, revisions, rollback
from course.commands.timeline import timeline
from course.errors import CourseError
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
    found, unread = _readable(context.settings.home)
    with context.raw_database.reading() as session:
        lines = catalog.listing(session, found, unread)
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
    waiting = [line.course for line in lines if line.changes_not_live]
    say_not_live([slug for slug in waiting if slug not in unread])
    for slug, error in unread.items():
        say(f"{slug} cannot be read: {error} → minicourse course check {slug}")
    if not lines:
        say(f"No course in {context.settings.home / 'lessons'}: make a folder with a course.toml.")


def _readable(home: Path) -> tuple[list[Source], dict[str, CourseError]]:
    """The courses on disk, and by name what keeps others from being read."""
    found, unread = [], {}
    for folder in sources.course_folders(home):
        try:
            found.append(sources.read(home, folder.name))
        except CourseError as error:
            unread[folder.name] = error
    return found, unread


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


course.add_command(plan)
course.add_command(apply)
course.add_command(revisions)
course.add_command(rollback)
course.add_command(rehearse)
course.add_command(timeline)
course.add_command(form)


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
