"""The first start: keys, database, courses. What is there already is left as it is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic.util import CommandError
from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError

from course import courses, installation, rendering, sources
from course.db import Database, is_migrated, migrate, shown
from course.errors import DatabaseError
from course.installation import SandboxKeys
from course.models import Installation
from course.settings import SOURCE_ROOT, Settings
from course.sources import Source


@dataclass(frozen=True, slots=True)
class Made:
    """What a start made; all of it false when it was repeated."""

    database: bool = False
    tables: bool = False
    courses: tuple[str, ...] = ()
    env_file: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.database or self.tables or self.env_file)


def init(settings: Settings, keys: SandboxKeys, who: str, now: datetime) -> tuple[Settings, Made]:
    """Make the installation ready; returns the settings with the keys that it has from now on.

    Courses are applied and published only into an empty database: later edits wait for a person's
    word. Nothing is made before every course found has compiled.
    """
    if is_installed(settings):
        return settings, Made(tables=upgrade(settings), env_file=_write_env(settings.home))
    found = [sources.read(settings.home, at.name) for at in sources.course_folders(settings.home)]
    for source in found:
        rendering.compile_course(source.slug, source.files, where=f"lessons/{source.slug}/")
    settings = settings.with_made_keys()
    if settings.database_path is not None:
        settings.database_path.parent.mkdir(parents=True, exist_ok=True)
        settings.database_path.touch(mode=0o600)  # it will hold addresses
    upgrade(settings)
    made = _fill(settings, found, keys, who, now)
    slugs = tuple(source.slug for source in found) if made else ()
    return settings, Made(made, made, slugs, _write_env(settings.home))


def is_installed(settings: Settings) -> bool:
    """Whether there is a database that was made ready once: its keys are never made anew."""
    path = settings.database_path
    if path is not None and not path.exists():
        return False
    with _opened(settings) as database:
        if not inspect(database.engine).has_table(Installation.__tablename__):
            return False
        with database.reading() as session:  # an older version's table may lack columns
            return session.scalar(select(Installation.id)) is not None


def upgrade(settings: Settings) -> bool:
    """Bring the tables to this version's; False where they are that already."""
    with _opened(settings) as database:
        if is_migrated(database):
            return False
        migrate(settings.database)
        return True


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database)
    try:
        yield database
    except DBAPIError as error:
        raise DatabaseError(f"Cannot open {shown(settings)}: {error.orig}") from None
    except CommandError as error:
        raise DatabaseError(
            f"{shown(settings)} was made by a newer version of minicourse ({error}). "
            "Update the program with: git pull && make install"
        ) from None
    finally:
        database.dispose()


def _fill(
    settings: Settings, found: list[Source], keys: SandboxKeys, who: str, now: datetime
) -> bool:
    """In one transaction the installation and all its courses, or nothing."""
    assert settings.hash_key is not None
    with _opened(settings) as database, database.writing() as session:
        if installation.exists(session):
            return False  # another `init` was quicker
        installation.create(session, settings.hash_key.get_secret_value(), keys, now)
        for source in found:
            courses.apply(session, source, who, now)
            courses.publish(session, source.slug, now)
        return True


def _write_env(home: Path) -> Path | None:
    """A `.env` of commented settings for a person to fill in; as it will hold secrets, 0600."""
    target = home / ".env"
    if target.exists():
        return None
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write((SOURCE_ROOT / ".env.example").read_text())
    return target
