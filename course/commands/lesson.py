"""`minicourse lesson`: what the lessons say, and how a mail will look."""

import click

from course import catalog, courses
from course.commands.context import json_option, load, print_facts, print_json
from course.commands.course import print_lessons, wait
from course.commands.preview import preview
from course.commands.trial import test


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
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a lesson as it is live: COURSE/LESSON, or LESSON where only one course has it.

    \b
    Example:
      minicourse lesson show job-search/welcome
    """
    context = load()
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


lesson.add_command(preview)
lesson.add_command(test)
