"""What was deleted, out of the database's files too: freed pages, and the log of what was written.

SQLite overwrites what it frees (`secure_delete`), but the log beside it holds pages as they were,
and a page that was split may keep a copy of what moved. PostgreSQL keeps old rows until VACUUM,
which frees their space and does not overwrite it: its pages, its write-ahead log and the archive
of that log may hold them for a while longer.
"""

import mmap
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from course import dumps
from course.db import Database
from course.models import Base
from course.settings import Settings

_SIDES = ("", "-wal", "-shm")
_PATIENCE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Wiped:
    """Whether nothing is left in the files that are ours to clean, and else what to do."""

    is_clean: bool
    advice: str = ""


def wipe(database: Database, traces: Iterable[str] = ()) -> Wiped:
    """Clean the files, after the commit. `traces`: texts that may stand nowhere any more; where
    one is still found in an embedded database, its file is written anew."""
    if database.is_sqlite:
        return _wipe_file(Path(str(database.engine.url.database)), list(traces))
    return _vacuum(database)


def _wipe_file(path: Path, traces: Sequence[str]) -> Wiped:
    busy = Wiped(
        False,
        "Another process reads the database just now, so its log still holds old pages. "
        "It is cleaned within minutes; to see to it now, run the same command again.",
    )
    needles = [trace.encode() for trace in traces if trace]
    uri = f"{path.resolve().as_uri()}?mode=rw"
    with closing(
        sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        if not _empty_log(connection):
            return busy
        if not any(_holds(file, needles) for file in _files(path)):
            return Wiped(True)
        try:
            connection.execute("VACUUM")
        except sqlite3.OperationalError as error:
            return Wiped(False, f"The database's file could not be written anew: {error}.")
        return Wiped(True) if _empty_log(connection) else busy


def _empty_log(connection: sqlite3.Connection) -> bool:
    """Write the log's pages to the database and cut it to nothing; False where somebody reads."""
    is_busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not is_busy


def _files(path: Path) -> Iterator[Path]:
    files = (path.with_name(path.name + side) for side in _SIDES)
    return (file for file in files if file.exists() and file.stat().st_size)


def _holds(file: Path, needles: Sequence[bytes]) -> bool:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as all_:
        return any(all_.find(needle) >= 0 for needle in needles)


def _vacuum(database: Database) -> Wiped:
    """Only a table's owner may; a server whose own sweeper runs does it some minutes later."""
    kept = (
        "PostgreSQL has freed the space of what was erased; its bytes stay in the files until that "
        "space is used again, and in its write-ahead log and the archive of that as long as you "
        "keep those."
    )
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as server:
            for table in sorted(Base.metadata.tables):
                server.execute(text(f"VACUUM {table}"))
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        return Wiped(False, f"VACUUM was refused ({reason}). Have the database's owner run it.")
    return Wiped(True, kept)


# Copies -------------------------------------------------------------------------------------------


def copies_with(settings: Settings, email: str, email_hash: str) -> list[Path]:
    """The backups that we know of and that still hold that person; a dump cannot be looked into,
    so each of those may."""
    return [file for file in _copies(settings) if _may_hold(file, email, email_hash)]


def _copies(settings: Settings) -> list[Path]:
    found = {*settings.home.glob("backups/*"), *settings.home.glob("before-restore-*/*")}
    if path := settings.database_path:
        found |= {*path.parent.glob(f"{path.name}.before-*"), *path.parent.glob("backups/*")}
    return sorted(file for file in found if file.is_file() and file.suffix != ".keys")


def _may_hold(file: Path, email: str, email_hash: str) -> bool:
    with file.open("rb") as opened:
        is_dump = opened.read(len(dumps.MAGIC)) == dumps.MAGIC
    if is_dump:
        return True
    asked = "SELECT 1 FROM subscriber WHERE email = ? OR (email_hash = ? AND email IS NOT NULL)"
    try:
        uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as reader:
            return reader.execute(asked, (email, email_hash)).fetchone() is not None
    except sqlite3.Error:
        return False  # no database of ours
