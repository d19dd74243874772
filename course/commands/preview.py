"""`minicourse lesson preview`: a lesson as files, or the whole course as a page that follows."""

from pathlib import Path

import click
from sqlalchemy import select

from course import curriculum, rendering, samples, subscribers
from course.catalog import pick_lesson
from course.commands.context import Context, load, say
from course.commands.places import Place, in_option, place
from course.commands.processes import PORT
from course.models import Enrollment
from course.office import site_of
from course.people import clean
from course.processes import ports
from course.rendering import CompiledCourse, Recipient
from course.samples import PEOPLE, TOKEN, Sample
from course.sources import Source

_PORT = 8010

out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write to. Default: out/preview in the home.",
)


@click.command()
@click.argument("name", metavar="[COURSE/]LESSON|COURSE")
@click.option(
    "--as", "who", metavar="WHO", help="As a subscriber (EMAIL), or a built-in reader (SAMPLE)."
)
@click.option("--name", "called", default="", metavar="NAME", help="As a reader of this name.")
@out_option
@click.option("--watch", is_flag=True, help="Show the course as a page that follows its files.")
@click.option("--port", type=PORT, help=f"With --watch. Default: {_PORT}.")
@in_option
def preview(
    name: str,
    who: str | None,
    called: str,
    out: Path | None,
    watch: bool,
    port: int | None,
    inside: Path | None,
) -> None:
    """Show a lesson's mail, from the files as they are now; the renderer is the one that sends.

    It is written as HTML and as text, and the two places are printed. While you write, rather let
    --watch serve a page to your browser: each mail of the course in phone and desktop width, light
    and dark, its text part and its size, new with each save.

    Built-in readers: kim, nameless, long, rtl, script, faraway.

    \b
    Examples:
      minicourse lesson preview welcome --name Kim
      minicourse lesson preview job-search/welcome --as kim@example.com
      minicourse lesson preview job-search/welcome --as rtl

    And with a page: minicourse lesson preview job-search --watch
    """
    if who and called:
        raise click.UsageError("Give --as or --name, not both.")
    if watch and out:
        raise click.UsageError("Give --watch or --out, not both.")
    if port and not watch:
        raise click.UsageError("--port goes with --watch.")
    context = load()
    there = place(inside, context.settings.home)
    if watch:
        _serve(context, there, name, who, called, port or _PORT)
    else:
        _write(context, there, name, who, called, out)


def _write(
    context: Context, there: Place, name: str, who: str | None, called: str, out: Path | None
) -> None:
    source, slug = lesson_on_disk(there, name)
    site = site_of(context.settings)
    person = _reader(context, who, called, source.slug).person
    where = there.where(source.slug)
    loaded = rendering.load_course(source.slug, source.files, site, where=where)
    write_mail(loaded, slug, person, folder_for(out, context), f"{source.slug}-{slug}")


def folder_for(out: Path | None, context: Context) -> Path:
    return (out or context.settings.home / "out" / "preview").resolve()


def write_mail(
    course: CompiledCourse, slug: str, person: Recipient, folder: Path, name: str
) -> None:
    """Both its parts as files of that name; the subject is said, the places are printed."""
    mail = course.lesson(slug).mail(course.values(samples.dressed(person, course.course)))
    folder.mkdir(parents=True, exist_ok=True)
    say(f"Subject: {mail.subject}")
    for ending, text in (("html", mail.html), ("txt", mail.text)):
        path = folder / f"{name}.{ending}"
        path.write_text(text, encoding="utf-8")
        click.echo(path)


def _serve(
    context: Context, there: Place, name: str, who: str | None, called: str, port: int
) -> None:
    from course.preview.app import create_app
    from course.preview.desk import Desk
    from course.preview.serving import HOST, server

    slug, lesson = _course_on_disk(there, name)
    first = _reader(context, who, called, slug) if who or called else PEOPLE[0]
    readers = [first, *(one for one in PEOPLE if one.key != first.key)]
    context.close()  # who was looked up is all that the database is asked for
    (folder,) = there.folders([slug])
    desk = Desk(folder, there.home, site_of(context.settings), there.where(slug))
    again = f"Choose another: minicourse lesson preview {name} --watch --port PORT"
    ports.require_free(HOST, port, again)
    with server(create_app(desk, readers), port) as serving:
        click.echo(f"{ports.url(HOST, port)}/{f'lesson/{lesson}' if lesson else ''}")
        say(f"It follows {folder} and the mails' templates. Ctrl-C ends it.")
        serving.serve_forever()


def _course_on_disk(there: Place, name: str) -> tuple[str, str]:
    """Course and lesson, or no lesson: then the page begins with the first one. What is in the
    files matters later, because the page shows what is wrong with them."""
    slug, _, lesson = name.rpartition("/")
    if not slug and there.has(name):
        return name, ""
    if slug:
        return there.read(slug).slug, lesson
    source, lesson = lesson_on_disk(there, name)
    return source.slug, lesson


def lesson_on_disk(there: Place, name: str) -> tuple[Source, str]:
    """The course folder and the lesson's slug. With the long form no other folder is read."""
    slug = name.rpartition("/")[0]
    found = [there.read(slug)] if slug else there.every()
    curricula = [
        curriculum.parse(one.slug, one.files, where=there.where(one.slug)) for one in found
    ]
    course, chosen = pick_lesson(name, curricula)
    return next(one for one in found if one.slug == course.slug), chosen.slug


def _reader(context: Context, who: str | None, called: str, course: str) -> Sample:
    """Whoever looks first: a subscriber, a built-in reader, or somebody of that name or of none."""
    if who and "@" in who:
        person = _subscriber(context, who, course)
        return Sample(person.email, person.email, person)
    if who:
        return samples.sample(who)
    if not called:
        return samples.sample("nameless")
    name = clean(called)
    return Sample("name", f"“{name}”", Recipient("reader@example.com", name, "", TOKEN, TOKEN))


def _subscriber(context: Context, email: str, course: str) -> Recipient:
    """A person as the ledger knows them, with the links of their newest enrollment in it."""
    with context.raw_database.reading() as session:
        person = subscribers.find(session, email)
        found = session.execute(
            select(Enrollment.token, Enrollment.fields)
            .where(
                Enrollment.subscriber_id == person.id,
                Enrollment.course.has(slug=course),
            )
            .order_by(Enrollment.id.desc())
        ).first()
    token, said = found or (TOKEN, "")
    return Recipient(person.email or "", person.name, person.zone or "", token, fields=said)
