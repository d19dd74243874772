"""A driver's own connection, with the settings that the product has, its durability among them:
for what is compared with it, the loop that a user would write and the bare limit."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import make_url

from course.db import PRAGMAS


class Raw:
    """SQL with `?` for values. `among` stands behind a column: one of these ids."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.drivername == "sqlite"
        if self.is_sqlite:
            self.connection: Any = sqlite3.connect(parsed.database or "")
            for pragma in PRAGMAS:
                self.connection.execute(f"PRAGMA {pragma}")
        else:
            plain = parsed.set(drivername="postgresql")
            self.connection = psycopg.connect(plain.render_as_string(hide_password=False))
        self.among = "IN (SELECT value FROM json_each(?))" if self.is_sqlite else "= ANY(?)"

    def execute(self, statement: str, *values: object) -> Any:
        if not self.is_sqlite:
            statement = statement.replace("?", "%s")
        return self.connection.execute(statement, values)

    def commit(self) -> None:
        self.connection.commit()

    def ids(self, ids: Sequence[int]) -> object:
        """The value for `among`."""
        return orjson.dumps(ids).decode() if self.is_sqlite else list(ids)

    def moment(self, moment: datetime) -> object:
        """An instant as SQLAlchemy writes it."""
        if not self.is_sqlite:
            return moment
        return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


@contextmanager
def connected(url: str) -> Iterator[Raw]:
    raw = Raw(url)
    try:
        yield raw
    finally:
        raw.connection.close()
