"""Statements about many rows, which travel as one parameter: a JSON text that the database lays
out as rows again.

SQLAlchemy would write a place for each value of each row, and building a statement takes it longer
than the database needs for a row. With one text the statement is the same for any number of rows,
and is built once:

    _MAILS = RowSet(id=Delivery.id)

    @cache
    def _states(postgresql: bool) -> Select[tuple[int, str]]:
        given = _MAILS.given(postgresql)
        return select(Delivery.id, Delivery.state).join(given, given.c.id == Delivery.id)

    run(session, _states, given=_MAILS.pack(session, [(1,), (2,)]))
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Executable,
    FromClause,
    Insert,
    Select,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from course.db import is_postgresql

Column = ColumnElement[Any] | InstrumentedAttribute[Any]


def run(
    session: Session, build: Callable[[bool], Executable], **parameters: object
) -> CursorResult[*tuple[Any, ...]]:
    """Execute the statement that this builds for the database at hand. It flushes nothing first."""
    return session.connection().execute(build(is_postgresql(session)), parameters)


def gathered(
    session: Session, build: Callable[[bool], Select[*tuple[Any, ...]]], **parameters: object
) -> list[Any]:
    """The rows of a SELECT of numbers and texts, each a list, brought over as one JSON text.

    A thousand rows one by one cost more than finding them; and from SQLite each takes Python's
    lock anew, so that a thread that reads would wait for every other between any two of its rows.
    """
    found = run(session, partial(_gathering, build), **parameters).scalar()
    rows: list[Any] = orjson.loads(found) if found else []
    return rows


@cache
def _gathering(build: Callable[[bool], Select[*tuple[Any, ...]]], postgresql: bool) -> Select[str]:
    row = build(postgresql).subquery().columns
    each = func.json_build_array(*row) if postgresql else func.json_array(*row)
    return select(listed(postgresql, each))


def listed(postgresql: bool, column: ColumnElement[Any]) -> ColumnElement[str]:
    """The values of a group, as one JSON text."""
    if postgresql:
        return cast(func.json_agg(column), Text)
    return func.json_group_array(column, type_=Text)


class RowSet:
    """A kind of rows; each of its columns is typed as the table's column that it names."""

    def __init__(self, **columns: InstrumentedAttribute[Any]) -> None:
        self._types = {name: like.type for name, like in columns.items()}

    def given(self, postgresql: bool) -> FromClause:
        """The rows of the parameter `given`, to select from."""
        rows = bindparam("given", type_=Text)
        return self._recordset(rows) if postgresql else self._each(rows)

    def _recordset(self, rows: ColumnElement[str]) -> FromClause:
        found = func.json_to_recordset(cast(rows, pg.JSON))
        places = [column(name, kind) for name, kind in self._types.items()]
        return found.table_valued(*places).render_derived(with_types=True)

    def _each(self, rows: ColumnElement[str]) -> FromClause:
        row = func.json_each(rows).table_valued("value")
        values = (
            func.json_extract(row.c.value, literal_column(f"'$[{place}]'"))
            for place in range(len(self._types))
        )
        typed = zip(values, self._types.items(), strict=True)
        return select(*(type_coerce(v, kind).label(name) for v, (name, kind) in typed)).subquery()

    def pack(self, session: Session, rows: Sequence[Sequence[Any]]) -> str:
        """These rows as the text of the parameter."""
        stored = self._stored(session, rows)
        if is_postgresql(session):
            stored = [dict(zip(self._types, row, strict=True)) for row in stored]
        return orjson.dumps(stored).decode()

    def _stored(self, session: Session, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
        """The values as the driver would be given them; most are so already."""
        dialect = session.get_bind().dialect
        found = (
            kind.dialect_impl(dialect).bind_processor(dialect) for kind in self._types.values()
        )
        # The instants of many rows are few, and each takes a while to write.
        changes = [(place, cache(change)) for place, change in enumerate(found) if change]
        if not changes:
            return rows
        changed = [list(row) for row in rows]
        for row in changed:
            for place, change in changes:
                row[place] = change(row[place])
        return changed


def insert_from(
    postgresql: bool,
    table: type[Any],
    source: FromClause,
    columns: Mapping[str, Column],
    same: Iterable[str] = (),
) -> Insert:
    """INSERT … SELECT: one for each row of the source. The columns in `same` are the same for all,
    and are parameters of that name. What is there already is left out."""
    types = table.__table__.c
    parameters = {name: bindparam(name, type_=types[name].type) for name in same}
    # SQLite would take the ON of ON CONFLICT for that of a join, were there no WHERE.
    found = select(*columns.values(), *parameters.values()).select_from(source).where(true())
    insert = (pg.insert if postgresql else sqlite.insert)(table).on_conflict_do_nothing()
    made: Insert = insert.from_select([*columns, *parameters], found)
    return made
