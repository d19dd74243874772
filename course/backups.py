"""Backups: one file, whole or not there at all, and the keys in use beside it.

An embedded database is copied by SQLite's own online backup, into a file that is a database itself.
A server's is dumped by its own program (see `dumps`). Nobody who writes meanwhile is held up.
"""

import os
import re
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from course import dumps, installation
from course.db import (
    Database,
    Standing,
    explained,
    newest_migration,
    refusal,
    require_there,
    standing,
)
from course.errors import MinicourseError, RefusedError
from course.keys import Keys, keys_of
from course.placing import placed
from course.settings import Settings

_PAGES = 2000  # a step; between two of them Ctrl-C is heard
Told = Callable[[int, int], None]  # so many pages are copied, of so many
_NAME = re.compile(r"minicourse-\d{8}-\d{6}\.(db|dump)")


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written, and which older ones were removed."""

    file: Path
    keys: Path
    bytes: int
    removed: tuple[Path, ...] = ()


def untold(done: int, total: int) -> None: ...


def back_up(
    settings: Settings, file: Path, *, overwrite: bool = False, told: Told = untold
) -> Backup:
    """Write the database to this file, and the keys in use beside it."""
    keys = _usable_keys(settings)
    if not overwrite:
        _require_free(file, keys_of(file))
    if file.resolve() in _own_files(settings):
        raise RefusedError(f"{file} belongs to the database itself. Give another name.")
    keys.write(keys_of(file))  # first: there is never a backup without its keys
    with placed(file) as part:
        if settings.database_path is not None:
            copy(settings.database_path, part, told)
        else:
            dumps.dump(settings.database, part)
    return Backup(file, keys_of(file), file.stat().st_size)


def back_up_into(
    settings: Settings, folder: Path, now: datetime, keep: int | None, told: Told = untold
) -> Backup:
    """Write it to a file named by the time, and remove the oldest of that kind beyond `keep`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ending = "db" if settings.database_path is not None else "dump"
    file = folder / f"minicourse-{now.astimezone(UTC):%Y%m%d-%H%M%S}.{ending}"
    made = back_up(settings, file, told=told)
    removed = tuple(_oldest(folder, keep)) if keep is not None else ()
    for file in removed:
        file.unlink()
        keys_of(file).unlink(missing_ok=True)
    return Backup(made.file, made.keys, made.bytes, removed)


def before_migration(settings: Settings) -> Path | None:
    """A copy beside an embedded database, named for the migration that it will undergo. An earlier
    one stays: it is the better one, should that migration have broken off."""
    path = settings.database_path
    if path is None:
        return None
    first = path.with_name(f"{path.name}.before-{newest_migration()}")
    target, number = first, 2
    while target.exists():
        target, number = first.with_name(f"{first.name}-{number}"), number + 1
    with placed(target) as part:
        copy(path, part)
    return target


def copy(source: Path, target: Path, told: Told = untold) -> None:
    """A database file to another, while others read and write it; the copy is one file."""
    uri = f"{source.resolve().as_uri()}?mode=rw"
    if not os.access(source, os.W_OK):
        uri = f"{source.resolve().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader,
            closing(sqlite3.connect(target, isolation_level=None)) as writer,
        ):
            # One snapshot for all steps: else each write of another's would begin the copy anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reader.backup(
                writer,
                pages=_PAGES,
                sleep=0,
                progress=lambda _, left, total: told(total - left, total),
            )
            writer.execute("PRAGMA journal_mode=DELETE")
            (found,) = writer.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise RefusedError(f"Cannot copy {source}: {error}. {_rescue(source)}") from None
    if found != "ok":
        raise RefusedError(f"Cannot copy {source}: it is damaged ({found}). {_rescue(source)}")


def _rescue(source: Path) -> str:
    return (
        f"What can still be read of it, you get with: sqlite3 {shlex.quote(str(source))} .recover"
    )


def _usable_keys(settings: Settings) -> Keys:
    """The keys in use, once it is certain that they are the database's."""
    require_there(settings)
    database = Database(settings.database)
    try:
        with explained(settings):
            found = standing(database)
            if found in (Standing.EMPTY, Standing.BROKEN):
                raise refusal(settings, found)
            if found is Standing.CURRENT:  # an older one is backed up before it is migrated
                with database.reading() as session:
                    installation.check_keys(session, settings)
    finally:
        database.dispose()
    keys = Keys.in_use(settings)
    if keys is None:
        raise MinicourseError("SECRET_KEY or HASH_KEY is missing. Look with: minicourse doctor")
    return keys


def _require_free(*files: Path) -> None:
    for file in files:
        if file.exists():
            raise RefusedError(
                f"{file} exists already. Give another name, or replace it with: --force"
            )


def _own_files(settings: Settings) -> set[Path]:
    path = settings.database_path
    if path is None:
        return set()
    ours = [path, path.with_suffix(".keys"), path.with_suffix(".mark")]
    ours += [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]
    return {file.resolve() for file in ours}


def _oldest(folder: Path, keep: int) -> list[Path]:
    ours = sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))
    return ours[: max(len(ours) - keep, 0)]
