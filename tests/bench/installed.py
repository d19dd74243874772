"""Databases for measuring: founded as `minicourse init` does it, filled, copied, opened."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import URL

from course import copies
from course.clock import Clock
from course.db import Database, migrate
from course.mailer import Mailer
from course.office import Office
from course.settings import SendLimit, Settings
from tests import postgres
from tests.bench import learners
from tests.world import found, make_home

SECRET_KEY, HASH_KEY = "a secret for measuring", "a hash key for measuring"
SIGN_UPS = SendLimit(count=1_000_000, window=timedelta(hours=1))  # no measurement is a flood
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

# Opens a new database of that name, or a copy of another one, and gives its URL.
Opener = Callable[..., AbstractContextManager[str]]


@contextmanager
def sqlite(folder: Path) -> Iterator[Opener]:
    yield partial(_file, folder)


@contextmanager
def _file(folder: Path, name: str, template: str | None = None) -> Iterator[str]:
    path = folder / f"{name}.db"
    if template:
        shutil.copyfile(folder / f"{template}.db", path)
        _sync(path)
    try:
        yield f"sqlite:///{path}"
    finally:
        for file in folder.glob(f"{name}.*"):
            file.unlink()


def _sync(path: Path) -> None:
    """What is still to be written of a copy must not burden what is measured on it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def postgresql(_folder: Path) -> Iterator[Opener]:
    with postgres.server() as server:
        yield partial(_on_server, server)


@contextmanager
def _on_server(server: URL, name: str, template: str | None = None) -> Iterator[str]:
    own, other = f"bench_{os.getpid()}_{name}", f"bench_{os.getpid()}_{template}"
    with postgres.database(server, own, other if template else None) as url:
        postgres.execute(server, "CHECKPOINT")
        yield url


KINDS = {"sqlite": sqlite, "postgresql": postgresql}


@dataclass(frozen=True)
class Installed:
    """One installation: what its own processes would read from their environment, and an open
    database."""

    settings: Settings
    database: Database

    @property
    def clock(self) -> Clock:
        return Clock(self.settings.clock_file)

    @property
    def office(self) -> Office:
        """As the scheduler makes it."""
        settings, clock = self.settings, self.clock
        mailer = Mailer("sandbox", settings.mail_host, settings.call_deadline_seconds)
        assert copies.notice(self.database, settings, clock.now(), clock.real()) is None
        return Office(self.database, settings, mailer, clock)

    @property
    def environment(self) -> dict[str, str]:
        settings = self.settings
        return {
            "MINICOURSE_CLOCK_FILE": str(settings.clock_file),
            "DATABASE_URL": settings.database_url,
            "SENDGRID_HOST": settings.sendgrid_host,
            "PUBLIC_URL": settings.public_url,
            "SECRET_KEY": SECRET_KEY,
            "HASH_KEY": HASH_KEY,
            "SIGNUP_LIMIT": f"{SIGN_UPS.count}/hour",
        }

    def set_time(self, moment: datetime) -> None:
        assert self.settings.clock_file
        self.settings.clock_file.write_text(moment.isoformat())


@contextmanager
def opened(
    folder: Path, url: str, host: str = "http://127.0.0.1:9", pages: str = "http://127.0.0.1:8000"
) -> Iterator[Installed]:
    """The installation of that database; its mails go to `host`, its time stands."""
    settings = Settings(
        home=folder / "home",
        database_url=url,
        sendgrid_host=host,
        public_url=pages,
        secret_key=(SECRET_KEY,),
        hash_key=HASH_KEY,
        clock_file=folder / "clock",
        signup_limit=SIGN_UPS,
    )
    made = Installed(settings, Database(url))
    made.set_time(learners.NOW)
    try:
        yield made
    finally:
        made.database.dispose()


def build(folder: Path, url: str, count: int) -> None:
    """A new database with so many learners, who have had their first lesson."""
    if not (folder / "home").exists():
        make_home(folder / "home")
    migrate(url)
    with opened(folder, url) as made:
        found(made.settings, made.database)
        learners.enroll(made.database, count)
