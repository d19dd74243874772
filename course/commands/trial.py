"""`minicourse lesson test`: a lesson, or all of them, into the author's own inbox."""

import time
from collections.abc import Iterator
from pathlib import Path

import click

from course import people, rendering, samples
from course.commands.context import (
    Context,
    announce_mode,
    json_option,
    load,
    print_json,
    say,
)
from course.commands.pace import Pace
from course.commands.places import Place, in_option, place
from course.commands.preview import lesson_on_disk
from course.office import site_of
from course.processes.ports import require_sandbox
from course.rendering import CompiledCourse
from course.samples import PEOPLE

_EVERY = "2s"


@click.command()
@click.argument("name", metavar="[COURSE/]LESSON|COURSE")
@click.option("--to", required=True, metavar="EMAIL", help="Your own address.")
@click.option("--all", "everything", is_flag=True, help="All lessons of the course that is named.")
@click.option("--every", type=Pace(), help=f"With --all: the pause between two. Default: {_EVERY}.")
@click.option(
    "--as",
    "who",
    type=click.Choice([one.key for one in PEOPLE]),
    default=PEOPLE[0].key,
    show_default=True,
    help="As which of the built-in readers.",
)
@in_option
@json_option
def test(
    name: str,
    to: str,
    everything: bool,
    every: float | None,
    who: str,
    inside: Path | None,
    as_json: bool,
) -> None:
    """Send a lesson to yourself, from the files as they are now, through the real mailer.

    The subject is marked as a test. Nobody's progress moves and nothing is counted, but for
    SEND_LIMIT. The links in it work, and are nobody's.

    \b
    Examples:
      minicourse lesson test welcome --to me@example.com
      minicourse lesson test job-search/welcome --to me@example.com --as rtl
      minicourse lesson test job-search --all --to me@example.com --every 500ms
    """
    if every is not None and not everything:
        raise click.UsageError("--every goes with --all.")
    context = load()
    address = people.parse_email(to, sandbox=context.settings.sandboxed)
    there = place(inside, context.settings.home)
    course, slugs = _chosen(context, there, name, everything=everything)
    _ = context.database  # refused first where settings and database do not belong together
    announce_mode(context.settings)
    require_sandbox(context.settings)
    pause = Pace().convert(_EVERY if every is None else every, None, None)
    sent: list[dict[str, object]] = []
    try:
        for one in _send(context, course, slugs, who, address, pause):
            sent.append(one)
            if not as_json:
                click.echo(f"{one['lesson']}: {one['subject']}")
    finally:
        if as_json and sent:
            print_json(sent if everything else sent[0])
    say(f"Sent to {address}: {len(sent)}. None of it is in any figures.")


def _chosen(
    context: Context, there: Place, name: str, *, everything: bool
) -> tuple[CompiledCourse, list[str]]:
    if everything:
        source, slug = there.read(name), ""
    else:
        source, slug = lesson_on_disk(there, name)
    where = there.where(source.slug)
    site = site_of(context.settings)
    course = rendering.load_course(source.slug, source.files, site, where=where)
    return course, [slug] if slug else [lesson.slug for lesson in course.course.lessons]


def _send(
    context: Context,
    course: CompiledCourse,
    slugs: list[str],
    who: str,
    to: str,
    pause: float,
) -> Iterator[dict[str, object]]:
    """One after the other, so that they arrive in order. The first that is not taken ends it; what
    cannot be rendered is found before any has left."""
    from course import trial  # only those who send need it

    person = samples.sample(who).person
    letters = [trial.outgoing(context.settings, course, slug, person, to) for slug in slugs]
    for number, (slug, letter) in enumerate(zip(slugs, letters, strict=True)):
        if number:
            time.sleep(pause)
        answer = trial.send(context.office, letter)
        yield {
            "lesson": f"{course.course.slug}/{slug}",
            "subject": trial.MARK
            + course.lesson(slug)
            .mail(course.values(samples.dressed(person, course.course)))
            .subject,
            "to": to,
            "as": who,
            "message_id": answer.x_message_id,
        }
