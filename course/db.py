"""The database: one engine a process, two kinds of session, and the rules that keep both databases
honest.

`reading()` sees one snapshot and cannot write; `writing()` takes SQLite's write lock at once, so
that read-then-write inside it is safe. (pysqlite's own transaction handling begins too late for
that; see SQLAlchemy's notes on pysqlite, "Serializable isolation / Savepoints".)
"""

import functools
import logging
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import orjson
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CursorResult,
    DateTime,
    Dialect,
    Engine,
    Executable,
    Text,
    Update,
    bindparam,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.types import TypeDecorator, UserDefinedType

from course.errors import DatabaseError
from course.settings import SOURCE_ROOT, Settings
from course.urls import secrets_of, without_secrets

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL: serialization_failure, deadlock_detected, lock_not_available.
_RETRIED_SQLSTATES = {"40001", "40P01", "55P03"}
# connection_exception, operator_intervention: the server ends, or begins, or ended our session
# (25P03: it had been idle in a transaction for too long).
_LOST_SQLSTATES = ("08", "57P", "25P03")
_FIRST_WAIT, _LONGEST_WAIT = 0.02, 1.0  # seconds


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: refuses naive values, always comes back as aware UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: times in the database are UTC instants")
        value = value.astimezone(UTC)
        # SQLite keeps text; without the offset its order is the order of time.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """One engine and its two kinds of session. Make it after a fork, never before."""

    def __init__(self, url: str, *, patience_seconds: float = 15) -> None:
        self.url = url
        self.patience_seconds = patience_seconds
        self.engine = _make_engine(url, patience_seconds)
        self.writer = self.engine.execution_options(minicourse_writing=True)
        # SQLite has one writer, and who finds it busy sleeps; threads need not.
        self._turn = RLock() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one snapshot; whatever it would write is refused or rolled back."""
        with Session(self.engine, autoflush=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits when its block ends well, and holds the write lock (SQLite)."""
        with (
            self._turn,
            Session(self.writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def run(self, work: Callable[[Session], R]) -> R:
        """Run `work` in one writing transaction; again, when another process was in the way, as
        long as our patience lasts."""

        @retrying(self.patience_seconds)
        def once() -> R:
            with self.writing() as session:
                return work(session)

        return once()

    def dispose(self) -> None:
        self.engine.dispose()


def real_now(session: Session) -> datetime:
    """Real time for leases and back-off: the server's clock, so that machines agree."""
    if is_postgresql(session):
        moment: datetime = session.scalar(text("SELECT clock_timestamp()"))
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def insert_ignoring(session: Session, table: type[Any]) -> Any:
    """INSERT … ON CONFLICT DO NOTHING for the database at hand."""
    build = postgresql.insert if is_postgresql(session) else sqlite.insert
    return build(table).on_conflict_do_nothing()


def rows(session: Session, statement: Executable) -> CursorResult[Any]:
    """Execute without what the ORM does for each row; it flushes nothing first."""
    return session.connection().execute(statement)


def changed(session: Session, statement: Update) -> int:
    """Execute an UPDATE that changes no object in the session; returns how many rows it changed."""
    result = session.connection().execute(statement)
    return result.rowcount


def among(
    session: Session, column: ColumnElement[int] | InstrumentedAttribute[int], ids: Iterable[int]
) -> ColumnElement[bool]:
    """`column IN ids` with all ids in one parameter, so that a thousand cost no more text than
    one, and the statement is the same for any number."""
    return _among(is_postgresql(session), column, bindparam(None, packed(session, ids)))


def among_given(
    is_on_postgresql: bool, column: ColumnElement[int] | InstrumentedAttribute[int]
) -> ColumnElement[bool]:
    """The same for a statement that is built once: its parameter `ids` is what `packed` makes."""
    return _among(is_on_postgresql, column, bindparam("ids"))


def _among(
    is_on_postgresql: bool,
    column: ColumnElement[int] | InstrumentedAttribute[int],
    ids: BindParameter[Any],
) -> ColumnElement[bool]:
    if is_on_postgresql:
        return column == func.any(type_coerce(ids, _Array()))
    each = func.json_each(type_coerce(ids, Text)).table_valued("value")
    return column.in_(select(each.c.value))


def packed(session: Session, ids: Iterable[int]) -> str:
    """All these numbers as one parameter: a JSON text, and for PostgreSQL an array as it reads it.
    (Given a list, its driver takes more time to write it than the server for many a statement.)"""
    numbers = orjson.dumps(sorted(ids)).decode()
    return f"{{{numbers[1:-1]}}}" if is_postgresql(session) else numbers


class _Array(UserDefinedType[str]):
    """Numbers that are a text already."""

    cache_ok = True
    render_bind_cast = True

    def get_col_spec(self, **_: object) -> str:
        return "BIGINT[]"


def retrying(patience_seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run again after a deadlock, a serialization failure or a busy database, with jitter."""

    def decorate(work: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(work)
        def again(*args: P.args, **kwargs: P.kwargs) -> R:
            ends = time.monotonic() + patience_seconds
            wait = _FIRST_WAIT
            while True:
                try:
                    return work(*args, **kwargs)
                except DBAPIError as error:
                    if not is_busy(error) or time.monotonic() > ends:
                        raise
                    log.debug("another process was in the way: %s", error.orig)
                time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 (jitter)
                wait = min(wait * 2, _LONGEST_WAIT)

        return again

    return decorate


def is_busy(error: BaseException) -> bool:
    """Whether another process was in the way, so that the same may work a moment later."""
    if not isinstance(error, DBAPIError):
        return False
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate in _RETRIED_SQLSTATES
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def is_lost(error: BaseException) -> bool:
    """Whether the server went away or is not to be reached: once it is back, the same may work."""
    if not isinstance(error, DBAPIError):
        return False
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate.startswith(_LOST_SQLSTATES)
    return error.connection_invalidated or (
        isinstance(error, OperationalError) and type(error.orig).__module__.startswith("psycopg")
    )


def _make_engine(url: str, patience_seconds: float) -> Engine:
    if url.startswith("sqlite"):
        return _make_sqlite_engine(url, patience_seconds)
    engine = create_engine(
        url,
        # A connection that a restarted server has forgotten is replaced before it is used.
        pool_pre_ping=True,
        pool_size=_KEPT,
        max_overflow=_MOST - _KEPT,
        # A prepared statement keeps the plan that was right when its tables were small, and is
        # unknown to the next session that PgBouncer lends.
        connect_args={"prepare_threshold": None},
        # Parameters hold addresses and keys: an error's text must not carry them into a log.
        hide_parameters=True,
    )
    event.listen(engine, "begin", _on_postgresql_begin)
    return engine


# Connections that a process keeps, and opens at most: one for each call in flight, and a few.
_KEPT, _MOST = 5, 40
# The limits of a transaction that writes, each for that transaction alone: PgBouncer lends another
# session for the next. Who waits for a lock too long tries again; who fell asleep in the middle
# does not keep its locks for ever.
LIMITS = {
    "lock_timeout": "10s",
    "statement_timeout": "5min",
    "idle_in_transaction_session_timeout": "1min",
}
# A migration waits for its locks for a moment only: behind it everybody else would have to wait.
MIGRATION_LIMITS = LIMITS | {"lock_timeout": "3s", "statement_timeout": "30min"}


def _on_postgresql_begin(connection: Any) -> None:
    options = connection.get_execution_options()
    if options.get("minicourse_writing", False):
        limits = options.get("minicourse_limits", LIMITS)
        settings = (f"set_config('{name}', '{value}', true)" for name, value in limits.items())
        connection.exec_driver_sql(f"SELECT {', '.join(settings)}")


def _make_sqlite_engine(url: str, patience_seconds: float) -> Engine:
    arguments = {"timeout": patience_seconds, "check_same_thread": False}
    # The connection that was used last: what it holds of the file is still right, as long as no
    # other has written.
    engine = create_engine(url, connect_args=arguments, pool_use_lifo=True, hide_parameters=True)
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    "cache_size=-32000",  # kB
    "wal_autocheckpoint=4000",  # pages, 16 MB: what changes often is copied back less often
)


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the begin event below says when and how
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Any) -> None:
    writing = connection.get_execution_options().get("minicourse_writing", False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writing else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


# Alembic takes a good part of a command's start to load, and only migrating needs it.


def alembic_config(url: str) -> "Config":
    from alembic.config import Config

    config = Config(SOURCE_ROOT / "alembic.ini", stdout=sys.stdout)
    config.set_main_option("script_location", str(SOURCE_ROOT / "alembic"))
    config.attributes["url"] = url
    return config


def migrate(url: str) -> None:
    """Bring the schema to this version's; makes an embedded database where there is none."""
    from alembic import command

    command.upgrade(alembic_config(url), "head")


def newest_migration() -> str:
    """The revision that this version wants."""
    return max(_migrations())


def _migrations() -> set[str]:
    """All that this version knows: a migration's file name begins with its number."""
    versions = SOURCE_ROOT / "alembic" / "versions"
    return {path.name.partition("_")[0] for path in versions.glob("[0-9]*.py")}


class Standing(StrEnum):
    """How an existing database stands to this version of the program."""

    EMPTY = "empty"  # or a first start broke off: `init` makes it ready
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    BROKEN = "broken"  # tables without the number of their version, or that number alone


def standing(database: Database) -> Standing:
    """Look at the tables; the driver's own errors where there is no database at all."""
    with database.engine.connect() as connection:
        tables = inspect(connection)
        has_ours = tables.has_table("installation")
        found = None
        if tables.has_table("alembic_version"):
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        if has_ours is not bool(found):
            return Standing.BROKEN
        if not found:
            return Standing.EMPTY
        if found not in _migrations():
            return Standing.NEWER
        # Its newer columns may be missing yet, so the model is not asked.
        if connection.scalar(text("SELECT count(*) FROM installation")) == 0:
            return Standing.EMPTY
        return Standing.CURRENT if found == newest_migration() else Standing.OLDER


_REPLACE = "Bring it back from a backup; or move it away and make a new one with: minicourse init"


def refusal(settings: Settings, found: Standing) -> DatabaseError:
    """What is wrong with a database that cannot be used as it is, and the step that mends it."""
    name = shown(settings)
    return DatabaseError(
        {
            Standing.EMPTY: f"The database {name} is empty. Make it ready with: minicourse init",
            Standing.OLDER: f"The database {name} was made by an older version of minicourse. "
            "Bring it up to date with: minicourse db upgrade",
            Standing.NEWER: f"The database {name} was made by a newer version of minicourse. "
            "Update the program with: git pull && make install",
            Standing.BROKEN: f"The database {name} does not fit together: its tables, or the "
            f"number of their version, are missing. {_REPLACE}",
        }[found]
    )


def require_there(settings: Settings) -> None:
    """DatabaseError where an embedded database does not exist."""
    path = settings.database_path
    if path is not None and not path.exists():
        raise DatabaseError(f"No database at {path}. Make one with: minicourse init")


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """A database that cannot be opened or read is a DatabaseError that says what next."""
    try:
        yield
    except DBAPIError as error:
        if is_busy(error):
            raise
        raise DatabaseError(_unopenable(settings, error)) from None


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database as it is, migrated or not, for the length of the block."""
    database = Database(settings.database)
    try:
        with explained(settings):
            yield database
    finally:
        database.dispose()


def _unopenable(settings: Settings, error: DBAPIError) -> str:
    reason = " ".join(str(error.orig).split())  # a server's words may be several lines
    for secret in secrets_of(settings.database_url):
        reason = reason.replace(secret, "***")
    path = settings.database_path
    if path is None:
        step = "See that the server runs and DATABASE_URL is right; then: minicourse doctor"
    elif path.is_dir():
        reason, step = "it is a folder", _REPLACE
    elif "not a database" in reason or "malformed" in reason:
        step = _REPLACE
    else:
        step = f"See that you may read and write it and its folder: ls -l {path.parent}"
    return f"Cannot open the database {shown(settings)}: {reason}. {step}"


def open_database(settings: Settings, *, patience_seconds: float = 15) -> Database:
    """The existing, migrated database; DatabaseError says where was looked and what to run."""
    require_there(settings)
    database = Database(settings.database, patience_seconds=patience_seconds)
    with explained(settings):
        found = standing(database)
    if found is not Standing.CURRENT:
        database.dispose()
        raise refusal(settings, found)
    return database


def shown(settings: Settings) -> str:
    """The database as people know it: its absolute path, or its URL without a password."""
    return str(settings.database_path or without_secrets(settings.database))
