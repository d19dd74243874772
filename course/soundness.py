"""Is the database sound? Its own integrity, the promises I1 to I8 (see `promises`), and the sums
that `stats` reads. Reads only, and does not ask whether this is a copy of another one."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from course import promises, reach, rollups
from course.db import is_postgresql

_NAMED = 5
FIGURES = "figures"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how often it does not hold, and some of the rows."""

    name: str
    asked: str
    count: int
    examples: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        return self.count == 0


def check(session: Session) -> list[Finding]:
    """Every check in order, the good ones too."""
    return [
        Finding(name, asked, len(found), tuple(found[:_NAMED]))
        for name, asked, look in _CHECKS
        for found in [list(look(session))]
    ]


# The database itself ------------------------------------------------------------------------------


def _damage(session: Session) -> Iterable[str]:
    if is_postgresql(session):
        broken = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
        return [f"index {name}" for name in session.scalars(text(broken))]
    found: Sequence[str] = session.scalars(text("PRAGMA integrity_check")).all()
    return [] if list(found) == ["ok"] else [line.replace("\n", " ") for line in found]


def _dangling(session: Session) -> Iterable[str]:
    if is_postgresql(session):
        loose = "SELECT conname FROM pg_constraint WHERE NOT convalidated"
        return list(session.scalars(text(loose)))
    found = session.execute(text("PRAGMA foreign_key_check"))
    return [f"{row[0]} {row[1]} → {row[2]}" for row in found]


def _figures(session: Session) -> Iterable[str]:
    return [*rollups.differences(session), *reach.differences(session)]


_Look = Callable[[Session], Iterable[str]]
_CHECKS: tuple[tuple[str, str, _Look], ...] = (
    ("integrity", "the database's own check finds no damage", _damage),
    ("references", "every row that is referred to is there", _dangling),
    ("I1", "no mail was accepted twice", promises.sent_twice),
    ("I2", "what is accepted was sent", promises.accepted_unseen),
    ("I3", "what was not sent was not heard of", promises.sent_unawares),
    ("I4", "one row for each mail, and no learner forgotten", promises.doubled_or_forgotten),
    ("I5", "what was heard of is not unknown", promises.doubted),
    ("I6", "nothing is sent to those who left", promises.after_leaving),
    ("I7", "no two lessons closer than the course's gap", promises.too_close),
    ("I8", "lessons went in order", promises.out_of_order),
    (FIGURES, "what stats counts is what the ledger says", _figures),
)
