"""An installation as one run uses it: settings, database, clock; and where its mail goes."""

import getpass
import logging
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import click

from course import installation
from course.clock import Clock
from course.db import Database, open_database
from course.people import harmless
from course.processes import FOR_MACHINES
from course.settings import Settings

if TYPE_CHECKING:
    from course.mailer import Mailer
    from course.office import Office


@dataclass(frozen=True)
class Context:
    """One command's run: settings read once, time taken once."""

    settings: Settings
    clock: Clock
    now: datetime

    @cached_property
    def database(self) -> Database:
        """The installation's own database, checked to belong to these settings."""
        with self.raw_database.reading() as session:
            installation.check(session, self.settings)
        return self.raw_database

    @cached_property
    def raw_database(self) -> Database:
        """The same without that check: for commands that only read, or stop mail, or mend the
        settings, and so must work when those do not fit."""
        return open_database(self.settings)

    @cached_property
    def office(self) -> "Office":
        """What sending needs. A database that is a copy is held before anything is sent."""
        from course import copies  # only those who send need these
        from course.office import Office

        hold = copies.notice(self.database, self.settings, self.now, self.clock.real())
        if hold is not None:
            say(f"Held: {hold.why}. To let it send: minicourse send release {hold.id}")
        return Office(self.database, self.settings, self.mailer, self.clock)

    @cached_property
    def mailer(self) -> "Mailer":
        """With the key of the settings, or to the sandbox."""
        from course.mailer import Mailer

        return Mailer(
            self.settings.mail_key,
            self.settings.mail_host,
            self.settings.call_deadline_seconds,
        )

    @property
    def hash_key(self) -> str:
        key = self.settings.hash_key
        assert key is not None  # `database` has checked it
        return key.get_secret_value()

    @property
    def who(self) -> str:
        """Who gives this order, for the audit."""
        return getpass.getuser()

    def close(self) -> None:
        opened = self.__dict__.get("raw_database")
        if opened is not None:
            opened.dispose()


def load() -> Context:
    """This run's context; its database is closed when the command ends."""
    settings = Settings.load()
    clock = Clock(settings.clock_file)
    context = Context(settings, clock, clock.now())
    if command := click.get_current_context(silent=True):
        command.call_on_close(context.close)
    return context


def say(text: str) -> None:
    """Chatter: for people, on stderr. What a process says there for a machine is in lines of one
    kind, and so it is one of them."""
    if any(handler.name == FOR_MACHINES for handler in logging.getLogger().handlers):
        logging.getLogger("course.said").info("%s", text)
    else:
        click.echo(harmless(text), err=True)


def announce_mode(settings: Settings) -> None:
    """Where mail goes, said at each start while it does not go to real people."""
    if settings.sandboxed:
        say(f"Sandbox: mail goes to {settings.mail_host} on this machine, not to people.")
