"""`minicourse init`: make an installation ready."""

import getpass
from datetime import datetime
from pathlib import Path

import click

from course import courses, setup, sources
from course.clock import Clock
from course.commands.context import say
from course.db import open_database, shown
from course.installation import SandboxKeys
from course.sandbox.keys import make_key_pair
from course.settings import Settings
from course.setup import Made


@click.command()
def init() -> None:
    """Make the database and its keys, publish the courses found, write `.env`.

    Repeated, it changes nothing. Later edits of a course go live with `minicourse course apply`.

    \b
    Example:
      minicourse init
    """
    settings = Settings.load()
    settings, made = make_ready(settings, Clock(settings.clock_file).now())
    if not made:
        click.echo(f"Nothing to do: {shown(settings)} is ready.")
    tell(settings, made)
    say("Next: minicourse up")


def make_ready(settings: Settings, now: datetime) -> tuple[Settings, Made]:
    """What `init` does, and `up` and `demo` before they start."""
    pair = make_key_pair()
    keys = SandboxKeys(private=pair.private_pem, public=pair.public_base64)
    return setup.init(settings, keys, getpass.getuser(), now)


def tell(settings: Settings, made: Made) -> None:
    """Say what a start made, and what of the author's is not live yet."""
    if made.database:
        click.echo(f"Made the database {shown(settings)}.")
        if settings.key_path is not None and settings.key_path.exists():
            click.echo(f"Its keys are in {settings.key_path}: back up the two together.")
        if not made.courses:
            say(f"There is no course in {settings.home / 'lessons'} yet.")
            say("Make one with: minicourse course new NAME")
    elif made.tables:
        click.echo(f"Brought {shown(settings)} up to date.")
        tell_copy(made.copy)
    for slug in made.courses:
        click.echo(f"Published the course {slug}, with the rolling cohort {slug}/evergreen.")
    if made.env_file:
        click.echo(f"Wrote {made.env_file}: every setting, explained; none is needed to begin.")
    for slug in not_live(settings):
        say(f"{slug}: changes on disk are not live → {courses.step_to_live(slug)}")


def tell_copy(copy: Path | None) -> None:
    if copy is not None:
        click.echo(f"As it was before, it is in {copy}. Once all is well, you may remove that.")


def not_live(settings: Settings) -> list[str]:
    """Slugs of courses whose files differ from what is sent."""
    folders = sources.course_folders(settings.home)
    found = [sources.read(settings.home, folder.name) for folder in folders]
    database = open_database(settings)
    try:
        with database.reading() as session:
            return courses.waiting_changes(session, found)
    finally:
        database.dispose()
