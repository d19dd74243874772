"""A running course moved to another database. The source is held first and stays so: the two never
both send. Then range after range of each table is made equal to the source's, as often as it takes;
the last time while nobody else can write to the source, and only then the target is alive.

Broken off anywhere, the same order goes on: what is equal already is passed over.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Column, ColumnElement, Table, and_, delete, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from course import audit, copies, holds, installation, ledger
from course.db import Database, Standing, is_postgresql, migrate, real_now, refusal, shown, standing
from course.errors import RefusedError
from course.keys import Keys
from course.models import Base, Delivery, Hold, Identity, Installation
from course.settings import Settings
from course.states import DeliveryState, HoldKind

_RANGE = 5000  # rows
Told = Callable[[int], None]  # so many more rows are done
# The last tables of all: without an installation nothing can start on the target.
_OWN = {Identity.__tablename__, Installation.__tablename__}


def untold(rows: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """Who moves what to where."""

    source: Settings
    target: Settings
    who: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Same:
    """A table, the same row by row in both: how many rows, and the hash of all their values."""

    table: str
    rows: int
    sha256: str


def tables() -> list[Table]:
    """What is copied, referred-to tables first."""
    return [table for table in Base.metadata.sorted_tables if table.name not in _OWN]


# Before -------------------------------------------------------------------------------------------


def require_possible(order: Order, source: Database, target: Database) -> None:
    """RefusedError where the source is not whole, or the target is not empty."""
    if order.source.database == order.target.database:
        raise RefusedError(f"--from and --to are the same database: {shown(order.source)}")
    found = standing(source)
    if found is not Standing.CURRENT:
        raise refusal(order.source, found)
    with source.reading() as session:
        installation.check_keys(session, order.source)
        name = installation.get(session).name
    path = order.target.database_path
    if (path is None or path.exists()) and not _is_free(target, name):
        raise RefusedError(
            f"The database {shown(order.target)} is not empty, and copying overwrites none. Make "
            "another one (createdb NAME) and name it after --to."
        )


def _is_free(target: Database, name: str) -> bool:
    """Nothing is in it, or an unfinished copy of this very installation."""
    found = set(inspect(target.engine).get_table_names()) - {"alembic_version"}
    if not found:
        return True
    if found - set(Base.metadata.tables) or standing(target) is not Standing.EMPTY:
        return False
    with target.reading() as session:
        begun = session.get(Identity, 1)
        if begun is not None:
            return begun.mark == _mark(name)
        return not any(session.execute(select(table).limit(1)).first() for table in tables())


def _mark(name: str) -> str:
    return f"unfinished copy of {name}"


def count(source: Database) -> dict[str, int]:
    """How many rows there are to copy."""
    with source.reading() as session:
        return {
            str(table.name): session.scalar(select(func.count()).select_from(table)) or 0
            for table in tables()
        }


def begin(order: Order, source: Database, target: Database) -> int:
    """Hold the source, for good; then make the target's tables. Returns the hold."""

    def hold(session: Session) -> int:
        why = (
            f"being moved to {shown(order.target)} by db copy; broken off, the same command goes "
            "on. Release it only where that copy never sends"
        )
        placed = holds.place(
            session, holds.Scope(), HoldKind.COPY, why=why, who=order.who, now=order.now
        )
        return placed.id

    hold_id = source.run(hold)
    if order.target.database_path is not None:
        _make_file(order)
    migrate(order.target.database)
    with source.reading() as session:
        mark = _mark(installation.get(session).name)
    with target.writing() as session:
        session.merge(Identity(id=1, adopted_at=order.now, mark=mark))
    return hold_id


def _make_file(order: Order) -> None:
    """An embedded database has its keys beside it, and both are for its owner alone."""
    path, keys = order.target.database_path, Keys.in_use(order.source)
    assert path is not None
    assert keys is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    if order.target.key_path is not None:
        keys.write(order.target.key_path)


def under_way(order: Order, source: Database) -> int:
    """How many mails the source's processes still have in hand; those whose lease is over are given
    back, or called unknown."""

    def work(session: Session) -> int:
        real = real_now(session)
        ledger.reap(
            session, now=order.now, real=real, lease=timedelta(seconds=order.source.lease_seconds)
        )
        taken = (DeliveryState.CLAIMED, DeliveryState.SENDING)
        found = select(func.count(Delivery.id)).where(Delivery.state.in_(taken))
        return session.scalar(found) or 0

    return source.run(work)


# Copying ------------------------------------------------------------------------------------------


def copy(source: Database, target: Database, told: Told) -> None:
    """Make every table equal to what the source has now, while the source goes on. `told` hears of
    the rows, some thousand at a time."""
    for table in tables():
        with source.reading() as session:
            _make_equal(session, target, table, _plain(table), told)


def finish(
    order: Order, source: Database, target: Database, hold_id: int, told: Told = untold
) -> list[Same]:
    """Once more, while nobody writes to the source; then the target is the one that sends. `told`
    hears of each row twice."""
    with source.writing() as locked:
        _lock(locked)
        _say_moved(locked, order, hold_id)
        for table in tables():
            _make_equal(locked, target, table, _plain(table), told)
        for table in reversed(tables()):
            _remove_gone(locked, target, table)
        for table in tables():
            if len(_plain(table)) < len(table.columns):
                _make_equal(locked, target, table, list(table.columns))
        found = [_compare(locked, target, table, told) for table in tables()]
        with target.writing() as session:
            _bring_to_life(session, locked, order, hold_id)
    return found


def _say_moved(session: Session, order: Order, hold_id: int) -> None:
    """For who looks at the source later: true from the moment of the commit."""
    session.get_one(Hold, hold_id).why = (
        f"moved to {shown(order.target)}: mails leave from there. Release it only where that copy "
        "never sends"
    )
    session.flush()


def _lock(session: Session) -> None:
    """SQLite has one writer, and that is us."""
    if is_postgresql(session):
        names = ", ".join(table.name for table in Base.metadata.sorted_tables)
        session.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))


def _bring_to_life(session: Session, locked: Session, order: Order, hold_id: int) -> None:
    here = locked.execute(select(_INSTALLATION)).one()
    session.execute(_INSTALLATION.insert().values(here._asdict()))
    for table in (*tables(), _INSTALLATION):
        _go_on_counting(session, table, _last_number(locked, table))
    holds.release(session, [hold_id], order.who, order.now)
    copies.adopt(session, order.target, order.now)
    audit.record(session, order.who, "db copy", order.now, hold=hold_id)


_INSTALLATION = Base.metadata.tables[Installation.__tablename__]

# One table ----------------------------------------------------------------------------------------

_Rows = Mapping[tuple[Any, ...], tuple[Any, ...]]  # primary key → values


def _plain(table: Table) -> list[Column[Any]]:
    """Its columns but for those that refer to tables behind it: they are filled in at the end."""
    behind = {
        column.name
        for constraint in table.foreign_key_constraints
        if constraint.use_alter
        for column in constraint.columns
    }
    return [column for column in table.columns if column.name not in behind]


def _make_equal(
    session: Session,
    target: Database,
    table: Table,
    columns: Sequence[Column[Any]],
    told: Told = untold,
) -> None:
    """Write what differs, range after range."""
    for span in _spans(session, table):
        wanted = _rows(session, table, columns, span)
        with target.reading() as reading:
            there = _rows(reading, table, columns, span)
        if _hash(wanted) != _hash(there):
            different = [row for key, row in wanted.items() if there.get(key) != row]
            with target.writing() as writing:
                _write(writing, table, columns, different)
        told(len(wanted))


def _remove_gone(session: Session, target: Database, table: Table) -> None:
    """What the source has had, and has removed since; whatever refers to it went before."""
    columns = list(table.primary_key.columns)
    for span in _spans(session, table):
        wanted = _rows(session, table, columns, span)
        with target.writing() as writing:
            gone = _rows(writing, table, columns, span).keys() - wanted.keys()
            for key in gone:
                writing.execute(delete(table).where(_is(table, key)))


def _compare(session: Session, target: Database, table: Table, told: Told) -> Same:
    """Both read again, every row and every value."""
    columns, total, digest = list(table.columns), 0, hashlib.sha256()
    for span in _spans(session, table):
        wanted = _rows(session, table, columns, span)
        with target.reading() as reading:
            there = _rows(reading, table, columns, span)
        ours = _hash(wanted)
        if len(wanted) != len(there) or ours != _hash(there):
            raise RefusedError(
                f"The copy of the table {table.name} differs from its source. Is anything else "
                "writing to the target? End it, and run the same command again."
            )
        total += len(wanted)
        told(len(wanted))
        digest.update(ours)
    return Same(str(table.name), total, digest.hexdigest())


# Rows by ranges of their keys ---------------------------------------------------------------------

_Span = tuple[Any, Any]  # beyond the first, up to the second; None: without end


def _spans(session: Session, table: Table) -> Iterator[_Span]:
    """Ranges of the first column of the key, some thousand rows each; the last one is open, for
    what only the target has."""
    first, low = _first(table), None
    while True:
        beyond: list[ColumnElement[bool]] = [] if low is None else [first > low]
        some = select(first).where(*beyond).order_by(first).limit(_RANGE).subquery()
        count, high = session.execute(select(func.count(), func.max(some.c[0]))).one()
        if count < _RANGE:
            yield low, None
            return
        yield low, high
        low = high


def _rows(
    session: Session, table: Table, columns: Sequence[Column[Any]], span: _Span
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    first, (low, high) = _first(table), span
    within = [] if low is None else [first > low]
    within += [] if high is None else [first <= high]
    names = [column.name for column in columns]
    key = [names.index(column.name) for column in table.primary_key.columns]
    statement = select(*columns).where(*within).order_by(*table.primary_key.columns)
    return {tuple(row[place] for place in key): tuple(row) for row in session.execute(statement)}


def _first(table: Table) -> Column[Any]:
    return next(iter(table.primary_key.columns))


def _hash(rows: _Rows) -> bytes:
    """Of all values, in the order of the keys as both databases hand them out: as instants, numbers
    and texts they are alike, however each keeps them."""
    lines = sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows.values())
    return hashlib.sha256(b"\n".join(lines)).digest()


def _is(table: Table, key: tuple[Any, ...]) -> ColumnElement[bool]:
    pairs = zip(table.primary_key.columns, key, strict=True)
    return and_(*(column == value for column, value in pairs))


def _write(
    session: Session, table: Table, columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]
) -> None:
    if not rows:
        return
    names = [column.name for column in columns]
    build = postgresql.insert if is_postgresql(session) else sqlite.insert
    insert = build(table)
    values = {name: insert.excluded[name] for name in names}
    statement = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=values
    )
    session.connection().execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


# Numbers ------------------------------------------------------------------------------------------


def _last_number(session: Session, table: Table) -> int:
    """The highest that was ever given out, perhaps to a row that is gone: links that are on their
    way may hold it."""
    (column, *more) = table.primary_key.columns
    if more:
        return 0
    highest = session.scalar(select(func.max(column))) or 0
    if is_postgresql(session):
        counter = _counter(session, table)
        asked = f"SELECT last_value FROM {counter}"  # noqa: S608 (the database's own word)
        known = session.scalar(text(asked)) if counter else 0
    elif table.dialect_options["sqlite"]["autoincrement"]:
        question = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        known = session.scalar(question, {"name": table.name})
    else:
        known = 0
    return max(int(highest), int(known or 0))


def _go_on_counting(session: Session, table: Table, last: int) -> None:
    """Its next row gets a number beyond that."""
    if not last:
        return
    if is_postgresql(session):
        if counter := _counter(session, table):
            session.execute(
                text("SELECT setval(:counter, :last)"), {"counter": counter, "last": last}
            )
    elif table.dialect_options["sqlite"]["autoincrement"]:
        given = {"name": table.name, "last": last}
        session.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), given)
        session.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), given)


def _counter(session: Session, table: Table) -> str | None:
    """PostgreSQL's sequence for the table's only key; None where it is no number of its own."""
    (column,) = table.primary_key.columns
    question = text("SELECT pg_get_serial_sequence(:name, :key)")
    found: str | None = session.scalar(question, {"name": table.name, "key": column.name})
    return found
