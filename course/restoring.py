"""A backup put back: beside the place of the database first, where it is tried; then in its place,
with a hold on everything. Whatever does not fit is said before anything is changed."""

import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from course import audit, backups, dumps, erasures, holds, keys, soundness, wiping
from course.backups import Told, untold
from course.db import (
    Database,
    Standing,
    migrate,
    newest_migration,
    opened,
    refusal,
    shown,
    standing,
)
from course.errors import RefusedError
from course.keys import Keys, keys_of
from course.placing import placed
from course.settings import Settings
from course.soundness import Finding
from course.states import HoldKind
from course.wording import counted

_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back: its hold, what `db check` says of it, the keys that were put in place, and
    whether a link could be tried (without FILE.keys there is none to try)."""

    hold: int
    findings: list[Finding]
    keys_written: Path | None
    links_tried: bool


@dataclass(frozen=True, slots=True)
class Order:
    """Who restores what, and when (course time, real time)."""

    file: Path
    who: str
    now: datetime
    real: datetime


def restore(settings: Settings, order: Order, told: Told = untold) -> Restored:
    """Put the backup where the settings look for the database; there may be none yet."""
    _require_kind(settings, order.file)
    in_use, to_write = keys.for_backup(settings, order.file)
    if settings.database_path is not None:
        return _restore_file(settings, order, in_use, to_write, told)
    return _restore_dump(settings, order, in_use)


def _restore_file(
    settings: Settings, order: Order, in_use: Keys, to_write: Path | None, told: Told
) -> Restored:
    path = settings.database_path
    assert path is not None
    _require_nothing_at(path, order.now)
    path.parent.mkdir(parents=True, exist_ok=True)
    with placed(path) as part:
        backups.copy(order.file, part, told)
        aside = settings.model_copy(update={"database_url": f"sqlite:///{part}"})
        with opened(aside) as database:
            _require_usable(database, aside, order.file)
            with database.reading() as session:
                facts = keys.stored_in(session)
            keys.require_fitting(settings, in_use, facts, order.file)
            hold, findings = _accept(database, aside, order)
        _make_one_file(part)
        if to_write is not None:
            in_use.write(to_write)
    return Restored(hold, findings, to_write, Keys.read(keys_of(order.file)) is not None)


def _restore_dump(settings: Settings, order: Order, in_use: Keys) -> Restored:
    with opened(settings) as database:
        _require_empty(database, settings)
        keys.require_fitting(settings, in_use, keys.dumped_in(order.file), order.file)
        version = next(dumps.rows(order.file, "alembic_version"), {}).get("version_num")
        if version is None or version > newest_migration():
            raise _newer(order.file)
        dumps.load(settings.database, order.file)
        hold, findings = _accept(database, settings, order)
    return Restored(hold, findings, None, Keys.read(keys_of(order.file)) is not None)


def _accept(database: Database, settings: Settings, order: Order) -> tuple[int, list[Finding]]:
    """Bring it to this version's tables, hold it, and look at it."""
    if standing(database) is Standing.OLDER:
        database.dispose()
        migrate(settings.database)

    def work(session: Session) -> int:
        # The hold of a copy: whoever releases it says that this is the one that sends from now on.
        hold = holds.place(
            session,
            holds.Scope(),
            HoldKind.COPY,
            why=f"this database was restored from {order.file.name}. What it calls not sent may "
            "have been sent since that backup. Release it only where no other copy of it sends",
            who=order.who,
            now=order.now,
            real=order.real,
        )
        audit.record(session, order.who, "restore", order.now, file=order.file.name, hold=hold.id)
        return hold.id

    number = database.run(work)
    traces = database.run(
        lambda session: erasures.repeat(session, settings, who=order.who, now=order.now)
    )
    if traces:
        wiping.wipe(database, traces)
    with database.reading() as session:
        return number, soundness.check(session)


# What stands in the way? --------------------------------------------------------------------------


def _require_kind(settings: Settings, file: Path) -> None:
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_SQLITE))
    except OSError as error:
        raise RefusedError(f"Cannot read the backup {file}: {error.strerror}.") from None
    is_file, is_dump = head == _SQLITE, head.startswith(dumps.MAGIC)
    if not is_file and not is_dump:
        raise RefusedError(f"{file} is no backup: neither an SQLite database nor a pg_dump archive")
    if is_file and not _is_ours(file):
        raise RefusedError(
            f"{file} is no backup of minicourse: it is an SQLite database of something else. Name "
            "a file that `minicourse db backup` has written."
        )
    if is_file is not (settings.database_path is not None):
        kind = "an SQLite database" if is_file else "a dump of PostgreSQL"
        raise RefusedError(
            f"{file} is {kind}, but DATABASE_URL is {shown(settings)}. Set DATABASE_URL to a "
            "database of the backup's kind."
        )


def _is_ours(file: Path) -> bool:
    """Whether it has our table, by its name alone; what is damaged is told of when it is
    copied."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as reader:
            rows = reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    except sqlite3.Error:
        return True
    return ("installation",) in rows


def _require_nothing_at(path: Path, now: datetime) -> None:
    """SQLite would read an old journal into the new file, so that may not be there either."""
    beside = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm", "-journal")]
    found = next((file for file in beside if file.exists()), None)
    if found is None:
        return
    away = shlex.quote(str(path.with_name(f"before-restore-{now:%Y%m%d-%H%M%S}")))
    folder, name, more = map(shlex.quote, (str(path.parent), path.name, f"{path.name}-*"))
    raise RefusedError(
        f"There is a database at {found}, and restore overwrites none. End minicourse, then move "
        f"it away with: mkdir {away} && find {folder} -maxdepth 1 "
        f"\\( -name {name} -o -name {more} \\) -exec mv {{}} {away} \\;"
    )


def _require_empty(database: Database, settings: Settings) -> None:
    """No tables, and nobody who would begin to send the moment that there are some."""
    with database.engine.connect() as connection:
        if inspect(connection).get_table_names():
            raise RefusedError(
                f"The database {shown(settings)} is not empty, and restore overwrites none. Make "
                "another one (createdb NAME) and set DATABASE_URL to it."
            )
        others = connection.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    if others:
        raise RefusedError(
            f"The database {shown(settings)} is in use by {counted(others, 'other connection')}. "
            "End web, scheduler and worker everywhere, then run the same command again."
        )


def _require_usable(database: Database, settings: Settings, file: Path) -> None:
    found = standing(database)
    if found is Standing.NEWER:
        raise _newer(file)
    if found not in (Standing.CURRENT, Standing.OLDER):
        raise RefusedError(f"{file} is no backup of minicourse: {refusal(settings, found)}")


def _newer(file: Path) -> RefusedError:
    return RefusedError(
        f"The backup {file} is of a newer version of minicourse. Update the program with: "
        "git pull && make install"
    )


# The file -----------------------------------------------------------------------------------------


def _make_one_file(path: Path) -> None:
    """Without a journal beside it, it can be renamed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
