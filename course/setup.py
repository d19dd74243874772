"""The first start: keys, database, courses. What is there already is left as it is."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course import backups, courses, installation, rendering, sources
from course.db import Standing, explained, migrate, opened, refusal, require_there, standing
from course.installation import SandboxKeys
from course.settings import SOURCE_ROOT, Settings
from course.sources import Source


@dataclass(frozen=True, slots=True)
class Made:
    """What a start made; all of it false when it was repeated."""

    database: bool = False
    tables: bool = False
    courses: tuple[str, ...] = ()
    env_file: Path | None = None
    copy: Path | None = None  # of the database, from before its tables were changed

    def __bool__(self) -> bool:
        return bool(self.database or self.tables or self.env_file)


def init(settings: Settings, keys: SandboxKeys, who: str, now: datetime) -> tuple[Settings, Made]:
    """Make the installation ready; returns the settings with the keys that it has from now on.

    Courses are applied and published only into an empty database: later edits wait for a person's
    word. Nothing is made before every course found has compiled.
    """
    if _look(settings) is not Standing.EMPTY:
        upgraded = upgrade(settings)
        settings = _with_its_keys(settings)
        return settings, Made(
            tables=upgraded is not None,
            env_file=_write_env(settings.home),
            copy=upgraded.copy if upgraded else None,
        )
    found = [sources.read(settings.home, at.name) for at in sources.course_folders(settings.home)]
    for source in found:
        rendering.compile_course(source.slug, source.files, where=f"lessons/{source.slug}/")
    settings = settings.with_made_keys()
    if settings.database_path is not None:
        settings.database_path.parent.mkdir(parents=True, exist_ok=True)
        settings.database_path.touch()
        settings.database_path.chmod(0o600)  # it will hold addresses
    with explained(settings):
        migrate(settings.database)
    made = _fill(settings, found, keys, who, now)
    slugs = tuple(source.slug for source in found) if made else ()
    return settings, Made(made, made, slugs, _write_env(settings.home))


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The tables were changed; of an embedded database a copy was made before."""

    copy: Path | None


def upgrade(settings: Settings) -> Upgraded | None:
    """Bring the tables to this version's; None where they are that already."""
    require_there(settings)
    found = _look(settings)
    if found is Standing.CURRENT:
        return None
    if found is not Standing.OLDER:
        raise refusal(settings, found)
    copy = backups.before_migration(settings)
    with explained(settings):
        migrate(settings.database)
    return Upgraded(copy)


def _look(settings: Settings) -> Standing:
    """What is not there yet is as good as empty."""
    if settings.database_path is not None and not settings.database_path.exists():
        return Standing.EMPTY
    with opened(settings) as database:
        return standing(database)


def _with_its_keys(settings: Settings) -> Settings:
    """Keys are never made anew: what was hashed with lost ones would be nobody's."""
    if settings.key_path is not None and settings.key_path.exists():
        settings = settings.with_made_keys()  # perhaps by an `init` that was quicker
    with opened(settings) as database, database.reading() as session:
        installation.check_keys(session, settings)
    return settings


def _fill(
    settings: Settings, found: list[Source], keys: SandboxKeys, who: str, now: datetime
) -> bool:
    """In one transaction the installation and all its courses, or nothing."""
    assert settings.hash_key is not None
    with opened(settings) as database, database.writing() as session:
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
