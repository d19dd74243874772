"""`minicourse lesson`: what the lessons say, and how a mail will look."""

from pathlib import Path

import click
from sqlalchemy import select

from course import catalog, courses, curriculum, rendering, sources, subscribers
from course.catalog import pick_lesson
from course.commands.context import (
    Context,
    json_option,
    load,
    print_facts,
    print_json,
    say,
)
from course.commands.course import print_lessons, sources_on_disk, wait
from course.delivery import site_of
from course.models import Enrollment
from course.people import clean
from course.rendering import Recipient
from course.sources import Source


@click.group()
def lesson() -> None:
    """Lessons: list, show, preview.

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


@lesson.command()
@click.argument("name")
@click.option("--as", "email", metavar="EMAIL", help="As this subscriber gets it.")
@click.option("--name", "reader", default="", metavar="NAME", help="As a reader of this name.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to. Default: out/preview in the home.",
)
def preview(name: str, email: str | None, reader: str, out: Path | None) -> None:
    """Write a lesson's mail as HTML and text, from the files as they are now.

    The renderer is the one that sends. Prints where the two files are.

    \b
    Examples:
      minicourse lesson preview welcome --name Kim
      minicourse lesson preview job-search/welcome --as kim@example.com
    """
    if email and reader:
        raise click.UsageError("Give --as or --name, not both.")
    context = load()
    source, slug = _on_disk(context.settings.home, name)
    site = site_of(context.settings)
    person = _subscriber(context, email, source.slug) if email else _stranger(reader)
    loaded = rendering.load_course(source.slug, source.files, site, where=f"lessons/{source.slug}/")
    mail = loaded.lesson(slug).mail(person.values(site))
    folder = (out or context.settings.home / "out" / "preview").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Subject: {mail.subject}")
    for ending, text in (("html", mail.html), ("txt", mail.text)):
        path = folder / f"{source.slug}-{slug}.{ending}"
        path.write_text(text, encoding="utf-8")
        click.echo(path)


def _on_disk(home: Path, name: str) -> tuple[Source, str]:
    """The course folder and the lesson's slug. With the long form no other folder is read."""
    slug = name.rpartition("/")[0]
    found = [sources.read(home, slug)] if slug else sources_on_disk(home)
    curricula = [
        curriculum.parse(one.slug, one.files, where=f"lessons/{one.slug}/") for one in found
    ]
    course, chosen = pick_lesson(name, curricula)
    return next(one for one in found if one.slug == course.slug), chosen.slug


def _stranger(name: str) -> Recipient:
    return Recipient("reader@example.com", clean(name), "", token="preview", confirm_token="")  # noqa: S106


def _subscriber(context: Context, email: str, course: str) -> Recipient:
    """A person as the ledger knows them, with the links of their newest enrollment in it."""
    with context.raw_database.reading() as session:
        person = subscribers.find(session, email)
        token = session.scalar(
            select(Enrollment.token)
            .where(
                Enrollment.subscriber_id == person.id,
                Enrollment.course.has(slug=course),
            )
            .order_by(Enrollment.id.desc())
        )
        return Recipient(person.email or "", person.name, person.zone or "", token or "preview")
