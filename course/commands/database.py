"""`minicourse db`: the database itself."""

import click

from course import setup
from course.db import shown
from course.settings import Settings


@click.group()
def db() -> None:
    """The database: bring it up to date.

    \b
    Example:
      minicourse db upgrade
    """


@db.command()
def upgrade() -> None:
    """Bring the tables to this version's, after an update of the program.

    \b
    Example:
      minicourse db upgrade
    """
    settings = Settings.load()
    if setup.upgrade(settings):
        click.echo(f"Brought {shown(settings)} up to date.")
    else:
        click.echo(f"Nothing to do: {shown(settings)} is up to date.")
