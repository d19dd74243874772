"""`minicourse course new`: the folder that a course begins as."""

import shlex
from pathlib import Path

import click

from course import scaffold
from course.commands.context import say
from course.commands.places import Place, in_option, place
from course.errors import RefusedError
from course.settings import Settings


@click.command()
@click.argument("slug")
@in_option
@click.option("--title", help="What the course is called. Default: made from SLUG.")
def new(slug: str, inside: Path | None, title: str | None) -> None:
    """Make the folder of a new course: course.toml with every key explained, about.md, two
    sample lessons. Nothing is overwritten, and nothing is sent before you apply it.

    SLUG is the folder's name and stands in the page's address: a-z, 0-9 and -.

    \b
    Examples:
      minicourse course new first-loaf
      minicourse course new sourdough --title "Bread With Patience"
      minicourse course new rye --in my-courses
    """
    scaffold.require_slug(slug)
    home = Settings.load().home
    there = place(inside, home)
    if there.only:
        raise RefusedError(f"{inside} is a course itself; name the folder that it lies in.")
    written = scaffold.write(there.courses / slug, title or scaffold.title_of(slug))
    for path in written:
        click.echo(f"{there.where(slug)}{path.name}" if inside else path)
    _say_what_is_next(slug, inside, there, home)


def _say_what_is_next(slug: str, inside: Path | None, there: Place, home: Path) -> None:
    elsewhere = f" --in {shlex.quote(str(inside))}" if inside else ""
    say(f"Write; then look it over with: minicourse course check {slug}{elsewhere}")
    if there.courses == home / "lessons":
        say(f"See a mail with: minicourse lesson preview {slug}/welcome")
        say(f"Make it live with: minicourse course apply {slug}")
    elif there.courses == there.home / "lessons":
        say(f"To run this home: export MINICOURSE_HOME={shlex.quote(str(there.home))}")
    else:
        say(f"To send it, put the folder into the lessons/ of a home, such as {home / 'lessons'}")
