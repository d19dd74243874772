"""A restored or copied database notices that it is one, and holds until a person has decided.

What it calls not sent may have been sent since the copy was made, and the original may still be
sending. So each database knows from outside itself where it is: PostgreSQL by the system's
identifier, the database's oid and the timeline; SQLite by a mark file beside it (see `marks`).

What cannot be seen: a `pg_restore --clean` into the same database, and a copy of a whole server or
machine (a snapshot of its disk).
"""

import secrets
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from course import holds, installation, marks
from course.db import Database, is_postgresql
from course.marks import Mark
from course.models import Hold, Identity, Installation, Request
from course.settings import Settings
from course.states import HoldKind, Mode

WHO = "minicourse"


def notice(database: Database, settings: Settings, now: datetime, real: datetime) -> Hold | None:
    """At a process's start: the hold, where this database is not the one that sent last. The first
    start of all makes it known."""

    def work(session: Session) -> Hold | None:
        session.get_one(Installation, 1, with_for_update=True)  # several processes start together
        difference = _difference(session, settings)
        if difference is None:
            _remember(session, settings, now)
            return None
        why = (
            f"this database was copied or restored: {difference}. What it calls not sent may have "
            "been sent since. Release it only where no other copy of it sends"
        )
        return holds.place(
            session, holds.Scope(), HoldKind.COPY, why=why, who=WHO, now=now, real=real
        )

    return database.run(work)


def before_sending(settings: Settings, request_id: int) -> None:
    """Between the line's commit and the first byte: raise the mark. Nothing to do with a server."""
    path = marks.path_of(settings)
    if path is not None:
        marks.raise_to(path, request_id, is_live=not settings.sandboxed)


def adopt(session: Session, settings: Settings, now: datetime) -> None:
    """A person's word: from now on this is the database that sends."""
    installation.rename(session)
    _make_known(session, settings, now)


def _make_known(session: Session, settings: Settings, now: datetime) -> None:
    if is_postgresql(session):
        _keep(session, now, mark=None, **(_UNKNOWN_SERVER | _server(session)))
        return
    # Its mark first: a crash before the commit leaves two ids that differ, and the hold.
    mark = secrets.token_hex(8)
    _write_mark(session, settings, mark)
    _keep(session, now, mark=mark, **_UNKNOWN_SERVER)


# Is it the one? -----------------------------------------------------------------------------------


def _difference(session: Session, settings: Settings) -> str | None:
    known = session.get(Identity, 1)
    if is_postgresql(session):
        return None if known is None else _moved(known, _server(session))
    path = marks.path_of(settings)
    assert path is not None
    mark = marks.read(path)
    if known is None:
        return None if mark is None else _behind(session, mark)
    if mark is None:
        return f"its mark {path} is not beside it"
    if mark.id != known.mark:
        return f"the mark {path} beside it is another's"
    return _behind(session, mark) or _elsewhere(_here(session, settings, mark.id), mark)


def _moved(known: Identity, server: dict[str, str | None]) -> str | None:
    """What the server does not tell is not compared."""
    if known.database_oid is None:
        return "it was an embedded database"
    for column, words in _SERVER_WORDS.items():
        before, now = getattr(known, column), server.get(column)
        if before and now and before != now:
            return f"{words} is {now}, not {before}"
    return None


_SERVER_WORDS = {
    "system_identifier": "the server's system identifier",
    "database_oid": "the database's oid",
    "timeline": "the server's timeline",
}
_UNKNOWN_SERVER: dict[str, str | None] = dict.fromkeys(_SERVER_WORDS)


def _behind(session: Session, mark: Mark) -> str | None:
    """Whether the mark has seen more than this database: then that is an earlier state of it."""
    here = installation.get(session)
    if mark.installation != here.name:
        return None
    if mark.is_live and here.mode != Mode.LIVE:
        return "it was live already, and does not know"
    if here.mode == Mode.LIVE and not mark.is_live:
        return None  # going live has forgotten the requests of the sandbox
    highest = _highest_request(session)
    if mark.request > highest:
        return f"requests up to {mark.request} were sent, and it ends with {highest}"
    return None


def _elsewhere(here: Mark, mark: Mark) -> str | None:
    if here.machine and mark.machine and here.machine != mark.machine:
        return "it was on another machine"
    # A file that was renamed keeps its inode; one that was put back keeps its name.
    if here.path != mark.path and here.inode != mark.inode:
        return f"it was {mark.path}"
    return None


# Where is it? -------------------------------------------------------------------------------------


_QUESTIONS = {
    "system_identifier": "SELECT system_identifier::text FROM pg_control_system()",
    "database_oid": "SELECT oid::text FROM pg_database WHERE datname = current_database()",
    # The first eight digits of a file of the log are its timeline.
    "timeline": "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)",
}


def _server(session: Session) -> dict[str, str | None]:
    """What this server tells us; some keep a part to themselves."""
    found: dict[str, str | None] = {}
    for column, question in _QUESTIONS.items():
        try:
            with session.begin_nested():
                found[column] = session.scalar(text(question))
        except DBAPIError:
            continue
    return found


def _here(session: Session, settings: Settings, mark: str) -> Mark:
    path = settings.database_path
    assert path is not None
    here = installation.get(session)
    return Mark(
        id=mark,
        installation=here.name,
        machine=marks.machine(),
        path=str(path.resolve()),
        inode=path.stat().st_ino,
        request=_highest_request(session),
        is_live=here.mode == Mode.LIVE,
    )


def _highest_request(session: Session) -> int:
    return session.scalar(select(func.max(Request.id))) or 0


# Keeping it ---------------------------------------------------------------------------------------


def _remember(session: Session, settings: Settings, now: datetime) -> None:
    """It is the one: what it knows of itself is made complete."""
    known = session.get(Identity, 1)
    if known is None:
        _make_known(session, settings, now)
    elif is_postgresql(session):
        _keep(session, known.adopted_at, **_server(session))
    elif known.mark:
        _write_mark(session, settings, known.mark)


def _write_mark(session: Session, settings: Settings, mark: str) -> None:
    path = marks.path_of(settings)
    assert path is not None
    marks.write(path, _here(session, settings, mark))


def _keep(session: Session, adopted_at: datetime, **values: str | None) -> None:
    session.merge(Identity(id=1, adopted_at=adopted_at, **values))
    session.flush()
