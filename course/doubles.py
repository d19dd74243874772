"""Who stands in a list more than once: the first good row counts, and what was made of the others
is said."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from types import TracebackType
from typing import Self

from course.sheets import Bad, Elsewhere, Item, Row

_TAKEN, _BAD, _ELSEWHERE = range(3)


@dataclass(frozen=True, slots=True)
class Double:
    """A person's later row, and the earlier one that decided."""

    line: int
    before: int


@dataclass
class Sifted:
    """Some rows: those that count, and what the others are beside them."""

    items: list[Item] = field(default_factory=list)
    twice: list[Double] = field(default_factory=list)  # taken already
    mended: list[Double] = field(default_factory=list)  # taken, though the one before was bad
    against: list[Double] = field(default_factory=list)  # not subscribed, but the one before was


class Doubles:
    """Remembers every address of a list as a hash, in a file of SQLite's own that nobody else sees
    and that is gone at the end: in memory, a million of them would take a hundred megabytes."""

    def __enter__(self) -> Self:
        self._seen = sqlite3.connect("")
        self._seen.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8000;"
            "CREATE TABLE seen (hash BLOB PRIMARY KEY, line INT, kind INT) WITHOUT ROWID;"
        )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._seen.close()

    def sift(self, items: Sequence[Item]) -> Sifted:
        found = Sifted()
        for item in items:
            self._add(item, found)
        return found

    def _add(self, item: Item, found: Sifted) -> None:
        email = item.person.email if isinstance(item, Row) else item.email
        before = self._before(email, item) if email else None
        match item, before:
            case Row(), (line, kind) if kind == _TAKEN:
                found.twice.append(Double(item.line, line))
                return
            case Row(), (line, kind) if kind == _ELSEWHERE:
                # Whatever comes later in the list: somewhere in it they had left.
                found.against.append(Double(item.line, line))
                return
            case Row(), (line, kind) if kind == _BAD:
                found.mended.append(Double(item.line, line))
                self._turn(email, item.line, _TAKEN)
            case Elsewhere(), (line, kind):
                if kind == _TAKEN:
                    found.against.append(Double(item.line, line))
                self._turn(email, item.line, _ELSEWHERE)
        found.items.append(item)

    def _before(self, email: str, item: Item) -> tuple[int, int] | None:
        """The line and kind of that person's earlier row; None: this is their first."""
        kind = {Row: _TAKEN, Bad: _BAD, Elsewhere: _ELSEWHERE}[type(item)]
        new = self._seen.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (_hash(email), item.line, kind)
        )
        if new.rowcount:
            return None
        row: tuple[int, int] = self._seen.execute(
            "SELECT line, kind FROM seen WHERE hash = ?", (_hash(email),)
        ).fetchone()
        return row

    def _turn(self, email: str, line: int, kind: int) -> None:
        self._seen.execute(
            "UPDATE seen SET line = ?, kind = ? WHERE hash = ?", (line, kind, _hash(email))
        )


def _hash(email: str) -> bytes:
    return blake2b(email.encode(), digest_size=16).digest()


def said(doubles: Iterable[Double]) -> str:
    """`9 (after 4), 12 (after 5)`."""
    return ", ".join(f"{one.line} (after {one.before})" for one in doubles)
