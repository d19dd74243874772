"""People out of a CSV file: read row by row, taken in some hundred at a time.

An import can never bring anyone back: who left, bounced or complained is skipped and listed, and
who takes part or is through already stays as they are.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import cache, lru_cache
from itertools import chain
from zoneinfo import available_timezones

from sqlalchemy import Executable, bindparam, select
from sqlalchemy.orm import Session

from course import cohorts, courses, enrollment, fields, suppressions
from course.curriculum import Course as Curriculum
from course.curriculum import parse_hour
from course.enrollment import Origin, Person
from course.errors import InvalidInputError
from course.models import Cohort, Enrollment, Subscriber
from course.people import clean, email_hash, parse_email
from course.rowsets import RowSet, run
from course.states import EnrollmentState

COLUMNS = ("email", "name", "zone", "hour")
SEPARATORS = (",", ";", "\t")
_ADDRESSES = RowSet(email=Subscriber.email)
# On the embedded database all who write wait for a transaction to end: it stays well below a tenth
# of a second, however slow the machine.
TRANSACTION_SECONDS = 0.04
LEAST, MOST = 10, 500


@dataclass(frozen=True, slots=True)
class Row:
    """A good row; `line` is where it begins in the file."""

    line: int
    person: Person


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was not taken, and why."""

    line: int
    value: str
    reason: str


# Reading ----------------------------------------------------------------------------------------


class Sheet:
    """A CSV text with a header, read as it is iterated; `ignored` are columns that mean nothing
    here: neither to every course nor to this one. Spreadsheets also write semicolons or tabs: the
    header decides."""

    def __init__(self, lines: Iterable[str], course: Curriculum) -> None:
        self._course = course
        known = (*COLUMNS, *course.fields)
        rest = iter(lines)
        header = next(rest, "")
        separator = max(SEPARATORS, key=header.count)  # of equal ones the first
        self._reader = csv.reader(chain([header], rest), delimiter=separator, strict=True)
        self._columns = [name.strip().lower() for name in self._header(header)]
        self.ignored = [name for name in self._columns if name and name not in known]
        if "email" not in self._columns:
            raise InvalidInputError(
                f"No column `email`; the first line is: {clean(header) or '(empty)'}. "
                f"Name the columns there like this: {','.join(known)} "
                "(separated by commas, semicolons or tabs)."
            )

    def __iter__(self) -> Iterator[Row | Skipped]:
        while True:
            line = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                until = self._reader.line_num
                yield Skipped(line, "", f"cannot be read, up to line {until}: {error}")
                continue
            if any(cell.strip() for cell in cells):
                yield self._row(line, cells)

    def _header(self, header: str) -> list[str]:
        try:
            return next(self._reader, [])
        except csv.Error as error:
            raise InvalidInputError(f"{clean(header)}: is no CSV header: {error}") from None

    def _row(self, line: int, cells: Sequence[str]) -> Row | Skipped:
        if len(cells) > len(self._columns):
            reason = f"{len(cells)} cells under {len(self._columns)} columns; quote the separators"
            return Skipped(line, clean(cells[0]), reason)
        values = dict(zip(self._columns, cells, strict=False))
        if any(_is_broken(value) for value in values.values()):
            return Skipped(line, clean(values["email"]), "is not UTF-8; save the file as UTF-8")
        try:
            return Row(line, _person(values, self._course))
        except InvalidInputError as error:
            return Skipped(line, clean(values.get("email", "")), str(error))


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_broken(value: str) -> bool:
    """Bytes that were no UTF-8 come as lone surrogates (the file is opened that way)."""
    return _SURROGATE.search(value) is not None


def _person(values: dict[str, str], course: Curriculum) -> Person:
    zone = values.get("zone", "").strip()
    if zone and zone not in _zones():
        raise InvalidInputError(f"“{clean(zone)}” is no time zone; write it like Europe/Berlin")
    email = values.get("email", "").strip()
    if not email:
        raise InvalidInputError("has no address")
    return Person(
        parse_email(email),
        clean(values.get("name", "")),
        zone or None,
        _hour(values.get("hour", "").strip()),
        fields.pack(fields.read_all(course, values)) if course.fields else "",
    )


def _hour(given: str) -> time | None:
    """Spreadsheets write hours in many ways; those that can mean only one are taken."""
    if not given:
        return None
    match = re.fullmatch(r"(\d{1,2}):(\d\d)(?::00)?", given)
    try:
        return time(int(match[1]), int(match[2])) if match else parse_hour(given)
    except ValueError:
        raise InvalidInputError(f"“{clean(given)}” is not an hour; write it like 09:00") from None


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    """Read once: the list is gathered from the disk each time that one asks for it."""
    return frozenset(available_timezones())


# Taking in --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """Into which cohort, and on what ground: `confirmed` means that the author holds their
    consent, else each of them is asked by mail."""

    cohort_id: int
    confirmed: bool
    origin: Origin
    hash_key: str
    sandbox: bool


@dataclass
class Taken:
    """What became of the rows. `asked` get a confirmation mail, `confirmed` the course."""

    asked: int = 0
    confirmed: int = 0
    already: int = 0  # take part, wait for their confirmation, or are through
    suppressed: list[Skipped] = field(default_factory=list)
    rejected: list[Skipped] = field(default_factory=list)

    def __iadd__(self, other: "Taken") -> "Taken":
        self.asked += other.asked
        self.confirmed += other.confirmed
        self.already += other.already
        self.suppressed += other.suppressed
        self.rejected += other.rejected
        return self


def next_size(size: int, seconds: float) -> int:
    """How many rows to take at once, after so many took so long."""
    fitting = int(size * TRANSACTION_SECONDS / max(seconds, 0.001))
    return max(LEAST, min(fitting, 2 * size, MOST))


def take(session: Session, rows: Sequence[Row | Skipped], order: Order, now: datetime) -> Taken:
    """Take a batch of rows in, in the session's transaction."""
    cohort = session.get_one(Cohort, order.cohort_id)
    cohorts.require_open(cohort)
    taken = Taken(rejected=[row for row in rows if isinstance(row, Skipped)])
    good = [row for row in rows if isinstance(row, Row)]
    curriculum = courses.by_id(session, cohort.course_id).curriculum
    barred = _barred(session, good, cohort, order.hash_key)
    states = _states(session, good, cohort)
    chosen: dict[str, Person] = {}
    for row in good:
        email = row.person.email
        if reason := barred.get(email):
            taken.suppressed.append(Skipped(row.line, email, reason))
        elif not _takes_part(states.get(email), confirmed=order.confirmed):
            chosen.setdefault(email, row.person)
    count = _enroll(session, cohort, list(chosen.values()), curriculum, order, now)
    taken.confirmed, taken.asked = (count, 0) if order.confirmed else (0, count)
    taken.already = len(good) - len(taken.suppressed) - count
    return taken


def _takes_part(state: str | None, *, confirmed: bool) -> bool:
    """Whether a row changes nothing: a person who was asked may still be confirmed."""
    return state is not None and not (confirmed and state == EnrollmentState.PENDING)


def _enroll(
    session: Session,
    cohort: Cohort,
    people: Sequence[Person],
    curriculum: Curriculum,
    order: Order,
    now: datetime,
) -> int:
    """Returns how many of them had not signed up elsewhere in that very moment."""
    key, sandbox, origin = order.hash_key, order.sandbox, order.origin
    if order.confirmed:
        return enrollment.take_in(
            session, cohort, people, curriculum, origin, now, hash_key=key, sandbox=sandbox
        )
    asked = enrollment.ask(session, cohort, people, origin, now, hash_key=key, sandbox=sandbox)
    return len(asked)


def _barred(session: Session, rows: Sequence[Row], cohort: Cohort, key: str) -> dict[str, str]:
    """Address → why it may not be mailed, for this course or for all."""
    hashes = {email_hash(row.person.email, key): row.person.email for row in rows}
    return {
        hashes[one.email_hash]: f"{one.reason} on {one.created_at:%Y-%m-%d}"
        for one in suppressions.standing(session, hashes, cohort.course_id)
    }


def _states(session: Session, rows: Sequence[Row], cohort: Cohort) -> dict[str, str]:
    """Address → how the person stands in this course; who was merely cancelled may come again."""
    given = _ADDRESSES.pack(session, [(row.person.email,) for row in rows])
    found = run(session, _known_states, given=given, course=cohort.course_id)
    return {row.email: row.state for row in found}


@cache
def _known_states(postgresql: bool) -> Executable:
    given = _ADDRESSES.given(postgresql)
    return (
        select(Subscriber.email, Enrollment.state)
        .join(Enrollment, Enrollment.subscriber_id == Subscriber.id)
        .where(
            Subscriber.email.in_(select(given.c.email)),
            Enrollment.course_id == bindparam("course"),
            Enrollment.state != EnrollmentState.CANCELLED,
        )
        # Who is through and has come back is what they are now.
        .order_by(Enrollment.id)
    )
